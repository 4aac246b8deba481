"""Why the nymserver refuses an upload, as the wearer reads it."""

from anontrace.companion.store.uploads import StoredUpload
from anontrace.wire.upload import Reason

_REASONS = {
    Reason.MALFORMED: "the log is damaged",
    Reason.PERMIT_INVALID: "the permit of the health authority is not valid",
    Reason.EXPIRED: "the permit of the health authority has expired; ask for a new token",
    Reason.LOG_DOES_NOT_MATCH: "the permit is for another log",
    Reason.ALREADY_USED: "this token was used already",
    Reason.TOO_LARGE: "the log is too large",
    Reason.NOT_COMMITTED: "it does not continue the log that was committed at the test",
}


def sentence(reason: int) -> str:
    """One sentence for a reason by its number, whether this companion knows it or not."""
    said = next((text for each, text in _REASONS.items() if each == reason), f"its reason is number {reason}")
    return f"the nymserver refuses the upload: {said}"


def came_otherwise(stored: StoredUpload, reason: int) -> bool:
    """Whether a refusal means that the nymserver has the log already: a permit is for one log, and was used by this
    upload when it went another way."""
    return stored.moved and reason == Reason.ALREADY_USED
