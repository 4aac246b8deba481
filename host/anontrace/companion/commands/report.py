"""`anontrace report` and `anontrace pass-on`: hand over the sealed log, never without consent."""

import sys
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.commands.leaving_out import WITHOUT, settle
from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import confirm

if TYPE_CHECKING:
    from anontrace.companion.reporting import Intent
    from anontrace.companion.state import State
    from anontrace.companion.store.uploads import StoredUpload

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
        _consent(context, state, intent, yes, hidden, "that they met somebody who tested positive")
    with context.changing() as state:
        intent = reporting.taken_up(state, intent)
        if intent.is_done:
            _show_done(context, intent)
            return
        with context.servers(state) as servers, context.output.progress("uploading") as progress:
            stored = reporting.prepare_report(state, servers, intent, shown)
            if not hidden:
                reporting.send(state, servers, stored, progress)
        _show(context, state, intent, stored, hidden)


def _token(context: Context, given: str | None) -> str:
    """The token, asked for if need be, and again after a slip; SetupError where nobody can be asked."""
    from anontrace_shared.errors import AnontraceError

    from anontrace.companion.errors import SetupError
    from anontrace.wire.onetime import normalise

    if given == "-":
        return sys.stdin.readline()
    if given is not None:
        return given
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("no token is given, and nobody is here to be asked: give --token, or --token - to read it")
    while True:
        typed: str = click.prompt("The one-time token that you got with the test result")
        try:
            return normalise(typed)
        except AnontraceError as error:
            click.echo(f"That is no token yet: {error}.")


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
        _consent(context, state, intent, yes, hidden, "that they may be part of a chain of infection")
    with context.changing() as state:
        intent = reporting.taken_up(state, intent)
        if intent.is_done:
            _show_done(context, intent)
            return
        exposure = find(state, case)
        reporting.check_told(exposure)  # it may have been withdrawn meanwhile
        stored = reporting.prepare_pass_on(state, intent, exposure)
        if not hidden:
            with context.servers(state) as servers, context.output.progress("uploading") as progress:
                reporting.send(state, servers, stored, progress)
        _show(context, state, intent, stored, hidden)


def _consent(context: Context, state: "State", intent: "Intent", yes: bool, hidden: bool, of_what: str) -> None:
    """Show what will be sent, how, and to whom; raises SetupError or Abort without a yes. Nothing is sent twice."""
    from anontrace.companion import reporting
    from anontrace.companion.days import duration_text
    from anontrace.companion.errors import SetupError

    if yes or intent.is_done:
        return
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("this sends your contact log, and nobody is here to be asked; to consent, give --yes")
    summary = intent.summary
    days = ", ".join(summary.days) or "unknown days"
    click.echo(
        f"To be sent to the nymserver: {summary.records} sealed contact records of {days}, {summary.bytes} bytes."
    )
    click.echo(
        f"The effect: the health authority may let those whom you met be told {of_what}. Nobody learns your name or"
        " theirs."
    )
    if hidden:
        takes = duration_text(reporting.hidden_seconds(state, intent))
        click.echo(
            f"It is hidden in the traffic of `anontrace run`, which takes about {takes} at its level,"
            f" {reporting.run_level(state).name}; without --hidden it goes at once."
        )
    confirm("Send it?", "nothing is sent")


def _show(context: Context, state: "State", intent: "Intent", stored: "StoredUpload", hidden: bool) -> None:
    from anontrace.companion import reporting
    from anontrace.companion.days import duration_text, moment_text
    from anontrace.companion.output import warn
    from anontrace.wire.upload import MOST_DAYS

    assert stored.case_id is not None  # it is ready
    document = _document(intent, stored.case_id, "ready" if hidden else "accepted", reporting.chunk_count(stored))
    if not hidden:
        days = ", ".join(intent.summary.days) or "unknown days"
        context.output.show(document, lambda: [f"Handed over: {intent.summary.records} sealed records of {days}."])
        return
    (found,) = [each for each in reporting.waiting(state) if each.upload.number == stored.number]
    document |= {"sent": found.sent, "seconds": found.seconds, "ends": found.ends, "in_time": found.in_time}
    level, takes = reporting.run_level(state).name, duration_text(found.seconds)
    context.output.show(
        document,
        lambda: [
            f"Kept for `anontrace run`, which sends it in {found.chunks} of its ordinary chunks, within about {takes}"
            f" at level {level}. How far it is: anontrace status"
        ],
    )
    if not found.in_time:
        begun = "" if found.ends is None else f" and has to begin before {moment_text(found.ends)}, with its permit"
        warn(
            f"that may be too late: an upload may take {MOST_DAYS} days{begun}. Send it at once by the same command"
            " without --hidden, or sooner by: anontrace run --level high. Who watches your connection sees either."
        )


def _show_done(context: Context, intent: "Intent") -> None:
    context.output.show(
        _document(intent, intent.case_id, "accepted", 0),
        lambda: ["This was handed over already; nothing is sent twice."],
    )


def _document(intent: "Intent", case_id: bytes, state: str, chunks: int) -> dict[str, Any]:
    summary = intent.summary
    return {
        "case": case_id.hex(),
        "state": state,
        "records": summary.records,
        "blocks": summary.blocks,
        "days": summary.days,
        "bytes": summary.bytes,
        "chunks": chunks,
    }
