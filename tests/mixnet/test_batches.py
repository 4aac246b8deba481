"""Many messages and headers at once: what comes out is what one at a time gives, by every way to compute X25519."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anontrace.mixnet import header, packet, surb
from anontrace.mixnet.packet import Delivery, DroppedMessage, MacError, Relay, Unwrapped
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base, x25519_batches
from anontrace_shared.errors import FormatError

from tests.mixnet import reference
from tests.mixnet.test_packet import LOW_ORDER
from tests.mixnet.travel import KEYS, NUMBERS, SECRETS, path, travel
from tests.shared.make_vectors import FOLDER

MIX = json.loads((FOLDER / "mix.json").read_text(encoding="utf-8"))
MIXES = {each["number"]: each for each in MIX["mixes"]}
FIRST = NUMBERS[0]
KEY = SECRETS[FIRST], KEYS[FIRST]


def h(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.fixture(params=x25519_batches.NAMES, autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each implementation, in force."""
    before = x25519_batches.chosen().name
    try:
        yield x25519_batches.choose(request.param).name
    except x25519_batches.UnavailableError as error:
        pytest.skip(str(error))
    finally:
        x25519_batches.choose(before)


def sent(*numbers: int) -> bytes:
    return packet.forward(path(list(numbers or NUMBERS[:4])), os.urandom(32), os.urandom(239))


def malformed() -> bytes:
    """A message to mix zero that is no delivery, under a tag that holds."""
    mix = reference.Mix(FIRST, 1, SECRETS[FIRST])
    states = reference.hops([mix, reference.Mix(0, 3, os.urandom(32))], os.urandom(32))
    return reference.header(states, bytes(32), os.urandom(reference.padding_size(2))) + bytes(239)


def flipped(at: int) -> bytes:
    altered = bytearray(sent())
    altered[at] ^= 1
    return bytes(altered)


def with_alpha(alpha: bytes) -> bytes:
    message = sent()
    return message[:1] + alpha + message[33:]


BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "short": lambda: sent()[:-1],
    "long": lambda: sent() + b"\0",
    "tag": lambda: flipped(40),
    "routing": lambda: flipped(100),
    "alpha": lambda: flipped(5),
    "top bit": lambda: with_alpha(bytes(31) + b"\x80"),
    "near the prime": lambda: with_alpha((2**255 - 19 - 300).to_bytes(32, "little")),
    "another mix's": lambda: sent(*NUMBERS[1:4]),
    "mix zero": malformed,
    "random": lambda: os.urandom(380),
    **{f"low order {u:x}"[:24]: lambda u=u: with_alpha(u.to_bytes(32, "little")) for u in LOW_ORDER},  # type: ignore[misc]
}


def one_by_one(messages: list[bytes]) -> list[Unwrapped]:
    """By libsodium, each for itself."""
    found: list[Unwrapped] = []
    before = x25519_batches.chosen().name
    x25519_batches.choose("sodium")
    for message in messages:
        try:
            found.append(packet.unwrap(*KEY, message))
        except (DroppedMessage, FormatError) as error:
            found.append(error)
    x25519_batches.choose(before)
    return found


def same(one: Unwrapped, other: Unwrapped) -> bool:
    if isinstance(one, Exception):
        return type(one) is type(other) and str(one) == str(other)
    return one == other


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_message_harms_none_of_a_batch(kind: str) -> None:
    good = [sent() if number % 3 else sent(FIRST) for number in range(17)]
    expected = one_by_one(good)
    assert {type(each) for each in expected} == {Relay, Delivery}
    bad = BAD[kind]()
    (refused,) = one_by_one([bad])
    assert isinstance(refused, (DroppedMessage, FormatError))
    for place in (0, 8, 17):
        found = packet.unwrap_many([KEY] * 18, [*good[:place], bad, *good[place:]])
        assert same(found.pop(place), refused)
        assert found == expected


def test_a_batch_of_everything_at_once_is_what_one_at_a_time_gives() -> None:
    messages = [make() for make in itertools.chain(BAD.values(), [sent] * 9, BAD.values())]
    found = packet.unwrap_many([KEY] * len(messages), messages)
    assert all(map(same, found, one_by_one(messages)))
    assert packet.unwrap_many([], []) == []


