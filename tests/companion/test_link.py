"""The companion's side of the session against a badge on paper: broken links, wrong keys, refusals, odd answers."""

import asyncio
import itertools

import pytest
from anontrace import clock
from anontrace.companion import state
from anontrace.companion.badge import sync
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.errors import BadgeLinkError, BadgeRefusedError
from anontrace_shared import commands
from anontrace_shared.session import BadgeSession

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
        self._owner_key = owner_key

    def connect(self, frames: int | None = None) -> "PaperPipe":
        return PaperPipe(self, BadgeSession(self._owner_key), frames)

    def answer(self, request: bytes) -> list[bytes]:
        op, values = commands.decode_request(request)
        self.requests.append(op)
        if op == commands.INFO:
            return [commands.encode_response(op, commands.DONE, 0, 1, 0, 1, self.flags, NOW, *[0] * 8)]
        if op == commands.LOG_ROTATE:
            return [commands.encode_response(op, commands.DONE, self.open_segment)]
        if op == commands.LOG_LIST:
            listed = [(number, len(data)) for number, data in sorted(self.segments.items()) if number >= values[0]]
            return [commands.encode_response(op, commands.DONE, listed[: commands.MOST_SEGMENTS])]
        if op == commands.LOG_READ:
            segment, offset, length = values
            if segment not in self.segments:
                return [commands.encode_response(op, commands.NO_SUCH_THING)]
            data = self.segments[segment][offset : offset + length]
            pieces = [data[at : at + commands.MOST_DATA] for at in range(0, len(data), commands.MOST_DATA)] or [b""]
            return [commands.encode_response(op, commands.MORE, piece) for piece in pieces[:-1]] + [
                commands.encode_response(op, commands.DONE, pieces[-1])
            ]
        if op == commands.LOG_FREE:
            freed = [number for number in self.segments if number < values[0]]
            for number in freed:
                del self.segments[number]
            self.freed_below = values[0]
            return [commands.encode_response(op, commands.DONE, len(freed))]
        return [commands.encode_response(op, commands.REFUSED)]


class PaperPipe:
    def __init__(self, badge: PaperBadge, session: BadgeSession, frames: int | None) -> None:
        self._badge = badge
        self._session = session
        self._frames = frames
        self._waiting: list[bytes] = []

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), 20):  # as cut as it can be
            try:
                requests = self._session.receive(data[at : at + 20])
            except ValueError:
                self._frames = 0  # the badge disconnects
                return
            self._waiting += [opening] if (opening := self._session.open()) else []
            for request in requests:
                self._waiting += [self._session.send(answer) for answer in self._badge.answer(request)]

    async def read(self) -> bytes:
        if not self._waiting or self._frames == 0:
            raise BadgeLinkError("the connection to the badge broke")
        if self._frames is not None:
            self._frames -= 1
        return self._waiting.pop(0)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: float(NOW))
    state.create(tmp_path)
    state.State(tmp_path).close()
    with state.changing(tmp_path) as found:
        found.badges.ensure(NOW // 86400)
        yield found


async def linked(pipe: PaperPipe, owner_key: bytes = OWNER_KEY) -> BadgeLink:
    link = BadgeLink(pipe, owner_key)
    await link.open()
    return link


def pull(opened, badge: PaperBadge, frames: int | None = None) -> sync.Synced:
    async def run() -> sync.Synced:
        done = sync.Synced()
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


def test_a_segment_that_is_shorter_than_listed_ends_there(opened):
    badge = PaperBadge({1: b"short"})
    listed = badge.answer

    def lying(request: bytes) -> list[bytes]:
        if request[0] == commands.LOG_LIST:
            return [commands.encode_response(commands.LOG_LIST, commands.DONE, [(1, 99)])]
        return listed(request)

    badge.answer = lying
    assert pull(opened, badge).bytes == 5


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
