"""From the SURB that a client makes to the notification that it opens, and the swap and chain token on the way."""

import os
from dataclasses import replace

import pytest
from anontrace.mixnet import blob, chain, keydays, notification, surb, swap
from anontrace.mixnet.chain import ChainClaim
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.surb import SurbSecrets
from anontrace.mixnet.swap import Swap
from anontrace_shared.errors import AuthenticationError, FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixnet.travel import NUMBERS, path, travel

ADDRESS = os.urandom(20)


def fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def texts(size: int, alphabet: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=size).filter(lambda text: len(text.encode()) <= size)


notifications = st.builds(
    Notification,
    kind=st.sampled_from([Kind.NOTIFICATION, Kind.RETRACTION]),
    case_id=fixed(16),
    report_id=fixed(8),
    chain_token=fixed(96),
    disease=texts(8, st.characters(min_codepoint=33, max_codepoint=126)),
    present=st.integers(0, 255),
    attenuation=st.integers(0, 255),
    rule_minutes=st.integers(0, 65535),
    words=fixed(58),
)
places = notifications.map(lambda each: replace(each, of_place=each.kind == Kind.NOTIFICATION))
SAMPLE = Notification(Kind.NOTIFICATION, bytes(16), bytes(8), bytes(96), "U07.1", 3, 60, 15, "call us")


@given(st.permutations(NUMBERS), st.integers(1, 4), notifications | places)
@settings(max_examples=40, deadline=None)
def test_what_the_nymserver_seals_the_maker_of_the_surb_opens(
    numbers: list[int], count: int, sent: Notification
) -> None:
    mailbox = os.urandom(32)
    made, secrets = surb.make(path(numbers[:count]), mailbox)
    stored = blob.seal(ADDRESS, 7, made)

    at_nymserver = surb.parse(blob.open(ADDRESS, 7, stored))
    outgoing = surb.use(at_nymserver, notification.seal(at_nymserver.message_key, sent))
    passed, _, delivery = travel(at_nymserver.first_mix, outgoing)

    assert passed == numbers[:count]
    assert delivery.mailbox == mailbox
    assert notification.open(SurbSecrets.from_bytes(secrets.to_bytes()), delivery.payload) == sent


def test_a_client_opens_its_own_dummy() -> None:
    made, secrets = surb.make(path(NUMBERS[:3]), bytes(32))
    own = surb.parse(made)
    outgoing = surb.use(own, notification.seal(own.message_key, Notification(Kind.DUMMY)))
    _, _, delivery = travel(own.first_mix, outgoing)
    assert notification.open(secrets, delivery.payload).kind == Kind.DUMMY


def test_dummies_differ_in_every_byte_after_the_kind() -> None:
    many = [Notification(Kind.DUMMY).encode() for _ in range(20)]
    assert all(len({each[at] for each in many}) > 8 for at in range(1, 191))


@given(st.integers(0, 239 * 8 - 1))
@settings(max_examples=30, deadline=None)
def test_a_flipped_bit_on_the_way_is_noticed(bit: int) -> None:
    made, secrets = surb.make(path(NUMBERS[:2]), bytes(32))
    opened = surb.parse(made)
    sealed = notification.seal(opened.message_key, SAMPLE)
    _, _, delivery = travel(opened.first_mix, surb.use(opened, sealed))
    altered = bytearray(delivery.payload)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticationError):
        notification.open(secrets, bytes(altered))


def test_a_notification_for_another_surb_does_not_open() -> None:
    made, _ = surb.make(path(NUMBERS[:2]), bytes(32))
    _, others = surb.make(path(NUMBERS[:2]), bytes(32))
    opened = surb.parse(made)
    _, _, delivery = travel(opened.first_mix, surb.use(opened, notification.seal(opened.message_key, SAMPLE)))
    with pytest.raises(AuthenticationError):
        notification.open(others, delivery.payload)


def test_a_sealed_notification_does_not_begin_with_a_public_key() -> None:
    """The top bit of an X25519 public key is never set: over 64 payloads it would show."""
    made, _ = surb.make(path(NUMBERS[:1]), bytes(32))
    key = surb.parse(made).message_key
    assert any(notification.seal(key, SAMPLE)[31] & 0x80 for _ in range(64))


