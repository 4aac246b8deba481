"""The packet format does what the second implementation does, byte for byte."""

import ctypes
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import util
from importlib.machinery import ModuleSpec
from itertools import combinations
from random import Random
from threading import Thread
from typing import Any

import pytest
from anontrace.mixnet import (
    blinding,
    blob,
    chain,
    contact_answer,
    header,
    hop_keys,
    letter,
    lioness,
    notification,
    packet,
    parts,
    receipt,
    relay,
    stream,
    surb,
    swap,
    words,
)
from anontrace.mixnet.chain import ChainClaim
from anontrace.mixnet.contact_answer import ContactAnswer, OwnLog, Said
from anontrace.mixnet.fragment import Fragment
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.packet import Delivery, MacError, Relay
from anontrace.mixnet.path import Hop
from anontrace.mixnet.receipt import (
    Answer,
    ContactAnswerQuestion,
    NymAnswer,
    NymQuestion,
    Question,
    Receipt,
    UploadAnswer,
    UploadQuestion,
    UploadState,
)
from anontrace.mixnet.surb import SurbSecrets
from anontrace.mixnet.swap import Swap
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import FormatError

from tests.mixnet import make_vectors
from tests.shared.make_vectors import FOLDER


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def h(text: str) -> bytes:
    return bytes.fromhex(text)


def draws(*values: bytes) -> Callable[[int], bytes]:
    """A generator that hands out these values in order, and insists on their sizes."""
    left = list(values)

    def draw(size: int) -> bytes:
        value = left.pop(0)
        assert len(value) == size
        return value

    return draw


ANOTHER = getattr(util.find_spec("_cffi_backend"), "origin", None)  # a library without the function
MIX = load("mix.json")
MIXES = {m["number"]: m for m in MIX["mixes"]}


def path(numbers: list[int]) -> list[Hop]:
    return [Hop(n, MIXES[n]["key_select"], h(MIXES[n]["public_key"])) for n in numbers]


@pytest.mark.parametrize("name", make_vectors.ALL)
def test_the_vector_file_is_what_the_reference_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == make_vectors.text(name)


def test_keystream_and_expansion() -> None:
    vector = load("lioness.json")
    for xor in {stream.xor, stream.by_aead, stream.of_libsodium() or stream.by_aead}:
        assert xor(h(vector["key"]), bytes(302)) == h(vector["keystream"])
    assert stream.expand(h(vector["key"]), 302) == h(vector["expanded"])


def test_both_keystreams_are_one_whatever_the_length_and_whoever_else_makes_one() -> None:
    by_libsodium = stream.of_libsodium()
    assert by_libsodium is not None or sys.platform != "linux"
    wrong: list[int] = []

    def work(seed: int) -> None:
        drawn = Random(seed)
        for length in [0, 1, 31, 63, 64, 65, 142, 207, 511, 512, 513, 1000] * 20:
            key, data = drawn.randbytes(32), drawn.randbytes(length)
            if by_libsodium is not None and by_libsodium(key, data) != stream.by_aead(key, data):
                wrong.append(length)

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    for xor in (stream.by_aead, by_libsodium or stream.by_aead):
        for size in (31, 33):
            with pytest.raises(ValueError, match="32 bytes"):
                xor(bytes(size), bytes(10))


