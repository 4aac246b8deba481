"""A disease as published figures tell it: a TOML file, in which each figure names its source.

Reads and checks. A figure without a source is refused: nobody could tell afterwards what a result rests on.
"""

from importlib import resources
from pathlib import Path
from typing import Annotated

from anontrace_shared.errors import FormatError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anontrace.foreign import files
from anontrace.foreign.lines import line
from anontrace.wire.fields import first_problem
from anontrace.wire.tomllines import line_of_first, read_toml

from .errors import EpidemicError

_SHIPPED = "diseases"
DEFAULT = "sars-cov-2"
_Days = Annotated[float, Field(ge=0, le=100)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Sourced(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=10)]


class Period(_Sourced):
    """Days, log-normal."""

    mean: _Days
    sd: _Days


class Dispersion(_Sourced):
    """How unequal people are in infecting others: shape of the gamma distribution of what each is worth."""

    k: Annotated[float, Field(ge=0.01, le=1000)]


class Reproduction(_Sourced):
    """Whom one infects among people of whom none is immune and nobody does anything."""

    r0: Annotated[float, Field(ge=0, le=30)]


class Asymptomatic(_Sourced):
    """Of those infected, who never has symptoms; and how infectious they are to others."""

    share: _Share
    infectiousness: Annotated[float, Field(ge=0, le=2)]


class Load(_Sourced):
    """How much more infectious somebody is in the first part of the infectious period, and how long that lasts."""

    ratio: Annotated[float, Field(ge=1, le=100)]
    share: _Share
    days: _Days


class Distance(_Sourced):
    """By what each metre farther away divides the risk."""

    per_metre: Annotated[float, Field(ge=1, le=100)]


class Disease(BaseModel):
    """All figures of a disease. `latent`: from infection until infectious; `presymptomatic`: from then until symptoms,
    in those who get them; `infectious`: from symptoms, or else from the first infectious day, until the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    code: Annotated[str, Field(pattern=r"^[A-Z][0-9]{2}(\.[0-9]{1,2})?$")]
    latent: Period
    presymptomatic: Period
    infectious: Period
    dispersion: Dispersion
    reproduction: Reproduction
    asymptomatic: Asymptomatic
    load: Load
    distance: Distance


def shipped() -> list[str]:
    """The names of the diseases that come with the program."""
    folder = resources.files(__package__) / _SHIPPED
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def read(name: str) -> Disease:
    """A disease that comes with the program, by its name, or the one in a file. EpidemicError says what is wrong with
    it, and in which line."""
    if name in shipped():
        return parse((resources.files(__package__) / _SHIPPED / f"{name}.toml").read_text("utf-8"), name)
    shown, path = line(name), Path(name)
    try:
        return parse(files.text(files.read(path)[0]), shown)
    except files.UnusableFile as error:
        raise EpidemicError(f"{shown} {error}") from None
    except OSError as error:
        raise EpidemicError(
            f"{shown} cannot be read: {error.strerror or error}; name a TOML file, or one of {', '.join(shipped())}"
        ) from None


def parse(text: str, name: str) -> Disease:
    """The disease in the text of a file called `name`."""
    try:
        return Disease.model_validate(read_toml(text))
    except FormatError as error:
        raise EpidemicError(f"{name}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = line_of_first(text, error)
        at = f", line {where}" if where else ""
        if first["loc"][-1:] == ("source",):
            section = ".".join(map(str, first["loc"][:-1]))
            raise EpidemicError(f"{name}{at}: [{section}] has no source: say where its figures are published") from None
        raise EpidemicError(f"{name}{at}: {first_problem(error)}") from None
