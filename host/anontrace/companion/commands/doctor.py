"""`anontrace doctor`: what works, and how to mend what does not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import say

if TYPE_CHECKING:
    from anontrace.companion.doctor import Check


@click.command(short_help="What is wrong around you, and how to mend it.")
@click.option("--no-bluetooth", is_flag=True, help="Leave Bluetooth out: this computer needs none.")
@pass_context
def doctor(context: Context, no_bluetooth: bool) -> None:
    """Look over everything around you: versions, permissions, Bluetooth, network, clock.

    Each line is well, or says how to mend it; ends with 1 if anything is wrong. Changes nothing.

    \b
    Examples:
      anontrace doctor
      anontrace --json doctor
    """
    from anontrace.companion.errors import CompanionError

    found: list[Check] = []
    for check in checks(context, no_bluetooth):
        found.append(check)
        if not context.output.as_json:
            _show(check)
    wrong = [check.name for check in found if not check.ok]
    document = {
        "checks": [{"name": each.name, "ok": each.ok, "said": each.said, "mend": each.mend} for each in found],
        "ok": not wrong,
    }
    if wrong:
        context.output.show_part(document, list, CompanionError(f"not well: {', '.join(wrong)}"))
    context.output.show(document, lambda: ["All is well."])


def checks(context: Context, no_bluetooth: bool) -> "Iterator[Check]":
    """All that is looked at, one after the other."""
    from anontrace.companion import doctor
    from anontrace.companion.errors import StateError
    from anontrace.companion.store import making

    yield doctor.versions()
    yield doctor.permissions(context.folder)
    if not no_bluetooth:
        yield doctor.bluetooth(context.adapter)
    if not making.traces(context.folder):
        return
    try:
        with context.reading() as state:
            yield from doctor.badges(state)
            yield from doctor.servers(state)
    except StateError as error:
        yield doctor.broken_state(error)


def _show(check: "Check") -> None:
    click.echo(f"{click.style('ok   ', fg='green') if check.ok else click.style('WRONG', fg='red')} ", nl=False)
    say(f"{check.name}: {check.said}")
    if check.mend:
        say(f"      -> {check.mend}")
