"""Whether this server's clock is right, and since when: the one owner of the time by which anything is dropped.

The clock is compared with the `Date` header of other servers' answers. A clock that is more than a minute off the
median of the others makes keys, slots and expiry wrong, so such a server says so and does not serve. It is the median,
so that one lying server stops nobody. What others said is kept by monotonic time, so that a jump of this clock shows at
once, before anybody is asked again.

What cannot be undone waits longer: it goes by `held`, the lowest time that this clock has shown in the last ten
seconds, with the others' consent throughout. Never sets a clock, and never asks anybody.
"""

import logging
import time
from collections import deque
from collections.abc import Container
from email.utils import parsedate_to_datetime

from anontrace import clock

_log = logging.getLogger("anontrace.backend")

MAX_SECONDS = 60.0
CHECK_SECONDS = 600.0
CHECK_AGAIN_SECONDS = 5.0  # while the clock is wrong, or nobody has told the time yet
HELD_SECONDS = 10.0  # real time
_MAX_SPEED = 3600  # of a simulator's clock, which may be compared only every other second
_VERDICT_SECONDS = 2.0
_GRANULARITY = 1.0  # of a Date header, seconds
_FORGET_SECONDS = 3 * CHECK_SECONDS
_SECONDS_BETWEEN_LINES = 60.0  # about jumps that all clocks make


class ClockCheck:
    """What the others' clocks say, by what they are called. Their times count for half an hour."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._offsets: dict[str, tuple[float, float, float]] = {}  # when (monotonic), offset, our phase then
        self._shown: deque[tuple[float, float]] = deque()  # what this clock has shown, and when (monotonic)
        self._was_wrong = False
        self._judged = -_VERDICT_SECONDS
        self._judged_phase: float | None = None
        self._told_jump = -_SECONDS_BETWEEN_LINES

    def observe(self, who: str, date: str | None, before: float, after: float) -> None:
        """Another server's Date, and our time before we asked and after it answered. A Date that is none is ignored."""
        try:
            theirs = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        ahead = max(0.0, before - theirs - _GRANULARITY)  # of ours
        behind = max(0.0, theirs - after)
        self._offsets[who] = (time.monotonic(), ahead - behind, _phase())

    def forget_before(self, when: float, slow: Container[str] = ()) -> None:
        """Drop what was observed before a monotonic time: after all were asked anew, only what they say now counts; of
        those who are slow to answer what they said before, else few could speak for all."""
        self._offsets = {who: seen for who, seen in self._offsets.items() if seen[0] >= when or who in slow}

    def judge(self, asked: float) -> bool:
        """Whether this clock is right, after all were asked from a monotonic time on; says what has changed. What they
        said counts as it was when they said it: a clock that runs faster than time, as a simulator's does, is ahead
        again the moment after."""
        phase, before = _phase(), self._judged_phase
        recent = self._recent()
        offset = self._middle([offset if when >= asked else offset + phase - then for when, offset, then in recent])
        wrong = abs(offset) > MAX_SECONDS
        if wrong and not self._was_wrong:
            _log.error(
                "%s: the clock is %s %s those of the other servers; until that is put right, nothing is served and"
                " nothing dropped",
                self._name,
                clock.duration_text(abs(offset)),
                "ahead of" if offset > 0 else "behind",
            )
        elif self._was_wrong and not wrong:
            _log.warning("%s: the clock is right again; it serves", self._name)
        elif before is not None and abs(phase - before) > MAX_SECONDS and not wrong:
            self._tell_jump(phase - before)
        self._was_wrong = wrong
        if any(when >= asked for when, _, _ in recent):
            self._judged, self._judged_phase = time.monotonic(), phase
        return not wrong

    def _tell_jump(self, seconds: float) -> None:
        if time.monotonic() - self._told_jump > _SECONDS_BETWEEN_LINES:
            self._told_jump = time.monotonic()
            _log.warning(
                "%s: the clock has jumped %s by %s, and the other servers agree with it: this machine slept, or all"
                " clocks were set; what is over by it is dropped once that has lasted",
                self._name,
                "ahead" if seconds > 0 else "back",
                clock.duration_text(abs(seconds)),
            )

    @property
    def observed(self) -> bool:
        """Whether anybody has told the time lately."""
        return bool(self._recent())

    @property
    def offset(self) -> float:
        """Seconds by which this clock is ahead (below 0: behind) of the middle of the others, if theirs have gone on as
        time does since they told it; 0 if none is known."""
        phase = _phase()
        return round(self._middle([offset + phase - then for _, offset, then in self._recent()]), 3)

    @staticmethod
    def _middle(offsets: list[float]) -> float:
        offsets.sort()
        return min(offsets[(len(offsets) - 1) // 2 : len(offsets) // 2 + 1], key=abs, default=0.0)

    @property
    def is_wrong(self) -> bool:
        """Whether this server must not serve: others disagree, or this clock has jumped since they agreed."""
        return abs(self.offset) > MAX_SECONDS and (self._was_wrong or self.has_jumped)

    @property
    def has_jumped(self) -> bool:
        """Whether this clock has moved since the others were asked last as no clock moves, not even a simulator's."""
        since = time.monotonic() - self._judged
        if self._judged_phase is None or since > _VERDICT_SECONDS:
            return abs(self.offset) > MAX_SECONDS
        return abs(_phase() - self._judged_phase) > max(_MAX_SPEED * since, MAX_SECONDS)

    @property
    def in_question(self) -> bool:
        """Whether others are better asked than waited for: this clock is wrong, or was when they were asked last."""
        return self._was_wrong or abs(self.offset) > MAX_SECONDS

    @property
    def is_right(self) -> bool:
        """Whether other servers have said so lately."""
        return self.observed and not self.is_wrong

    def note(self) -> None:
        """Note what this clock shows, if it is right; to be called about every second."""
        now = time.monotonic()
        if self.is_right:
            self._shown.append((now, clock.now()))
        while len(self._shown) > 1 and self._shown[1][0] <= now - HELD_SECONDS:
            self._shown.popleft()

    @property
    def held(self) -> float | None:
        """The time (unix seconds) by which something may be dropped or published: the least that this clock has shown
        in the last HELD_SECONDS, by the others' consent. None if it has not had that for so long."""
        if not self.is_right or not self._shown or time.monotonic() - self._shown[0][0] < HELD_SECONDS:
            return None
        return min(shown for _, shown in self._shown)

    def _recent(self) -> list[tuple[float, float, float]]:
        since = time.monotonic() - _FORGET_SECONDS
        return [seen for seen in self._offsets.values() if seen[0] > since]


def _phase() -> float:
    """By how much this clock is ahead of monotonic time: the same as long as both go on alike."""
    return clock.now() - time.monotonic()
