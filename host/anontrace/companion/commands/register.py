"""`anontrace register`: contact addresses for the coming slots, through the mixes, confirmed."""

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.words import later, spoken


@click.command(short_help="Register addresses for the coming days.")
@click.option("--days", type=click.IntRange(1, 14), help="Register for so many days.  [default: 1]")
@click.option("--slots", type=click.IntRange(1, 14 * 288), help="Register for so many slots of five minutes instead.")
@click.option("--from", "first", type=click.IntRange(0), help="First slot.  [default: the present one]")
@click.option("--timeout", type=click.FloatRange(0), default=120.0, show_default=True,
              help="Seconds to wait for the confirmation.")  # fmt: skip
@pass_context
def register(context: Context, days: int | None, slots: int | None, first: int | None, timeout: float) -> None:
    """Register contact addresses for each of your badges, and confirm that they arrived.

    Each address is for one slot of five minutes. What is registered already is left alone, what is not confirmed yet is
    sent again: the command may be broken off and repeated at any time. The badge is told by `badge sync`.

    \b
    Examples:
      anontrace register              the next 24 hours
      anontrace register --days 3
    """
    import time

    from anontrace_shared.slots import SLOTS_PER_DAY, day_of, slot_of

    from anontrace import clock
    from anontrace.companion.addresses import registration
    from anontrace.companion.addresses.swaps import Swaps
    from anontrace.companion.errors import SetupError, UnfinishedError

    if days is not None and slots is not None:
        raise SetupError("give either --days or --slots, not both")
    count = slots if slots is not None else (days or 1) * SLOTS_PER_DAY
    began = time.monotonic()
    with context.changing() as state, context.servers(state) as servers:
        slot = slot_of(clock.now())
        start = slot if first is None else first
        state.badges.ensure(day_of(slot))
        badges = state.badges.all()
        with context.output.progress(later("making addresses")) as progress:
            made = sum(registration.make(state, servers, each, start, start + count, progress) for each in badges)
        with context.output.progress(later("registering")) as progress:
            settled = Swaps(state, servers).settle(timeout, progress)
        horizon = min(state.addresses.confirmed_until(badge.number, slot) for badge in badges)
    document = {
        "from": start,
        "until": start + count,
        "made": made,
        "confirmed": settled.confirmed,
        "pending": settled.pending,
        "resent": settled.resent,
        "horizon": horizon,
        "seconds": round(time.monotonic() - began, 2),
    }
    lines = _lines(made, settled.confirmed, horizon)
    if settled.pending:
        sentence = (
            f"{settled.pending} addresses are not confirmed yet; they are kept: run anontrace register again later"
        )
        context.output.show_part(document, lambda: lines, UnfinishedError(sentence))
    context.output.show(document, lambda: lines)


def _lines(made: int, confirmed: int, horizon: int) -> list[str]:
    from anontrace.companion.days import slot_text

    if not confirmed and not made:
        return [spoken("Nothing to do: everything asked for is registered, until %(when)s.", when=slot_text(horizon))]
    return [
        spoken(
            "%(count)s addresses registered and confirmed; the badge may broadcast until %(when)s.",
            count=confirmed,
            when=slot_text(horizon),
        )
    ]
