"""`anontrace-server authority`: what the health authority's staff do. Talks to the running server of their folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from anontrace import streams
from anontrace.foreign.lines import json_line, line

from . import answers, limit
from .desk import Desk
from .options import REPORT, confirm, example, options, shown, text, when, yes

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS_A_DAY = 86400


@click.group()
def authority() -> None:
    """Issue one-time tokens; look at reports; approve or refuse them; take back what was approved.

    Sign in first: `anontrace-server staff login`.
    """


@authority.command(epilog=example("anontrace-server authority issue --disease U07.1"))
@click.option("--disease", required=True, metavar="CODE", help="Disease code of ICD-10, such as U07.1.",
              callback=text)  # fmt: skip
@click.option("--reference", default="", help="What the test site calls the test; never a name.", callback=text)
@options
def issue(disease: str, reference: str, folder: Path, as_json: bool) -> None:
    """Issue a one-time token for a patient. It is shown this once."""
    staff = Desk.signed_in(folder)
    streams.check_kept("a token is shown once only, so none was issued")
    issued = staff.ask("POST", "tokens", {"disease": disease.strip().upper(), "reference": reference})
    with streams.once("the token that was issued is lost: issue another one"):
        click.echo(json_line(issued) if as_json else line(issued["token"]))
    if not as_json:
        click.echo(line(f"for {issued['disease']}, until {when(issued['expires'])} UTC"), err=True)


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
    table = Table(*(Column(name, no_wrap=True) for name in names), "exposures", "answers", box=box.SIMPLE)
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
    log = found["log"]
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
    names = ("id", "day (UTC)", "minutes", "attenuation dB", "verified", *(("at",) if has_places else ()))
    whose = "minutes, attenuation and verified are the word of whoever handed the log in"
    table = Table(*names, box=box.SIMPLE, caption=whose, caption_justify="left")
    for each in found["exposures"]:
        day = when(each["day"] * _SECONDS_A_DAY)[:10]
        verified = "yes" if each["verified"] else "no"
        at = (shown(each.get("at") or ""),) if has_places else ()
        table.add_row(str(each["id"]), day, f"{each['minutes']:.2f}", str(each["attenuation"]), verified, *at)
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
    wanted = {name: value for name, value in rule.items() if name not in ("place", "exposures")}
    return {"approve": True, "exposures": list(rule["exposures"]) or "all", **wanted, **place}


def _question(staff: Desk, report: str, rule: dict[str, Any]) -> str:
    found = staff.ask("GET", f"reports/{report}")
    attenuation = rule["attenuation"]
    near = [
        each
        for each in found["exposures"]
        if (not rule["exposures"] or each["id"] in rule["exposures"])
        and (attenuation is None or each["attenuation"] <= attenuation)
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
