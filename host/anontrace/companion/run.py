"""Everything on schedule: which tasks there are, how often each is due, and doing what is due.

The times are random and kept in the state; nothing that the wearer does or is told changes them
(docs/companion-traffic.md). Each task opens the state folder for itself, so that other commands may be used meanwhile.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any

from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

from anontrace import clock
from anontrace.companion import asking, looking, registration, renewal, reporting
from anontrace.companion.errors import BusyError, CompanionError, OfflineError, SetupError, StateError
from anontrace.companion.levels import Level
from anontrace.companion.presentation import WITHDRAWN, told_lines
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.uploads import ACCEPTED
from anontrace.companion.swaps import Swaps

AHEAD_SLOTS = 2 * SLOTS_PER_DAY  # registered ahead, or on the way
LEAST_SLOTS = SLOTS_PER_DAY // 2  # below that, addresses are registered at once instead of by and by
SETTLE_SECONDS = 120.0  # real time, for that
DIRECTORY_SECONDS = 86400
DAY_SECONDS = 86400
SOON_SECONDS = 900  # what is overdue at the start is spread over so long
BADGE_SYNCS = 24  # a day
TOP_UPS = 4
BETWEEN_SECONDS = 0.2  # real time, between two tasks or badges: who waits for the state folder looks more often

TOP_UP = "addresses"
MESSAGES = "messages"
POLL = "poll"
CHUNK = "chunk"
LOOK = "look"
BADGE = "badge"
LEVEL = "level"  # no task, but what an event may be about

Sync = Callable[[State, Badge], dict[str, Any]]


@dataclass(frozen=True)
class Event:
    """What is worth a line. `document` is shown with --json; lines with `news` are for the wearer's eyes alone."""

    task: str
    lines: tuple[str, ...]
    document: Mapping[str, Any]
    news: bool = False


