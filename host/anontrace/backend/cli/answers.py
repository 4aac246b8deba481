"""`anontrace-server authority answers` and `write`: what contacts who were told answer, and writing back to them."""

from pathlib import Path
from typing import Any

import click

from anontrace import streams
from anontrace.foreign.lines import json_line

from .desk import Desk
from .options import REPORT, confirm, example, options, shown, text, when, yes

_SECONDS_A_DAY = 86400
_OWN_LOG = {
    "somebody": "her own log has somebody in each of these slots that it covers",
    "partly": "her own log has nobody in some of these slots",
    "nobody": "her own log has nobody in any of these slots",
}


@click.command(
    epilog=example("anontrace-server authority answers 0123456789abcdef"),
)
@REPORT
@options
def answers(report: str, folder: Path, as_json: bool) -> None:
    """Show what contacts who were told of REPORT answer. That you read it is in the audit."""
    found = Desk.signed_in(folder).ask("GET", f"reports/{report}/answers")
    if as_json:
        click.echo(json_line(found))
        return
    from rich.console import Console

    console = Console()
    for each in found["answers"]:
        day = when(each["day"] * _SECONDS_A_DAY)[:10]
        console.print(shown(f"answer {each['id']}, written on {day} (UTC, by its writer's clock)"))
        for said in _said(each):
            console.print(shown(f"  {said}"))
    if not found["answers"]:
        console.print("No answers.")
    if found["unreadable"]:
        console.print(shown(f"{found['unreadable']} more make no sense: somebody made them up."))
    if found["overflowed"]:
        console.print("More came than are kept: somebody who was told floods this report.")


def _said(answer: dict[str, Any]) -> list[str]:
    said = ["asks for a test"] if answer["test"] else []
    said += [f"asks for a call: {answer['call']}"] if answer["call"] else []
    said += [f"says that she tested {answer['result']}"] if answer["result"] else []
    said += [f"writes: {answer['note']}"] if answer["note"] else []
    for each in answer["nearness"] or ():
        distance = (
            f"up to {each['attenuation_to']} dB" if each["attenuation_to"] else f"{each['attenuation_from']} dB on"
        )
        minutes = f"up to {each['minutes_to']}" if each["minutes_to"] else f"more than {each['minutes_over']}"
        said.append(f"says that she was near for {minutes} minutes at {distance}")
    said += [f"says that {_OWN_LOG[answer['own_log']]}"] if answer["own_log"] in _OWN_LOG else []
    letter = answer["letter"]
    if letter is not None:
        how = "wrote back" if letter["sent"] else "was about to write back: write the same again to make sure"
        return [*said, f"{letter['by']} {how}, {when(letter['at'])} UTC"]
    return said if answer["reachable"] else [*said, "left no way to write back"]


@click.command(
    epilog=example(
        'anontrace-server authority write 0123456789abcdef 89abcdef0123456789abcdef01234567 --message "Come at nine"'
    ),
)
@REPORT
@click.argument("answer", callback=text)
@click.option("--message", required=True, help="For her alone, up to 223 bytes.", callback=text)
@yes
@options
def write(report: str, answer: str, message: str, yes: bool, folder: Path, as_json: bool) -> None:
    """Write to who gave ANSWER to REPORT: once, by the way that came with it. Only she can read it."""
    confirm(lambda: "Each answer takes one letter, which cannot be called back. Send it?", yes or as_json)
    done = Desk.signed_in(folder).ask("POST", f"reports/{report}/answers/{_id(answer)}/letter", {"message": message})
    with streams.once("it is on its way all the same"):
        click.echo(json_line(done) if as_json else "written: it is on its way")


def _id(typed: str) -> str:
    name = typed.strip().lower()
    if len(name) != 32 or not set(name) <= set("0123456789abcdef"):
        raise click.BadParameter("an answer is named by 32 hex digits, as `authority answers` lists them")
    return name