@pytest.mark.parametrize("place", [None, "/nonexistent/sodium.so", ctypes.__file__, ANOTHER])
def test_where_pynacl_shows_no_libsodium_the_keystream_comes_from_elsewhere(
    place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = place and ModuleSpec("nacl._sodium", None, origin=place)
    monkeypatch.setattr(stream.util, "find_spec", lambda _: found)
    assert stream.of_libsodium() is None


@pytest.mark.parametrize("case", load("lioness.json")["cases"])
def test_lioness(case: dict[str, str]) -> None:
    assert lioness.encrypt(h(case["keys"]), h(case["plain"])) == h(case["encrypted"])
    assert lioness.decrypt(h(case["keys"]), h(case["encrypted"])) == h(case["plain"])


@pytest.mark.parametrize(("keys", "block"), [(127, 239), (129, 239), (128, 32), (128, 0), (127, 32)])
@pytest.mark.parametrize("way", [lioness.encrypt, lioness.decrypt])
def test_lioness_refuses_other_sizes(way: Callable[[bytes, bytes], bytes], keys: int, block: int) -> None:
    assert len(way(bytes(128), bytes(33))) == 33
    with pytest.raises(FormatError, match="128 bytes of keys and a block of more than 32 bytes"):
        way(bytes(keys), bytes(block))


@pytest.mark.parametrize("case", MIX["cases"])
def test_a_message_is_built_as_in_the_vectors(case: dict[str, Any]) -> None:
    hops = path([each["mix"] for each in case["hops"]])
    random_bytes = draws(h(case["first_secret"]), h(case["padding"]))
    assert packet.forward(hops, h(case["mailbox"]), h(case["payload"]), random_bytes) == h(case["message"])


@pytest.mark.parametrize("case", MIX["cases"])
def test_every_intermediate_value_of_a_header_agrees(case: dict[str, Any]) -> None:
    hops = path([each["mix"] for each in case["hops"]])
    (made,) = header.hops_of([hops], [blinding.clamp(h(case["first_secret"]))])
    for number, (each, (seed, keys)) in enumerate(zip(case["hops"], made, strict=True)):
        public_key = h(MIXES[each["mix"]]["public_key"])
        assert x25519(h(each["scalar"]), public_key) == h(each["shared"])
        assert x25519_base(h(each["scalar"])) == h(each["alpha"])
        assert hop_keys.seed_of(h(each["shared"]), public_key) == seed == h(each["seed"])
        assert (
            keys
            == hop_keys.expand(seed)
            == (h(each["tag_key"]), h(each["pad"]), h(each["blinding"]), h(each["lioness_keys"]))
        )
        assert hop_keys.lioness_keys(seed) == keys.lioness_keys
        assert hop_keys.tag(keys.tag_key, h(each["received"])[packet.ROUTING_FIELD]) == h(each["tag"])
        if number + 1 < len(made):
            following = blinding.times(blinding.eighth(h(each["scalar"])), keys.blinding)
            assert blinding.scalar(following) == h(case["hops"][number + 1]["scalar"])


@pytest.mark.parametrize("case", MIX["cases"])
def test_every_mix_unwraps_as_in_the_vectors(case: dict[str, Any]) -> None:
    received = h(case["message"])
    for number, each in enumerate(case["hops"]):
        assert received == h(each["received"])
        mix = MIXES[each["mix"]]
        assert packet.key_select(received) == mix["key_select"]
        assert packet.replay_tag(received) == h(each["replay_tag"])
        result = packet.unwrap(h(mix["secret"]), h(mix["public_key"]), received)
        assert result.replay_tag == h(each["replay_tag"])
        if number + 1 < len(case["hops"]):
            assert isinstance(result, Relay)
            assert result.next_mix == case["hops"][number + 1]["mix"]
            received = result.message
        else:
            assert isinstance(result, Delivery)
            assert result.mailbox + result.payload == h(case["delivered"])
            assert result.mailbox + result.payload == h(case["mailbox"]) + h(case["payload"])


@pytest.mark.parametrize("case", MIX["dropped"])
def test_altered_messages_are_dropped(case: dict[str, str]) -> None:
    mix = MIX["mixes"][0]
    with pytest.raises(MacError):
        packet.unwrap(h(mix["secret"]), h(mix["public_key"]), h(case["message"]))


def test_surb_and_blob() -> None:
    v = load("surb.json")
    random_bytes = draws(h(v["message_secret"]), h(v["first_secret"]), h(v["padding"]))
    made, secrets = surb.make(path(v["mixes"]), h(v["mailbox"]), random_bytes)
    assert made == h(v["surb"])
    assert secrets == SurbSecrets(tuple(map(h, v["seeds"])), h(v["message_secret"]))
    assert blob.seal(h(v["address"]), v["slot"], made) == h(v["blob"])
    opened = surb.parse(blob.open(h(v["address"]), v["slot"], h(v["blob"])))
    assert opened.first_mix == v["mixes"][0]
    assert surb.use(opened, h(v["sent"])) == h(v["hops"][0]["received"])
    assert secrets.undo(h(v["delivered"])[32:]) == h(v["sent"])


def test_swap() -> None:
    v = load("swap.json")
    key = h(v["key"])
    first, second = h(v["first"]["blob"]), h(v["second"]["blob"])
    assert Swap(key, swap.NEW, first).encode() == h(v["first"]["payload"])
    assert swap.authentication(first) == h(v["second"]["authentication"])
    replacing = Swap(key, swap.authentication(first), second)
    assert replacing.encode() == h(v["second"]["payload"])
    assert Swap.decode(h(v["second"]["payload"])) == replacing
    assert swap.fingerprint(key, second) == h(v["fingerprint"])


RECEIPT = load("receipt.json")


@pytest.mark.parametrize("case", RECEIPT["questions"])
def test_receipt(case: dict[str, Any]) -> None:
    random_bytes = draws(h(RECEIPT["key"]), h(RECEIPT["first_secret"]), b"")
    block, secrets = surb.make_reply(path(RECEIPT["mixes"]), h(RECEIPT["mailbox"]), random_bytes)
    assert block == h(RECEIPT["reply_block"])
    assert secrets == SurbSecrets(tuple(map(h, RECEIPT["seeds"])), h(RECEIPT["key"]))
    question: Question
    if "nym_key" in case:
        question = NymQuestion(h(case["nym_key"]), h(case["fingerprint"]))
    elif "tag" in case:
        question = ContactAnswerQuestion(h(case["tag"]), h(case["identity"]))
    else:
        question = UploadQuestion(h(case["upload_id"]), case["first"])
    made = Receipt(question, block)
    assert made.encode(draws(h(RECEIPT["padding"]))) == h(case["payload"])
    assert Receipt.decode(h(case["payload"])) == made


@pytest.mark.parametrize("case", RECEIPT["answers"])
def test_answer(case: dict[str, Any]) -> None:
    secrets = SurbSecrets(tuple(map(h, RECEIPT["seeds"])), h(RECEIPT["key"]))
    answer: Answer
    if "held" in case:
        answer = NymAnswer(case["held"])
    else:
        missing = tuple((first, count) for first, count in case["missing"])
        answer = UploadAnswer(UploadState(case["state"]), case["reason"], missing)
    assert answer.encode() == h(case["content"])
    assert type(answer).decode(h(case["content"])) == answer
    assert receipt.seal(h(RECEIPT["key"]), answer) == h(case["sent"])
    assert receipt.expected(secrets, answer) == h(case["arrived"])
    assert receipt.open(secrets, h(case["arrived"])) == h(case["content"])


def test_relay() -> None:
    v = load("relay.json")
    made = relay.of(h(v["surb"]), h(v["seed"]))
    assert made.encode(draws(h(v["padding"]))) == h(v["payload"])
    assert relay.Relay.decode(h(v["payload"])) == made
    assert made.header + made.payload() == h(v["message"])
    secrets = SurbSecrets(tuple(map(h, v["seeds"])), bytes(32))
    assert secrets.arrives(made.payload()) == h(v["arrived"])


@pytest.mark.parametrize("case", load("fragment.json")["cases"])
def test_fragment(case: dict[str, Any]) -> None:
    made = Fragment(h(load("fragment.json")["upload_id"]), case["number"], h(case["data"]))
    assert made.encode() == h(case["payload"])
    assert Fragment.decode(h(case["payload"])) == made


@pytest.mark.parametrize("case", load("notification.json")["cases"])
def test_notification(case: dict[str, Any]) -> None:
    v = load("notification.json")
    expected = Notification(
        Kind.NOTIFICATION if case["kind"] == 3 else Kind(case["kind"]),
        h(case["case_id"]),
        h(case["report_id"]),
        h(case["chain_token"]),
        case["disease"],
        case["present"],
        case["attenuation"],
        case["rule_minutes"],
        case["message"],
        case["kind"] == 3,
    )
    assert expected.encode() == h(case["content"])
    assert Notification.decode(h(case["content"]), kept=True) == expected
    expected = replace(expected, message="", words=h(case["content"])[133:])
    assert Notification.decode(h(case["content"])) == expected
    sealed = notification.seal(h(v["message_key"]), expected, ephemeral=h(v["ephemeral"]))
    assert sealed == h(case["sealed"])
    secrets = SurbSecrets(tuple(map(h, v["seeds"])), h(v["message_secret"]))
    assert notification.open(secrets, h(case["arrived"])) == expected


def test_chain_token() -> None:
    v = load("notification.json")["chain"]
    claim = ChainClaim(h(v["case_id"]), h(v["nym_key"]), v["generation"], v["expiry_day"])
    assert chain.seal(h(v["key"]), claim, draws(h(v["nonce"]))) == h(v["token"])
    assert chain.open(h(v["key"]), h(v["token"])) == claim


@pytest.mark.parametrize("case", load("words.json")["cases"])
def test_words(case: dict[str, Any]) -> None:
    v = load("words.json")
    address, slot, report, kind = h(v["contact_address"]), v["slot"], h(v["report_id"]), Kind(case["kind"])
    blinded = words.blinded(h(v["message_key"]), address, slot, report)
    assert blinded == h(v["blinded_key"])
    assert words.seal(words.secret_of(h(v["authority_seed"])), blinded, report, kind, case["text"]) == h(case["sealed"])
    key = words.key_of(h(v["authority_verify_key"]))
    assert key == h(v["authority_key"])
    assert words.open(h(v["message_secret"]), key, address, slot, report, kind, h(case["sealed"])) == case["text"]


@pytest.mark.parametrize("case", load("contact_answer.json")["cases"])
def test_contact_answer(case: dict[str, Any]) -> None:
    v = load("contact_answer.json")
    secret = words.secret_of(h(v["authority_seed"]))
    authority, tag = x25519_base(secret), contact_answer.told_tag(h(v["case_id"]), h(v["report_id"]))
    assert tag == h(v["tag"])
    made = ContactAnswer(
        Said(case["said"]), case["day"], case["number"], tuple(case["nearness"]), OwnLog(case["own_log"]),
        case["note"], case["first_mix"], h(case["header"]) if case["first_mix"] else b"",
    )  # fmt: skip
    assert made.encode(draws(h(case["header"]))) == h(case["content"])
    assert ContactAnswer.decode(h(case["content"])) == made
    payload, key = contact_answer.seal(authority, tag, made, draws(h(v["ephemeral_secret"]), h(case["header"])))
    assert (payload, key) == (h(case["payload"]), h(v["letter"]["reply_key"]))
    shown, sealed = contact_answer.split(payload)
    assert shown == tag and contact_answer.identity(sealed) == h(case["identity"])
    assert contact_answer.open(secret, authority, tag, sealed) == contact_answer.Opened(made, key)


def test_letter() -> None:
    v = load("contact_answer.json")
    written, secrets = v["letter"], SurbSecrets(tuple(map(h, v["letter"]["seeds"])), bytes(32))
    key = h(written["reply_key"])
    assert letter.seal(key, h(v["tag"]), written["text"]) == h(written["sent"])
    assert secrets.arrives(h(written["sent"])) == h(written["arrived"])
    assert letter.open(secrets, key, h(v["tag"]), h(written["arrived"])) == written["text"]


def test_words_in_parts() -> None:
    v = load("words.json")
    address, slot, report = h(v["contact_address"]), v["slot"], h(v["report_id"])
    secret, key = words.secret_of(h(v["authority_seed"])), h(v["authority_key"])
    numbers = parts.split(v["long"]["text"])
    found = []
    for case in v["long"]["parts"]:
        assert parts.part(numbers, case["place"]) == h(case["part"])
        sealed = words.seal_content(secret, h(v["blinded_key"]), report, Kind.NOTIFICATION, h(case["part"]))
        assert sealed == h(case["sealed"])
        found.append(words.open_content(h(v["message_secret"]), key, address, slot, report, Kind.NOTIFICATION, sealed))
    for some in combinations(found, len(numbers)):
        assert parts.join(some).text == v["long"]["text"]
