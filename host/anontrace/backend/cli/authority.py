"""`anontrace-server authority`: what the health authority's staff do. Talks to the running server of their folder."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click

from anontrace import streams
from anontrace.foreign.lines import json_line, line

from . import answers, limit
from .desk import Desk
from .options import REPORT, confirm, example, options, shown, text, when, yes

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS_A_DAY = 86400


def _token(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    token = value.strip().lower()
    if not re.fullmatch("[0-9a-f]{32}", token, re.ASCII):
        raise click.BadParameter("a token is named by its id, 32 hex digits, as `authority tokens` lists them")
    return token


def _day(typed: str) -> int:
    """The number since 1970 of a day. click.UsageError if it is none."""
    try:
        day = (datetime.date.fromisoformat(typed.strip()) - datetime.date(1970, 1, 1)).days
    except ValueError:
        day = -1
    if day < 0:
        raise click.UsageError("--day: this is no day, such as 2026-11-30")
    return day


_RESULT = click.Choice(["positive", "negative"])
_AT_ONCE = 500


@click.group()
def authority() -> None:
    """Issue one-time tokens; look at reports; approve or refuse them; take back what was approved.

    Sign in first: `anontrace-server staff login`.
    """


@authority.command(epilog=example("anontrace-server authority issue --disease U07.1"))
@click.option("--disease", required=True, metavar="CODE", help="Disease code of ICD-10, such as U07.1.",
              callback=text)  # fmt: skip
@click.option("--reference", default="", help="What the test site calls the test; never a name.", callback=text)
@click.option("--commitment", default="", metavar="CODE", callback=text,
              help="The code of the log, as `anontrace commit` shows it to who is tested.")  # fmt: skip
@click.option("--result", type=_RESULT, help="The result, if it is known already. [entered later: authority result]")
@options
def issue(disease: str, reference: str, commitment: str, result: str | None, folder: Path, as_json: bool) -> None:
    """Issue a one-time token for whoever is tested. It is shown this once.

    Without --commitment, nobody can tell later whether the log that is handed in was made up.
    """
    staff = Desk.signed_in(folder)
    streams.check_kept("a token is shown once only, so none was issued")
    wanted = {"disease": disease.strip().upper(), "reference": reference, "commitment": commitment}
    issued = staff.ask("POST", "tokens", {**wanted, "result": result or ""})
    with streams.once("the token that was issued is lost: issue another one"):
        click.echo(json_line(issued) if as_json else line(issued["token"]))
    if not as_json:
        click.echo(line(f"for {issued['disease']}, until {when(issued['expires'])} UTC"), err=True)


@authority.command(
    epilog=example("anontrace-server authority tokens", "anontrace-server authority tokens --reference 'L 17' --json")
)
@click.option("--day", metavar="DATE", default="", help="Those issued on this day (UTC). [today]", callback=text)
@click.option("--reference", default="", help="Those with this reference of the test site.", callback=text)
@options
def tokens(day: str, reference: str, folder: Path, as_json: bool) -> None:
    """List tokens, with what became of each."""
    wanted = {"reference": reference} if reference else {"day": _day(day)} if day.strip() else {}
    answer = Desk.signed_in(folder).ask("GET", f"tokens?{urlencode(wanted)}")
    if as_json:
        click.echo(json_line(answer))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    names = ("id", "issued (UTC)", "disease", "state", "log committed")
    table = Table(*(Column(name, no_wrap=True) for name in names), "reference", box=box.SIMPLE)
    for each in answer["tokens"]:
        committed = "yes" if each["committed"] else "no"
        row = (each["id"], when(each["issued"]), each["disease"], each["state"], committed, each["reference"])
        table.add_row(*map(shown, row))
    Console().print(table)


@authority.command(epilog=example(f"anontrace-server authority result {'0123456789abcdef' * 2} negative"))
@click.argument("token", callback=_token)
@click.argument("result", type=_RESULT)
@options
def result(token: str, result: str, folder: Path, as_json: bool) -> None:
    """Enter the RESULT of the test with TOKEN, which is named by its id. Who was tested is told when they ask next. A
    negative one can be corrected until then, a positive one until a log is handed in for it."""
    answer = Desk.signed_in(folder).ask("POST", f"tokens/{token}/result", {"result": result})
    click.echo(json_line(answer) if as_json else f"entered: {result}" if answer["changed"] else f"{result}, as before")


@authority.command(epilog=example("anontrace-server authority results results.csv"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options
def results(file: Path, folder: Path, as_json: bool) -> None:
    """Enter the results of a laboratory: a CSV file with a column named result (positive or negative), and one named
    reference or id. If it breaks off, hand in the same file again."""
    from anontrace.backend.errors import ConfigError
    from anontrace.backend.portal.laboratory import MAX_BYTES, read_results  # with packages of the extra `server`

    staff = Desk.signed_in(folder)
    try:
        with file.open("rb") as opened:
            found = read_results(opened.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or 'it cannot be read'}") from None
    rows = [{"id": e.token_id, "reference": e.reference, "result": e.result.value, "line": e.line} for e in found]
    changed = 0
    for at in range(0, len(rows), _AT_ONCE):
        changed += int(staff.ask("POST", "tokens/results", {"results": rows[at : at + _AT_ONCE]})["changed"])
    answer = {"changed": changed, "known": len(rows) - changed}
    click.echo(json_line(answer) if as_json else f"entered: {changed}; known before: {len(rows) - changed}")


@authority.command(
    epilog=example("anontrace-server authority reports --pending", "anontrace-server authority reports --json")
)
@click.option("--pending", is_flag=True, help="Only those that wait for a decision.")
@options
def reports(pending: bool, folder: Path, as_json: bool) -> None:
    """List the reports, oldest first."""
    answer = Desk.signed_in(folder).ask("GET", "reports")
    if pending:
        answer["reports"] = [each for each in answer["reports"] if each["state"] == "pending"]
    if as_json:
        click.echo(json_line(answer))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    names = ("report", "gen.", "disease", "received (UTC)", "state")
    columns: list[Column | str] = [*(Column(name, no_wrap=True) for name in names), "exposures", "answers"]
    table = Table(*columns, box=box.SIMPLE, pad_edge=False, padding=0)  # 80 characters hold it, whatever the state is
    for each in answer["reports"]:
        table.add_row(
            shown(each["report"]),
            str(each["generation"]),
            shown(each["disease"]),
            when(each["received"]),
            shown(each["state"]),
            str(len(each["exposures"])),
            str(each.get("answers", 0)),
        )
    Console().print(table)


@authority.command(epilog=example("anontrace-server authority show 0123456789abcdef"))
@REPORT
@options
def show(report: str, folder: Path, as_json: bool) -> None:
    """Show the exposure figures of REPORT. An exposure is one contact address in one slot of five minutes."""
    found = Desk.signed_in(folder).ask("GET", f"reports/{report}")
    if as_json:
        click.echo(json_line(found))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(shown(f"report {found['report']} of case {found['case']}: {found['state']}"))
    console.print(
        shown(f"{found['disease']}, generation {found['generation']}, received {when(found['received'])} UTC")
    )
    committed = found.get("committed")
    if committed:
        bound = sum(bool(each.get("committed")) for each in found["exposures"])
        console.print(
            f"It continues the log that was committed at the test, until {when(committed['until'])} UTC: {bound} of"
            f" {len(found['exposures'])} exposures were in it by then. The others came later, by the word of the log."
        )
    elif found["generation"]:
        console.print("It is the log of a contact, which no test site was shown before.")
    else:
        console.print(
            "No log was committed at the test: whoever held the token could hand in any log, also one that is made up."
        )
    log = found["log"]
    if found.get("answers"):
        console.print(shown(f"contacts who were told gave {found['answers']} answers: authority answers {report}"))
    console.print(
        f"records: {log['records']} in {log['blocks']} slots, {log['broken']} broken, {log['misdated']} misdated, "
        f"{log['unregistered']} not registered; unreadable parts: {log['damaged']}"
    )
    if found.get("place"):
        place = found["place"]
        console.print(shown(f"It is the log of a place: {place['name']} ({place['kind']})"))
    for each in found.get("notes", ()):
        day = when(each["day"] * _SECONDS_A_DAY)[:10]
        console.print(shown(f"The wearer notes: {day} (UTC), {each['minutes']} minutes at {each['label']}"))
    has_places = any(each.get("at") for each in found["exposures"])
    also = (*(("committed",) if committed else ()), *(("at",) if has_places else ()))
    whose = "minutes, attenuation and verified are the word of whoever handed the log in"
    names = ("id", "day (UTC)", "minutes", "attenuation dB", "verified", *also)
    table = Table(*names, box=box.SIMPLE, caption=whose, caption_justify="left")
    for each in found["exposures"]:
        day = when(each["day"] * _SECONDS_A_DAY)[:10]
        verified = "yes" if each["verified"] else "no"
        was = ("yes" if each.get("committed") else "no",) if committed else ()
        at = (shown(each.get("at") or ""),) if has_places else ()
        table.add_row(str(each["id"]), day, f"{each['minutes']:.2f}", str(each["attenuation"]), verified, *was, *at)
    console.print(table)


_RULE: tuple[Callable[[_F], _F], ...] = (
    click.option("--minutes", type=click.IntRange(0, 65535), help="Rule: tell who was near this long."),
    click.option(
        "--attenuation", type=click.IntRange(0, 255), metavar="DB", help="Only contacts at most this far off."
    ),
    click.option("--depth", type=click.IntRange(1, 255), help="Deepest generation to be told. [new case: 1]"),
    click.option("--budget", type=click.IntRange(0), help="Most notifications of this report."),
    click.option("--case-budget", type=click.IntRange(0), help="Most notifications of the whole case."),
    click.option("--day-budget", type=click.IntRange(0), help="Most notifications of the case on one day (UTC)."),
    click.option(
        "--exposure", "exposures", type=int, multiple=True, metavar="ID", help="Only this one. May be repeated."
    ),
    click.option("--later", is_flag=True, help="Also what came after the log was committed at the test."),
    click.option(
        "--message",
        default="",
        callback=text,
        help="For the contacts: up to 42 bytes, or 38 for each five minutes of the rule.",
    ),
    click.option("--place/--person", default=None, help="Tell them it was at a place, or with a person. [as it says]"),
)


def _rule(command: _F) -> _F:
    """The options that make a decision."""
    for option in reversed(_RULE):
        command = option(command)
    return command


def _decision(rule: dict[str, Any]) -> dict[str, Any]:
    """The decision that the options make. click.UsageError without a rule."""
    if rule["minutes"] is None:
        raise click.UsageError("Missing option '--minutes'.")
    place = {} if rule["place"] is None else {"place": rule["place"]}
    wanted = {name: value for name, value in rule.items() if name not in ("place", "exposures", "later")}
    exposures = list(rule["exposures"]) or ("all" if rule["later"] else "committed")
    return {"approve": True, "exposures": exposures, **wanted, **place}


def _question(staff: Desk, report: str, rule: dict[str, Any]) -> str:
    found = staff.ask("GET", f"reports/{report}")
    attenuation = rule["attenuation"]

    def is_wanted(each: dict[str, Any]) -> bool:
        if rule["exposures"]:
            return each["id"] in rule["exposures"]
        return rule["later"] or each.get("committed") is not False

    near = [
        each
        for each in found["exposures"]
        if is_wanted(each) and (attenuation is None or each["attenuation"] <= attenuation)
    ]
    most = "" if rule["budget"] is None else f", {rule['budget']} at most"
    return (
        f"{found['disease']}, generation {found['generation']}: notify {len(near)} of"
        f" {len(found['exposures'])} exposures{most}?"
    )


@authority.command(
    epilog=example(
        "anontrace-server authority approve 0123456789abcdef --minutes 15 --attenuation 70",
        'anontrace-server authority approve 0123456789abcdef --minutes 15 --depth 2 --message "Call 555 0100"',
        "anontrace-server authority approve 0123456789abcdef --proposal 89abcdef01234567",
    )
)
@REPORT
@click.option("--proposal", metavar="ID", help="Do what was proposed, as `authority propose` and the portal name it.")
@_rule
@yes
@options
def approve(report: str, proposal: str | None, yes: bool, folder: Path, as_json: bool, **rule: Any) -> None:
    """Have the contacts of REPORT notified. Its place's name is told to nobody, unless you write it in the message.

    With four eyes, what somebody else proposed: --proposal.
    """
    staff = Desk.signed_in(folder)
    if proposal is not None:
        answer = staff.ask("POST", f"reports/{report}/approval", {"proposal": proposal})
    else:
        decision = _decision(rule)
        confirm(lambda: _question(staff, report, rule), yes or as_json)
        answer = staff.ask("POST", f"reports/{report}/decision", decision)
    with streams.once("the report is approved all the same"):
        number, waiting = answer["notifications"], answer.get("waiting", 0)
        way = "are on their way"
        if waiting:
            way = f"go out; of all cases {waiting} wait for a day with room: see `authority queue`"
        click.echo(json_line(answer) if as_json else f"approved: {number} notifications {way}")


@authority.command(
    epilog=example(
        "anontrace-server authority propose 0123456789abcdef --minutes 15",
        "anontrace-server authority propose 0123456789abcdef --act refuse",
    )
)
@REPORT
@click.option("--act", type=click.Choice(["approve", "refuse", "retract"]), default="approve", show_default=True)
@_rule
@options
def propose(report: str, act: str, folder: Path, as_json: bool, **rule: Any) -> None:
    """Propose what is to be done with REPORT; somebody else approves it by the id that is printed."""
    staff = Desk.signed_in(folder)
    wanted: dict[str, Any] = {"act": act, "message": rule["message"]}
    if act == "approve":
        wanted = {"act": act, "decision": _decision(rule)}
    answer = staff.ask("POST", f"reports/{report}/proposal", wanted)
    with streams.once("it is proposed all the same"):
        click.echo(json_line(answer) if as_json else f"proposed: {answer['id']}")


@authority.command(epilog=example("anontrace-server authority refuse 0123456789abcdef"))
@REPORT
@yes
@options
def refuse(report: str, yes: bool, folder: Path, as_json: bool) -> None:
    """Notify nobody of REPORT."""
    confirm(lambda: "Its contacts are deleted, and nobody can be notified of it later. Refuse it?", yes or as_json)
    answer = Desk.signed_in(folder).ask("POST", f"reports/{report}/decision", {"approve": False})
    with streams.once("the report is refused all the same"):
        click.echo(json_line(answer) if as_json else "refused: nobody is notified")


@authority.command(
    epilog=example('anontrace-server authority retract 0123456789abcdef --message "False alarm"'),
)
@REPORT
@click.option("--message", default="", help="For the contacts, up to 42 bytes.", callback=text)
@yes
@options
def retract(report: str, message: str, yes: bool, folder: Path, as_json: bool) -> None:
    """Take back REPORT: everybody who was notified of it is told so. A patient's own report ends its case."""
    confirm(lambda: "Everybody who was notified of it is told that it was wrong. Retract it?", yes or as_json)
    answer = Desk.signed_in(folder).ask("POST", f"reports/{report}/retraction", {"message": message})
    with streams.once("the report is retracted all the same"):
        number = answer["notifications"]
        click.echo(json_line(answer) if as_json else f"retracted: {number} messages are on their way")


@authority.command(epilog=example("anontrace-server authority stop"))
@yes
@options
def stop(yes: bool, folder: Path, as_json: bool) -> None:
    """Stop all sending at once: no notification and no retraction leaves the nymserver until `resume`."""
    confirm(lambda: "Nobody at all is notified until sending is resumed. Stop it?", yes or as_json)
    answer = Desk.signed_in(folder).ask("POST", "sending", {"stopped": True})
    click.echo(json_line(answer) if as_json else "stopped: nothing is sent until `anontrace-server authority resume`")


@authority.command(epilog=example("anontrace-server authority resume"))
@options
def resume(folder: Path, as_json: bool) -> None:
    """Go on with sending: what waited leaves at the usual pace."""
    answer = Desk.signed_in(folder).ask("POST", "sending", {"stopped": False})
    click.echo(json_line(answer) if as_json else "resumed: what waited is sent")


authority.add_command(limit.queue)
authority.add_command(limit.limit)
authority.add_command(answers.answers)
authority.add_command(answers.write)