class Run:
    """The tasks of one state folder. `sync` is what to do with a badge, None to leave them alone."""

    def __init__(
        self,
        changing: Callable[[], AbstractContextManager[State]],
        servers: Callable[[State], AbstractContextManager[Servers]],
        level: Level,
        sync: Sync | None,
        say: Callable[[Event], None],
        rng: Random | None = None,
    ) -> None:
        self._changing = changing
        self._servers = servers
        self._level = level
        self._sync = sync
        self._say = say
        self._rng = rng or SystemRandom()
        # What is drawn for the contents of a request must not move the times of those after it.
        self._times = SystemRandom() if rng is None else Random(rng.getrandbits(64))  # noqa: S311 - a test's
        self._offline: set[str] = set()  # tasks that found no server when they were due last
        self._failing: dict[str, str] = {}  # what was said last of each that fails
        self._due: dict[str, int] = {}
        self._tasks: dict[str, Callable[[State, Servers], None]] = {
            TOP_UP: self._top_up,
            MESSAGES: lambda state, servers: renewal.send_batch(state, servers, self._level_of(state), self._rng),
            POLL: self._poll,
            CHUNK: self._chunk,
            LOOK: lambda state, servers: (looking.look(state, servers, self._rng), None)[1],
        }

    def begin(self) -> None:
        """Take up the timetable where it was left; what was missed meanwhile is not made up for."""
        now = int(clock.now())
        with self._changing() as state:
            level = self._level_of(state)
            tasks = (*self._tasks, BADGE)
            self._due = {task: due for task, due in state.timetable.due().items() if task in tasks}
            for task in tasks:
                gap = _mean_gap(task, level)
                if task not in self._due:
                    first = 0.0 if task == TOP_UP else self._rng.uniform(0, min(gap, DAY_SECONDS))
                    self._set_due(state, task, now + int(first))
                elif self._due[task] < now or self._due[task] > now + 2 * gap:
                    self._set_due(state, task, now + int(self._rng.uniform(0, min(gap, SOON_SECONDS))))

    def set_level(self, level: Level) -> None:
        """Go on at another level, if it is one."""
        if level.name != self._level.name:
            self._level = level
            self.begin()
            self._event(LEVEL, [f"At level {level.name} from now on."], level=level.name)

    def next_due(self) -> int:
        """When the next task is due, unix seconds."""
        return min(self._due.values())

    def step(self) -> int:
        """Do what is due by now; returns how many tasks that were."""
        now = clock.now()
        due = sorted((due, task) for task, due in self._due.items() if due <= now)
        for number, (_, task) in enumerate(due):
            if number:
                time.sleep(BETWEEN_SECONDS)
            self._do(task)
        return len(due)

    def _do(self, task: str) -> None:
        try:
            with self._changing() as state:
                # First of all: a task that fails or dies is not repeated at once.
                self._set_due(state, task, int(clock.now() + self._gap(task, self._level_of(state))))
                if task != BADGE:
                    with self._servers(state) as servers:
                        self._tasks[task](state, servers)
            if task == BADGE:
                self._badges()
                return
        except OfflineError as error:
            if not self._offline:
                self._event(task, [f"Offline: {error}"], offline=True)
            self._offline.add(task)
            return
        except BusyError:
            self._due[task] = int(clock.now() + SOON_SECONDS * self._rng.uniform(0.1, 1))
            return
        except (SetupError, StateError):
            raise  # nothing of this mends itself
        except CompanionError as error:
            self._fails(task, task, error)
            return
        self._failing.pop(task, None)
        # What succeeds may never have failed, while one server is down; and a top-up may do without any server.
        if task != TOP_UP and (task in self._offline or self._offline == {TOP_UP}):
            self._offline.clear()
            self._event(task, ["Online again."], offline=False)

    def _fails(self, who: str, task: str, error: CompanionError, **document: Any) -> None:
        """A line when something begins to fail, or fails in another way; not at each attempt."""
        sentence = str(error)
        if self._failing.get(who) != sentence:
            self._failing[who] = sentence
            self._event(
                task, [sentence if who == task else f"{who}: {sentence}"], error=error.kind, said=sentence, **document
            )

    def _level_of(self, state: State) -> Level:
        return self._level.for_badges(state.badges.count())

    def _set_due(self, state: State, task: str, due: int) -> None:
        self._due[task] = due
        state.timetable.set_due(task, due)

    def _gap(self, task: str, level: Level) -> float:
        """Seconds until it is due again: at random, but evenly enough for a day to keep to its bytes."""
        return self._times.uniform(0.5, 1.5) * _mean_gap(task, level)

    def _event(self, task: str, lines: list[str], news: bool = False, **document: Any) -> None:
        self._say(Event(task, tuple(lines), {"task": task, "time": int(clock.now()), **document}, news))

    def _top_up(self, state: State, servers: Servers) -> None:
        slot = slot_of(clock.now())
        state.badges.ensure(day_of(slot))
        badges = state.badges.all()
        end = slot + AHEAD_SLOTS
        made = sum(registration.make(state, servers, badge, slot, end, lambda *_: None) for badge in badges)
        until = min(state.addresses.confirmed_until(badge.number, slot) for badge in badges)
        if until < slot + LEAST_SLOTS:
            settled = Swaps(state, servers).settle(SETTLE_SECONDS, lambda *_: None)
            if settled.confirmed >= looking.SAMPLE and not settled.resent and not settled.pending:
                looking.all_found(state)
            until = min(state.addresses.confirmed_until(badge.number, slot) for badge in badges)
            self._event(TOP_UP, [f"Registered at once, for {until - slot} slots ahead."], made=made, until=until)
        elif made:
            self._event(TOP_UP, [], made=made, until=until)

    def _poll(self, state: State, servers: Servers) -> None:
        polled = asking.ask(state, servers, self._level_of(state), self._rng)
        state.timetable.set_asked(int(clock.now()))
        if polled.told or polled.retractions:
            lines = [line for exposure in polled.told for line in told_lines(exposure)]
            if polled.retractions:
                lines.append(WITHDRAWN)
            told = [exposure.case_id.hex() for exposure in polled.told]
            self._event(POLL, lines, news=True, told=told, retractions=polled.retractions)

    def _chunk(self, state: State, servers: Servers) -> None:
        sent = reporting.send_scheduled(state, servers)
        if sent is not None and sent.state == ACCEPTED and sent.case_id is not None:
            self._event(CHUNK, ["The log is handed over."], case=sent.case_id.hex())

    def _badges(self) -> None:
        """Sync one badge after the other; in between, other commands may have the state folder."""
        if self._sync is None:
            return
        with self._changing() as state:
            numbers = [badge.number for badge in state.badges.all() if badge.provisioned is not None]
        for number in numbers:
            time.sleep(BETWEEN_SECONDS)
            with self._changing() as state:
                badge = state.badges.get(number)
                if badge is not None and badge.provisioned is not None:
                    self._sync_badge(state, badge)

    def _sync_badge(self, state: State, badge: Badge) -> None:
        assert self._sync is not None  # the caller has looked
        name = f"Badge {badge.number}"
        try:
            document = self._sync(state, badge)
        except (SetupError, StateError):
            raise
        except CompanionError as error:
            self._fails(name, BADGE, error, badge=badge.number)
            return
        self._failing.pop(name, None)
        said = [f"{name} synced: {document['records']} sealed records."]
        if document["log_was_full"]:
            said.append(
                f"The log of badge {badge.number} was full, and its oldest days are gone: keep it near more often."
            )
        self._event(BADGE, said, **document)


def _mean_gap(task: str, level: Level) -> float:
    """Seconds between two times that a task is due, in the mean."""
    a_day = {
        TOP_UP: TOP_UPS, MESSAGES: level.messages, POLL: level.polls, CHUNK: level.chunks, LOOK: level.looks,
        BADGE: BADGE_SYNCS,
    }  # fmt: skip
    return DAY_SECONDS / a_day[task]
