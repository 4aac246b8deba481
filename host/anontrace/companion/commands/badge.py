"""`anontrace badge`: provision a badge, ask it, and keep it going."""

from typing import TYPE_CHECKING

import click

from anontrace.companion.commands.badge_care import erase, forget, set_, update
from anontrace.companion.commands.choosing import BADGE, FIRST, LOOKING, SCAN, known
from anontrace.companion.context import Context, pass_context
from anontrace.companion.words import later, spoken

if TYPE_CHECKING:
    from anontrace.companion.store.badges import Badge
    from anontrace.companion.store.state import State


@click.group()
def badge() -> None:
    """Your badges: make them yours, fetch their logs."""


for _command in (set_, erase, update, forget):
    badge.add_command(_command)


@badge.command()
@click.option(
    "--usb", metavar="PORT", help="Serial port of the badge (or its flash folder): write the owner key first."
)
@click.option("--usb-only", is_flag=True, help="Write the owner key and stop; go on over Bluetooth later.")
@click.option("--list", "by_list", is_flag=True,
              help="Give the badge a list of addresses instead of a key: it then holds no secret.")  # fmt: skip
@click.option("--new", is_flag=True,
              help="A badge that has no owner: in service mode over Bluetooth, or at --usb PORT.")  # fmt: skip
@BADGE
@SCAN
@pass_context
def provision(
    context: Context,
    usb: str | None,
    usb_only: bool,
    by_list: bool,
    new: bool,
    number: int | None,
    scan_seconds: float,
) -> None:
    """Make a badge yours.

    The owner key goes onto it by cable, once; the rest over Bluetooth. A badge that has the owner key already needs no
    cable. Nor does a new badge in service mode, after a press of its button, as long as nobody near means you ill in
    those minutes. A badge emptied by its button gets its keys again with --new --badge N.

    \b
    Examples:
      anontrace badge provision --usb /dev/ttyUSB0
      anontrace badge provision                       again, over Bluetooth alone
      anontrace badge provision --new                 a new badge, without a cable
      anontrace badge provision --new --usb COM7      a second badge
    """
    import asyncio

    from anontrace.companion.errors import BadgeNotFoundError, SetupError
    from anontrace.companion.store.badges import LIST, RATCHET

    if usb_only and usb is None:
        raise SetupError("--usb-only needs --usb PORT")
    if new and usb is not None and number is not None:
        raise SetupError("--new with --usb PORT is one more badge: leave out --badge N, or --new")
    with context.changing() as state:
        before = {badge.number for badge in state.badges.all()}
        own = _meant(state, new, usb is not None, number)
        if not (new or usb is not None or own.keyed or own.provisioned is not None):
            raise SetupError(f"no badge has got this owner key yet, so none can be found by it; begin with: {FIRST}")
        if usb is not None:
            from anontrace.companion.badge.usb import write_owner_key

            state.badges.set_keyed(own)
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
        if new and usb is None:
            _adopt(context, state, own, scan_seconds, made=own.number not in before)
        try:
            with context.output.progress("", LOOKING):
                done = asyncio.run(
                    converse(
                        state,
                        context.adapter,
                        own,
                        lambda link: provisioning.provision(state, link, own, log_key, mode),
                        scan_seconds,
                    )
                )
        except BadgeNotFoundError as error:
            raise BadgeNotFoundError(f"{error}; one that is new, or was emptied, needs --usb PORT or --new") from error
    document = {
        "badge": own.number,
        "usb": usb is not None,
        "provisioned": True,
        "mode": done.mode,
        "horizon": done.horizon,
        "clock_correction_ms": done.clock_correction_ms,
        "firmware": f"{done.info.major}.{done.info.minor}.{done.info.patch}",
    }
    context.output.show(document, lambda: [spoken("The badge is yours."), *_horizon_lines(done.horizon)])


