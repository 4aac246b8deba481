"""Headers and messages: what every mix makes of what a client built."""

import os

import pytest
from anontrace.mixnet import blinding, header, hop_keys, packet, sizes, surb
from anontrace.mixnet.packet import DroppedMessage, MacError, Relay
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixnet import reference
from tests.mixnet.travel import KEYS, NUMBERS, SECRETS, path, travel

paths = st.permutations(NUMBERS).flatmap(lambda numbers: st.integers(1, 4).map(lambda count: numbers[:count]))
mailboxes = st.binary(min_size=32, max_size=32)
payloads = st.binary(min_size=239, max_size=239)


def test_the_sizes_are_those_of_the_protocol() -> None:
    assert (sizes.HEADER, sizes.PAYLOAD, sizes.MESSAGE, sizes.ADDRESS) == (141, 239, 380, 108)
    assert (sizes.SURB, sizes.BLOB, sizes.STREAM, sizes.NOTIFICATION, sizes.NOTE) == (174, 174, 302, 191, 58)


@given(paths, mailboxes, payloads)
@settings(max_examples=60, deadline=None)
def test_a_message_reaches_its_last_hop_by_its_path(numbers: list[int], mailbox: bytes, payload: bytes) -> None:
    sent = packet.forward(path(numbers), mailbox, payload)
    passed, received, delivery = travel(numbers[0], sent)
    assert passed == numbers
    assert (delivery.mailbox, delivery.payload) == (mailbox, payload)
    assert {len(each) for each in received} == {sizes.MESSAGE}


@given(paths, mailboxes, payloads, st.integers(0, 255))
@settings(max_examples=20, deadline=None)
def test_the_last_hop_learns_the_version_of_the_mailbox_address_and_the_maker_of_a_surb_what_will_arrive(
    numbers: list[int], mailbox: bytes, payload: bytes, version: int
) -> None:
    made, kept = surb.make(path(numbers), mailbox, version=version)
    opened = surb.parse(made)
    _, received, delivery = travel(numbers[0], surb.use(opened, payload))
    assert (delivery.mailbox, delivery.version) == (mailbox, version)
    assert delivery.payload == kept.arrives(payload) and kept.undo(delivery.payload) == payload
    assert travel(numbers[0], packet.forward(path(numbers), mailbox, payload))[2].version == header.ALONE
    assert {len(each) for each in received} == {sizes.MESSAGE}


@given(paths, mailboxes, payloads)
@settings(max_examples=20, deadline=None)
def test_the_second_implementation_unwraps_what_this_one_builds(
    numbers: list[int], mailbox: bytes, payload: bytes
) -> None:
    current, sent = numbers[0], packet.forward(path(numbers), mailbox, payload)
    for expected in [*numbers[1:], 0]:
        mix = reference.Mix(current, current ^ 0x5A, SECRETS[current])
        current, sent = reference.unwrap(mix, sent)
        assert current == expected
    assert sent == mailbox + payload


@given(paths, st.binary(min_size=32, max_size=32))
@settings(max_examples=60, deadline=None)
def test_the_seeds_of_the_client_are_those_of_the_mixes(numbers: list[int], secret: bytes) -> None:
    (hops,) = header.hops_of([path(numbers)], [blinding.clamp(secret)])
    alpha = x25519_base(secret)
    for number, (seed, _) in zip(numbers, hops, strict=True):
        assert hop_keys.seed_of(x25519(SECRETS[number], alpha), KEYS[number]) == seed
        alpha = x25519(hop_keys.expand(seed).blinding, alpha)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_clamping_leaves_a_blinded_scalar_alone(secret: bytes, factor: bytes) -> None:
    found = blinding.scalar(blinding.times(blinding.eighth(blinding.clamp(secret)), factor))
    assert blinding.clamp(found) == found
    n, a, b = (int.from_bytes(each, "little") for each in (found, blinding.clamp(secret), blinding.clamp(factor)))
    assert n % blinding.ORDER in (a * b % blinding.ORDER, -a * b % blinding.ORDER)
    assert x25519_base(found) == x25519(factor, x25519_base(secret))


