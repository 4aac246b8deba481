"""Everything on schedule: which tasks there are, how often each is due, and doing what is due.

The times are random and kept in the state; nothing that the wearer does or is told changes them
(docs/companion-traffic.md). Each task opens the state folder for itself, so that other commands may be used meanwhile.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any

from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

from anontrace import clock
from anontrace.companion.addresses import confirming, registration
from anontrace.companion.addresses.swaps import Swaps
from anontrace.companion.errors import (
    BadgeNotFoundError,
    BusyError,
    CompanionError,
    OfflineError,
    RefusedError,
    SetupError,
    StateError,
)
from anontrace.companion.exposures import answering
from anontrace.companion.exposures.presentation import WITHDRAWN, letter_lines, told_lines
from anontrace.companion.network.servers import Servers
from anontrace.companion.reports import fragments, presenting, results
from anontrace.companion.schedule import batches, scheduled_polls
from anontrace.companion.schedule.renewal import SPREAD_SECONDS
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.contact_answers import StoredAnswer
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED
from anontrace.companion.store.uploads import StoredUpload
from anontrace.companion.words import spoken
from anontrace.wire.levels import LOOK_GAPS, Level
from anontrace.wire.result import NO_TOKEN

AHEAD_SLOTS = 5 * SLOTS_PER_DAY  # registered ahead, or on the way: their swaps leave over SPREAD_SECONDS
MIN_SLOTS = SLOTS_PER_DAY // 2  # below that, addresses are registered at once instead of by and by
SETTLE_SECONDS = 120.0  # real time, for that
DIRECTORY_SECONDS = 86400
DAY_SECONDS = 86400
SOON_SECONDS = 900  # what is overdue at the start, or was due too late, is spread over so long
GAPS = 0.5, 1.5  # of the mean, at least and at most
BADGE_SYNCS = 24  # a day
TOP_UPS = 4
BETWEEN_SECONDS = 0.2  # real time, between two badges: who waits for the state folder looks more often
APART_SECONDS = 30.0  # real time, at most, between two tasks, or the directory and a task: what one does is no other's

TOP_UP = "addresses"
MESSAGES = "messages"
POLL = "poll"
RESULT = "result"
BADGE = "badge"
LEVEL, CLOCK, UPLOAD, ANSWER = "level", "clock", "upload", "answer"  # no tasks, but what an event may be about

Sync = Callable[[State, Badge], dict[str, Any]]


@dataclass(frozen=True)
class Event:
    """What is worth a line. `document` is shown with --json; lines with `news` are for the wearer's eyes alone, those
    of a `failure` are in `Run.failures` too."""

    task: str
    lines: tuple[str, ...]
    document: Mapping[str, Any]
    news: bool = False
    failure: bool = False


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
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._changing = changing
        self._servers = servers
        self._level = level
        self._sync = sync
        self._say = say
        self._pause = pause
        self._rng = rng or SystemRandom()
        # What is drawn for the contents of a request must not move the times of those after it.
        self._times = SystemRandom() if rng is None else Random(rng.getrandbits(64))  # noqa: S311 - a test's
        self._offline: set[str] = set()  # tasks that found no server when they were due last
        self._failing: dict[str, str] = {}  # what was said last of each that fails
        self.failures: dict[str, CompanionError] = {}  # of the last step, by the line that tells of each
        self._due: dict[str, int] = {}
        self._mean_gaps: dict[str, float] = {}
        self._tasks: dict[str, Callable[[State, Servers], None]] = {
            TOP_UP: self._top_up,
            MESSAGES: lambda state, servers: batches.send(state, servers, self._level_of(state), self._rng),
            POLL: self._poll,
            RESULT: self._result,
        }

    def begin(self) -> None:
        """Take up the timetable where it was left; what was missed meanwhile is not made up for."""
        now = int(clock.now())
        with self._changing() as state:
            tasks = (*self._tasks, BADGE)
            self._mean_gaps = _mean_gaps(self._level_of(state))
            self._due = {task: due for task, due in state.timetable.due().items() if task in tasks}
            for task in tasks:
                if task not in self._due:
                    first = 0.0 if task == TOP_UP else self._rng.uniform(0, min(self._mean_gaps[task], DAY_SECONDS))
                    self._set_due(state, task, now + int(first))
                elif self._due[task] < now or self._is_too_late(task, now):
                    self._set_due_soon(state, task, now)

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
        """Do what is due by now, and what becomes due meanwhile; returns how many tasks that were.

        How long a task computes depends on what it finds and sends. So none begins at the full second for which it is
        kept, nor right after another: when its request leaves says nothing of either.
        """
        self._keep_to_the_clock(clock.now())
        self.failures = {}
        done: set[str] = set()
        while due := sorted((at, task) for task, at in self._due.items() if at <= clock.now() and task not in done):
            self._pause(self._times.uniform(0, APART_SECONDS if done else 1))
            task = due[0][1]
            done.add(task)
            self._do(task)
        return len(done)

    def _keep_to_the_clock(self, now: float) -> None:
        """Nothing waits for a time that a wrong clock has set: what is due later than it can be is due soon."""
        if not any(self._is_too_late(task, now) for task in self._due):
            return
        try:
            with self._changing() as state:
                self._mean_gaps = _mean_gaps(self._level_of(state))
                late = [task for task in self._due if self._is_too_late(task, now)]
                for task in late:
                    self._set_due_soon(state, task, int(now))
        except BusyError:
            return  # until the next look
        if late:
            said = "This computer's clock has been put back: what was due only at a later time goes on."
            self._event(CLOCK, [said], tasks=late)

    def _is_too_late(self, task: str, now: float) -> bool:
        return self._due[task] > now + max(GAPS) * self._mean_gaps[task]

    def _do(self, task: str) -> None:
        try:
            if task == BADGE:
                with self._changing() as state:
                    self._begin(state, task)
                self._badges()
                return
            self._ask(task)
        except OfflineError as error:
            self._note(f"Offline: {error}", error)
            if not self._offline:
                self._event(task, [f"Offline: {error}"], failure=True, offline=True)
            self._offline.add(task)
            return
        except BusyError as error:
            self._note(str(error), error)
            self._due[task] = int(clock.now() + min(self._mean_gaps[task], SOON_SECONDS) * self._rng.uniform(0.1, 1))
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

    def _begin(self, state: State, task: str) -> None:
        self._mean_gaps = _mean_gaps(self._level_of(state))
        # First of all: a task that fails or dies is not repeated at once.
        self._set_due(state, task, int(clock.now() + self._gap(task)))

    def _ask(self, task: str) -> None:
        """Do a task with the servers; the directory, where it has to be fetched, is so some time before."""
        with ExitStack() as held:
            with self._changing() as state:
                self._begin(state, task)
                servers = held.enter_context(self._servers(state))
                if not servers.catch_up():
                    self._perform(task, state, servers)
                    return
            self._pause(self._times.uniform(0, APART_SECONDS))
            with self._changing() as state:
                self._perform(task, state, servers)

    def _perform(self, task: str, state: State, servers: Servers) -> None:
        try:
            self._tasks[task](state, servers)
        finally:
            with suppress(CompanionError):  # it matters less than what went wrong
                state.note_carried(servers.take_carried())

    def _fails(self, who: str, task: str, error: CompanionError, **document: Any) -> None:
        """A line when something begins to fail, or fails in another way; not at each attempt. A badge that is out of
        range, as it may be for most of a day, is told of and is no failure."""
        sentence = str(error)
        line = sentence if who == task else f"{who}: {sentence}"
        is_failure = not isinstance(error, BadgeNotFoundError)
        if is_failure:
            self._note(line, error)
        if self._failing.get(who) != sentence:
            self._failing[who] = sentence
            self._event(task, [line], failure=is_failure, error=error.kind, said=sentence, **document)

    def _note(self, line: str, error: CompanionError) -> None:
        self.failures.setdefault(line, error)

    def _level_of(self, state: State) -> Level:
        return self._level.for_badges(state.badges.count())

    def _set_due(self, state: State, task: str, due: int) -> None:
        self._due[task] = due
        state.timetable.set_due(task, due)

    def _set_due_soon(self, state: State, task: str, now: int) -> None:
        self._set_due(state, task, now + int(self._rng.uniform(0, min(self._mean_gaps[task], SOON_SECONDS))))

    def _gap(self, task: str) -> float:
        """Seconds until it is due again: at random, but evenly enough for a day to keep to its bytes."""
        return self._times.uniform(*(LOOK_GAPS if task == POLL else GAPS)) * self._mean_gaps[task]

    def _event(self, task: str, lines: list[str], news: bool = False, failure: bool = False, **document: Any) -> None:
        self._say(Event(task, tuple(lines), {"task": task, "time": int(clock.now()), **document}, news, failure))

    def _top_up(self, state: State, servers: Servers) -> None:
        slot = slot_of(clock.now())
        state.badges.ensure(day_of(slot))
        badges = state.badges.all()
        end = slot + AHEAD_SLOTS
        leaves = self._leaves if self._is_ahead(state, badges, slot) else int
        made = sum(registration.make(state, servers, badge, slot, end, lambda *_: None, leaves) for badge in badges)
        until = min(state.addresses.confirmed_until(badge.number, slot) for badge in badges)
        if until < slot + MIN_SLOTS:
            settled = Swaps(state, servers).settle(SETTLE_SECONDS, lambda *_: None)
            if not settled.resent and not settled.pending:
                confirming.note_found(state, settled.found)
            until = min(state.addresses.confirmed_until(badge.number, slot) for badge in badges)
            said = f"Registered at once, for {until - slot} slots ahead."
            if until == slot:
                said = "Addresses are on their way at once; none is confirmed yet."
            self._event(TOP_UP, [said], made=made, until=until)
        elif made:
            self._event(TOP_UP, [], made=made, until=until)

    def _is_ahead(self, state: State, badges: list[Badge], slot: int) -> bool:
        return min(state.addresses.confirmed_until(badge.number, slot) for badge in badges) >= slot + MIN_SLOTS

    def _leaves(self) -> int:
        return int(clock.now() + self._rng.uniform(0, SPREAD_SECONDS))

    def _poll(self, state: State, servers: Servers) -> None:
        polled = scheduled_polls.poll(state, servers, self._level_of(state), self._rng)
        if polled.failure is None:
            state.timetable.set_asked(int(clock.now()))
        confirming.take(state, self._rng)
        self._tell_of_uploads(fragments.take(state))
        self._tell_of_answers(answering.take(state))
        if polled.letters:
            lines = [line for each in polled.letters for line in letter_lines(each)]
            self._event(POLL, lines, news=True, letters=[each.case_id.hex() for each in polled.letters])
        if polled.told or polled.withdrawn:
            lines = [line for exposure in polled.told for line in told_lines(exposure)]
            if polled.withdrawn:
                lines.append(spoken(WITHDRAWN))
            told, withdrawn = ([each.case_id.hex() for each in some] for some in (polled.told, polled.withdrawn))
            self._event(POLL, lines, news=True, told=told, withdrawn=withdrawn)
        if polled.failure is not None:
            raise polled.failure

    def _result(self, state: State, servers: Servers) -> None:
        """Ask for the result of a test that may be news; of none, if there is none, so that this does not show."""
        asked = results.question(state)
        try:
            answer = servers.result(asked)
        except CompanionError:
            if asked.token_hash != NO_TOKEN:
                raise
            return  # nothing was to be learnt
        found = results.take(state, asked, answer)
        if found is not None:
            self._event(RESULT, presenting.lines(found), news=True, **presenting.document(found))

    def _tell_of_uploads(self, ended: list[tuple[StoredUpload, str | None]]) -> None:
        for stored, refusal in ended:
            case = None if stored.case_id is None else stored.case_id.hex()
            if refusal is None:
                self._event(UPLOAD, ["The log is handed over."], case=case)
            else:
                self._event(UPLOAD, [refusal], case=case, error=RefusedError.kind, said=refusal)

    def _tell_of_answers(self, ended: list[StoredAnswer]) -> None:
        for stored in ended:
            case = stored.case_id.hex()
            if stored.state == ACCEPTED:
                self._event(ANSWER, ["Your answer is kept for the health authority."], case=case)
            else:
                said = answering.NOT_KEPT
                self._event(ANSWER, [said], case=case, error=RefusedError.kind, said=said)

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
        if document.get("unfinished") is not None:
            said.append(f"{name}: {document['unfinished']}.")
        self._event(BADGE, said, **document)


def _mean_gaps(level: Level) -> dict[str, float]:
    """For each task the seconds between two times that it is due, in the mean."""
    a_day = {
        TOP_UP: TOP_UPS, MESSAGES: level.messages, POLL: level.looks, RESULT: level.results, BADGE: BADGE_SYNCS,
    }  # fmt: skip
    return {task: DAY_SECONDS / times for task, times in a_day.items()}
