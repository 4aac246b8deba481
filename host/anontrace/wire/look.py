"""The look: all mailboxes of a wearer asked for in one request (docs/protocol.md section 8).

The request says how much its answer is to hold, and the answer is that long whatever was found. It tells of new
messages by digests, and of their contents by sums (`sums`), so that a mailbox server cannot know which of them were of
interest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from anontrace_shared.errors import FormatError

from anontrace.mixnet.sizes import BOX, GROUP, MAILBOX, PAYLOAD
from anontrace.wire import sums

SEED = 16
DIGEST = 6
MARKED = 16  # one message in so many is taken up by thin sums too
ROW = BOX + PAYLOAD  # a message, with the box that it is in
PLACE = 2
PLAIN = PLACE + ROW
BOUND = 16  # what ties an answer to its request
COUNT = 2
ENTRY = GROUP + 2 + 2  # what a request says of a group
OLD = MAILBOX + 1  # ... and of a mailbox of its own
HEAD = 2 + 1 + 1 + SEED + 1

MAX_BODY = 10_240
MAX_DIGESTS = 1024
MAX_SUMS = 64
MAX_PLAIN = 64
MAX_GROUPS = 64
MAX_OLD = 300
MAX_SKIP = 255
MAX_PLACE = 0xFFFF  # messages that a group can tell of
MAX_ROWS = 16_384  # messages that the sums of one answer are made of
FIRST_GROUP = 0x200  # the place of the first group; before it come mailboxes of their own
_NOTHING = 0xFFFF  # what fills up the messages in plain
_FILLING = _NOTHING.to_bytes(PLACE, "little") + bytes(ROW)


@dataclass(frozen=True, slots=True)
class Group:
    """A group asked about: address (16), where what is asked begins, and how many of its messages were told of."""

    address: bytes = field(repr=False)
    start: int
    known: int


@dataclass(frozen=True, slots=True)
class Look:
    """A request: room for digests, sums and messages in plain, a seed (16), groups, and mailboxes of their own, each
    with how many of its messages were fetched. `answer_size` follows from these numbers alone."""

    digests: int
    sums: int
    plain: int
    seed: bytes = field(repr=False)
    groups: Sequence[Group]
    old: Sequence[tuple[bytes, int]] = field(default=(), repr=False)

    def encode(self) -> bytes:
        """The body. FormatError if it is more than may be asked."""
        if any(len(each.address) != GROUP for each in self.groups) or len(self.seed) != SEED:
            raise FormatError(f"a look has a seed of {SEED} bytes and names groups by {GROUP}")
        if any(len(address) != MAILBOX for address, _ in self.old):
            raise FormatError(f"a look names mailboxes by {MAILBOX} bytes")
        numbers = (self.digests, self.sums, self.plain, *(n for each in self.groups for n in (each.start, each.known)))
        if any(not 0 <= n <= MAX_PLACE for n in numbers) or any(not 0 <= skip <= MAX_SKIP for _, skip in self.old):
            raise FormatError("a look has a number that is too large")
        self._check()
        return b"".join(
            (
                self.digests.to_bytes(2, "little"),
                bytes((self.sums, self.plain)),
                self.seed,
                bytes((len(self.groups),)),
                *(e.address + e.start.to_bytes(2, "little") + e.known.to_bytes(2, "little") for e in self.groups),
                *(address + bytes((skip,)) for address, skip in self.old),
            )
        )

    @classmethod
    def parse(cls, body: bytes) -> "Look":
        """The reverse of `encode`; FormatError if a body is no look."""
        if not HEAD <= len(body) <= MAX_BODY:
            raise FormatError(f"a look has {HEAD} to {MAX_BODY} bytes, not {len(body)}")
        end = HEAD + ENTRY * body[HEAD - 1]
        if len(body) < end or (len(body) - end) % OLD:
            raise FormatError(f"a look of {body[HEAD - 1]} groups cannot have {len(body)} bytes")
        groups = [
            Group(body[at : at + GROUP], _number(body, at + GROUP), _number(body, at + GROUP + 2))
            for at in range(HEAD, end, ENTRY)
        ]
        old = [(body[at : at + MAILBOX], body[at + MAILBOX]) for at in range(end, len(body), OLD)]
        look = cls(_number(body, 0), body[2], body[3], body[4 : 4 + SEED], groups, old)
        look._check()
        return look

    def _check(self) -> None:
        for name, number, most in (
            ("digests", self.digests, MAX_DIGESTS), ("sums", self.sums, MAX_SUMS),
            ("messages in plain", self.plain, MAX_PLAIN), ("groups", len(self.groups), MAX_GROUPS),
            ("mailboxes", len(self.old), MAX_OLD), ("bytes", self.size, MAX_BODY),
        ):  # fmt: skip
            if number > most:
                raise FormatError(f"a look has at most {most} {name}, not {number}")
        if any(each.start > each.known for each in self.groups):
            raise FormatError("a look begins behind what it knows")
        if sum(each.known - each.start for each in self.groups) > MAX_ROWS:
            raise FormatError(f"a look goes over at most {MAX_ROWS} messages")

    @property
    def size(self) -> int:
        return HEAD + ENTRY * len(self.groups) + OLD * len(self.old)

    @property
    def answer_size(self) -> int:
        return BOUND + COUNT * len(self.groups) + DIGEST * self.digests + ROW * self.sums + PLAIN * self.plain


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look brings: for each group the digests (6) of messages from `known` on, the sums (243 each), and messages
    in plain: the place of a mailbox of its own, or FIRST_GROUP and the place of a group; box (4) and payload (239)."""

    told: Sequence[Sequence[bytes]]
    sums: Sequence[bytes] = field(repr=False)
    plain: Sequence[tuple[int, bytes]] = field(repr=False)

    def encode(self, look: Look) -> bytes:
        """The body, of the size that was asked for."""
        digests = [each for group in self.told for each in group]
        if (len(self.told), len(self.sums)) != (len(look.groups), look.sums):
            raise FormatError("the answer to a look is for its groups, with as many sums as it asks for")
        if len(digests) > look.digests or len(self.plain) > look.plain:
            raise FormatError("the answer to a look holds more than it has room for")
        body = b"".join(
            (
                bound_to(look.encode()),
                *(len(group).to_bytes(COUNT, "little") for group in self.told),
                *digests,
                bytes(DIGEST * (look.digests - len(digests))),
                *self.sums,
                *(place.to_bytes(PLACE, "little") + row for place, row in self.plain),
                _FILLING * (look.plain - len(self.plain)),
            )
        )
        if len(body) != look.answer_size:
            raise FormatError("the answer to a look has a part of a wrong size")
        return body

    @classmethod
    def parse(cls, look: Look, body: bytes) -> "Answer":
        """The answer to this look; FormatError if it is none, or that to another."""
        if len(body) != look.answer_size:
            raise FormatError(f"the answer to a look has {len(body)} bytes instead of {look.answer_size}")
        if body[:BOUND] != bound_to(look.encode()):
            raise FormatError("this is the answer to another look")
        at = BOUND + COUNT * len(look.groups)
        counts = [_number(body, n) for n in range(BOUND, at, COUNT)]
        if sum(counts) > look.digests or any(
            group.known + n > MAX_PLACE for group, n in zip(look.groups, counts, strict=True)
        ):
            raise FormatError("the answer to a look tells of more messages than it has room for")
        end = at + DIGEST * look.digests
        told = []
        for count in counts:
            told.append([body[n : n + DIGEST] for n in range(at, at + DIGEST * count, DIGEST)])
            at += DIGEST * count
        sums_end = end + ROW * look.sums
        sums = [body[n : n + ROW] for n in range(end, sums_end, ROW)]
        plain, last = [], -1
        for n in range(sums_end, len(body), PLAIN):
            place = _number(body, n)
            if place < last or not (place == _NOTHING or _is_asked(look, place)):
                raise FormatError("the answer to a look names what was not asked for, or not in order")
            if place != _NOTHING:
                plain.append((place, body[n + PLACE : n + PLAIN]))
            last = place
        return cls(told, sums, plain)


