"""Which of the wearer's badges a command means, and how long to look for it."""

from typing import TYPE_CHECKING

import click

from anontrace.companion.words import later

if TYPE_CHECKING:
    from anontrace.companion.store.badges import Badge
    from anontrace.companion.store.state import State

BADGE = click.option("--badge", "number", type=click.IntRange(1), metavar="N",
                     help="Which badge, by its number in `badge list`.  [default: the only one]")  # fmt: skip
FIRST = "anontrace badge provision --usb PORT, or without a cable: --new"  # the badge is no one's yet
LOOKING = later("looking for the badge")

SCAN = click.option("--scan", "scan_seconds", type=click.FloatRange(1), default=30.0, show_default=True,
                    help="Seconds to look for the badge.")  # fmt: skip


def known(state: "State", number: int | None, provisioned: bool = True) -> "Badge":
    """The badge that is meant; SetupError when that is not clear, or it has yet to be provisioned."""
    from anontrace.companion.errors import SetupError

    badges = state.badges.all()
    if number is None and len(badges) > 1:
        numbers = ", ".join(str(badge.number) for badge in badges)
        raise SetupError(f"you have several badges ({numbers}); say which one: --badge N")
    found = state.badges.get(number)
    if found is None and number is not None:
        raise SetupError(f"there is no badge {number}; see: anontrace badge list")
    if found is not None and provisioned and found.provisioned is None and found.keyed:
        raise SetupError("the badge has its owner key and nothing else yet; go on with: anontrace badge provision")
    if found is None or (provisioned and found.provisioned is None):
        raise SetupError(f"no badge is provisioned yet; begin with: {FIRST}")
    return found
