"""The companion's side of the session against a badge on paper: broken links, wrong keys, refusals, odd answers, and
badges that answer without end."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion import cli
from anontrace.companion.badge import care, own, sync
from anontrace.companion.badge import link as link_module
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import MAX_UNREAD, GattPipe
from anontrace.companion.errors import UNFINISHED, BadgeAnswerError, BadgeLinkError, BadgeRefusedError
from anontrace.companion.store import state
from anontrace.companion.store.badges import RATCHET
from anontrace_shared import commands
from anontrace_shared.session import BadgeSession

ROOT = Path(__file__).resolve().parents[3]
OWNER_KEY = bytes(range(32))
NOW = 1_800_000_000


class PaperBadge:
    """Answers as a badge does, out of a dictionary of segments; the link breaks after `frames` answers."""

    def __init__(self, segments: dict[int, bytes], owner_key: bytes = OWNER_KEY) -> None:
        self.segments = segments
        self.open_segment = max(segments, default=0) + 1
        self.freed_below = 0
        self.flags = 0
        self.requests: list[int] = []
        self.odd: dict[int, Callable[..., Iterable[bytes]]] = {}  # answers by operation, instead of the usual ones
        self._owner_key = owner_key

    def connect(self, frames: int | None = None) -> "PaperPipe":
        return PaperPipe(self, BadgeSession(self._owner_key, PaperPipe.advertised), frames)

    def read(self, segment: int, offset: int, length: int) -> list[bytes]:
        return frames(self.segments[segment][offset : offset + length])

    def answer(self, request: bytes) -> Iterable[bytes]:
        op, values = commands.decode_request(request)
        self.requests.append(op)
        if op in self.odd:
            return self.odd[op](*values)
        if op == commands.INFO:
            return [commands.encode_response(op, commands.DONE, 0, 1, 0, 1, self.flags, NOW, *[0] * 8)]
        if op == commands.LOG_ROTATE:
            return [commands.encode_response(op, commands.DONE, self.open_segment)]
        if op == commands.LOG_LIST:
            listed = [(number, len(data)) for number, data in sorted(self.segments.items()) if number >= values[0]]
            return [commands.encode_response(op, commands.DONE, listed[: commands.MAX_SEGMENTS])]
        if op == commands.LOG_READ:
            if values[0] not in self.segments:
                return [commands.encode_response(op, commands.NO_SUCH_THING)]
            return self.read(*values)
        if op == commands.LOG_FREE:
            freed = [number for number in self.segments if number < values[0]]
            for number in freed:
                del self.segments[number]
            self.freed_below = values[0]
            return [commands.encode_response(op, commands.DONE, len(freed))]
        if op == commands.SET_TIME:
            return [commands.encode_response(op, commands.DONE, 0)]
        if op == commands.HORIZON:
            return [commands.encode_response(op, commands.DONE)]
        return [commands.encode_response(op, commands.REFUSED)]


def frames(data: bytes, last: int = commands.DONE) -> list[bytes]:
    """The frames in which a badge hands over bytes of its log."""
    pieces = [data[at : at + commands.MAX_DATA] for at in range(0, len(data), commands.MAX_DATA)] or [b""]
    statuses = [commands.MORE] * (len(pieces) - 1) + [last]
    return [
        commands.encode_response(commands.LOG_READ, status, piece)
        for status, piece in zip(statuses, pieces, strict=True)
    ]


class PaperPipe:
    """`drip`: seconds for each byte of an answer; `at_once`: all that is there comes in one piece."""

    advertised = bytes(20)

    def __init__(self, badge: PaperBadge, session: BadgeSession, frames: int | None) -> None:
        self._badge = badge
        self._session = session
        self._frames = frames
        self._waiting: Iterator[bytes] = iter(())
        self.drip = 0.0
        self.at_once = False

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), 20):  # as cut as it can be
            try:
                requests = self._session.receive(data[at : at + 20])
            except ValueError:
                self._frames = 0  # the badge disconnects
                return
            opening = self._session.open()
            self._waiting = itertools.chain(self._waiting, [opening] if opening else [])
            for request in requests:
                self._waiting = itertools.chain(self._waiting, map(self._session.send, self._badge.answer(request)))

    async def read(self) -> bytes:
        if self._frames == 0:
            raise BadgeLinkError("the connection to the badge broke")
        if self._frames is not None:
            self._frames -= 1
        frame = b"".join(self._waiting) if self.at_once else next(self._waiting, b"")
        if not frame:
            raise BadgeLinkError("the connection to the badge broke")
        if self.drip:
            self._waiting = itertools.chain([frame[1:]] if frame[1:] else [], self._waiting)
            await asyncio.sleep(self.drip)
            return frame[:1]
        return frame


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: float(NOW))
    state.create(tmp_path)
    state.State(tmp_path).close()
    return tmp_path


@pytest.fixture
def opened(folder):
    with state.changing(folder) as found:
        found.badges.ensure(NOW // 86400)
        yield found


async def linked(pipe: PaperPipe, owner_key: bytes = OWNER_KEY) -> BadgeLink:
    link = BadgeLink(pipe, owner_key)
    await link.open()
    return link


def pull(opened, badge: PaperBadge, frames: int | None = None, done: sync.Synced | None = None) -> sync.Synced:
    done = done or sync.Synced()

    async def run() -> sync.Synced:
        link = await linked(badge.connect(frames))
        await sync.pull(opened, link, opened.badges.get(), done, lambda _done, _total: None)
        return done

    return asyncio.run(run())


def test_closed_segments_are_fetched_and_then_freed(opened):
    segments = {3: b"three" * 500, 4: b"four" * 3000, 5: b"five"}
    badge = PaperBadge(dict(segments))
    done = pull(opened, badge)
    assert opened.logs.segments() == [[segments[3], segments[4], segments[5]]]
    assert (done.segments, done.freed, done.bytes) == (3, 3, sum(map(len, segments.values())))
    assert badge.segments == {}
    assert badge.requests.count(commands.LOG_FREE) == 1


def test_the_open_segment_is_left_alone(opened):
    badge = PaperBadge({1: b"closed", 2: b"open"})
    badge.open_segment = 2
    pull(opened, badge)
    assert opened.logs.segments() == [[b"closed"]]
    assert badge.segments == {2: b"open"}


def test_however_often_the_link_breaks_every_byte_comes_once_and_nothing_is_freed_too_soon(opened):
    segments = {1: bytes(range(256)) * 100, 2: b"second" * 4000}
    badge = PaperBadge(dict(segments))
    attempts = 0
    while badge.segments:
        attempts += 1
        assert badge.freed_below == 0
        try:
            pull(opened, badge, frames=14)
        except BadgeLinkError:
            continue
    assert attempts > 3
    assert opened.logs.segments() == [[segments[1], segments[2]]]


def test_broken_off_after_any_answer_also_between_storing_and_freeing_nothing_is_lost_or_doubled(opened):
    whole: list[bytes] = []
    for answers in itertools.count(1):
        segments = {2 * answers: b"%d " % answers * 4000, 2 * answers + 1: b"%d" % answers}
        whole += segments.values()
        badge = PaperBadge(dict(segments))
        try:
            pull(opened, badge, frames=answers)
        except BadgeLinkError:
            assert all(badge.segments.get(number) in (data, None) for number, data in segments.items())
            pull(opened, badge)
        else:
            break
    assert answers > 12 and badge.segments == {}
    assert opened.logs.segments() == [whole]


def test_a_full_log_is_told_even_by_a_sync_after_the_one_that_learned_it(opened):
    badge = PaperBadge({1: b"one"})
    badge.flags = commands.LOG_WAS_FULL

    def note() -> bool:
        async def run() -> bool:
            done = sync.Synced()
            await sync._note_full(opened, await linked(badge.connect()), opened.badges.get(), done)
            return done.log_was_full

        return asyncio.run(run())

    assert note()
    badge.flags = 0  # its log was freed, and the companion died
    assert note() and note()
    opened.badges.set_synced(opened.badges.get(), {"log_was_full": True}, NOW)
    assert not note()


def test_more_segments_than_one_answer_lists_are_all_fetched(opened):
    badge = PaperBadge({number: b"x" * number for number in range(1, 251)})
    assert pull(opened, badge).segments == 250
    assert badge.segments == {}


def lists(badge: PaperBadge, *listed: tuple[int, int]) -> None:
    """Let the badge list these segments, whatever it has."""
    badge.odd[commands.LOG_LIST] = lambda _first: [commands.encode_response(commands.LOG_LIST, commands.DONE, listed)]


def test_a_segment_that_ends_earlier_than_listed_is_kept_and_not_freed_and_the_next_sync_goes_on(opened):
    first, second, third = b"1" * 3000, b"2" * 2500, b"3" * 2000
    badge = PaperBadge({1: first, 2: second[:1400], 3: third})
    lists(badge, (1, 3000), (2, 2500), (3, 2000))
    done = pull(opened, badge)
    assert opened.logs.segments() == [[first, second[:1400], third]]
    assert badge.segments == {2: second[:1400], 3: third}
    assert (done.freed, done.segments, done.bytes) == (1, 2, 6400)
    assert "segment 2" in done.unfinished and "6400 bytes" in done.unfinished
    badge.segments[2] = second  # it was a moment's weakness
    badge.odd.clear()
    done = pull(opened, badge)
    assert opened.logs.segments() == [[first, second, third]] and badge.segments == {}
    assert (done.bytes, done.freed, done.unfinished) == (1100, 2, None)


@pytest.mark.parametrize("status", [commands.NO_SUCH_THING, commands.STORAGE_FAILED])
def test_a_segment_that_cannot_be_read_on_costs_no_other_one(opened, status):
    badge = PaperBadge({1: b"1" * 4000, 2: b"2" * 4000, 3: b"3" * 4000})

    def broken(segment: int, offset: int, length: int) -> list[bytes]:
        data = badge.segments[segment][offset : offset + length]
        if segment != 2:
            return frames(data)
        refusal = [commands.encode_response(commands.LOG_READ, status)]
        return refusal if offset else frames(data[:900], commands.MORE) + refusal

    badge.odd[commands.LOG_READ] = broken
    done = pull(opened, badge)
    assert opened.logs.segments() == [[b"1" * 4000, b"2" * 900, b"3" * 4000]]
    assert sorted(badge.segments) == [2, 3] and "segment 2" in done.unfinished


def test_a_badge_that_has_less_than_it_gave_before_is_not_emptied(opened):
    badge = PaperBadge({1: b"1" * 2000})
    lists(badge, (1, 3000))
    pull(opened, badge)
    lists(badge, (1, 500))
    assert "segment 1" in pull(opened, badge).unfinished
    assert badge.segments == {1: b"1" * 2000}


def test_nothing_is_freed_that_was_not_listed(opened):
    badge = PaperBadge({1: b"one", 2: b"two", 3: b"three"})
    lists(badge, (1, 3), (2, 3))
    assert pull(opened, badge).unfinished is None
    assert badge.segments == {3: b"three"}


@pytest.mark.parametrize("size", [sync.MAX_SEGMENT + 1, (1 << 32) - 1])
def test_a_segment_larger_than_any_is_left_alone(opened, size):
    badge = PaperBadge({1: b"one", 2: b"two", 3: b"three"})
    lists(badge, (1, 3), (2, size), (3, 5))
    done = pull(opened, badge)
    assert badge.requests.count(commands.LOG_READ) == 2
    assert sorted(badge.segments) == [2, 3] and "segment 2" in done.unfinished


@pytest.mark.parametrize(
    "answer",
    [
        lambda _first: [(1, 3), (2, 3)] * 50,
        lambda first: [(number, 3) for number in range(first + 99, first - 1, -1)],
        lambda first: [(number, 3) for number in range(max(first - 1, 0), max(first - 1, 0) + 100)],
        lambda _first: [(number, 3) for number in range(100)],
    ],
    ids=["twice in one", "falling", "overlapping", "the same again"],
)
def test_lists_that_do_not_rise_end_the_sync_with_a_sentence(opened, answer):
    badge = PaperBadge({})
    badge.open_segment = 1 << 31
    badge.odd[commands.LOG_LIST] = lambda first: [
        commands.encode_response(commands.LOG_LIST, commands.DONE, answer(first))
    ]
    with pytest.raises(BadgeAnswerError, match="lists its log"):
        pull(opened, badge)
    assert badge.requests.count(commands.LOG_LIST) <= 2 and commands.LOG_FREE not in badge.requests


def test_a_list_without_end_is_taken_up_to_a_limit(opened):
    badge = PaperBadge({})
    badge.open_segment = (1 << 32) - 1
    badge.odd[commands.LOG_LIST] = lambda first: [
        commands.encode_response(commands.LOG_LIST, commands.DONE, [(first + at, 0) for at in range(100)])
    ]
    done = pull(opened, badge)
    assert badge.requests.count(commands.LOG_LIST) == sync.MAX_LISTED // commands.MAX_SEGMENTS
    assert "more log than one sync" in done.unfinished and badge.freed_below == sync.MAX_LISTED


def test_a_list_up_to_the_last_number_there_is_ends(opened):
    badge = PaperBadge({})
    badge.open_segment = last = (1 << 32) - 1
    lists(badge, *((number, 0) for number in range(last - 99, last + 1)))
    pull(opened, badge)
    assert badge.requests.count(commands.LOG_LIST) == 1 and badge.freed_below == last


ENDLESS = {
    "frames of nothing": itertools.repeat(b""),
    "more than was asked for": itertools.repeat(b"x" * commands.MAX_DATA),
    "a byte too many": itertools.chain([b"x" * 900, b"x" * 101], itertools.repeat(b"")),
}


@pytest.mark.parametrize("pieces", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_ends_and_frees_nothing(opened, pieces):
    badge = PaperBadge({1: b"x" * 1000})
    badge.odd[commands.LOG_READ] = lambda *_: (
        commands.encode_response(commands.LOG_READ, commands.MORE, piece) for piece in pieces
    )
    with pytest.raises(BadgeAnswerError, match="more than it was asked for"):
        pull(opened, badge)
    assert badge.requests.count(commands.LOG_READ) == 1 and badge.freed_below == 0


def test_a_crash_log_without_end_ends():
    badge = PaperBadge({})
    badge.odd[commands.CRASH_LOG] = lambda: (
        commands.encode_response(commands.CRASH_LOG, commands.MORE, b"x" * 958) for _ in itertools.count()
    )

    async def run() -> None:
        with pytest.raises(BadgeAnswerError, match="more than it was asked for"):
            await care.ask(await linked(badge.connect()))

    asyncio.run(run())


def test_a_sync_fetches_no_more_than_its_limit_and_the_next_one_goes_on(opened, monkeypatch):
    monkeypatch.setattr(sync, "MAX_BYTES", 3 * sync.READ_BYTES)
    segments = {number: b"%d" % number * 2 * sync.READ_BYTES for number in (1, 2, 3)}
    badge = PaperBadge(dict(segments))
    done = pull(opened, badge)
    assert done.bytes == 3 * sync.READ_BYTES and f"{done.bytes} bytes" in done.unfinished
    assert sorted(badge.segments) == [2, 3]
    assert pull(opened, badge).unfinished is None
    assert opened.logs.segments() == [list(segments.values())] and badge.segments == {}


def test_a_state_folder_keeps_no_more_log_than_its_limit_however_many_syncs(opened, monkeypatch):
    monkeypatch.setattr(sync, "MAX_KEPT", 3 * sync.READ_BYTES)
    badge = PaperBadge({number: b"%d" % number * 2 * sync.READ_BYTES for number in (1, 2, 3)})
    for _ in range(3):
        done = pull(opened, badge)
        assert "fetches no more until the oldest" in done.unfinished
        assert opened.logs.size() == 3 * sync.READ_BYTES
        assert sorted(badge.segments) == [2, 3]
    monkeypatch.setattr(sync, "MAX_KEPT", 7 * sync.READ_BYTES)
    assert pull(opened, badge).unfinished is None and badge.segments == {}


def test_the_limits_of_a_sync_and_of_a_state_folder_are_the_documented_ones():
    design, operations = (
        " ".join((ROOT / "docs" / name).read_text().split()) for name in ("design.md", "operations.md")
    )
    fetched, kept = f"at most {sync.MAX_BYTES >> 20} MiB", f"keeps at most {sync.MAX_KEPT >> 20} MiB of log"
    assert all(text in document for document in (design, operations) for text in (fetched, kept))
    assert f"in {sync.MAX_SECONDS / 60:.0f} minutes, segments of at most {sync.MAX_SEGMENT >> 20} MiB" in design


def test_a_sync_has_its_time_and_then_frees_what_it_has(opened):
    badge = PaperBadge({1: b"1" * 100, 2: b"2" * 2 * sync.READ_BYTES})
    done = sync.Synced()

    def read(segment: int, offset: int, length: int) -> list[bytes]:
        done.began -= sync.MAX_SECONDS if segment == 2 else 0
        return badge.read(segment, offset, length)

    badge.odd[commands.LOG_READ] = read
    pull(opened, badge, done=done)
    assert badge.segments.keys() == {2} and "more log than one sync" in done.unfinished
    assert done.bytes == 100 + sync.READ_BYTES


def test_answers_that_nobody_asked_for_end_the_session():
    badge = PaperBadge({})
    badge.odd[commands.LOG_ROTATE] = lambda: [commands.encode_response(commands.LOG_ROTATE, commands.DONE, 1)] * 2

    async def run() -> None:
        pipe = badge.connect()
        link = await linked(pipe)
        pipe.at_once = True
        await link.ask(commands.LOG_ROTATE)
        with pytest.raises(BadgeAnswerError, match="without being asked"):
            await link.info()

    asyncio.run(run())


def test_of_notifications_without_end_only_some_are_kept():
    async def run() -> None:
        pipe, read = GattPipe(bytes(20)), 0
        for _ in range(10_000):
            pipe.take(bytes(244))
            pipe.take(b"")
        with pytest.raises(BadgeLinkError, match="broke"):
            while True:
                read += len(await pipe.read())
        assert MAX_UNREAD - 244 < read <= MAX_UNREAD

    asyncio.run(run())


def test_what_is_read_in_time_may_be_as_much_as_it_likes():
    async def run() -> None:
        pipe = GattPipe(bytes(20))
        for _ in range(4 * MAX_UNREAD // 244):
            pipe.take(bytes(244))
            assert await pipe.read() == bytes(244)

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [{"ANSWER_SECONDS": 0.2}, {"STREAM_SECONDS": 0.2}])
def test_a_badge_that_answers_a_byte_at_a_time_is_given_up(opened, monkeypatch, seconds):
    for name, value in seconds.items():
        monkeypatch.setattr(link_module, name, value)
    badge = PaperBadge({1: b"x" * 5000})

    async def run() -> None:
        pipe = badge.connect()
        link = await linked(pipe)
        pipe.drip = 0.01
        await sync.pull(opened, link, opened.badges.get(), sync.Synced(), lambda _done, _total: None)

    with pytest.raises(BadgeLinkError, match="does not answer"):
        asyncio.run(run())
    assert badge.freed_below == 0


class PaperRadio:
    """Finds the badge on paper at once, and connects to it."""

    def __init__(self, badge: PaperBadge) -> None:
        self.badge = badge
        self.connections = 0

    def __call__(self, _adapter: str) -> "PaperRadio":
        return self

    async def __aenter__(self) -> "PaperRadio":
        return self

    async def __aexit__(self, *failure: object) -> None:
        pass

    async def find(self, _is_own: object, _seconds: float) -> None:
        pass

    @asynccontextmanager
    async def connect(self, _device: None) -> AsyncIterator[PaperPipe]:
        self.connections += 1
        yield self.badge.connect()


def test_what_makes_no_sense_is_not_asked_for_again(opened, monkeypatch):
    badge = PaperBadge({}, opened.badges.get().owner_key)
    badge.odd[commands.LOG_ROTATE] = lambda: [commands.encode_response(commands.HORIZON, commands.DONE)]
    radio = PaperRadio(badge)
    monkeypatch.setattr(own, "Radio", radio)
    with pytest.raises(BadgeAnswerError):
        asyncio.run(own.converse(opened, "paper", opened.badges.get(), lambda link: link.ask(commands.LOG_ROTATE), 1))
    assert radio.connections == 1


def test_a_conversation_has_its_time(opened, monkeypatch):
    badge = PaperBadge({}, opened.badges.get().owner_key)
    radio = PaperRadio(badge)
    monkeypatch.setattr(own, "Radio", radio)
    monkeypatch.setattr(own, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(own, "TOGETHER_SECONDS", 0.0)  # that the search for one asleep may take is added

    async def for_ever(link: BadgeLink) -> None:
        while True:
            await link.info()
            await asyncio.sleep(0)

    with pytest.raises(BadgeLinkError, match="takes too long"):
        asyncio.run(own.converse(opened, "paper", opened.badges.get(), for_ever, 0))


def test_the_command_says_what_it_fetched_and_that_there_is_more(folder, monkeypatch, capsys):
    with state.changing(folder) as opened:
        own_badge = opened.badges.ensure(NOW // 86400)
        opened.badges.set_provisioned(own_badge, RATCHET, 0, 0, NOW)
    badge = PaperBadge({1: b"1" * 100, 2: b"2" * 100}, own_badge.owner_key)
    lists(badge, (1, 100), (2, 2500))
    monkeypatch.setattr(own, "Radio", PaperRadio(badge))
    assert cli.run(["--state", str(folder), "--json", "badge", "sync"]) == UNFINISHED
    said = json.loads(capsys.readouterr().out)
    assert (said["bytes"], said["freed"], said["error"]["kind"]) == (200, 1, "unfinished")
    assert "segment 2" in said["error"]["message"] and badge.segments == {2: b"2" * 100}


def test_another_owner_key_opens_nothing():
    with pytest.raises(BadgeLinkError):
        asyncio.run(linked(PaperBadge({}).connect(), bytes(32)))


def test_a_refusal_is_said_in_a_sentence():
    async def run() -> None:
        link = await linked(PaperBadge({}).connect())
        with pytest.raises(BadgeRefusedError, match="refused the request"):
            await link.ask(commands.RESTART)
        with pytest.raises(BadgeRefusedError, match="does not have"):
            async for _ in link.stream(commands.LOG_READ, 9, 0, 100):
                pass

    asyncio.run(run())


def test_an_answer_to_something_else_ends_the_session():
    async def run() -> None:
        badge = PaperBadge({})
        badge.answer = lambda request: [commands.encode_response(commands.HORIZON, commands.DONE)]
        link = await linked(badge.connect())
        with pytest.raises(BadgeLinkError, match="another request"):
            await link.ask(commands.LOG_ROTATE)

    asyncio.run(run())


def test_an_answer_that_makes_no_sense_is_said_in_a_sentence():
    async def run() -> None:
        badge = PaperBadge({})
        badge.answer = lambda request: [bytes((commands.LOG_ROTATE, commands.DONE)) + b"too long a number"]
        link = await linked(badge.connect())
        with pytest.raises(BadgeLinkError, match="does not know"):
            await link.ask(commands.LOG_ROTATE)

    asyncio.run(run())


def test_a_badge_that_falls_silent_is_given_up(monkeypatch):
    async def run() -> None:
        link = await linked(PaperBadge({}).connect())

        async def silent() -> bytes:
            await asyncio.sleep(60)
            return b""

        link._pipe.read = silent
        with pytest.raises(BadgeLinkError, match="does not answer"):
            await link.ask(commands.LOG_ROTATE)

    monkeypatch.setattr("anontrace.companion.badge.link.ANSWER_SECONDS", 0.05)
    asyncio.run(run())
