"""Slots and moments as the wearer reads them, in the local time of this computer; and how long things are kept."""

from datetime import datetime

from anontrace_shared.slots import slot_start

from anontrace.mixnet.keydays import LIFE_DAYS

KEPT_DAYS = LIFE_DAYS  # for which logs, messages and uploads are kept: nothing that is older can be answered
KEPT_SECONDS = KEPT_DAYS * 86400


def day_text(slot: int) -> str:
    """The local day on which a slot begins, as 2026-01-31."""
    return datetime.fromtimestamp(slot_start(slot)).astimezone().date().isoformat()


def hour_of(slot: int) -> int:
    """The hour (0 to 23) of the local day in which a slot begins."""
    return datetime.fromtimestamp(slot_start(slot)).astimezone().hour


def moment_text(unix_seconds: float) -> str:
    """A local date and time, as 2026-01-31 14:05."""
    return datetime.fromtimestamp(unix_seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def slot_text(slot: int) -> str:
    """The local date and time at which a slot begins."""
    return moment_text(slot_start(slot))