@pytest.mark.parametrize(
    ("product", "eighth"),
    [
        ((1 << 252) + 5, None),
        (1 << 252, None),
        ((1 << 252) - 1, (1 << 252) - 1),
        (1 << 251, 1 << 251),
        ((1 << 251) - 1, blinding.ORDER - (1 << 251) + 1),  # the negative
    ],
)
def test_of_a_product_and_its_negative_the_first_that_clamping_leaves_alone_is_taken(
    product: int, eighth: int | None
) -> None:
    factor = blinding.clamp(bytes(32))
    m = product * pow(int.from_bytes(factor, "little"), -1, blinding.ORDER) % blinding.ORDER
    if eighth is None:
        with pytest.raises(ValueError, match="no representative"):
            blinding.times(m.to_bytes(32, "little"), factor)
    else:
        assert int.from_bytes(blinding.times(m.to_bytes(32, "little"), factor), "little") == eighth


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_header_has_one_size_whatever_the_path(count: int) -> None:
    built, seeds = header.build(path(NUMBERS[:count]), bytes(32))
    assert len(built) == sizes.HEADER
    assert len(seeds) == count


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_follows_the_last_hops_instructions_is_random(count: int) -> None:
    """All 18 bytes of room for each hop that is not there: never zero, never twice the same, at the last hop."""
    tails: set[bytes] = set()
    for _ in range(20):
        _, received, _ = travel(NUMBERS[0], packet.forward(path(NUMBERS[:count]), bytes(32), bytes(239)))
        last = NUMBERS[count - 1]
        pad = hop_keys.expand(hop_keys.seed_of(x25519(SECRETS[last], received[-1][packet.ALPHA_FIELD]), KEYS[last])).pad
        plain = reference.xor(received[-1][packet.ROUTING_FIELD] + bytes(18), pad)
        assert plain[:38] == bytes(38)
        tails.update(plain[at : at + 18] for at in range(38, 110, 18))
    assert len(tails) == 20 * 4


def test_nothing_outside_the_encryption_tells_the_position() -> None:
    """After the key select, no byte of what any hop receives stays the same over many messages."""
    seen: dict[tuple[int, int], set[int]] = {}
    for _ in range(24):
        _, received, _ = travel(NUMBERS[0], packet.forward(path(NUMBERS[:4]), bytes(32), bytes(239)))
        for position, each in enumerate(received):
            for offset in range(1, len(each)):
                seen.setdefault((position, offset), set()).add(each[offset])
    assert min(map(len, seen.values())) > 12


@given(st.integers(8, sizes.HEADER * 8 - 1))
@settings(deadline=None)
def test_a_flipped_bit_in_key_or_address_fails_the_tag(bit: int) -> None:
    altered = bytearray(packet.forward(path(NUMBERS[:3]), bytes(32), bytes(239)))
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MacError):
        packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], bytes(altered))


@given(st.integers(0, sizes.PAYLOAD * 8 - 1))
@settings(max_examples=40, deadline=None)
def test_a_flipped_bit_in_the_payload_garbles_all_of_it(bit: int) -> None:
    altered = bytearray(packet.forward(path(NUMBERS[:2]), bytes(32), bytes(239)))
    altered[sizes.HEADER + bit // 8] ^= 1 << bit % 8
    _, _, delivery = travel(NUMBERS[0], bytes(altered))
    assert delivery.payload.count(0) < 12  # of 239: by chance one
    assert all(any(delivery.payload[at : at + 16]) for at in range(0, 239, 16))


LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
    2**255 - 19,
    2**255 - 18,
]


@pytest.mark.parametrize("u", LOW_ORDER)
def test_a_message_key_of_low_order_is_dropped(u: int) -> None:
    sent = packet.forward(path(NUMBERS[:2]), bytes(32), bytes(239))
    altered = sent[:1] + u.to_bytes(32, "little") + sent[33:]
    with pytest.raises(MacError):
        packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], altered)


def test_a_message_for_another_key_is_dropped() -> None:
    sent = packet.forward(path(NUMBERS[:2]), bytes(32), bytes(239))
    with pytest.raises(MacError):
        packet.unwrap(SECRETS[NUMBERS[1]], KEYS[NUMBERS[1]], sent)


def test_a_hop_to_mix_zero_that_is_no_delivery_is_dropped() -> None:
    """A maker who writes nonsense under a tag that holds: `path.check` keeps ours from it, so it is built by hand."""
    mix = reference.Mix(NUMBERS[0], 1, SECRETS[NUMBERS[0]])
    nowhere = reference.Mix(0, 3, os.urandom(32))
    states = reference.hops([mix, nowhere], os.urandom(32))
    sent = reference.header(states, bytes(32), os.urandom(reference.padding_size(2))) + bytes(239)
    with pytest.raises(DroppedMessage, match="no mix"):
        packet.unwrap(mix.secret, mix.key, sent)