def _is_asked(look: Look, place: int) -> bool:
    return place < len(look.old) or 0 <= place - FIRST_GROUP < len(look.groups)


def _number(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 2], "little")


def digest(row: bytes) -> bytes:
    """The digest (6) of a message: box (4), payload (239)."""
    if len(row) != ROW:
        raise FormatError(f"a message with its box has {ROW} bytes, not {len(row)}")
    return sha256(b"anontrace/2 message" + row).digest()[:DIGEST]


def is_marked(digest: bytes) -> bool:
    """Whether thin sums take up the message with this digest: one in 16, and always the same, so that later looks add
    to what is known of it."""
    return digest[0] % MARKED == 0


def with_digest(row: bytes) -> bytes:
    """A message (243) and its digest behind it (249): for who needs that more than once, since to compute it takes a
    quarter of the time of a look."""
    return row + digest(row)


def add_up(look: Look, groups: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The sums (243 each) that a look is answered with, over these messages of each group."""
    return add_up_known(look, [[with_digest(each) for each in messages] for messages in groups])


def add_up_known(look: Look, groups: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The same over messages with their digests (249 each)."""
    marks = [[is_marked(each[ROW:]) for each in messages] for messages in groups]
    # Digests are added up too, and cut off: to cut them off each message before takes longer.
    return [each[:ROW] for each in sums.add_up(look.seed, look.sums, groups, marks, ROW + DIGEST)]


def bound_to(request: bytes) -> bytes:
    """What the answer to this request begins with (16)."""
    return sha256(b"anontrace/2 look" + request).digest()[:BOUND]