def test_a_batch_has_messages_for_many_keys() -> None:
    messages = [sent(number) for number in NUMBERS * 3]
    keys = [(SECRETS[number], KEYS[number]) for number in NUMBERS * 3]
    assert all(isinstance(each, Delivery) for each in packet.unwrap_many(keys, messages))
    turned = packet.unwrap_many(keys[1:] + keys[:1], messages)
    assert all(isinstance(each, MacError) for each in turned)
    *others, last = packet.unwrap_many([*keys[:-1], (bytes(31), bytes(32))], messages)
    assert isinstance(last, FormatError) and all(isinstance(each, Delivery) for each in others)


def test_the_vectors_hop_by_hop_all_cases_in_one_batch() -> None:
    for step in range(4):
        cases = [each for each in MIX["cases"] if step < len(each["hops"])]
        mixes = [MIXES[each["hops"][step]["mix"]] for each in cases]
        keys = [(h(mix["secret"]), h(mix["public_key"])) for mix in mixes]
        received = [h(each["hops"][step]["received"]) for each in cases]
        for case, result in zip(cases, packet.unwrap_many(keys, received), strict=True):
            assert not isinstance(result, Exception)
            assert result.replay_tag == h(case["hops"][step]["replay_tag"])
            if step + 1 < len(case["hops"]):
                assert isinstance(result, Relay) and result.message == h(case["hops"][step + 1]["received"])
            else:
                assert isinstance(result, Delivery) and result.mailbox == h(case["mailbox"])


def test_the_vectors_are_built_all_in_one_batch() -> None:
    cases = MIX["cases"]
    drawn = iter([*(h(each["first_secret"]) for each in cases), *(h(each["padding"]) for each in cases)])
    paths = [
        [Hop(hop["mix"], MIXES[hop["mix"]]["key_select"], h(MIXES[hop["mix"]]["public_key"])) for hop in each["hops"]]
        for each in cases
    ]
    built = header.build_many(paths, [h(each["mailbox"]) for each in cases], lambda _: next(drawn))
    assert [each.header for each in built] == [h(each["message"])[:141] for each in cases]


def test_messages_and_reply_blocks_made_at_once_arrive() -> None:
    paths = [path(NUMBERS[: 1 + number % 4]) for number in range(19)]
    payloads = [os.urandom(239) for _ in paths]
    mailboxes = [os.urandom(32) for _ in paths]
    for way_there, payload, message in zip(
        paths, payloads, packet.forward_many(paths, bytes(32), payloads), strict=True
    ):
        passed, _, delivery = travel(FIRST, message)
        assert passed == [hop.number for hop in way_there] and delivery.payload == payload
    made = surb.make_many(paths, mailboxes)
    for payload, mailbox, (block, kept) in zip(payloads, mailboxes, made, strict=True):
        opened = surb.parse(block)
        _, _, delivery = travel(FIRST, surb.use(opened, payload))
        assert delivery.mailbox == mailbox and kept.undo(delivery.payload) == payload
        assert opened.message_key == x25519_base(kept.message_secret)
    assert len({block[33:65] for block, _ in made}) == len(made)
    assert repr(header.build_many(paths[:1], mailboxes[:1])[0]) == "Built(...)"


def test_one_path_that_cannot_be_refuses_the_batch() -> None:
    for bad in ([], [Hop(7, 0, bytes(32))], [Hop(0, 0, KEYS[FIRST])]):
        with pytest.raises(FormatError):
            header.build_many([path(NUMBERS[:2]), bad, path(NUMBERS[:3])], [bytes(32)] * 3)
    with pytest.raises(FormatError, match="payload"):
        packet.forward_many([path(NUMBERS[:2])] * 2, bytes(32), [bytes(239), bytes(238)])


def test_a_mix_of_low_order_is_named_whatever_the_step() -> None:
    low: Any = Hop(200, 0, (1).to_bytes(32, "little"))
    for step in range(4):
        hops = path(NUMBERS[:4])
        hops[step] = low
        with pytest.raises(FormatError, match="key of mix 200 is a point of low order"):
            header.build_many([path(NUMBERS[:4]), hops], [bytes(32)] * 2)