def test_the_replay_tag_depends_on_the_address_alone() -> None:
    sent = packet.forward(path(NUMBERS[:2]), bytes(32), bytes(239))
    result = packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], sent)
    other = packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], sent[:141] + bytes(239))
    assert isinstance(result, Relay)
    assert result.replay_tag == other.replay_tag == packet.replay_tag(sent)
    assert packet.replay_tag(result.message) != result.replay_tag


@pytest.mark.parametrize("size", [0, 1, 379, 381])
def test_a_message_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match="instead of 380"):
        packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], bytes(size))
    with pytest.raises(FormatError):
        packet.key_select(bytes(size))


GOOD = Hop(1, 0, KEYS[1])


@pytest.mark.parametrize(
    ("hops", "complaint"),
    [
        ([], "1 to 4 hops"),
        ([GOOD] * 5, "1 to 4 hops"),
        ([GOOD._replace(number=0)], "numbered"),
        ([GOOD._replace(number=256)], "numbered"),
        ([GOOD._replace(key_select=256)], "key select"),
        ([GOOD._replace(key_select=-1)], "key select"),
        ([GOOD._replace(public_key=bytes(31))], "31 bytes"),
        ([GOOD._replace(public_key=bytes(33))], "33 bytes"),
        ([GOOD._replace(public_key=bytes(32))], "low order"),
    ],
)
def test_a_path_that_cannot_be_is_refused(hops: list[Hop], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        header.build(hops, bytes(32))


def test_a_path_may_use_every_byte_for_mix_and_key() -> None:
    for hop in (GOOD._replace(number=255, key_select=255), GOOD._replace(number=1, key_select=0)):
        assert header.build([hop], bytes(32))[0][0] == hop.key_select


def test_mailbox_and_payload_of_another_size_are_refused() -> None:
    for size in (31, 33):
        with pytest.raises(FormatError, match=f"mailbox address has {size} bytes instead of 32"):
            packet.forward([GOOD], bytes(size), bytes(239))
    for size in (238, 240):
        with pytest.raises(FormatError, match=f"payload has {size} bytes instead of 239"):
            packet.forward([GOOD], bytes(32), bytes(size))


@pytest.mark.parametrize(("secret", "public"), [(31, 32), (33, 32), (32, 31), (32, 33), (31, 33)])
def test_a_mix_whose_keys_have_another_size_is_told_so(secret: int, public: int) -> None:
    with pytest.raises(FormatError, match="keys have 32 bytes each"):
        packet.unwrap(bytes(secret), bytes(public), packet.forward([GOOD], bytes(32), bytes(239)))


def test_no_repr_shows_what_is_inside() -> None:
    _, received, delivery = travel(NUMBERS[0], packet.forward(path(NUMBERS[:2]), os.urandom(32), os.urandom(239)))
    relay = packet.unwrap(SECRETS[NUMBERS[0]], KEYS[NUMBERS[0]], received[0])
    assert (repr(relay), repr(delivery)) == (f"Relay(next_mix={NUMBERS[1]})", "Delivery(...)")


@pytest.mark.parametrize("u", LOW_ORDER)
@pytest.mark.parametrize("next_mix", [0, 2])
def test_a_tag_that_anybody_can_make_under_a_key_of_low_order_opens_nothing(u: int, next_mix: int) -> None:
    """With such a point every mix's shared secret is zero, so who knows none of its secrets can make the tag hold."""
    keys = hop_keys.expand(hop_keys.seed_of(bytes(32), KEYS[1]))
    plain = bytes((0, next_mix)) + os.urandom(sizes.PAD - 2)
    routing = bytes(a ^ b for a, b in zip(plain, keys.pad, strict=True))[: sizes.ROUTING]
    forged = b"\0" + u.to_bytes(32, "little") + hop_keys.tag(keys.tag_key, routing) + routing + bytes(sizes.PAYLOAD)
    assert len(forged) == sizes.MESSAGE
    with pytest.raises(MacError, match="low order"):
        packet.unwrap(SECRETS[1], KEYS[1], forged)
