"""How much traffic `anontrace run` makes in a day: three levels, fixed in number and size of requests.

Numbers only (docs/companion-traffic.md tells how they come about). Nothing here depends on what the wearer does.
"""

from dataclasses import dataclass, replace
from math import ceil

from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.mixnet.sizes import MESSAGE
from anontrace.wire.poll import MOST_MAILBOXES
from anontrace.wire.upload import CHUNK


@dataclass(frozen=True)
class Level:
    """Requests a day, in the mean, and what each of them holds."""

    name: str
    messages: float  # requests with mix messages
    batch: int  # messages in each
    polls: float
    questions: int  # mailboxes in each
    chunks: float  # of an upload, 16 kB each
    looks: float  # into buckets of the nymserver
    renewals: float  # addresses that get a new SURB, in a swap that goes twice, and a dummy by the old one

    @property
    def bytes_a_day(self) -> float:
        """What the requests hold in the mean; answers and confirmation come on top."""
        return (
            self.messages * self.batch * MESSAGE + self.polls * self.questions * QUESTION + self.chunks * CHUNK
        )  # fmt: skip

    def for_badges(self, count: int) -> "Level":
        """The level of a wearer with so many badges: requests as often, with room for all their addresses in each."""
        further = max(count - 1, 0)
        return replace(
            self,
            batch=self.batch + ceil(further * SLOTS_PER_DAY / self.messages),
            questions=min(self.questions * (further + 1), MOST_MAILBOXES),
        )


QUESTION = 33

LOW = Level("low", messages=9.3, batch=32, polls=3, questions=80, chunks=0.2, looks=12, renewals=3)
NORMAL = Level("normal", messages=12, batch=32, polls=8, questions=540, chunks=2, looks=24, renewals=30)
HIGH = Level("high", messages=72, batch=88, polls=48, questions=800, chunks=340, looks=48, renewals=1900)

LEVELS = {level.name: level for level in (LOW, NORMAL, HIGH)}