@pytest.mark.parametrize(("address", "slot"), [(bytes(20), 7), (ADDRESS, 8)], ids=["address", "slot"])
def test_a_blob_opens_only_with_its_address_and_slot(address: bytes, slot: int) -> None:
    made, _ = surb.make(path(NUMBERS[:2]), bytes(32))
    assert blob.open(ADDRESS, 7, blob.seal(ADDRESS, 7, made)) == made
    assert blob.open(address, slot, blob.seal(ADDRESS, 7, made)) != made


def test_surbs_and_blobs_of_other_sizes_are_refused() -> None:
    for wrong in (bytes(173), bytes(175)):
        with pytest.raises(FormatError):
            surb.parse(wrong)
        with pytest.raises(FormatError):
            blob.open(ADDRESS, 7, wrong)
        with pytest.raises(FormatError):
            blob.seal(ADDRESS, 7, wrong)
    with pytest.raises(FormatError, match="first mix"):
        surb.parse(bytes(174))
    for size in (19, 21, 32):
        with pytest.raises(FormatError, match="contact address"):
            blob.open(bytes(size), 7, bytes(174))
    for wrong in (b"", bytes(32), bytes(33), bytes(32 * 6)):
        with pytest.raises(FormatError):
            SurbSecrets.from_bytes(wrong)


@given(fixed(32), fixed(32), fixed(174))
def test_a_swap_survives_its_encoding(key: bytes, authentication: bytes, stored: bytes) -> None:
    made = Swap(key, authentication, stored)
    assert len(made.encode()) == 239
    assert Swap.decode(made.encode()) == made


def test_what_is_no_swap_is_refused() -> None:
    with pytest.raises(FormatError):
        Swap.decode(bytes(238))
    with pytest.raises(FormatError, match="not a swap: its last byte is not 0"):
        Swap.decode(bytes(238) + b"\1")
    with pytest.raises(FormatError):
        Swap(bytes(32), swap.NEW, bytes(173)).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"case_id": bytes(15)},
        {"report_id": bytes(9)},
        {"chain_token": bytes(95)},
        {"disease": "U07.12345"},
        {"disease": "Ü07"},
        {"present": 256},
        {"attenuation": -1},
        {"rule_minutes": 65536},
        {"message": "ü" * 30},
        {"message": "a\0b"},
        {"message": "\ud800"},
    ],
)
def test_a_notification_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="of a notification"):
        replace(SAMPLE, **change).encode()  # type: ignore[arg-type]


def test_rubbish_is_no_notification() -> None:
    content = SAMPLE.encode()
    for wrong in (content[:-1], content + b"\0"):
        with pytest.raises(FormatError, match=f"{len(wrong)} bytes instead of 191"):
            Notification.decode(wrong)
    with pytest.raises(FormatError, match="kind 4"):
        Notification.decode(b"\4" + content[1:])
    with pytest.raises(FormatError, match="only a notification"):
        Notification(Kind.RETRACTION, of_place=True).encode()
    with pytest.raises(FormatError, match="zero byte inside"):
        Notification.decode(content[:-1] + b"x", kept=True)
    with pytest.raises(FormatError, match="UTF-8"):
        Notification.decode(content[:133] + b"\xff" * 58, kept=True)


def test_a_number_that_does_not_fit_is_told_the_largest() -> None:
    largest = replace(SAMPLE, present=255, attenuation=255, rule_minutes=65535)
    assert Notification.decode(largest.encode(), kept=True) == largest
    with pytest.raises(FormatError, match="present of a notification is from 0 to 255, not 256"):
        replace(SAMPLE, present=256).encode()
    with pytest.raises(FormatError, match="rule of a notification is from 0 to 65535, not 65536"):
        replace(SAMPLE, rule_minutes=65536).encode()


