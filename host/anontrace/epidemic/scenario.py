"""What is simulated: the people, their badges and habits (`Scenario`), and what is done about the epidemic
(`Strategy`). Values and their ranges only; docs/epidemic.md says where each comes from."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anontrace.wire.fields import first_problem
from anontrace.wire.levels import LEVELS

from .errors import EpidemicError

Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[float, Field(ge=0, le=60)]
MAX_DEPTH = 255
_T = TypeVar("_T", bound=BaseModel)
DEFAULT_LIMIT, NO_LIMIT = "default", "off"


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scenario(_Values):
    """Shares are of 1, times in days if nothing else is said."""

    people: Annotated[int, Field(ge=100, le=2_000_000)] = 30_000
    days: Annotated[int, Field(ge=1, le=1000)] = 120
    initial: Share = 0.002  # infected at the beginning
    imports: Annotated[float, Field(ge=0, le=10_000)] = 1.0  # infected elsewhere, a day and 100,000 people
    immune: Share = 0.0
    r: Annotated[float, Field(ge=0, le=30)] | None = (
        None  # instead of the disease's, among people none of whom is immune
    )

    wearers: Share = 0.6
    loss: Share = 0.05  # of slots: not heard, not registered, or lost on the way
    clock_error: Annotated[float, Field(ge=0, le=300)] = 2.0  # seconds, standard deviation
    wrong_clocks: Share = 0.01  # badges that are wrong by more
    wrong_by: Annotated[float, Field(ge=0, le=86_400)] = 1800.0  # seconds, standard deviation of these

    tested: Share = 0.6  # of those with symptoms
    test_days: Days = 2.0  # from symptoms to the result, in the mean
    tested_told: Share = 0.5  # of those who are told
    told_test_days: Days = 2.0
    sensitivity: Share = 0.8
    isolates: Share = 0.8  # of those who test positive
    isolation_days: Days = 10.0
    quarantines: Share = 0.5  # of those who are told
    quarantine_days: Days = 10.0  # from the last day near the patient
    home_contact: Share = 0.5  # of the risk at home that is left while somebody stays apart

    hands_in: Share = 0.8  # of wearers who test positive
    passes_on: Share = 0.5  # of wearers who are told
    wearer_hours: Annotated[float, Field(ge=0, le=240)] = 8.0  # until they hand in or pass on, in the mean
    staff_hours: Annotated[float, Field(ge=0, le=240)] = 12.0  # until a report is decided, in the mean
    mix_hours: Annotated[float, Field(ge=0, le=48)] = 1.0  # on the way through the mixes

    manual_days: Days = 2.5  # until a contact is called, in the mean
    manual_calls: Annotated[float, Field(ge=0, le=1000)] = 2.0  # contacts called a day, of 1,000 people
    manual_home: Share = 0.95  # of contacts named
    manual_known: Share = 0.6  # at school or work
    manual_other: Share = 0.1
    manual_minutes: Annotated[float, Field(ge=1, le=1440)] = 15.0
    manual_metres: Annotated[float, Field(gt=0, le=20)] = 2.0


class Strategy(_Values):
    """`depth`: 1 tells the patient's contacts alone. `limit`: notifications a day over all cases; "default" as a
    nymserver has it, "off" none. `before`, `after`: days around the patient's symptoms that count."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9 ,.-]{0,59}$")]
    tracing: Literal["nothing", "manual", "chain"] = "chain"
    depth: Annotated[int, Field(ge=1, le=MAX_DEPTH)] = 1
    limit: Annotated[int, Field(ge=0, le=10**9)] | Literal["default", "off"] = "default"
    level: Literal["low", "normal", "high"] = "normal"
    minutes: Annotated[int, Field(ge=1, le=600)] = 15
    attenuation: Annotated[int, Field(ge=0, le=255)] | None = None
    before: Annotated[int, Field(ge=0, le=30)] = 2
    after: Annotated[int, Field(ge=0, le=30)] = 10
    case_budget: Annotated[int, Field(ge=0, le=10**9)] | None = None
    day_budget: Annotated[int, Field(ge=0, le=10**9)] | None = None


assert {"low", "normal", "high"} == LEVELS.keys()

NOTHING = Strategy(name="nothing", tracing="nothing")
MANUAL = Strategy(name="manual", tracing="manual")


def checked(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """These values as that kind. EpidemicError names the one that is out of its range."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        told = first_problem(error).partition(": ")[2] or first_problem(error)
        raise EpidemicError(f"{name.replace('_', '-')}: {told[0].lower()}{told[1:]}") from None


def strategies(names: Iterable[str], **common: Any) -> list[Strategy]:
    """The strategies of these names: nothing, manual, or a depth, with "-off" for no limit over all cases, "-low" or
    "-high" for another level than normal. `common` goes to all chains."""
    return [_named(name.strip(), common) for name in names]


def _named(name: str, common: Mapping[str, Any]) -> Strategy:
    if name in (NOTHING.name, MANUAL.name):
        return NOTHING if name == NOTHING.name else MANUAL
    depth, *marks = name.split("-")
    given = dict(common)
    for mark in marks:
        if mark in LEVELS:
            given["level"] = mark
        elif mark == NO_LIMIT:
            given["limit"] = mark
        else:
            depth = ""
    if not depth.isascii() or not depth.isdigit():
        raise EpidemicError(
            f"strategy {name[:40]!r}: write nothing, manual, or a depth such as 2, 2-off (without the limit over all "
            "cases), 2-low (companions at level low)"
        )
    return checked(Strategy, {**given, "name": f"chain {name}", "depth": int(depth[:4])})
