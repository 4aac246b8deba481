"""`python -m tools.replay`: the command line of the replay."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from anontrace.companion.reports.contact_log import HANDED_IN_DAYS
from anontrace.epidemic.contacts import lists
from anontrace.epidemic.contacts.files import ContactsError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tools.demo import contacts
from tools.demo.__main__ import moment
from tools.demo.contacts import Recording
from tools.demo.story import RULE_MINUTES
from tools.replay.backend import ReplayError
from tools.replay.playing import Case, play

ALL = "all"
_DAY = 86_400
_THIRD = 1 / 3  # of a minute: the finest that a badge tells
_SHOWN = 20  # faults that are listed one by one


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.replay",
        description="Plays the chain without radio and HTTP: one person of a list is the patient, or each in turn.",
    )
    parser.add_argument("--contacts", type=Path, metavar="FILE", required=True, help="the recorded list")
    parser.add_argument("--patient", metavar="ID", default=ALL, help="who falls ill (default: all, in turn)")
    parser.add_argument("--from", type=moment, dest="start", metavar="TIME", help="first time that is taken")
    parser.add_argument("--to", type=moment, dest="end", metavar="TIME", help="first time that is left out again")
    parser.add_argument("--step", type=int, metavar="SECONDS", help="what a line stands for (default: its grid)")
    parser.add_argument(
        "--rule", type=int, default=RULE_MINUTES, metavar="MINUTES", help="told from there on (default: 15)"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one a core)"
    )
    parser.add_argument("--json", action="store_true", help="every person of every case, as JSON")
    options = parser.parse_args(given)
    if not 1 <= options.rule <= 65535:
        parser.error("--rule takes 1 to 65535 minutes")
    if not 1 <= options.workers <= 256:
        parser.error("--workers takes 1 to 256")
    low, high = lists.MIN_STEP, lists.MAX_STEP
    if options.step is not None and (options.step % low or not low <= options.step <= high):
        parser.error(f"--step takes a multiple of {low} from {low} to {high} seconds: badges count thirds of a minute")
    return options


def _recording(options: argparse.Namespace) -> tuple[Recording, list[str]]:
    """What is played, and who is a patient in it. ContactsError when that makes no sense."""
    lines = lists.read(options.contacts).lines
    window = {"start": options.start, "end": options.end, "step": options.step}
    if options.patient == ALL:
        first = next(
            (each.first for each in lines if contacts.is_within(each, options.start, options.end)), lines[0].first
        )
        recording = contacts.cut(lines, first, **window)
        patients = list(recording.people)
    else:
        recording = contacts.cut(lines, options.patient, **window)
        patients = [options.patient]
    days = (recording.end - recording.start) / _DAY
    if days > HANDED_IN_DAYS:
        raise ContactsError(
            f"the list spans {days:.0f} days, and a log holds at most {HANDED_IN_DAYS}: take a part with FROM= and TO="
        )
    return recording, patients


def _faults(cases: Iterable[Case]) -> list[str]:
    """A sentence for each person of whom a case was wrong."""
    said = []
    for case in cases:
        for each in case.people:
            if not each.is_right:
                what = "was not told" if each.is_due else "was told"
                said.append(f"{case.patient}'s contact {each.person} ({each.minutes:.1f} min) {what}")
            elif each.off > _THIRD:
                said.append(
                    f"{case.patient}'s contact {each.person} was told {each.told_minutes:.1f} min instead of "
                    f"{each.minutes:.1f}"
                )
    return said


def _table(cases: list[Case], seconds: float) -> Table:
    judged = [each for case in cases for each in case.people]
    told = [each for each in judged if each.told_minutes is not None]
    table = Table(title="Who was told, against the list", show_header=False)
    for name, value in (
        ("patients", f"{len(cases)}"),
        ("sealed records handed in", f"{sum(case.records for case in cases):,}"),
        ("notifications through the mixes", f"{sum(case.notifications for case in cases):,}"),
        ("people judged", f"{len(judged):,}"),
        ("to be told by the list", f"{sum(each.is_due for each in judged):,}"),
        ("told, rightly", f"{sum(each.is_due for each in told):,}"),
        ("told, wrongly", f"{sum(not each.is_due for each in told):,}"),
        ("missed", f"{sum(each.is_due and each.told_minutes is None for each in judged):,}"),
        ("minutes off, at most", f"{max((each.off for each in told), default=0.0):.2f}"),
        ("took", f"{seconds:.0f} s"),
    ):
        table.add_row(name, value)
    return table


def _document(cases: list[Case], faults: list[str], is_whole: bool) -> dict[str, object]:
    return {
        "whole": is_whole,
        "cases": [
            {
                "patient": case.patient,
                "records": case.records,
                "notifications": case.notifications,
                "people": [
                    {"person": each.person, "minutes": each.minutes, "told": each.told_minutes, "due": each.is_due}
                    for each in case.people
                    if each.minutes or each.told_minutes is not None
                ],
            }
            for case in cases
        ],
        "faults": faults,
    }


def main(given: list[str] | None = None) -> int:
    """0 if exactly the right people were told of each patient; 1 if not or if it could not be played; 130 when
    interrupted."""
    options = _arguments(given)
    console = Console(highlight=False, stderr=options.json)
    began, cases, is_whole = time.monotonic(), list[Case](), True
    try:
        recording, patients = _recording(options)
        workers = min(options.workers, len(patients))
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        with bar:
            task = bar.add_task(f"registering {len(recording.people)} wearers", total=len(patients))
            for case in play(recording, patients, options.rule, workers):
                cases.append(case)
                bar.update(task, advance=1, description="patients")
    except (ContactsError, ReplayError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        is_whole = False
    faults = _faults(cases)
    if options.json:
        print(json.dumps(_document(cases, faults, is_whole)))
    else:
        console.print(_table(cases, time.monotonic() - began))
    for fault in faults[:_SHOWN]:
        print(f"wrong: {fault}", file=sys.stderr)
    if len(faults) > _SHOWN:
        print(f"wrong: and {len(faults) - _SHOWN} more", file=sys.stderr)
    if not is_whole:
        print(f"interrupted: this is of {len(cases)} patients alone", file=sys.stderr)
        return 130
    if not faults and not options.json:
        console.print("[bold green]exactly the right people were told[/]")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
