"""What a test site or laboratory enters: a sample with the code of a log, and the result of one."""

from dataclasses import dataclass, field

from anontrace_shared.errors import FormatError

from anontrace.wire import commitment

from .tokens import Result


@dataclass(frozen=True, slots=True)
class Sample:
    """What the site calls it, the code (10) of the log that its wearer committed, and the result if it is known."""

    reference: str = ""
    commitment: bytes = field(default=commitment.NONE, repr=False)
    result: Result = Result.PENDING

    @classmethod
    def typed(cls, reference: str, code: str, result: str) -> "Sample":
        """As somebody types it; what is left empty is none. FormatError if code or result is none."""
        return cls(reference, read_code(code), read_result(result) if result.strip() else Result.PENDING)


@dataclass(frozen=True, slots=True)
class Entered:
    """A result, of the token with an id, or with a reference. `line`: where it stands in a file."""

    result: Result
    token_id: str = ""
    reference: str = field(default="", repr=False)
    line: int = 1


def read_code(typed: str) -> bytes:
    """The code (10) of a log as it was typed; none if nothing was. FormatError if it cannot be one."""
    return commitment.read(typed) if typed.strip() else commitment.NONE


def read_result(typed: str) -> Result:
    """FormatError unless it is positive or negative."""
    found = {each.value: each for each in (Result.POSITIVE, Result.NEGATIVE)}.get(typed.strip().lower())
    if found is None:
        raise FormatError("result: positive or negative is needed")
    return found