@badge.command(short_help="What the badge says of itself.")
@BADGE
@SCAN
@pass_context
def info(context: Context, number: int | None, scan_seconds: float) -> None:
    """What the badge says of itself, and of its last crash if there was one.

    \b
    Examples:
      anontrace badge info
      anontrace --json badge info --badge 2
    """
    import asyncio

    from anontrace.companion.badge.care import ask
    from anontrace.companion.badge.own import converse
    from anontrace.companion.badge.sync import describe
    from anontrace.companion.exposures.presentation import info_lines

    with context.changing() as state:
        own = known(state, number)
        with context.output.progress("", LOOKING):
            said, crash_log = asyncio.run(converse(state, context.adapter, own, ask, scan_seconds))
    document = {"badge": own.number, **describe(said), "crash_log": crash_log}

    def lines() -> list[str]:
        shown = info_lines(document)
        if crash_log:
            shown += ["", "It has crashed; please report this:", *(f"  {line}" for line in crash_log.splitlines())]
        return shown

    context.output.show(document, lines)


@badge.command(short_help="Fetch the log, set the clock, extend the broadcast.")
@BADGE
@SCAN
@pass_context
def sync(context: Context, number: int | None, scan_seconds: float) -> None:
    """Set the badge's clock, fetch its sealed log, and let it broadcast the addresses that are confirmed.

    The badge frees what was fetched whole. A broken transfer goes on where it stopped.

    \b
    Examples:
      anontrace badge sync
      anontrace badge sync --badge 2 --scan 60
    """
    import asyncio

    from anontrace.companion.badge import sync as syncing
    from anontrace.companion.badge.own import converse
    from anontrace.companion.errors import UnfinishedError

    done = syncing.Synced()
    with context.changing() as state:
        own = known(state, number)
        with context.output.progress(later("fetching the log"), LOOKING) as progress:
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
        "log_was_full": done.log_was_full,
        "unfinished": done.unfinished,
    }

    def lines() -> list[str]:
        said = [
            spoken(
                "Fetched %(records)s sealed contact records, %(bytes)s bytes.", records=done.records, bytes=done.bytes
            )
        ]
        if done.log_was_full:
            said.append(spoken("The badge's log was full, and the oldest days are gone: sync it more often."))
        return said + _horizon_lines(done.horizon)

    if done.unfinished is not None:
        context.output.show_part(document, lines, UnfinishedError(done.unfinished))
    context.output.show(document, lines)


@badge.command("list")
@pass_context
def list_(context: Context) -> None:
    """Your badges, as of the last sync.

    \b
    Example:
      anontrace badge list
    """
    from anontrace.companion.exposures.presentation import badge_document, badge_lines

    with context.reading() as state:
        badges = state.badges.all()
    context.output.show(
        {"badges": [badge_document(each) for each in badges]},
        lambda: [line for each in badges for line in badge_lines(each)] or [f"No badge yet; begin with: {FIRST}"],
    )


def _meant(state: "State", new: bool, by_usb: bool, number: int | None) -> "Badge":
    """The badge to be provisioned; keys are made for a first or a new one."""
    from anontrace_shared.slots import day_of, slot_of

    from anontrace import clock

    today = day_of(slot_of(clock.now()))
    badges = state.badges.all()
    if new and number is None:
        unused = [] if by_usb else [badge for badge in badges if not badge.keyed]  # registered for already, perhaps
        return unused[0] if unused else state.badges.add(today)
    return known(state, number, provisioned=False) if badges else state.badges.ensure(today)


def _adopt(context: Context, state: "State", own: "Badge", scan_seconds: float, made: bool) -> None:
    """Put the owner key onto a new badge; keys made for it that went nowhere are dropped again."""
    import asyncio

    from anontrace.companion.badge.adopt import adopt

    try:
        with context.output.progress("", later("looking for a new badge")):
            asyncio.run(adopt(state, context.adapter, own, scan_seconds))
    except BaseException:
        kept = state.badges.get(own.number)
        if made and kept is not None and not kept.keyed:
            state.badges.remove(own)
        raise


def _horizon_lines(horizon: int) -> list[str]:
    from anontrace_shared.slots import slot_of

    from anontrace import clock
    from anontrace.companion.days import slot_text

    if horizon <= slot_of(clock.now()):
        return [
            spoken(
                "It has no confirmed address for now, so it broadcasts none. Next: anontrace register, then badge sync"
            )
        ]
    return [spoken("It broadcasts confirmed addresses until %(when)s.", when=slot_text(horizon))]
