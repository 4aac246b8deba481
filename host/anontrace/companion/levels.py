"""How much traffic `anontrace run` makes in a day: three levels, fixed in number and size of requests and answers.

Numbers only (docs/companion-traffic.md tells how they come about). Nothing here depends on what the wearer does.
"""

from dataclasses import dataclass, replace
from math import ceil, inf

from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.mixnet.sizes import MESSAGE
from anontrace.wire import poll, upload


@dataclass(frozen=True)
class Level:
    """Requests a day, in the mean, and what each of them holds."""

    name: str
    messages: float  # requests with mix messages
    batch: int  # messages in each
    polls: float
    questions: int  # mailboxes in each
    room: int  # messages that each is answered with, real ones or filling
    chunks: float  # of an upload, 16 kB each
    looks: float  # into buckets of the nymserver
    renewals: float  # addresses that get a new SURB, in a swap that goes twice, and a dummy by the old one
    most: float = inf  # bytes a day in the mean; further badges take theirs from the chunks

    @property
    def bytes_a_day(self) -> float:
        """What requests and answers hold in the mean; confirmation and the directory come on top."""
        a_poll = poll.ROOM + self.questions * poll.QUESTION + self.room * poll.ANSWER
        return (
            self.messages * self.batch * MESSAGE
            + self.polls * a_poll
            + self.chunks * (upload.CHUNK + upload.REPLY)
        )  # fmt: skip

    def for_badges(self, count: int) -> "Level":
        """The level of a wearer with so many badges: requests as often, with room for all their addresses in each."""
        further = max(count - 1, 0)
        level = replace(
            self,
            batch=self.batch + ceil(further * SLOTS_PER_DAY / self.messages),
            questions=min(self.questions * (further + 1), poll.MOST_MAILBOXES),
        )
        over = max(level.bytes_a_day - self.most, 0)
        return replace(level, chunks=max(level.chunks - over / upload.CHUNK, 1)) if over else level


LOW = Level("low", messages=9.3, batch=32, polls=3, questions=80, room=3, chunks=0.2, looks=12, renewals=3)
NORMAL = Level("normal", messages=12, batch=32, polls=8, questions=540, room=10, chunks=2, looks=24, renewals=30)
HIGH = Level(
    "high", messages=72, batch=88, polls=48, questions=800, room=60, chunks=300, looks=48, renewals=1900, most=9.4e6
)

LEVELS = {level.name: level for level in (LOW, NORMAL, HIGH)}
