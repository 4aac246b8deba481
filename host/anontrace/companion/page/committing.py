"""The code that binds the wearer's log before a test: as symbols, and as a picture that the test site can read."""

from starlette.responses import Response

from anontrace.companion.days import moment_text
from anontrace.companion.reports import committing
from anontrace.pages.qr import qr
from anontrace.wire import commitment

from .visit import Visit


def commit(visit: Visit) -> Response:
    """A new code; each form makes another."""
    with visit.context.changing() as state:
        made = committing.commit(state)
    code = commitment.text(made.code)
    return visit.page(
        "code", code=code, picture=qr(code, "QR"), until=moment_text(made.until), fetched=moment_text(made.fetched),
        records=made.summary.records, left_behind=made.left_behind,
    )  # fmt: skip
