"""`anontrace place`: what a place calls itself, and where a wearer was, if they want that to be known."""

from typing import TYPE_CHECKING

import click

from anontrace.companion.commands.leaving_out import place_document, place_lines
from anontrace.companion.context import Context, pass_context

if TYPE_CHECKING:
    from anontrace.companion.store.state import State
    from anontrace.wire.places import Places

_MINUTES, _MAX_MINUTES = 120, 720
_WHEN = click.option("--when", metavar="'DATE [HH:MM-HH:MM]'", help="At another time than now, in local time.")


@click.group()
def place() -> None:
    """Places: name one whose badge this is, or note where you were."""


@place.command(short_help="Say that this is the companion of a place.")
@click.argument("name", required=False)
@click.option("--kind", help="What it is: restaurant, shop, school and so on; other, if none fits.", default="other",
              show_default=True)  # fmt: skip
@click.option("--none", is_flag=True, help="It is no place any more.")
@pass_context
def name(context: Context, name: str | None, kind: str, none: bool) -> None:
    """Give the place whose badge this is a name and a kind, for the day on which its log is handed in.

    They stay in your state folder until then. The health authority reads both; visitors are told that they were at a
    place, and its name only if the authority writes it to them. Neither the badge nor its addresses say any of it.

    \b
    Examples:
      anontrace place name "Cafe Sol, Main Street" --kind restaurant
      anontrace place name --none
    """
    from anontrace.companion.errors import SetupError
    from anontrace.companion.reports import noted
    from anontrace.wire.places import KINDS

    if (name is None) != none:
        raise SetupError("give either the name of the place, or --none")
    if kind not in KINDS[1:]:
        raise SetupError(f"there is no kind {kind!r} of place; it is one of: {', '.join(KINDS[1:])}")
    if name is not None and not name.strip():
        raise SetupError("the name of a place is empty")
    with context.changing() as state:
        said = noted.named(state.places.get(), name or "", kind if name else "")
        state.places.put(said, state.places.is_noting())
    lines = [f"This is the companion of {said.name} ({said.kind})."] if said.name else ["This is no place any more."]
    context.output.show(place_document(said), lambda: lines)


@place.command(short_help="Switch notes of places on or off.")
@click.argument("switch", type=click.Choice(["on", "off"]))
@pass_context
def notes(context: Context, switch: str) -> None:
    """Switch notes of where you were on, or off, which they are at first. Off also forgets them.

    Notes stay in your state folder, for 14 days. They go with your log if you hand it in, after you have seen them; the
    health authority then reads them. Without notes a log is of the same size.

    \b
    Examples:
      anontrace place notes on
      anontrace place notes off
    """
    from anontrace.wire.places import Places

    on = switch == "on"
    with context.changing() as state:
        said = state.places.get()
        said = said if on else Places(said.name, said.kind)
        state.places.put(said, on)
    lines = ["Notes are on. Next: anontrace place at LABEL"] if on else ["Notes are off, and forgotten."]
    context.output.show({"noting": on, **place_document(said)}, lambda: lines)


@place.command(short_help="Note where you are, or were.")
@click.argument("label")
@click.option("--minutes", type=click.IntRange(5, _MAX_MINUTES), metavar="N",
              help="How long you stay, unless you leave before. [120]")  # fmt: skip
@_WHEN
@pass_context
def at(context: Context, label: str, minutes: int | None, when: str | None) -> None:
    """Note that you are at a place called LABEL, from now on, or that you were there.

    A note takes the place of another one of the same time.

    \b
    Examples:
      anontrace place at "Cafe Sol"
      anontrace place at "City library" --when '2026-01-31 14:00-15:30'
    """
    from anontrace_shared.errors import FormatError
    from anontrace_shared.slots import SLOT_SECONDS, SLOTS_PER_DAY, slot_of

    from anontrace import clock
    from anontrace.companion.errors import SetupError
    from anontrace.companion.reports import noted
    from anontrace.companion.reports.periods import parse
    from anontrace.mixnet.keydays import TELLABLE_DAYS
    from anontrace.wire.places import check_label

    if minutes is not None and when is not None:
        raise SetupError("give either --minutes or --when, not both")
    try:
        label = check_label(label)
    except FormatError as error:
        raise SetupError(str(error)) from None
    first = slot_of(clock.now())
    if when is None:
        slots = frozenset(range(first, slot_of(clock.now() + (minutes or _MINUTES) * 60 - 1) + 1))
    else:
        slots = parse(when).slots
        oldest, newest = first - TELLABLE_DAYS * SLOTS_PER_DAY, first + _MAX_MINUTES * 60 // SLOT_SECONDS
        if min(slots) <= oldest or max(slots) > newest:
            raise SetupError(f"notes are of the last {TELLABLE_DAYS} days, and of the next 12 hours at most")
    with context.changing() as state:
        _check_noting(state)
        said = noted.labelled(state.places.get(), slots, label)
        state.places.put(said, noting=True)
    context.output.show(place_document(said), lambda: _lines(said))


@place.command()
@pass_context
def leave(context: Context) -> None:
    """Note that you leave: what was noted of the time from now on is forgotten.

    \b
    Example:
      anontrace place leave
    """
    from anontrace_shared.slots import slot_of

    from anontrace import clock
    from anontrace.companion.reports import noted

    with context.changing() as state:
        _check_noting(state)
        said, now = state.places.get(), slot_of(clock.now())
        said = noted.labelled(said, [slot for slot in said.at() if slot > now], None)
        state.places.put(said, noting=True)
    context.output.show(place_document(said), lambda: _lines(said))


@place.command()
@_WHEN
@pass_context
def forget(context: Context, when: str | None) -> None:
    """Forget your notes, all of them or those of a time.

    \b
    Examples:
      anontrace place forget
      anontrace place forget --when '2026-01-31 14:00-15:30'
    """
    from anontrace.companion.reports import noted
    from anontrace.companion.reports.periods import parse

    period = None if when is None else parse(when)
    with context.changing() as state:
        said = state.places.get()
        said = noted.labelled(said, [each for each in said.at() if period is None or period.touches(each)], None)
        state.places.put(said, state.places.is_noting())
    context.output.show(place_document(said), lambda: _lines(said))


@place.command("list")
@pass_context
def list_(context: Context) -> None:
    """All that your log would say of places if you handed it in now, or soon.

    \b
    Example:
      anontrace place list
    """
    with context.reading() as state:
        said, noting = state.places.get(), state.places.is_noting()
    switched = f"Notes are {'on' if noting else 'off'}."
    context.output.show({"noting": noting, **place_document(said)}, lambda: [switched, *_lines(said)])


def _check_noting(state: "State") -> None:
    from anontrace.companion.errors import SetupError

    if not state.places.is_noting():
        raise SetupError("notes of places are off; switch them on with: anontrace place notes on")


def _lines(said: "Places") -> list[str]:
    return place_lines(said) or ["Your log would say nothing of places."]
