"""The session: any chunking, one owner, and the end at the first thing that is wrong."""

from collections.abc import Iterator

import anontrace_shared.noise
import pytest
from anontrace_shared import session
from anontrace_shared.errors import AuthenticationError, FormatError
from anontrace_shared.names import NO_OWNER
from anontrace_shared.session import BadgeSession, CompanionSession
from hypothesis import given, settings
from hypothesis import strategies as st

OWNER_KEY = bytes(range(32))
ADVERTISED = bytes(range(100, 120))
plaintexts = st.lists(st.binary(min_size=1, max_size=960), max_size=4)
cuts = st.lists(st.integers(1, 700), min_size=1, max_size=10)


def chunks(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """`data` cut into pieces of these sizes, over and over."""
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at += size
        turn += 1


def established() -> tuple[CompanionSession, BadgeSession]:
    companion, badge = CompanionSession(OWNER_KEY, ADVERTISED), BadgeSession(OWNER_KEY, ADVERTISED)
    assert badge.receive(companion.open()) == []
    assert companion.receive(badge.open()) == []
    return companion, badge


@given(plaintexts, plaintexts, cuts)
@settings(max_examples=50)
def test_everything_arrives_in_order_however_it_is_cut(
    to_badge: list[bytes], back: list[bytes], sizes: list[int]
) -> None:
    companion, badge = CompanionSession(OWNER_KEY, ADVERTISED), BadgeSession(OWNER_KEY, ADVERTISED)
    assert badge.open() == b""
    for chunk in chunks(companion.open(), sizes):
        assert badge.receive(chunk) == []
    answer = badge.open()
    assert (len(answer), badge.open(), companion.open()) == (50, b"", b"")
    for chunk in chunks(answer, sizes):
        assert companion.receive(chunk) == []
    assert companion.established
    assert badge.established
    for sender, receiver, messages in ((companion, badge, to_badge), (badge, companion, back)):
        stream = b"".join([sender.send(message) for message in messages])
        received = [plaintext for chunk in chunks(stream, sizes) for plaintext in receiver.receive(chunk)]
        assert received == messages


@given(st.binary(min_size=32, max_size=32).filter(lambda key: key != OWNER_KEY))
@settings(max_examples=20)
def test_another_owner_key_is_refused_at_the_first_frame(key: bytes) -> None:
    badge = BadgeSession(OWNER_KEY, ADVERTISED)
    with pytest.raises(AuthenticationError):
        badge.receive(CompanionSession(key, ADVERTISED).open())
    assert badge.state == session.CLOSED
    assert badge.open() == b""


@pytest.mark.parametrize("advertised", [b"", bytes(20), ADVERTISED[:-1], ADVERTISED + b"\0", ADVERTISED[::-1]])
def test_what_was_recorded_while_something_else_was_on_the_air_is_refused_likewise(advertised: bytes) -> None:
    badge = BadgeSession(OWNER_KEY, advertised)
    with pytest.raises(AuthenticationError):
        badge.receive(CompanionSession(OWNER_KEY, ADVERTISED).open())
    assert badge.state == session.CLOSED
    assert badge.open() == b""


@pytest.mark.parametrize(
    ("key", "advertised"), [(bytes(32), ADVERTISED), (OWNER_KEY, bytes(20))], ids=["another owner key", "a recording"]
)
def test_a_stranger_or_a_recording_costs_the_badge_no_scalar_multiplication(
    monkeypatch: pytest.MonkeyPatch, key: bytes, advertised: bytes
) -> None:
    first_frame = CompanionSession(key, advertised).open()

    def expensive(*_: bytes) -> bytes:
        raise AssertionError("a stranger made the badge multiply")

    monkeypatch.setattr(anontrace_shared.noise, "x25519", expensive)
    monkeypatch.setattr(anontrace_shared.noise, "x25519_base", expensive)
    with pytest.raises(AuthenticationError):
        BadgeSession(OWNER_KEY, ADVERTISED).receive(first_frame)


def test_who_knows_the_psk_but_only_listens_reads_nothing() -> None:
    companion, badge = CompanionSession(NO_OWNER, ADVERTISED), BadgeSession(NO_OWNER, ADVERTISED)
    first = companion.open()
    badge.receive(first)
    second = badge.open()
    companion.receive(second)
    recorded = companion.send(b"\x0e" + OWNER_KEY)
    assert OWNER_KEY[:8] not in recorded
    as_badge = BadgeSession(NO_OWNER, ADVERTISED)
    as_badge.receive(first)
    with pytest.raises(AuthenticationError):
        as_badge.receive(recorded)
    with pytest.raises(AuthenticationError):
        CompanionSession(NO_OWNER, ADVERTISED).receive(second)
    assert badge.receive(recorded) == [b"\x0e" + OWNER_KEY]


def test_a_badge_with_another_owner_key_is_not_believed() -> None:
    companion = CompanionSession(OWNER_KEY, ADVERTISED)
    impostor = BadgeSession(bytes(32), ADVERTISED)
    impostor.receive(CompanionSession(bytes(32), ADVERTISED).open())
    with pytest.raises(AuthenticationError):
        companion.receive(impostor.open())
    assert companion.state == session.CLOSED


def test_a_badge_that_speaks_first_is_not_believed() -> None:
    companion = CompanionSession(OWNER_KEY, ADVERTISED)
    with pytest.raises(AuthenticationError):
        companion.receive(b"\x30\x00" + bytes(range(48)))


@given(st.integers(0, 400 * 8 - 1))
@settings(max_examples=60)
def test_a_flipped_bit_ends_the_session_or_waits_for_more(bit: int) -> None:
    companion, badge = established()
    frame = bytearray(companion.send(bytes(382)))
    frame[bit // 8] ^= 1 << bit % 8
    try:
        assert badge.receive(bytes(frame)) == []
    except (FormatError, AuthenticationError):
        assert badge.state == session.CLOSED
    else:  # a length that grew: the rest never comes
        assert bit < 16
        assert badge.established


@given(st.integers(1, 399))
@settings(max_examples=30)
def test_a_frame_cut_short_yields_nothing_and_what_follows_ends_the_session(length: int) -> None:
    companion, badge = established()
    assert badge.receive(companion.send(bytes(382))[:length]) == []
    with pytest.raises((FormatError, AuthenticationError)):
        for _ in range(20):
            badge.receive(companion.send(bytes(382)))
    assert badge.state == session.CLOSED


def test_a_replayed_frame_ends_the_session() -> None:
    companion, badge = established()
    frame = companion.send(b"\x0d")
    assert badge.receive(frame) == [b"\x0d"]
    with pytest.raises(AuthenticationError):
        badge.receive(frame)


def test_a_frame_left_out_ends_the_session() -> None:
    companion, badge = established()
    companion.send(b"\x01")
    with pytest.raises(AuthenticationError):
        badge.receive(companion.send(b"\x02"))


def test_a_frame_sent_back_to_its_sender_ends_the_session() -> None:
    companion, _ = established()
    with pytest.raises(AuthenticationError):
        companion.receive(companion.send(b"\x01"))


def test_frames_of_an_old_session_do_not_fit_a_new_one() -> None:
    old, _ = established()
    _, badge = established()
    with pytest.raises(AuthenticationError):
        badge.receive(old.send(b"\x0d"))


def test_a_replayed_handshake_opens_nothing() -> None:
    companion, badge = CompanionSession(OWNER_KEY, ADVERTISED), BadgeSession(OWNER_KEY, ADVERTISED)
    first_frame = companion.open()
    badge.receive(first_frame)
    companion.receive(badge.open())
    recorded = companion.send(b"\x0bERASE")
    again = BadgeSession(OWNER_KEY, ADVERTISED)
    again.receive(first_frame)
    with pytest.raises(AuthenticationError):
        again.receive(recorded)


@pytest.mark.parametrize("length", [0, 16, 977, 65535])
def test_a_frame_of_a_length_that_is_not_allowed_ends_the_session_at_once(length: int) -> None:
    _, badge = established()
    with pytest.raises(FormatError):
        badge.receive(length.to_bytes(2, "little"))
    assert badge.state == session.CLOSED


@pytest.mark.parametrize("length", [0, 47, 49, 976, 65535])
def test_a_stranger_cannot_make_the_badge_take_memory(length: int) -> None:
    badge = BadgeSession(OWNER_KEY, ADVERTISED)
    with pytest.raises(FormatError):
        badge.receive(length.to_bytes(2, "little"))


def test_what_follows_the_first_frame_before_the_answer_ends_the_session() -> None:
    badge = BadgeSession(OWNER_KEY, ADVERTISED)
    with pytest.raises(AuthenticationError):
        badge.receive(CompanionSession(OWNER_KEY, ADVERTISED).open() + b"\x20\x00" + bytes(32))


def test_a_closed_session_takes_and_gives_nothing() -> None:
    companion, badge = established()
    frame = companion.send(b"\x01")
    badge.close()
    assert not badge.established
    with pytest.raises(FormatError):
        badge.receive(frame)
    with pytest.raises(FormatError):
        badge.send(b"\x01")


def test_nothing_is_sent_before_the_handshake() -> None:
    with pytest.raises(FormatError):
        CompanionSession(OWNER_KEY, ADVERTISED).send(b"\x01")
    with pytest.raises(FormatError):
        BadgeSession(OWNER_KEY, ADVERTISED).send(b"\x01")


@pytest.mark.parametrize("size", [0, 961])
def test_a_plaintext_that_does_not_fit_is_refused_and_the_session_goes_on(size: int) -> None:
    companion, badge = established()
    with pytest.raises(FormatError):
        companion.send(bytes(size))
    assert badge.receive(companion.send(bytes(960))) == [bytes(960)]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_owner_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError):
        BadgeSession(bytes(size), ADVERTISED)
    with pytest.raises(ValueError):
        CompanionSession(bytes(size), ADVERTISED)


@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_arbitrary_bytes_open_no_session(pieces: list[bytes], as_badge: bool) -> None:
    side = BadgeSession(OWNER_KEY, ADVERTISED) if as_badge else CompanionSession(OWNER_KEY, ADVERTISED)
    for piece in pieces:
        try:
            assert side.receive(piece) == []
        except (FormatError, AuthenticationError):
            assert side.state == session.CLOSED
            break
    assert not side.established


@given(st.lists(st.binary(max_size=1200), max_size=4))
@settings(max_examples=50)
def test_arbitrary_bytes_within_a_session_yield_nothing(pieces: list[bytes]) -> None:
    _, badge = established()
    for piece in pieces:
        try:
            assert badge.receive(piece) == []
        except (FormatError, AuthenticationError):
            assert badge.state == session.CLOSED
            break


bodies = st.lists(st.binary(min_size=1, max_size=976), max_size=6)


@given(bodies, cuts)
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[bytes], sizes: list[int]) -> None:
    stream = b"".join([len(body).to_bytes(2, "little") + body for body in sent])
    frames = session.FrameBuffer(1, 976)
    assert [body for chunk in chunks(stream, sizes) for body in frames.feed(chunk)] == sent
