"""Every way in which the companion fails, as a small tree; the message is the sentence that the wearer reads.

The class holds the exit code and the machine-readable kind. Messages never carry keys, addresses or tokens.
"""

from pathlib import Path
from typing import Any

FAILED = 1
USAGE = 2
OFFLINE = 3
NO_BADGE = 4
UNFINISHED = 5
INTERRUPTED = 130


class CompanionError(Exception):
    """Something went wrong that the wearer is told in one sentence."""

    kind = "failed"
    exit_code = FAILED

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.details: dict[str, Any] = {}  # what --json shows beside the error


class SetupError(CompanionError):
    """What was asked needs a step that has not been taken, or an option that was not given."""

    kind = "usage"
    exit_code = USAGE


class BusyError(CompanionError):
    """Another companion process works on the same state folder."""

    kind = "busy"


class StateError(CompanionError):
    """The state folder cannot be read or written as it should."""

    kind = "state"


def damaged(path: Path, why: str) -> StateError:
    """What is said of a file of the state folder that cannot be used as it is, and the way back."""
    return StateError(
        f"{path} cannot be used, it is damaged ({why}); move the folder away and bring back a backup: anontrace"
        " restore FILE"
    )


class OfflineError(CompanionError):
    """A server does not answer."""

    kind = "offline"
    exit_code = OFFLINE


class CertificateError(OfflineError):
    """Who answers does not prove to be the server: its certificate is not believed."""

    kind = "certificate"


class RefusedError(CompanionError):
    """A server answered, and said no."""

    kind = "refused"


class NoSuchThingError(RefusedError):
    """A server answered that it has nothing at this place (404)."""


class AnswerError(CompanionError):
    """A server's answer makes no sense."""

    kind = "answer"


class DirectoryError(CompanionError):
    """The directory of servers is missing, too old, or not signed as it should be."""

    kind = "directory"


class BluetoothError(CompanionError):
    """Bluetooth on this computer cannot be used."""

    kind = "bluetooth"
    exit_code = NO_BADGE


class BadgeNotFoundError(CompanionError):
    """The badge is not in range, switched off, or not provisioned by this companion."""

    kind = "badge not found"
    exit_code = NO_BADGE


class BadgeLinkError(CompanionError):
    """The connection to the badge broke and could not be made again."""

    kind = "badge link"
    exit_code = NO_BADGE


class BadgeAnswerError(BadgeLinkError):
    """What the badge answers makes no sense, and would not at another attempt."""

    kind = "badge answer"


class BadgeRefusedError(CompanionError):
    """The badge answered a request with a status other than done."""

    kind = "badge refused"


class ServiceError(CompanionError):
    """The system does not start or stop the service."""

    kind = "service"


class DeclinedError(CompanionError):
    """The wearer was asked and said no."""

    kind = "declined"
    exit_code = INTERRUPTED


class UnfinishedError(CompanionError):
    """A part was done and is kept; the same command goes on from there."""

    kind = "unfinished"
    exit_code = UNFINISHED
