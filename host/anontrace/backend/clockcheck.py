"""Whether this server's clock is right: it is compared with the Date that other servers put into their answers.

A clock that is more than a minute off the middle of what the others say makes keys, slots and expiry wrong, so such a
server says so and does not serve. The middle, so that one server that lies stops nobody.
"""

import logging
import time
from email.utils import parsedate_to_datetime

_log = logging.getLogger("anontrace.backend")

MOST_SECONDS = 60.0
CHECK_SECONDS = 600.0
CHECK_AGAIN_SECONDS = 5.0  # while the clock is wrong, or nobody has told the time yet
_GRANULARITY = 1.0  # of a Date header, seconds
_FORGET_SECONDS = 3 * CHECK_SECONDS


class ClockCheck:
    """What the others' clocks say, by what they are called. Their times count for half an hour."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._offsets: dict[str, tuple[float, float]] = {}
        self._was_wrong = False

    def observe(self, who: str, date: str | None, before: float, after: float) -> None:
        """Another server's Date, and our time before we asked and after it answered. A Date that is none is ignored."""
        try:
            theirs = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        ahead = max(0.0, before - theirs - _GRANULARITY)  # of ours
        behind = max(0.0, theirs - after)
        self._offsets[who] = (time.monotonic(), ahead - behind)
        self._tell()

    def forget_before(self, when: float) -> None:
        """Drop what was observed before a monotonic time: after all were asked anew, only what they say now counts."""
        self._offsets = {who: seen for who, seen in self._offsets.items() if seen[0] >= when}
        self._tell()

    @property
    def observed(self) -> bool:
        """Whether anybody has told the time lately."""
        return bool(self._recent())

    @property
    def offset(self) -> float:
        """Seconds by which this clock is ahead (below 0: behind) of the middle of the others; 0 if none is known."""
        recent = self._recent()
        middle = recent[(len(recent) - 1) // 2 : len(recent) // 2 + 1]
        return min(middle, key=abs, default=0.0)

    @property
    def is_wrong(self) -> bool:
        """Whether this server must not serve."""
        return abs(self.offset) > MOST_SECONDS

    @property
    def is_right(self) -> bool:
        """Whether other servers have said so lately."""
        return self.observed and not self.is_wrong

    def _recent(self) -> list[float]:
        since = time.monotonic() - _FORGET_SECONDS
        return sorted(offset for when, offset in self._offsets.values() if when > since)

    def _tell(self) -> None:
        wrong = self.is_wrong
        if wrong and not self._was_wrong:
            direction = "ahead of" if self.offset > 0 else "behind"
            _log.error(
                "%s: the clock is %d s %s those of the other servers; it does not serve until that is put right",
                self._name,
                abs(self.offset),
                direction,
            )
        elif self._was_wrong and not wrong:
            _log.warning("%s: the clock is right again; it serves", self._name)
        self._was_wrong = wrong
