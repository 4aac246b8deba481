"""`anontrace badge set | erase | update | forget`: changing how a badge works, and giving it up."""

import sys
from typing import Any

import click

from anontrace.companion.commands.choosing import BADGE, LOOKING, SCAN, known
from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import confirm, say

# As in anontrace_shared.presets, with what each is for; a test compares them.
PRESETS = {
    "always": "listens all the time, for a badge on a charger",
    "balanced": "the usual one",
    "saver": "longer on a battery; meetings of a few seconds may be missed",
    "together": "longest: asleep but for two seconds of each minute, when all badges set so are awake",
}


@click.command("set", epilog="Presets: " + "; ".join(f"{name}: {said}" for name, said in PRESETS.items()) + ".")
@click.argument("preset", type=click.Choice(list(PRESETS)), required=False)
@click.option(
    "--place/--person",
    default=None,
    help="The badge stands in a place, where its log may fill it, or is worn by a person.",
)
@click.option(
    "--keep",
    "keep_days",
    type=click.IntRange(1, 30),
    metavar="DAYS",
    help="For how many days the log is kept, on the badge and here: 1 to 30. Reports hand in the last 11.",
)
@BADGE
@SCAN
@pass_context
def set_(
    context: Context,
    preset: str | None,
    place: bool | None,
    keep_days: int | None,
    number: int | None,
    scan_seconds: float,
) -> None:
    """Set how a badge listens, and how long it remembers.

    \b
    Examples:
      anontrace badge set saver
      anontrace badge set --keep 14
      anontrace badge set always --place --badge 2
    """
    import asyncio

    from anontrace.companion.badge.care import set_up
    from anontrace.companion.badge.link import BadgeLink
    from anontrace.companion.badge.own import converse
    from anontrace.companion.badge.sync import describe
    from anontrace.companion.errors import SetupError

    if preset is None and place is None and keep_days is None:
        raise SetupError(f"say what to set: one of {', '.join(PRESETS)}, --place, --person or --keep DAYS")
    with context.changing() as state:
        own = known(state, number)
        with context.output.progress("", LOOKING):
            if keep_days is not None:  # here first: what the wearer wants gone goes, whether the badge is near or not
                state.badges.set_keep_days(own, keep_days)

            async def todo(link: BadgeLink) -> Any:
                await set_up(link, preset, place, keep_days)
                return await link.info()

            info = asyncio.run(converse(state, context.adapter, own, todo, scan_seconds))
            state.badges.set_info(own, own.info | describe(info))  # how long to look for it depends on the preset
    said = [preset, {True: "place", False: "person", None: None}[place]]
    said.append(None if keep_days is None else f"the log is kept for {keep_days} day{'' if keep_days == 1 else 's'}")
    context.output.show(
        {"badge": own.number, "preset": preset, "place": place, "keep_days": keep_days},
        lambda: [f"Set: {', '.join(filter(None, said))}."],
    )


@click.command(short_help="Let a badge forget everything.")
@click.option("--yes", is_flag=True, help="Erase without being asked.")
@BADGE
@SCAN
@pass_context
def erase(context: Context, yes: bool, number: int | None, scan_seconds: float) -> None:
    """Let a badge forget its keys, its log and its settings, over Bluetooth.

    Only the owner key stays on it, so that it stays yours: `badge provision` makes it work again. What it heard since
    the last sync is lost.

    \b
    Example:
      anontrace badge erase
    """
    import asyncio

    from anontrace.companion.badge import care
    from anontrace.companion.badge.own import converse

    with context.changing() as state:
        own = known(state, number)
        _ask(context, yes, f"Badge {own.number} will forget everything, and what it heard since the last sync is lost.")
        with context.output.progress("", LOOKING):
            asyncio.run(converse(state, context.adapter, own, care.erase, scan_seconds))
        state.badges.set_erased(own)
    context.output.show(
        {"badge": own.number, "erased": True},
        lambda: [f"Badge {own.number} is empty. To use it again: anontrace badge provision"],
    )


@click.command(short_help="Bring a badge's firmware up to date, over USB.")
@click.option("--usb", metavar="PORT", required=True, help="Serial port of the badge.")
@click.option("--source", metavar="FOLDER", type=click.Path(file_okay=False),
              help="The project's source tree.  [default: the one that this program runs from]")  # fmt: skip
@pass_context
def update(context: Context, usb: str, source: str | None) -> None:
    """Bring a badge's firmware up to date, over USB; its identity and its log stay.

    The firmware comes from the project's source tree, where `make update PORT=...` does the same.

    \b
    Example:
      anontrace badge update --usb /dev/ttyUSB0
    """
    from anontrace.companion.badge.update import update_firmware

    said = update_firmware(usb, source)
    context.output.show({"port": usb, "said": said}, lambda: said)


@click.command()
@click.argument("number", metavar="N", type=click.IntRange(1))
@click.option("--yes", is_flag=True, help="Forget without being asked.")
@pass_context
def forget(context: Context, number: int, yes: bool) -> None:
    """Forget badge N on this computer: its keys, addresses and log.

    For a badge that is lost or given away. Nobody can be told any more of meetings with it, you neither. A badge that
    is still at hand is erased first: `badge erase`.

    \b
    Example:
      anontrace badge forget 2
    """
    with context.changing() as state:
        own = known(state, number, provisioned=False)
        effect = (
            f"The keys, addresses and log of badge {number} will be deleted; nobody can tell you of meetings with it."
        )
        _ask(context, yes, effect)
        state.badges.remove(own)
    context.output.show({"badge": number, "forgotten": True}, lambda: [f"Badge {number} is forgotten."])


def _ask(context: Context, yes: bool, effect: str) -> None:
    from anontrace.companion.errors import SetupError

    if yes:
        return
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("this cannot be undone, and nobody is here to be asked; to go on, give --yes")
    say(effect)
    confirm("Go on?", "nothing is changed")
