"""`make chipcheck PORT=... PORT2=...`: measures on two boards with MicroPython what no simulator can tell.

Nothing on the boards is changed; afterwards they are reset, and go on with what they did. A measurement that fails is
said to have, and the others are made. Some ten minutes.
"""

import argparse
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Table

from tools.chipcheck import checks
from tools.chipcheck.checks import Check, Found, Row
from tools.flash import FlashError, check_port, reset, run_on_board

OLDEST = (1, 23)  # MicroPython that the firmware runs on
SLEEP_SECONDS = 60

Run = Callable[[int, str], str]
"""Runs a script on the first (0) or second board (1), both at once if it is asked to; what it prints, or FlashError."""


def identify(run: Run, port: str, board: int) -> str:
    """What a board says that it is; FlashError unless it has MicroPython with Bluetooth, recent enough."""
    said = run(board, checks.script("identify", {}, checks.new_tag()))
    try:
        found = checks.found(said)
        version = (int(found["version"][0]), int(found["version"][1]))
    except (FlashError, KeyError, TypeError, ValueError, IndexError):
        raise FlashError(f"the board on {port} does not answer as MicroPython with Bluetooth does") from None
    if version < OLDEST:
        raise FlashError(
            f"the board on {port} has MicroPython {version[0]}.{version[1]}; put a newer one on: make flash"
        )
    return f"{found.get('machine') or 'a board without a name'}, MicroPython {version[0]}.{version[1]}"


def measure(check: Check, run: Run) -> list[Row]:
    """The rows of one measurement; of one that takes one board, of both. FlashError where it fails."""
    tag = checks.new_tag()
    if check.second is None:
        script = checks.script(check.first, check.settings, tag)
        one, other = (
            checks.rows(check, found, found) for found in [checks.found(run(board, script)) for board in (0, 1)]
        )
        return [row for pair in zip(one, other, strict=True) for row in _joined(*pair)]
    scripts = [checks.script(name, check.settings, tag) for name in (check.first, check.second)]
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(run, board, script) for board, script in enumerate(scripts)]
    first: Found = {}
    try:
        first = checks.found(ends[0].result())
    except FlashError:
        if not check.either:
            raise
    return checks.rows(check, first, checks.found(ends[1].result()))


def _joined(one: Row, other: Row) -> list[Row]:
    """Of two boards; one row where they agree."""
    if one.figure == other.figure:
        return [one]
    return [
        Row(row.line, f"{row.what} ({board} board)", row.figure, row.expected)
        for board, row in (("first", one), ("second", other))
    ]


def run_all(chosen: list[Check], run: Run, tell: Callable[[str], None]) -> tuple[list[Row], dict[str, str]]:
    """All rows, and which measurements failed, with the reason."""
    rows, failed = [], {}
    for number, check in enumerate(chosen, 1):
        tell(f"{check.about} ({number} of {len(chosen)}) ...")
        try:
            rows += measure(check, run)
        except FlashError as error:
            failed[check.name] = str(error)
    return rows, failed


def _show(boards: list[str], rows: list[Row], failed: dict[str, str], console: Console) -> None:
    table = Table("line", "what", "found", "expected", title="What only a real chip can tell (docs/design.md)")
    for row in rows:
        table.add_row(row.line, row.what, row.figure, row.expected)
    for board, port in zip(boards, ("PORT", "PORT2"), strict=True):
        console.print(f"{port}: {board}", highlight=False)
    console.print(table)
    for name, reason in failed.items():
        console.print(f"NOT MEASURED {name}: {reason}", style="bold red", highlight=False, markup=False)


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 1 after a line on standard error, or where a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.chipcheck", description=(__doc__ or "").splitlines()[0])
    names = [check.name for check in checks.all_checks(SLEEP_SECONDS)]
    parser.add_argument("--port", default="", help="one board")
    parser.add_argument("--port2", default="", help="the other one, some metres away at most")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--sleep", type=int, default=SLEEP_SECONDS, choices=range(1, 601), metavar="SECONDS",
                        help="of light-sleep; MicroPython asks for less than ten minutes (60)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    ports = (options.port, options.port2)
    console = Console(stderr=options.json)

    def run(board: int, script: str) -> str:
        return run_on_board(ports[board], script)

    chosen = [check for check in checks.all_checks(options.sleep) if not options.only or check.name in options.only]
    try:
        for name, port in zip(("PORT", "PORT2"), ports, strict=True):
            if not port.strip():
                raise FlashError(f"two boards are needed, and {name}=... is missing: make chipcheck PORT=... PORT2=...")
            check_port(port)
        if ports[0] == ports[1]:
            raise FlashError("PORT and PORT2 are the same board: two are needed")
        boards = [identify(run, port, board) for board, port in enumerate(ports)]
        try:
            rows, failed = run_all(chosen, run, lambda text: console.print(text, style="dim", highlight=False))
        finally:
            for port in ports:
                reset(port)
    except FlashError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if options.json:
        document = {"boards": boards, "rows": [vars(row) for row in rows], "failed": failed}
        print(json.dumps(document, indent=2))
    else:
        _show(boards, rows, failed, console)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
