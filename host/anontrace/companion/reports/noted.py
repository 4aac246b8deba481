"""The wearer's notes of places: made and forgotten by slots, and which of them go with a log. Pure."""

from collections.abc import Iterable, Sequence

from anontrace_shared.errors import FormatError
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from anontrace.companion.errors import SetupError
from anontrace.companion.reports.contact_log import HANDED_IN_DAYS
from anontrace.companion.reports.periods import Period
from anontrace.wire import places
from anontrace.wire.places import NOWHERE, Places


def labelled(said: Places, slots: Iterable[int], label: str | None) -> Places:
    """The same, with this label for these slots, or none. SetupError if it is no label, or there are too many notes."""
    labels = dict(said.at())
    for slot in slots:
        labels.pop(slot, None)
        if label is not None:
            labels[slot] = label
    return _made(labels, said)


def named(said: Places, name: str, kind: str) -> Places:
    """The same, of a place with this name and kind, or of none. SetupError if it is no name."""
    try:
        found = Places(places.check_label(name) if name else "", kind, said.notes)
        found.encode()
    except FormatError as error:
        raise SetupError(str(error)) from None
    return found


def handed_in(said: Places, now: float, without: Sequence[Period] = ()) -> Places:
    """What goes with a log: no notes of longer ago than its records, of these periods, or of what is to come."""
    newest, labels = slot_of(now), said.at()
    oldest = newest - HANDED_IN_DAYS * SLOTS_PER_DAY
    kept = {
        slot: label
        for slot, label in labels.items()
        if oldest <= slot <= newest and not any(period.touches(slot) for period in without)
    }
    return _made(kept, said) if kept or said.name else NOWHERE


def _made(labels: dict[int, str], said: Places) -> Places:
    try:
        return places.of_slots(labels, said.name, said.kind)
    except FormatError as error:
        what = "forget some (anontrace place forget --when 2026-01-31), or hand in --without places"
        raise SetupError(f"{error}; {what}") from None
