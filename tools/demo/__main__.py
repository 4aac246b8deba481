"""`python -m tools.demo`: the command line of the demonstration."""

import argparse
import asyncio
import math
import signal
import sys
from pathlib import Path

from anontrace.epidemic.contacts import columns, lists
from anontrace.epidemic.contacts.files import ContactsError
from anontrace.epidemic.contacts.lists import ContactList
from rich.console import Console

from tools.demo import contacts, story, truth
from tools.demo.processes import DemoError
from tools.demo.run import Play, perform
from tools.micropython import MissingRuntime

_MANY = 60  # people; beyond that a usual machine takes very long


def moment(text: str) -> int:
    """A time as the list has them, for an option."""
    try:
        return columns.moment(text)
    except ContactsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description="Plays the whole chain with real parts.")
    parser.add_argument("--contacts", type=Path, metavar="FILE", help="a recorded list instead of the built-in story")
    parser.add_argument("--patient", metavar="ID", help="who falls ill")
    parser.add_argument(
        "--from", type=moment, dest="start", metavar="TIME", help="first time of the list that is taken"
    )
    parser.add_argument("--to", type=moment, dest="end", metavar="TIME", help="first time that is left out again")
    parser.add_argument("--step", type=int, metavar="SECONDS", help="what a line stands for (default: the list's grid)")
    parser.add_argument("--people", type=int, metavar="N", help="keep the patient and those with the most lines")
    parser.add_argument("--class", dest="group", metavar="NAME", help="keep lines between people of this class")
    parser.add_argument("--rule", type=int, metavar="MINUTES", help="told from so many minutes on (default 15)")
    parser.add_argument("--passer", metavar="ID", help="who lets the chain go on (default: who has most to tell)")
    parser.add_argument("--scale", type=float, metavar="X", help="at most X times as fast as the contacts were")
    parser.add_argument("--portal", action="store_true", help="leave the decisions to you, in a browser")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and stores")
    options = parser.parse_args(given)
    if options.contacts is None:
        for name in ("patient", "start", "end", "step", "people", "group", "rule"):
            if getattr(options, name) is not None:
                parser.error("without --contacts the built-in story is played, which takes no such option")
    if options.rule is not None and not 1 <= options.rule <= 65535:
        parser.error("--rule takes 1 to 65535 minutes")
    low, high = lists.MIN_STEP, lists.MAX_STEP
    if options.step is not None and (options.step % low or not low <= options.step <= high):
        parser.error(f"--step takes a multiple of {low} from {low} to {high} seconds: badges count thirds of a minute")
    if options.scale is not None and not 0 < options.scale < math.inf:
        parser.error("--scale takes a number above 0")
    return options


def _explain(console: Console, listed: ContactList, step: int, given: bool) -> None:
    """One line on how the list is taken."""
    few = len({line.time for line in listed.lines}) < lists.MIN_TIMES
    reason = "as you say" if given else "too few times to tell; STEP= does" if few else "their grid; STEP= overrules it"
    passed = f"; passed over: {', '.join(listed.passed_over)}" if listed.passed_over else ""
    line = f"contact list: {len(listed.lines)} lines, each for the {step} s before its time ({reason}){passed}"
    console.print(line, soft_wrap=True, markup=False)


def _choose(options: argparse.Namespace, console: Console) -> Play:
    """What is to be played, and a line on how a list is taken; ContactsError when that makes no sense."""
    if options.contacts is None:
        recording, patient, rule = story.recording(), story.PATIENT, story.RULE_MINUTES
    else:
        listed = lists.read(options.contacts)
        recording = contacts.cut(
            listed.lines,
            options.patient,
            start=options.start,
            end=options.end,
            people=options.people,
            group=options.group,
            step=options.step,
        )
        _explain(console, listed, recording.step, bool(options.step))
        patient, rule = options.patient, options.rule or story.RULE_MINUTES
    first = truth.told(recording, patient, rule, set())
    passer = options.passer or truth.choose_passer(recording, patient, rule)
    if options.passer and passer not in first:
        raise ContactsError(
            f"{passer!r} cannot pass anything on: told by that rule are {', '.join(sorted(first)) or 'nobody'}"
        )
    return Play(recording, patient, passer, rule, options.scale)


async def _perform(play: Play, console: Console, keep: bool, desk: bool) -> list[str]:
    """perform(), which SIGTERM and SIGHUP end in order as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    for name in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    return await perform(play, console, keep, desk)


def main(given: list[str] | None = None) -> int:
    """0 if exactly the right people were told; 1 if not or if it could not be played; 130 when interrupted."""
    options = _arguments(given)
    console = Console(highlight=False)
    try:
        play = _choose(options, console)
        if len(play.recording.people) > _MANY:
            console.print(
                f"[yellow]{len(play.recording.people)} badges at once: this takes long; --people limits it[/]"
            )
        faults = asyncio.run(_perform(play, console, options.keep, options.portal))
    except (ContactsError, DemoError, MissingRuntime) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; everything is stopped", file=sys.stderr)
        return 130
    for fault in faults:
        print(f"wrong: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
