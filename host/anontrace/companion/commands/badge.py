"""`anontrace badge`: provision the badge, ask it, and keep it going."""

from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.context import Context, pass_context

if TYPE_CHECKING:
    from anontrace.companion.state import State
    from anontrace.companion.store.badges import Badge

_SCAN = click.option("--scan", "scan_seconds", type=click.FloatRange(1), default=30.0, show_default=True,
                     help="Seconds to look for the badge.")  # fmt: skip


@click.group()
def badge() -> None:
    """Your badge: provision it, pull its log, set its clock."""


@badge.command()
@click.option(
    "--usb", metavar="PORT", help="Serial port of the badge (or its flash folder): write the owner key first."
)
@click.option("--usb-only", is_flag=True, help="Write the owner key and stop; go on over Bluetooth later.")
@click.option("--list", "by_list", is_flag=True,
              help="Give the badge a list of addresses instead of a key: it then holds no secret.")  # fmt: skip
@_SCAN
@pass_context
def provision(context: Context, usb: str | None, usb_only: bool, by_list: bool, scan_seconds: float) -> None:
    """Make a badge yours.

    The owner key goes onto it by cable, once; the rest over Bluetooth. A badge that has the owner key already needs no
    cable.

    \b
    Examples:
      anontrace badge provision --usb /dev/ttyUSB0
      anontrace badge provision                       again, over Bluetooth alone
    """
    import asyncio

    from anontrace.companion.errors import SetupError
    from anontrace.companion.store.badges import LIST, RATCHET

    if usb_only and usb is None:
        raise SetupError("--usb-only needs --usb PORT")
    with context.changing() as state:
        own = _ensure(state)
        if usb is not None:
            from anontrace.companion.badge.usb import write_owner_key

            write_owner_key(usb, own.owner_key)
        if usb_only:
            context.output.show(
                {"badge": own.number, "usb": True, "provisioned": False},
                lambda: ["The owner key is on the badge. Next: anontrace badge provision"],
            )
            return
        from anontrace.companion.badge import provision as provisioning
        from anontrace.companion.badge.own import converse

        mode = LIST if by_list else RATCHET
        with context.servers(state) as servers:
            log_key = servers.log_key
        done = asyncio.run(
            converse(
                state,
                context.adapter,
                own,
                lambda link: provisioning.provision(state, link, own, log_key, mode),
                scan_seconds,
            )
        )
    document = {
        "badge": own.number,
        "usb": usb is not None,
        "provisioned": True,
        "mode": done.mode,
        "horizon": done.horizon,
        "clock_correction_ms": done.clock_correction_ms,
        "firmware": f"{done.info.major}.{done.info.minor}.{done.info.patch}",
    }
    context.output.show(document, lambda: ["The badge is yours.", *_horizon_lines(done.horizon)])


@badge.command()
@_SCAN
@pass_context
def info(context: Context, scan_seconds: float) -> None:
    """What the badge says of itself."""
    import asyncio

    from anontrace.companion.badge.own import converse
    from anontrace.companion.badge.sync import describe

    with context.changing() as state:
        own = _known(state)
        said = asyncio.run(converse(state, context.adapter, own, lambda link: link.info(), scan_seconds))
    document = {"badge": own.number, **describe(said)}

    def lines() -> list[str]:
        return [f"{name.replace('_', ' '):<16} {_shown(value)}" for name, value in document.items()]

    context.output.show(document, lines)


@badge.command()
@_SCAN
@pass_context
def sync(context: Context, scan_seconds: float) -> None:
    """Set the badge's clock, fetch its sealed log, and let it broadcast the addresses that are confirmed.

    The badge frees what was fetched. A broken transfer goes on where it stopped.
    """
    import asyncio

    from anontrace.companion.badge import sync as syncing
    from anontrace.companion.badge.own import converse

    done = syncing.Synced()
    with context.changing() as state:
        own = _known(state)
        with context.output.progress("fetching the log") as progress:
            asyncio.run(
                converse(
                    state,
                    context.adapter,
                    own,
                    lambda link: syncing.sync(state, link, own, done, progress),
                    scan_seconds,
                )
            )
    document = {
        "badge": own.number,
        "firmware": f"{done.info.major}.{done.info.minor}.{done.info.patch}",
        "clock_correction_ms": done.clock_correction_ms,
        "segments": done.segments,
        "bytes": done.bytes,
        "blocks": done.blocks,
        "records": done.records,
        "freed": done.freed,
        "horizon": done.horizon,
        "records_dropped": done.info.dropped,
    }
    context.output.show(
        document,
        lambda: [f"Fetched {done.records} sealed contact records, {done.bytes} bytes.", *_horizon_lines(done.horizon)],
    )


@badge.command("list")
@pass_context
def list_(context: Context) -> None:
    """Your badges, as of the last sync."""
    from anontrace.companion.presentation import badge_document, badge_lines

    with context.reading() as state:
        badges = state.badges.all()
    context.output.show(
        {"badges": [badge_document(each) for each in badges]},
        lambda: [line for each in badges for line in badge_lines(each)] or ["No badge yet: anontrace badge provision"],
    )


def _ensure(state: "State") -> "Badge":
    from anontrace_shared.slots import day_of, slot_of

    from anontrace import clock

    return state.badges.ensure(day_of(slot_of(clock.now())))


def _known(state: "State") -> "Badge":
    from anontrace.companion.errors import SetupError

    own = state.badges.get()
    if own is None or own.provisioned is None:
        raise SetupError("no badge is provisioned yet; begin with: anontrace badge provision --usb PORT")
    return own


def _horizon_lines(horizon: int) -> list[str]:
    from anontrace_shared.slots import slot_of

    from anontrace import clock
    from anontrace.companion.days import slot_text

    if horizon <= slot_of(clock.now()):
        return ["It has no confirmed address for now, so it broadcasts none. Next: anontrace register, then badge sync"]
    return [f"It broadcasts confirmed addresses until {slot_text(horizon)}."]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return str(value)
