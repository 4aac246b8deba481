"""`anontrace report` and `anontrace pass-on`: hand over the sealed log, never without consent."""

import sys
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.commands.leaving_out import WITHOUT, settle
from anontrace.companion.context import Context, pass_context

if TYPE_CHECKING:
    from anontrace.companion.reporting import Intent

_YES = click.option("--yes", is_flag=True, help="Consent without being asked.")
_HIDDEN = click.option(
    "--hidden",
    is_flag=True,
    help="Let `anontrace run` send it among its ordinary traffic: nobody sees it, and it takes longer.",
)


@click.command(short_help="Report a positive test: hand in your sealed log.")
@click.option(
    "--token",
    metavar="TOKEN",
    help="The one-time token that you got with the test result. Left out, it is asked for; with -, it is read from "
    "standard input. Either keeps it from other users of this computer and out of the shell's history.",
)
@_HIDDEN
@_YES
@WITHOUT
@pass_context
def report(context: Context, token: str | None, without: tuple[str, ...], hidden: bool, yes: bool) -> None:
    """Report a positive test: hand your sealed contact log to the nymserver.

    Nobody on the way can read the log, and the health authority sees how close and how long your contacts were, never
    who they are. Fetch the log first: `anontrace badge sync`. A broken upload goes on when the command is repeated.

    \b
    Examples:
      anontrace report
      anontrace report --token 7K2M-9QXR-44TD-0ZC5
      anontrace report --token 7K2M-9QXR-44TD-0ZC5 --without '2026-01-31 14:00-15:30'
    """
    from anontrace.companion import reporting

    shown = _token(context, token)
    with context.reading() as state:
        intent = settle(context, without, yes, lambda periods: reporting.intend_report(state, shown, periods))
    _consent(context, intent, yes, "those whom you met be told that they met somebody who tested positive")
    with context.changing() as state:
        intent = reporting.taken_up(state, intent)
        if intent.is_done:
            _show(context, intent, intent.case_id)
            return
        with context.servers(state) as servers, context.output.progress("uploading") as progress:
            if hidden:
                case_id = reporting.prepare_report(state, servers, intent, shown).case_id
                assert case_id is not None  # it is ready
            else:
                case_id = reporting.report(state, servers, intent, shown, progress)
    _show(context, intent, case_id, waits=hidden)


def _token(context: Context, given: str | None) -> str:
    """The token, asked for if need be; SetupError where nobody can be asked."""
    from anontrace.companion.errors import SetupError

    if given == "-":
        return sys.stdin.readline()
    if given is not None:
        return given
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("no token is given, and nobody is here to be asked: give --token, or --token - to read it")
    typed: str = click.prompt("The one-time token that you got with the test result")
    return typed


@click.command("pass-on")
@click.argument("case")
@_HIDDEN
@_YES
@WITHOUT
@pass_context
def pass_on(context: Context, case: str, without: tuple[str, ...], hidden: bool, yes: bool) -> None:
    """Let those whom you met be told as well, after you were told.

    CASE is the case-ID from `anontrace exposures list`, or the beginning of it. With your sealed log goes one of your
    contact addresses, which proves that you were told.

    \b
    Example:
      anontrace pass-on 3fa94c12
    """
    from anontrace.companion import reporting
    from anontrace.companion.cases import find

    with context.reading() as state:
        exposure = find(state, case)
        intent = settle(context, without, yes, lambda periods: reporting.intend_pass_on(state, exposure, periods))
    _consent(context, intent, yes, "those whom you met be told that they may be part of a chain of infection")
    with context.changing() as state:
        intent = reporting.taken_up(state, intent)
        exposure = find(state, case)
        if not intent.is_done:
            reporting.check_told(exposure)  # it may have been withdrawn meanwhile
            if hidden:
                reporting.prepare_pass_on(state, intent, exposure)
            else:
                with context.servers(state) as servers, context.output.progress("uploading") as progress:
                    reporting.pass_on(state, servers, intent, exposure, progress)
    _show(context, intent, exposure.case_id, waits=hidden and not intent.is_done)


def _consent(context: Context, intent: "Intent", yes: bool, effect: str) -> None:
    """Show what will be sent, and to whom; raises SetupError or Abort without a yes. Nothing is sent twice."""
    from anontrace.companion.errors import SetupError

    summary = intent.summary
    if yes or intent.is_done:
        return
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("this sends your contact log, and nobody is here to be asked; to consent, give --yes")
    days = ", ".join(summary.days) or "unknown days"
    click.echo(
        f"To be sent to the nymserver: {summary.records} sealed contact records of {days}, {summary.bytes} bytes."
    )
    click.echo(f"The effect: the health authority may let {effect}. Nobody learns your name or theirs.")
    click.confirm("Send it?", abort=True)


def _show(context: Context, intent: "Intent", case_id: bytes, waits: bool = False) -> None:
    from anontrace.wire.upload import CHUNK_DATA

    summary = intent.summary
    document: dict[str, Any] = {
        "case": case_id.hex(),
        "state": "ready" if waits else "accepted",
        "records": summary.records,
        "blocks": summary.blocks,
        "days": summary.days,
        "bytes": summary.bytes,
        "chunks": -(-summary.bytes // CHUNK_DATA),
    }
    if waits:
        context.output.show(document, lambda: ["Kept for `anontrace run`, which sends it in its ordinary chunks."])
        return
    context.output.show(
        document,
        lambda: [
            "This was handed over already; nothing is sent twice."
            if intent.is_done
            else f"Handed over: {summary.records} sealed records of {', '.join(summary.days) or 'unknown days'}."
        ],
    )