def test_what_does_not_show_is_refused_unless_it_was_kept_before_and_then_replaced() -> None:
    shown = replace(SAMPLE, disease="U07.1").encode()
    content = shown.replace(b"U07.1", b"U\x1b7.1")
    with pytest.raises(FormatError, match="control or invisible"):
        Notification.decode(content)
    assert Notification.decode(content, kept=True).disease == "U?7.1"
    content = shown[:133] + "a\x1b[2Jb\u202ec".encode().ljust(58, b"\0")
    assert Notification.decode(content, kept=True).message == "a?[2Jb?c"
    assert Notification.decode(content).words == content[133:]  # sealed, as they travel
    assert Notification.decode(SAMPLE.encode(), kept=True) == SAMPLE


@given(fixed(16), fixed(32), st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 95))
def test_a_chain_token_opens_whole_or_not_at_all(case: bytes, key: bytes, generation: int, day: int, at: int) -> None:
    secret = os.urandom(32)
    claim = ChainClaim(case, key, generation, day)
    token = chain.seal(secret, claim)
    assert len(token) == 96
    assert chain.open(secret, token) == claim
    altered = bytearray(token)
    altered[at] ^= 1
    with pytest.raises(AuthenticationError):
        chain.open(secret, bytes(altered))
    with pytest.raises(AuthenticationError):
        chain.open(os.urandom(32), token)


def test_a_chain_token_that_does_not_fit_is_refused() -> None:
    claim = ChainClaim(bytes(16), bytes(32), 1, 1)
    for wrong in (
        replace(claim, case_id=b""),
        replace(claim, case_id=bytes(17)),
        replace(claim, nym_key=b""),
        replace(claim, nym_key=bytes(33)),
        replace(claim, case_id=bytes(15), nym_key=bytes(33)),  # together as long as they should be
        replace(claim, generation=256),
        replace(claim, generation=-1),
        replace(claim, expiry_day=1 << 32),
        replace(claim, expiry_day=-1),
    ):
        with pytest.raises(FormatError):
            chain.seal(bytes(32), wrong)
    for size in (31, 33):
        with pytest.raises(FormatError, match=f"{size} bytes instead of 32"):
            chain.seal(bytes(size), claim)
    for size in (95, 97):
        with pytest.raises(FormatError, match=f"{size} bytes instead of 96"):
            chain.open(bytes(32), bytes(size))


def test_secrets_do_not_show_in_reprs() -> None:
    _, secrets = surb.make(path(NUMBERS[:2]), bytes(32))
    claim = ChainClaim(b"case" * 4, b"nymk" * 8, 1, 1)
    made = Swap(b"nymk" * 8, swap.NEW, b"blob" * 43 + b"bl")
    told = replace(SAMPLE, case_id=b"case" * 4, report_id=b"repo" * 2, chain_token=b"toke" * 24)
    assert [repr(each) for each in (secrets, claim, made)] == ["SurbSecrets()", "ChainClaim()", "Swap()"]
    assert not any(word in repr(told) for word in ("case" * 2, "repo" * 2, "toke" * 2, "\\x"))


NOON = 20000 * 86400 + 43200


def test_a_key_is_alive_for_thirty_days_from_its_own() -> None:
    assert keydays.day_at(NOON) == 20000
    assert list(keydays.live_days(NOON)) == list(range(19971, 20001))
    assert list(keydays.accepted_days(NOON)) == list(range(19971, 20002))
    assert [keydays.days_left(day, NOON) for day in (20000, 19971, 19970)] == [29, 0, -1]
    midnight = 20001 * 86400
    assert 19971 in keydays.live_days(midnight - 0.001)
    assert list(keydays.live_days(midnight)) == list(range(19972, 20002))


def test_key_select_finds_the_day_again() -> None:
    for day in keydays.accepted_days(NOON):
        assert keydays.selected_day(keydays.key_select(day), NOON) == day
    for day in (19970, 20002):
        assert keydays.selected_day(keydays.key_select(day), NOON) is None


def test_key_select_finds_one_day_on_every_day_of_its_two_rounds() -> None:
    for today in range(19_900, 19_900 + 2 * 256):
        for second in (0, 86399.9):
            now = today * 86400 + second
            found = [day for select in range(256) if (day := keydays.selected_day(select, now)) is not None]
            assert sorted(found) == list(range(today - 29, today + 2))
            assert all(keydays.selected_day(keydays.key_select(day), now) == day for day in found)
