"""The wearer's cases: what everything received about a case amounts to, and finding the one that the wearer means."""

from anontrace.companion.errors import SetupError
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Exposure, Received
from anontrace.companion.store.state import State
from anontrace.companion.store.uploads import PASS_ON, REPORT
from anontrace.mixnet.notification import Notification

MIN_DIGITS = 4


def assess(state: State) -> list[Exposure]:
    """One Exposure per case, from everything received so far."""
    received = [
        Received(stored.slot, stored.received, Notification.decode(stored.content, kept=True))
        for stored in state.notifications.all()
    ]
    return judging.assess(received, state.uploads.cases(REPORT), state.uploads.cases(PASS_ON))


def find(state: State, text: str) -> Exposure:
    """The exposure whose case-ID begins with these hex digits; SetupError unless it is exactly one."""
    wanted = text.strip().lower()
    if len(wanted) < MIN_DIGITS or not set(wanted) <= set("0123456789abcdef"):
        raise SetupError(
            f"a case is named by {MIN_DIGITS} hex digits of its case-ID or more; see: anontrace exposures list"
        )
    found = [exposure for exposure in assess(state) if exposure.case_id.hex().startswith(wanted)]
    if not found:
        raise SetupError("there is no such case; see: anontrace exposures list --all")
    if len(found) > 1:
        raise SetupError("several cases begin with these digits; give more of them")
    return found[0]
