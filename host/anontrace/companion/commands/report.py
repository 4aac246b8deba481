"""`anontrace report` and `anontrace pass-on`: the result of a test; and handing over the sealed log, never without
consent."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from anontrace.companion.commands.leaving_out import WITHOUT, place_document, place_lines, settle
from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import confirm, say
from anontrace.companion.words import later, spoken

if TYPE_CHECKING:
    from anontrace.companion.network.servers import Servers
    from anontrace.companion.reports.preparing import Intent
    from anontrace.companion.store.state import State
    from anontrace.companion.store.tests import StoredTest
    from anontrace.companion.store.uploads import StoredUpload

_YES = click.option("--yes", is_flag=True, help="Consent without being asked.")
F = TypeVar("F", bound=Callable[..., Any])
AT_ONCE, HIDDEN, DIRECTLY = "at once", "hidden", "direct"  # ways in which a log goes


def _ways(command: F) -> F:
    """How the log goes: through the mixes at once, unless one of these is given."""
    for way, help_text in (
        (DIRECTLY, "Send it straight to the nymserver, which then sees your network address; quicker than the mixes."),
        (HIDDEN, "Let `anontrace run` send it among its ordinary traffic: nobody sees it, and it takes longer."),
    ):
        command = click.option(f"--{way}", is_flag=True, help=help_text)(command)
    return command


def _way(hidden: bool, direct: bool) -> str:
    from anontrace.companion.errors import SetupError

    if hidden and direct:
        raise SetupError("give either --hidden or --direct, not both")
    return HIDDEN if hidden else DIRECTLY if direct else AT_ONCE


@click.command(short_help="Learn the result of your test; hand in your sealed log if it is positive.")
@click.option(
    "--token",
    metavar="TOKEN",
    help="The one-time token that you got at the test. Left out, it is the one that was given before, or is asked for; "
    "with -, it is read from standard input. Either keeps it from other users of this computer and out of the shell's "
    "history.",
)
@_ways
@_YES
@WITHOUT
@pass_context
def report(
    context: Context, token: str | None, without: tuple[str, ...], hidden: bool, direct: bool, yes: bool
) -> None:
    """Learn the result of your test, and if it is positive, hand your sealed contact log to the nymserver.

    Without a result nothing is sent: `anontrace run` asks for it at times of its own and tells you, or repeat the
    command. The log goes through the mixes, so that the nymserver does not see where it comes from. Nobody on the way
    can read it, and the health authority sees how close and how long your contacts were, never who they are. Fetch it
    first: `anontrace badge sync`. A broken upload goes on when the command is repeated.

    \b
    Examples:
      anontrace report
      anontrace report --token 7K2M-9QXR-44TD-0ZCV
      anontrace report --token 7K2M-9QXR-44TD-0ZCV --without '2026-01-31 14:00-15:30'
      anontrace report --without places
    """
    from anontrace.companion.reports import preparing
    from anontrace.companion.store.tests import POSITIVE

    way = _way(hidden, direct)
    test = standing(context, lambda: _token(context, token), token is not None)
    if test.state != POSITIVE:
        _show_result(context, test)
        return
    with context.reading() as state:
        intent = settle(
            context, without, yes,
            lambda *left_out: preparing.intend_report(state, test.token_hash, test.code, *left_out),
        )  # fmt: skip
        _consent(context, state, intent, yes, way, "that they met somebody who tested positive")
    hand_in(context, intent, way)


def hand_in(context: Context, intent: "Intent", way: str) -> None:
    """Carry out what the wearer has agreed to: a report, by this way."""
    from anontrace.companion.reports import preparing

    with context.changing() as state:
        intent = preparing.taken_up(state, intent)
        if intent.is_done:
            _show_done(context, intent)
            return
        with context.servers(state) as servers:
            stored = preparing.prepare_report(state, servers, intent)
            stored = _send(context, state, servers, stored, way)
        _show(context, state, intent, stored, way)


def standing(context: Context, token: Callable[[], str], is_given: bool) -> "StoredTest":
    """How the test stands that is meant: the one of the token that is given, else one that is known, else one whose
    token is asked for. The authority is asked unless that is known. RefusedError if nothing can come of it."""
    from anontrace.companion.reports import results
    from anontrace.companion.store.tests import POSITIVE

    hashes: list[bytes] = []
    if not is_given:
        with context.reading() as state:
            hashes = results.open_tests(state)
    hashes = hashes or [_token_hash(token())]
    with context.changing() as state, context.servers(state) as servers:
        for token_hash in hashes:
            found = results.standing(state, servers, token_hash)
            if found.state == POSITIVE:
                break
    return found


def _token_hash(token: str) -> bytes:
    from anontrace_shared.errors import AnontraceError

    from anontrace.companion.errors import SetupError
    from anontrace.wire import onetime

    try:
        return onetime.token_hash(onetime.normalise(token))
    except AnontraceError as error:
        raise SetupError(str(error)) from error


def _show_result(context: Context, test: "StoredTest") -> None:
    from anontrace.companion.reports import presenting

    context.output.show(presenting.document(test), lambda: presenting.lines(test))


def _token(context: Context, given: str | None) -> str:
    """The token, asked for if need be, and again after a slip; SetupError where nobody can be asked."""
    from anontrace_shared.errors import AnontraceError

    from anontrace.companion.errors import SetupError
    from anontrace.companion.files import read_line
    from anontrace.wire.onetime import normalise

    if given == "-":
        return read_line("the token")
    if given is not None:
        return given
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("no token is given, and nobody is here to be asked: give --token, or --token - to read it")
    while True:
        typed: str = click.prompt("The one-time token that you got at the test")
        try:
            return normalise(typed)
        except AnontraceError as error:
            say(f"That is no token yet: {error}.")


@click.command("pass-on")
@click.argument("case")
@_ways
@_YES
@WITHOUT
@pass_context
def pass_on(context: Context, case: str, without: tuple[str, ...], hidden: bool, direct: bool, yes: bool) -> None:
    """Let those whom you met be told as well, after you were told.

    CASE is the case-ID from `anontrace exposures list`, or the beginning of it. With your sealed log goes one of your
    contact addresses, which proves that you were told; both go through the mixes.

    \b
    Example:
      anontrace pass-on 3fa94c12
    """
    from anontrace.companion.exposures.cases import find
    from anontrace.companion.reports import preparing

    way = _way(hidden, direct)
    with context.reading() as state:
        exposure = find(state, case)
        intent = settle(context, without, yes, lambda *left_out: preparing.intend_pass_on(state, exposure, *left_out))
        _consent(context, state, intent, yes, way, "that they may be part of a chain of infection")
    hand_on(context, intent, case, way)


def hand_on(context: Context, intent: "Intent", case: str, way: str) -> None:
    """The same for passing on a case."""
    from anontrace.companion.exposures.cases import find
    from anontrace.companion.reports import preparing

    with context.changing() as state:
        intent = preparing.taken_up(state, intent)
        if intent.is_done:
            _show_done(context, intent)
            return
        exposure = find(state, case)
        preparing.check_told(exposure)  # it may have been withdrawn meanwhile
        with context.servers(state) as servers:
            stored = preparing.prepare_pass_on(state, servers, intent, exposure)
            stored = _send(context, state, servers, stored, way)
        _show(context, state, intent, stored, way)


def _send(context: Context, state: "State", servers: "Servers", stored: "StoredUpload", way: str) -> "StoredUpload":
    """Send an upload that is ready, or leave it to `run`."""
    from anontrace.companion.reports import fragments, sending
    from anontrace.companion.store.uploads import DIRECT, MIXES

    stored = state.uploads.set_way(stored, DIRECT if way == DIRECTLY else MIXES)
    if way != HIDDEN:
        with context.output.progress(later("uploading")) as progress:
            (sending if way == DIRECTLY else fragments).send(state, servers, stored, progress)
    return stored


def _consent(context: Context, state: "State", intent: "Intent", yes: bool, way: str, of_what: str) -> None:
    """Show what will be sent, how, and to whom; raises SetupError or Abort without a yes. Nothing is sent twice."""
    from anontrace.clock import duration_text
    from anontrace.companion.errors import SetupError
    from anontrace.companion.schedule import waiting_uploads

    if intent.is_done:
        return
    if way == DIRECTLY:
        _say_what_direct_shows(intent)
    if yes:
        for each in place_lines(intent.places):
            say(each, err=True)
        return
    if context.output.as_json or not sys.stdin.isatty():
        raise SetupError("this sends your contact log, and nobody is here to be asked; to consent, give --yes")
    summary = intent.summary
    days = ", ".join(summary.days) or "unknown days"
    say(f"To be sent to the nymserver: {summary.records} sealed contact records of {days}, {intent.size} bytes.")
    if intent.left_out:
        say(f"Of before the commitment, but fetched later, and so left out: {intent.left_out} records.")
    for each in place_lines(intent.places):
        say(each)
    if intent.places:
        say("The health authority reads what it says of places; --without places leaves that out.")
    say(
        f"The effect: the health authority may let those whom you met be told {of_what}. Nobody learns your name or"
        " theirs."
    )
    if way == HIDDEN:
        takes = duration_text(waiting_uploads.hidden_seconds(state, intent))
        say(
            f"It is hidden in the traffic of `anontrace run`, which takes about {takes} at its level,"
            f" {waiting_uploads.run_level(state).name}; without --hidden it goes at once."
        )
    elif way == AT_ONCE:
        say(
            "It goes through the mixes at once: the nymserver does not see where it comes from. Who watches your"
            " connection sees that you send more than usual; --hidden avoids that, and takes longer."
        )
    confirm("Send it?", "nothing is sent")


def _say_what_direct_shows(intent: "Intent") -> None:
    """Said before it goes, to whoever has consented beforehand too."""
    from anontrace.companion.output import warn
    from anontrace.companion.store.uploads import PASS_ON

    also = ", together with one of your contact addresses" if intent.kind == PASS_ON else ""
    warn(
        f"sent directly, the log shows your network address to the nymserver{also}; and who watches your connection"
        " sees that you hand in a log. Without --direct it goes through the mixes"
    )


def _show(context: Context, state: "State", intent: "Intent", stored: "StoredUpload", way: str) -> None:
    from anontrace.clock import duration_text
    from anontrace.companion.days import moment_text
    from anontrace.companion.output import warn
    from anontrace.companion.reports import journey, sending
    from anontrace.companion.schedule import waiting_uploads
    from anontrace.wire.upload import MAX_DAYS

    assert stored.case_id is not None  # it is ready
    document = _document(intent, stored.case_id, "ready" if way == HIDDEN else "accepted", way)
    if way == DIRECTLY:
        document["chunks"] = sending.chunk_count(stored)
    else:
        document["fragments"] = journey.count(stored)
    if way != HIDDEN:
        days = ", ".join(intent.summary.days) or "unknown days"
        context.output.show(document, lambda: [_handed_over(intent.summary.records, days)])
        return
    (found,) = [each for each in waiting_uploads.waiting(state) if each.upload.number == stored.number]
    document |= {"sent": found.sent, "seconds": found.seconds, "ends": found.ends, "in_time": found.in_time}
    level, takes = waiting_uploads.run_level(state).name, duration_text(found.seconds)
    context.output.show(
        document,
        lambda: [
            f"Kept for `anontrace run`, which sends it in {found.fragments} of its ordinary messages, within about"
            f" {takes} at level {level}. How far it is: anontrace status"
        ],
    )
    if not found.in_time:
        begun = "" if found.ends is None else f" and has to begin before {moment_text(found.ends)}, with its permit"
        warn(
            f"that may be too late: an upload may take {MAX_DAYS} days{begun}. Send it at once by the same command"
            " without --hidden, or sooner by: anontrace run --level high. Who watches your connection sees either."
        )


def _handed_over(records: int, days: str) -> str:
    return spoken("Handed over: %(records)s sealed records of %(days)s.", records=records, days=days)


def _show_done(context: Context, intent: "Intent") -> None:
    context.output.show(
        _document(intent, intent.case_id, "accepted", None),
        lambda: [spoken("This was handed over already; nothing is sent twice.")],
    )


def _document(intent: "Intent", case_id: bytes, state: str, way: str | None) -> dict[str, Any]:
    summary = intent.summary
    return {
        "case": case_id.hex(),
        "state": state,
        "records": summary.records,
        "blocks": summary.blocks,
        "days": summary.days,
        "bytes": intent.size,
        "committed": bool(intent.proof),
        "left_out": intent.left_out,
        "places": place_document(intent.places),
        "way": way,
    }
