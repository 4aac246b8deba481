"""One look into the mailboxes at one server: asking, and storing what was told and what that says of the messages.

A message is known by its digest if it was expected, else solved from sums or given in plain; only then does it count as
arrived, once. Never decides how often or how much is asked (docs/protocol.md section 8).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from anontrace.companion.store.addresses import Mailbox
from anontrace.companion.store.expected import Expected
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.state import State
from anontrace.mixnet.sizes import BOX, GROUP, MAILBOX
from anontrace.wire import look, sums
from anontrace.wire.levels import GROUPS as GROUPS
from anontrace.wire.look import Answer, Group, Look
from anontrace.wire.sums import Equation


@dataclass(frozen=True, slots=True)
class Room:
    """How much a look asks for: digests, sums, messages in plain, and mailboxes that are in no group."""

    digests: int
    sums: int
    plain: int = 0
    alone: int = 0


@dataclass
class Looked:
    """What a look brought."""

    arrived: list[tuple[list[Mailbox], bytes]] = field(default_factory=list, repr=False)  # payloads, and whose they are
    expected: list[Expected] = field(default_factory=list)
    told: int = 0  # messages of groups
    learned: int = 0  # those of which the content is known now
    is_full: bool = False  # there may be more to be told
    answered: list[Mailbox] = field(default_factory=list)  # that are in no group, and of which all was told
    groups: list[int] = field(default_factory=list)
    lied: bool = False  # the answer contradicts itself, or what was told before


@dataclass
class _Part:
    """A group of a request: its messages from where the request begins on, numbers and contents as far as known."""

    group: MailGroup | None  # None: a random one
    asked: Group
    numbers: list[int | None] = field(default_factory=list)
    rows: list[bytes | None] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)


class OneLook:
    """A look at a server: `request` is what goes out, `take` what becomes of the answer."""

    def __init__(
        self,
        state: State,
        server: int,
        room: Room,
        groups: Sequence[tuple[MailGroup, int]],
        alone: Sequence[Mailbox],
        rng: Random,
    ) -> None:
        """For these groups, each from a place on, and these mailboxes that are in none; filled up with random ones."""
        self._state, self._server = state, server
        self._parts = [
            _Part(group, Group(group.address, start, group.known)) for group, start in _within_bounds(groups)
        ]
        for _ in range(GROUPS - len(self._parts)):
            self._parts.append(_Part(None, Group(secrets.token_bytes(GROUP), 0, 0)))
        self._boxes: list[Mailbox | None] = [*alone, *[None] * (room.alone - len(alone))]
        rng.shuffle(self._parts)
        rng.shuffle(self._boxes)
        boxes = [(secrets.token_bytes(MAILBOX), 0) if box is None else (box.address, box.skip) for box in self._boxes]
        groups_asked = [part.asked for part in self._parts]
        seed = secrets.token_bytes(look.SEED)
        self.request = Look(room.digests, room.sums, room.plain, seed, groups_asked, boxes)

    def take(self, answer: Answer, now: int) -> Looked:
        """Store what the answer says, and tell what arrived; runs within the caller's transaction."""
        looked = Looked(told=sum(map(len, answer.told)))
        looked.groups = [part.group.number for part in self._parts if part.group is not None]
        looked.is_full = looked.told == self.request.digests
        self._take_alone(answer, looked)
        for part, told in zip(self._parts, answer.told, strict=True):
            if part.group is not None:
                self._note(part, part.group, told, now, looked)
        self._take_plain(answer, looked)
        self._solve(answer, looked)
        return looked

    def _take_alone(self, answer: Answer, looked: Looked) -> None:
        rows = [(place, row[BOX:]) for place, row in answer.plain if place < look.FIRST_GROUP]
        is_full = len(rows) == self.request.plain > 0  # of the last one that it names there may be more
        end = rows[-1][0] if is_full else len(self._boxes)
        looked.answered = [box for box in self._boxes[:end] if box is not None]
        for place, payload in rows:
            box = self._boxes[place]
            if box is None:
                continue
            expected = self._state.expected.find_alone(box.number, payload)
            if expected is None:
                looked.arrived.append(([box], payload))
            else:
                looked.expected.append(expected)

    def _note(self, part: _Part, group: MailGroup, told: Sequence[bytes], now: int, looked: Looked) -> None:
        """Store the digests that were told, and see which of them were expected."""
        self._state.groups.note(group, told, now)
        kept = self._state.groups.told(group.number, part.asked.start)
        for place in range(part.asked.start, group.known + len(told)):
            message = kept.get(place)  # None: it was solved so long ago that it is forgotten
            part.numbers.append(None if message is None else message.number)
            part.rows.append(None if message is None else message.content)
            part.digests.append(b"" if message is None else message.digest)
            if message is not None and message.content is None:
                expected = self._state.expected.find(group.number, message.digest)
                if expected is not None:
                    self._state.groups.set_solved(message.number, expected.row)
                    part.rows[-1] = expected.row
                    looked.learned += 1
                    looked.expected.append(expected)

    def _arrive(self, number: int, group: int, row: bytes, looked: Looked) -> None:
        """A message that was not expected is what its digest says, and there for the first time."""
        self._state.groups.set_solved(number, row)
        looked.learned += 1
        looked.arrived.append((self._state.addresses.in_group(group, row[:BOX]), row[BOX:]))

    def _take_plain(self, answer: Answer, looked: Looked) -> None:
        seen = [0] * len(self._parts)
        for place, row in answer.plain:
            if place < look.FIRST_GROUP:
                continue
            which = place - look.FIRST_GROUP
            part, at = self._parts[which], seen[which]
            seen[which] += 1
            if part.group is None or at >= len(part.rows) or part.rows[at] is not None:
                continue
            number = part.numbers[at]
            if number is None:
                continue
            if look.digest(row) == part.digests[at]:
                part.rows[at] = row
                self._arrive(number, part.group.number, row, looked)
            else:
                looked.lied = True

    def _solve(self, answer: Answer, looked: Looked) -> None:
        """Solve what can be, and keep the sums that say something of what cannot."""
        groups = self._state.groups
        kept = groups.sums(self._server)
        known = groups.contents({number for each in kept for number in each.unknown})
        new = self._new_sums(answer)
        solution = sums.solve([*(sums.without(each, known) for each in kept), *new.values()])
        looked.lied |= not solution.fits
        if not solution.fits:  # a digest that lies says wrongly what thin sums take up; the others do not go by it
            solution = sums.solve([each for j, each in new.items() if not sums.is_thin(j)])
        unsolved = groups.unsolved(self._server)
        for number, row in solution.found.items():
            message = unsolved.get(number)
            if message is None:
                continue  # its group is over
            if look.digest(row) == message.digest:
                self._arrive(number, message.group, row, looked)
            else:
                looked.lied = True
        # Of an answer that lies nobody knows where it does.
        left = [] if looked.lied else [each for each in solution.left if len(each.unknown) > 1]
        groups.set_sums(self._server, left)

    def _new_sums(self, answer: Answer) -> dict[int, Equation]:
        """The sums of an answer without what is known, by their numbers."""
        seed, count = self.request.seed, self.request.sums
        # Of what is forgotten it is not known whether it is marked, and a sum that it may be in is of no use.
        marks = [[not each or look.is_marked(each) for each in part.digests] for part in self._parts]
        rows = [[row or b"" for row in part.rows] for part in self._parts]
        known = sums.add_up(seed, count, rows, marks, look.ROW)
        unknown = [
            (place, at, number)
            for place, part in enumerate(self._parts)
            for at, (number, row) in enumerate(zip(part.numbers, part.rows, strict=True))
            if row is None
        ]
        found = {}
        for j, (given, part_known) in enumerate(zip(answer.sums, known, strict=True)):
            drawn = {
                place: sums.coefficients(seed, j, place, marks[place]) for place in {place for place, _, _ in unknown}
            }
            left = {number: drawn[place][at] for place, at, number in unknown if drawn[place][at]}
            if None not in left:  # else it goes over what was forgotten
                value = (int.from_bytes(given) ^ int.from_bytes(part_known)).to_bytes(look.ROW)
                found[j] = Equation({n: each for n, each in left.items() if n is not None}, value)
        return found


def _within_bounds(groups: Sequence[tuple[MailGroup, int]]) -> list[tuple[MailGroup, int]]:
    """No more messages than sums may be made of: what is too much is left to a later look."""
    left, found = look.MAX_ROWS, []
    for group, start in groups:
        start = start if group.known - start <= left else group.known
        left -= group.known - start
        found.append((group, start))
    return found
