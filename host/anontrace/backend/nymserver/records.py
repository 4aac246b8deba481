"""What the nymserver stores of cases and reports, and the JSON of docs/protocol.md section 9. Models only."""

from enum import StrEnum
from typing import Annotated, Literal

from anontrace_shared.slots import SLOTS_PER_DAY
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

from anontrace.backend.errors import Refused
from anontrace.mixnet import parts
from anontrace.mixnet.sizes import HEADER, NOTE, PAYLOAD, WORDS
from anontrace.wire.fields import Hex32


def _from_hex(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("hexadecimal digits are needed")
    return bytes.fromhex(value)


HexBytes = Annotated[
    bytes,
    PlainValidator(_from_hex),
    PlainSerializer(bytes.hex, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([0-9a-f]{2})*$"}),
]


def _of_size(size: int) -> AfterValidator:
    def check(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"{size} bytes are needed")
        return value

    return AfterValidator(check)


Words = Annotated[HexBytes, _of_size(NOTE)]


MOST_ANSWERS = 256  # of contacts, to a report


class State(StrEnum):
    """Where a report stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    RETRACTED = "retracted"


class Tally(BaseModel):
    """What became of a log's records, as numbers."""

    blocks: int = 0
    records: int = 0
    broken: int = 0  # did not open, or contradicted themselves
    misdated: int = 0  # no slot, or one of more than 14 days ago, or to come
    unregistered: int = 0  # opened, but no such key at this nymserver
    damaged: int = 0  # places where the rest of the log could not be read


class Contact(BaseModel):
    """One registered contact address of a log: kept only until the report is decided."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: int
    address: HexBytes = Field(repr=False)
    slot: int = Field(repr=False)
    present: int
    attenuation: int
    verified: bool
    committed: bool | None = None  # whether its records were bound at the test; None: no log was


class Contacts(BaseModel):
    """All contacts of a report."""

    model_config = ConfigDict(hide_input_in_errors=True)

    contacts: list[Contact] = Field(repr=False)


class Place(BaseModel):
    """Whose log a report is, if a place's, as its operator calls it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: str = Field(repr=False)
    kind: str


class PlaceNote(BaseModel):
    """Where the wearer of a log was on a day, and for how long, as they noted it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    label: str = Field(repr=False)
    day: int
    minutes: int


class Exposure(BaseModel):
    """What the authority sees of one contact. The id means nothing outside its report. `verified`, by the word of the
    log. `committed`: whether it was in the log that was committed at the test; None if none was. `at`: where, as its
    wearer noted it."""

    id: int
    day: int
    minutes: float
    attenuation: int
    verified: bool
    committed: bool | None = None
    at: str | None = Field(default=None, repr=False)

    @classmethod
    def of(cls, contact: Contact, at: str | None = None) -> "Exposure":
        return cls(
            id=contact.id,
            day=contact.slot // SLOTS_PER_DAY,
            minutes=round(contact.present / 3, 2),
            attenuation=contact.attenuation,
            verified=contact.verified,
            committed=contact.committed,
            at=at,
        )


class Progress(BaseModel):
    """What became of a report's messages: handed to the mixes; waiting until the contact's companion asks again;
    dropped (nobody there any more, or no room); not sent because the report was retracted before; and retractions that
    were handed to the mixes or wait."""

    sent: int = 0
    waiting: int = 0
    dropped: int = 0
    cancelled: int = 0
    taken_back: int = 0


class Effect(BaseModel):
    """What a decision caused: the day (UTC) on which it was made, how many messages it queued, what became of them."""

    day: int
    notifications: int
    progress: Progress = Field(default_factory=Progress)


class Committed(BaseModel):
    """That a log continues the one that was committed at the test, and until when that one goes (unix seconds)."""

    until: int


class Report(BaseModel):
    """An opened log, as the authority sees it. `committed`: None if no log was committed at the test, as of contacts'
    logs: whoever held the token could hand in any log."""

    report: HexBytes
    case: HexBytes
    generation: int
    disease: str
    received: int
    state: State = State.PENDING
    exposures: list[Exposure]
    log: Tally
    committed: Committed | None = None
    place: Place | None = None  # this and the notes until it is decided, or 60 days
    notes: list[PlaceNote] = Field(default_factory=list)
    effect: Effect | None = None  # once it is decided; never stored with it
    answers: int = 0  # of contacts who were told; never stored with it

    def without_places(self) -> "Report":
        """It, when nobody needs to know any more where it was."""
        exposures = [each.model_copy(update={"at": None}) for each in self.exposures]
        return self.model_copy(update={"place": None, "notes": [], "exposures": exposures})


class CaseLimits(BaseModel):
    """What the authority has decided for a case: how deep it goes, and its budgets; whether it was retracted."""

    depth: int
    case_budget: int | None
    day_budget: int | None
    retracted: bool


class ReportList(BaseModel):
    """All reports that the nymserver holds, what was decided for their cases (by case-ID), and whether sending is
    stopped."""

    reports: list[Report]
    cases: dict[str, CaseLimits] = Field(default_factory=dict)
    stopped: bool = False


class Answers(BaseModel):
    """What contacts answered to a report, sealed to the authority (230 bytes each), in the order in which they came;
    and whether more came than are kept."""

    answers: list[HexBytes] = Field(repr=False, max_length=MOST_ANSWERS)
    overflowed: bool


class Letter(BaseModel):
    """What the authority writes back by the header (141) of an answer: the payload (239), to the mix with this
    number."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    first_mix: int = Field(ge=1, le=255)
    header: Annotated[HexBytes, _of_size(HEADER)] = Field(repr=False)
    letter: Annotated[HexBytes, _of_size(PAYLOAD)] = Field(repr=False)


class LetterSent(BaseModel):
    """The first mix gets it."""

    sent: bool = True


class Switch(BaseModel):
    """Whether all sending is stopped."""

    model_config = ConfigDict(strict=True, extra="forbid")

    stopped: bool


class Decided(BaseModel):
    """How many messages a decision or a retraction caused."""

    notifications: int


class Queued(Decided):
    """After a decision: also how many notifications of all cases wait for a day with room."""

    waiting: int


class LimitSettings(BaseModel):
    """What the authority sets for all cases together: notifications a day (UTC), None: by the number of wearers; and
    how many times as often as the one before a generation may be told without an alarm, None: twice."""

    model_config = ConfigDict(strict=True, extra="forbid")

    a_day: int | None = Field(default=None, ge=0, le=10**9)
    growth: float | None = Field(default=None, gt=0, le=1000)


class Alarm(BaseModel):
    """A generation that was told that many times as often as the one before."""

    generation: int
    times: float


class WaitingReport(BaseModel):
    """What of a report waits: how many notifications, the place of the first in the queue (from 1), the risks they go
    by, and the first last day on which one of them can still leave."""

    report: HexBytes
    case: HexBytes
    disease: str
    generation: int  # that is told
    number: int = 0
    first: int
    highest_risk: int
    lowest_risk: int
    last_day: int


class LimitStanding(BaseModel):
    """The limit over all cases: how many a day, by what the authority has set, what the operator allows at most and how
    many wearers there are; how many were let through today; what waits; and how chains grow: notifications by the
    generation that they tell, in cases of the last seven days."""

    day: int
    a_day: int
    settings: LimitSettings
    ceiling: int | None
    wearers: int | None
    used: int
    waiting: int
    queue: list[WaitingReport]
    growth: float
    told: dict[int, int]
    alarms: list[Alarm]


class Decision(BaseModel):
    """What the authority decides about a report. Strict: the authority's server adds a key to what is true, not to what
    could be taken for it."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    approve: bool
    exposures: list[int] | Literal["all", "committed"] = "committed"  # all, of a report without a commitment
    minutes: int = Field(default=0, ge=0, le=0xFFFF)
    attenuation: int | None = Field(default=None, ge=0, le=255)
    depth: int | None = Field(default=None, ge=1, le=255)
    budget: int | None = Field(default=None, ge=0)  # of this report
    case_budget: int | None = Field(default=None, ge=0)  # of all reports of the case together
    day_budget: int | None = Field(default=None, ge=0)  # of all reports of the case on one day (UTC)
    message: str = Field(default="", repr=False)  # as staff write it; what the nymserver gets has none
    words: dict[str, Words] = Field(default_factory=dict, repr=False)  # it, sealed to each exposure, by id
    place: bool | None = None  # whether contacts are told that it was at a place; None: if the report is a place's
    retraction_key: Hex32 | None = Field(default=None, repr=False)

    def check_message(self) -> None:
        """Refused (422) if the message does not fit the notifications that everybody gets who is told by this rule."""
        check_note(self.message, parts.most(self.minutes))


class Retraction(BaseModel):
    """The authority takes back what it had told people: the key it chose with its decision, and what it says now."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    key: Hex32 = Field(repr=False)
    words: dict[str, Words] = Field(default_factory=dict, repr=False)  # what it says, by the number of who was notified


class KeysWanted(BaseModel):
    """For whom words are to be sealed: those of a report that waits for a decision, or, by its retraction key, those
    who were notified of it."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    key: Hex32 | None = Field(default=None, repr=False)


class Keys(BaseModel):
    """The blinded message keys of a report's contacts, by exposure or by the number of who was notified."""

    keys: dict[str, Hex32]


def check_note(message: str, most: int = WORDS) -> None:
    """Refused (422) if a message does not fit."""
    size = len(message.encode())
    if size > most:
        raise Refused(422, f"message: it has {size} bytes in UTF-8, and there is room for {most}")
    if "\0" in message:
        raise Refused(422, "message: it has a zero byte, which a notification does not take")
    unseen = next((each for each in message if not each.isprintable()), None)
    if unseen is not None:
        raise Refused(422, f"message: it holds the character U+{ord(unseen):04X}, which does not print")


class Outcome(BaseModel):
    """How a report was decided, and what that takes of its case's budgets."""

    state: State
    day: int
    notifications: int = 0
    generation: int | None = None  # of the report; None: decided before this was kept
    notified: HexBytes = Field(default=b"", repr=False)  # under which key who was notified is kept for a retraction


class Case(BaseModel):
    """What the authority has decided for a case and for each of its reports. Every decision is one step here."""

    disease: str
    depth: int = 1
    case_budget: int | None = None
    day_budget: int | None = None
    reports: dict[str, Outcome] = Field(default_factory=dict)  # by report-ID, those that are decided
    retracted: bool = False  # the patient's own report was: nothing of this case goes on

    def state(self, report: Report) -> State:
        """Where a report of this case stands. What the report itself says may be older."""
        outcome = self.reports.get(report.report.hex())
        return report.state if outcome is None else outcome.state

    def goes_on(self, generation: int) -> bool:
        """Whether contacts of a report of this generation may be told; those of the patient's own, 0, always may."""
        return generation < self.depth

    @property
    def limits(self) -> CaseLimits:
        return CaseLimits(
            depth=self.depth, case_budget=self.case_budget, day_budget=self.day_budget, retracted=self.retracted
        )

    def shown(self, report: Report, progress: Progress | None) -> Report:
        """A report of this case, with where it stands and what its decision caused."""
        outcome, effect = self.reports.get(report.report.hex()), None
        if outcome is not None:
            told = progress or Progress()
            effect = Effect(day=outcome.day, notifications=outcome.notifications, progress=told)
        return report.model_copy(update={"state": self.state(report), "effect": effect})

    def room(self, today: int) -> int | None:
        """How many notifications the next report may cause; None: any number."""
        rooms = []
        if self.case_budget is not None:
            rooms.append(self.case_budget - sum(each.notifications for each in self.reports.values()))
        if self.day_budget is not None:
            rooms.append(self.day_budget - sum(e.notifications for e in self.reports.values() if e.day == today))
        return max(0, min(rooms)) if rooms else None
