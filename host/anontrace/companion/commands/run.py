"""`anontrace run`: everything on schedule, in the foreground."""

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import json_text, say, warn

if TYPE_CHECKING:
    from anontrace.companion.errors import BusyError, CompanionError
    from anontrace.companion.schedule.run import Event
    from anontrace.companion.store.badges import Badge
    from anontrace.companion.store.state import State

MAX_SLEEP = 1.0  # real seconds: the clock may be set meanwhile
OTHER_SECONDS = 1.0  # real seconds: `status` holds it for a moment, to see whether another does
SCAN_SECONDS = 8.0  # short: other commands wait that long for the state folder


@click.command()
@click.option("--level", type=click.Choice(["low", "normal", "high"]),
              help="How much traffic to hide in.  [default: the one chosen last, at first normal]")  # fmt: skip
@click.option("--once", is_flag=True,
              help="Do what is due by now, and stop: for a timer of your own; fails if that fails.")  # fmt: skip
@click.option("--no-badge", is_flag=True, help="Leave the badges alone; sync them by hand.")
@pass_context
def run(context: Context, level: str | None, once: bool, no_badge: bool) -> int:
    """Keep everything going, at random times, until interrupted.

    Registers addresses ahead and confirms them, asks the mailboxes, renews addresses, has dummies sent, and syncs your
    badges when they are in range. The traffic is the same whether you are told something, hand over a log with
    --hidden, or neither; `poll`, `report` and `pass-on` act at once, and who watches your connection may see that.

    \b
    Levels, a day, with one badge; told so long after it came to your mailbox:
                    low     about 125 kB; within 26 hours
                    normal  about 350 kB; within 13 hours
                    high    10 MB at most; within an hour

    \b
    Examples:
      anontrace run
      anontrace run --level high
      anontrace --json run            a line of JSON for each event
    """
    from anontrace import clock
    from anontrace.companion.days import moment_text
    from anontrace.companion.errors import BusyError
    from anontrace.companion.network.servers import Servers
    from anontrace.companion.schedule.run import BETWEEN_SECONDS, DIRECTORY_SECONDS, Run
    from anontrace.companion.store.lock import RUN_FILE, exclusive
    from anontrace.companion.system import stopping
    from anontrace.companion.system.notify import TEXT, there_is_news
    from anontrace.wire.levels import LEVELS

    def tell(event: "Event") -> None:
        if event.news:
            there_is_news()
        if context.output.as_json:
            click.echo(json_text(dict(event.document)))
        elif not (once and event.failure):  # those are said in the end
            # A log is not encrypted: there, no more than on a screen that others may see.
            for line in (TEXT,) if event.news and not sys.stdout.isatty() else event.lines:
                say(f"{moment_text(event.document['time'])}  {line}")

    with stopping.soon() as asked, ExitStack() as held:
        try:
            with context.changing() as state:
                chosen = level or state.timetable.level() or "normal"
                state.timetable.set_level(chosen)
            try:
                held.enter_context(exclusive(context.folder, OTHER_SECONDS, RUN_FILE))
            except BusyError as error:
                _is_running(context, level, error)
                return 0
            running = Run(
                context.changing,
                lambda state: Servers(state.network, DIRECTORY_SECONDS),
                LEVELS[chosen],
                None if no_badge else lambda state, badge: _sync(context, state, badge),
                tell,
            )
            running.begin()
            if not once and not context.output.as_json and sys.stdout.isatty():
                say(f"Running at level {chosen}; what is worth a line will be said here. Ctrl+C stops it.")
            written = _last_written(context)
            while True:
                running.step()
                if once:
                    return _ended(running.failures)
                if (last := _last_written(context)) != written:
                    written = last  # by another command, which may have chosen another level
                    with context.reading() as state:
                        running.set_level(LEVELS[state.timetable.level() or chosen])
                time.sleep(min(max(running.next_due() - clock.now(), BETWEEN_SECONDS), MAX_SLEEP))
        except KeyboardInterrupt:
            if not asked.terminated:
                raise
            return 0


def _ended(failures: dict[str, "CompanionError"]) -> int:
    """Say what kept `--once` from doing what was due; the exit code, of the first that did."""
    for each in failures:
        warn(each)
    return next((error.exit_code for error in failures.values()), 0)


def _is_running(context: Context, level: str | None, error: "BusyError") -> None:
    """Another `run` keeps this state folder going: it takes up a level that was given, else does all that is due."""
    from anontrace.companion.errors import BusyError

    if level is None:
        raise BusyError(f"`anontrace run` is going already for {context.folder}, and does all that is due") from error
    context.output.show(
        {"task": "level", "level": level, "running": True},
        lambda: [f"`anontrace run` is going already; it takes up the level {level}."],
    )


def _last_written(context: Context) -> int:
    """When the database was written last: the level in it may be another then."""
    from anontrace.companion.store import database

    try:
        return (context.folder / database.FILE).stat().st_mtime_ns
    except OSError:
        return 0  # erased; what is due next says so


def _sync(context: Context, state: "State", own: "Badge") -> dict[str, Any]:
    import asyncio

    from anontrace.companion.badge import sync as syncing
    from anontrace.companion.badge.own import converse

    done = syncing.Synced()
    asyncio.run(
        converse(
            state, context.adapter, own, lambda link: syncing.sync(state, link, own, done, lambda *_: None),
            SCAN_SECONDS,
        )
    )  # fmt: skip
    return {
        "badge": own.number, "records": done.records, "bytes": done.bytes, "horizon": done.horizon,
        "log_was_full": done.log_was_full, "unfinished": done.unfinished,
    }  # fmt: skip
