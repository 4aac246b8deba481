"""How much traffic `anontrace run` makes in a day: three levels, fixed in number and size of requests and answers. A
companion keeps to one, and who plans servers counts with it.

Numbers only (docs/companion-traffic.md tells how they come about). Nothing here depends on what the wearer does.
"""

from dataclasses import dataclass, replace
from math import ceil

from anontrace_shared.slots import SLOTS_PER_DAY

from anontrace.mixnet.sizes import MESSAGE
from anontrace.wire import look, result
from anontrace.wire.look import Group, Look

GROUPS = 32  # in each look, live ones or random: one is begun a day, and each is alive for 31 days
MAX_BATCH = 256  # messages that a mix takes in one request
# Between two looks, in parts of the mean: the longest is what a message waits, and each that is saved leaves bytes for
# more sums.
LOOK_GAPS = 0.8, 1.2


@dataclass(frozen=True)
class Level:
    """Requests a day, in the mean, and what each of them holds."""

    name: str
    messages: float  # requests with mix messages
    batch: int  # messages in each
    looks: float  # into all mailboxes
    digests: int  # of new messages that each is answered with, real ones or filling
    sums: int  # by which what was not expected is solved
    window_days: int  # for which a message is in the sums, from when it was told of
    receipts: float
    renewals: float  # addresses that get a new SURB, in a swap, and a dummy by the old one, asked for by a relay
    new: float = SLOTS_PER_DAY  # addresses that are registered
    results: float = 2  # questions to the health authority, with the token of a test or without
    most: int = MAX_BATCH  # messages in a batch, however many badges there are

    @property
    def bytes_a_day(self) -> float:
        """What requests and answers hold in the mean; the directory comes on top."""
        a_look = Look(self.digests, self.sums, 0, b"", [Group(b"", 0, 0)] * GROUPS)
        looks = self.looks * (a_look.size + a_look.answer_size)
        return self.messages * self.batch * MESSAGE + looks + self.results * (result.QUESTION + result.ANSWER)

    def for_badges(self, count: int) -> "Level":
        """The level of a wearer with so many badges: requests as often, with room for all their addresses in each."""
        further = max(count - 1, 0)
        return replace(
            self,
            batch=min(self.batch + ceil(further * self.new / self.messages), self.most),
            new=self.new * (further + 1),
            digests=min(self.digests * (further + 1), look.MAX_DIGESTS),
            sums=min(self.sums * (further + 1), look.MAX_SUMS),
        )

    @property
    def rest(self) -> float:
        """Messages a day that renewals have, or fragments of an upload: all but those for registration and receipts."""
        return max(self.messages * self.batch - self.new - self.receipts, 1)


LOW = Level(
    "low", messages=11, batch=27, looks=1.12, digests=64, sums=28, window_days=7, receipts=4, renewals=2, results=0.6
)
NORMAL = Level(
    "normal", messages=27.47, batch=32, looks=2.23, digests=204, sums=15, window_days=5, receipts=15, renewals=288
)
HIGH = Level(
    "high",
    messages=100,
    batch=220,
    looks=30,
    digests=256,
    sums=48,
    window_days=1,
    receipts=48,
    renewals=1900,
    results=8,
    most=238,
)

LEVELS = {level.name: level for level in (LOW, NORMAL, HIGH)}
