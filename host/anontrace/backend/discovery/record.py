"""What discovery keeps in its store: the current edition, since when each part of it stands, what waits for the next.

One value, so that making an edition is one step, however many workers there are. Pure: makes one record out of another,
and never reads a clock.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from anontrace.mixnet import keydays
from anontrace.wire import content, directory, mixes
from anontrace.wire.content import Content
from anontrace.wire.directory import Directory

_KEEP_SECONDS = (directory.KEPT_DAYS + 2) * 86400  # what a client of so long ago is shown, whatever its clock
MAX_HURRIED = 100  # editions a day that wait for nothing: clients read the heads of all
WAIT_SECONDS = 600  # for the keys of mixes that are late
LATE_SECONDS = 6 * 3600  # between editions for the keys of mixes that were still later


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


class Announced(_Part):
    """An announcement (99), and the first edition that it was in; 0 while it is in none."""

    data: bytes
    since: int = 0


class Listed(_Part):
    """A mix: its description, the first edition that this was in, and its announcements by day."""

    description: bytes
    announced: dict[int, Announced]
    since: int = 0


class Offer(_Part):
    """What a mix has published that no edition holds yet: when (unix seconds), and whether an edition is made of it at
    once: the mix comes, or is described anew. A new day's key alone waits for those of the others."""

    listed: Listed
    at: float
    is_urgent: bool


class Mark(_Part):
    """The first edition in which more than half of the mixes had announced a key for this day or a later one, and when
    it was made."""

    day: int
    sequence: int
    issued: int


class Record(_Part):
    """All that discovery keeps, but for the heads of past editions."""

    head: bytes
    signature: bytes
    mixes: dict[int, Listed] = Field(default_factory=dict)
    offers: dict[int, Offer] = Field(default_factory=dict)
    marks: list[Mark] = Field(default_factory=list)
    gathered: float = 0.0  # when an edition was made of keys alone
    hurried: int = 0  # editions of today that waited for nothing

    @property
    def content(self) -> Content:
        """What the edition holds."""
        return _content(self.mixes)

    @property
    def directory(self) -> Directory:
        """The edition, to be served to who knows nothing."""
        return Directory(directory.parse_head(self.head), self.signature, self.content)

    def mark(self, day: int) -> Mark | None:
        """Where the news of who knows the directory of a day begin; None if that day has not come."""
        return min((each for each in self.marks if each.day >= day), key=lambda each: each.sequence, default=None)

    def news(self, mark: Mark) -> Content:
        """What has been described or announced since."""
        described = {n: each.description for n, each in self.mixes.items() if each.since > mark.sequence}
        announced = {
            number: days
            for number, each in self.mixes.items()
            if (days := {day: one.data for day, one in each.announced.items() if one.since > mark.sequence})
        }
        return Content(described, announced)

    def with_offer(self, number: int, offer: Offer) -> "Record":
        return self.model_copy(update={"offers": {**self.offers, number: offer}})

    def due(self, now: float) -> frozenset[int]:
        """The mixes of whose offers an edition is to be made now; none if all can wait."""
        urgent = frozenset(number for number, each in self.offers.items() if each.is_urgent)
        head = directory.parse_head(self.head)
        hurried = self.hurried if keydays.day_at(head.issued) == keydays.day_at(now) else 0
        if urgent and (hurried < MAX_HURRIED or _is_over(head.issued, WAIT_SECONDS, now)):
            return urgent
        if not self.offers:
            return frozenset()
        latest, in_force = self._latest(), self._in_force(now)
        all_there = bool(in_force) and all(self._newest_day(number) >= latest for number in in_force)
        is_over = _is_over(min(each.at for each in self.offers.values()), WAIT_SECONDS, now)
        if not all_there and not (is_over and _is_over(self.gathered, LATE_SECONDS, now)):
            return frozenset()
        return frozenset(self.offers)

    def _latest(self) -> int:
        return max(max(each.listed.announced) for each in self.offers.values())

    def _in_force(self, now: float) -> list[int]:
        today = keydays.day_at(now)
        return [number for number, each in self.mixes.items() if max(each.announced) >= today]

    def _newest_day(self, number: int) -> int:
        offer = self.offers.get(number)
        return max(max(each.announced) for each in (self.mixes[number], *([offer.listed] if offer else [])))

    def next(self, taken: frozenset[int], gone: frozenset[int], now: float, signing_key: bytes) -> "Record":
        """The record with the next edition, in which some offers are taken up, and some mixes are gone."""
        before = directory.parse_head(self.head) if self.head else None
        sequence = directory.FIRST if before is None else before.sequence + 1
        listed = {n: each for n, each in self.mixes.items() if n not in gone}
        for number in taken:
            listed[number] = _since(sequence, self.offers[number].listed)
        made = _content(listed)
        edition = directory.make(sequence, before.digest if before else None, int(now), made, signing_key)
        is_new_day = before is None or keydays.day_at(before.issued) != keydays.day_at(now)
        hurry = any(self.offers[number].is_urgent for number in taken)
        return Record(
            head=edition.head.encode(),
            signature=edition.signature,
            mixes=listed,
            offers={n: each for n, each in self.offers.items() if n not in taken and n not in gone},
            marks=_marks(self.marks, made.day, sequence, int(now)),
            gathered=self.gathered if hurry or not taken else now,
            hurried=hurry + (0 if is_new_day else self.hurried),
        )


def merged(listed: Listed | None, offered: Listed, today: int) -> Listed:
    """What a mix has published, with what it published before under the same description, if that was for no day that
    is still to come after tomorrow: such were made by a clock that was ahead."""
    before: Mapping[int, Announced] = {}
    if listed is not None and listed.description == offered.description:
        before = {day: each for day, each in listed.announced.items() if day <= today + mixes.DAYS_AHEAD}
    days = {**offered.announced, **before}
    newest = content.newest({day: each.data for day, each in days.items()})
    since = 0 if listed is None or listed.description != offered.description else listed.since
    return Listed(description=offered.description, announced={day: days[day] for day in newest}, since=since)


def _since(sequence: int, listed: Listed) -> Listed:
    """A mix as it stands in that edition."""
    announced = {day: Announced(data=each.data, since=each.since or sequence) for day, each in listed.announced.items()}
    return Listed(description=listed.description, announced=announced, since=listed.since or sequence)


def _content(listed: Mapping[int, Listed]) -> Content:
    descriptions = {number: each.description for number, each in listed.items()}
    return Content(descriptions, {n: {d: one.data for d, one in each.announced.items()} for n, each in listed.items()})


def _marks(marks: list[Mark], day: int, sequence: int, now: int) -> list[Mark]:
    """With one for a day that has been reached, and without those that nobody can need any more."""
    if day > max((each.day for each in marks), default=-1):
        marks = [*marks, Mark(day=day, sequence=sequence, issued=now)]
    old = [each for each in marks[1:] if now - each.issued > _KEEP_SECONDS]
    return marks[len(old) :]


def _is_over(since: float, seconds: float, now: float) -> bool:
    """Whether so many seconds have passed; also where a clock was set back."""
    return not 0 <= now - since < seconds
