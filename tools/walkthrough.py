"""Writes docs/walkthrough.md and docs/session.svg: a wearer's first days, each command really run, each output real.

The servers are processes, the badges run the shipped firmware on the virtual radio, and the clock is the simulator's.
`python -m tools.walkthrough` does it again after a change to what the companion says.
"""

import asyncio
import io
import os
import pty
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tools.demo.backend import Backend
from tools.demo.processes import Processes
from tools.simulator.air import Air

START = 1_767_600_000  # 2026-01-05 08:00 UTC, the beginning of a slot
DOCS = Path(__file__).parent.parent / "docs"
WIDTH = 110
_QUESTION = re.compile(r"(\[y/N\]|empty: nothing more|Passphrase for the backup|Repeat for confirmation): \Z")
_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # would be fetched from elsewhere

INTRODUCTION = """\
# The first days with Anontrace

What a wearer does in their first days, in order, and what the companion answers. All of it is real output, from the
same servers, badges and radio as in `make demo`, on a simulated Monday in January (times in UTC).
`python -m tools.walkthrough` writes this page anew. A flash folder called `badge` stands in for the USB port here: with
a badge of your own, write `--usb /dev/ttyUSB0`, or whatever port it is on. Without a board, `make badge` runs a
simulated one in a terminal and says what to type in another.

Everything here can be done in a browser too: `anontrace open` ([run.md](run.md#in-a-browser)).
"""

ANSWER = """\
## Answer the health authority

You may ask for a test or a call, or tell how a test came out. They do not learn who you are, unless you say so, and can
write back to you once."""

TEST = """\
At the test, give the site the code that `anontrace commit` shows. It binds your log as it is, so that nobody can hand
in another one with your token, which you get at once. `anontrace report` asks for the token, and tells you the result
when it is there; if it is positive, it goes on as `pass-on` does."""

PLACES = """\
## Where you were

If you want the health authority to know in which places you met people, in case you ever hand in your log, note them:

    anontrace place notes on
    anontrace place at "Café Sol"                                  # from now on; anontrace place leave
    anontrace place at "Tram 4" --when '2026-01-05 08:00-08:20'
    anontrace place list

Notes are off until you switch them on, stay on your computer for 14 days, and are shown to you before a log is handed
in: `--without places` leaves them out, `anontrace place notes off` forgets them."""


class Wearer:
    """Somebody with a companion, a badge, and a folder to work in."""

    def __init__(self, name: str, folder: Path, air: Air, port: int, environment: dict[str, str]) -> None:
        self.name = name
        self.folder = folder
        self._air = air
        self._environment = environment | {
            "ANONTRACE_BLE": f"bumble:tcp-client:127.0.0.1:{port}",
            "ANONTRACE_STATE": "state",
            "COLUMNS": str(WIDTH),
            "TZ": "UTC",
        }

    async def run(self, *arguments: str, answers: tuple[str, ...] = ()) -> str:
        """Run a command on a terminal; all that is on the screen then. `answers` are typed at its questions."""
        leader, follower = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("anontrace")), *arguments,
            cwd=self.folder, env=self._environment, stdin=follower, stdout=follower, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        assert process.stderr is not None
        screen: list[str] = []
        waiting = list(answers)

        def take(data: bytes) -> None:
            screen.append(data.decode(errors="replace").replace("\r\n", "\n"))
            if waiting and _QUESTION.search("".join(screen)):
                os.write(leader, (waiting.pop(0) + "\n").encode())

        def readable() -> None:
            try:
                take(os.read(leader, 65536))
            except OSError:  # the program has ended
                loop.remove_reader(leader)

        loop = asyncio.get_running_loop()
        loop.add_reader(leader, readable)
        self._air.realtime(5, talking=1)
        while data := await process.stderr.read(4096):
            take(data)
        code = await process.wait()
        await asyncio.sleep(0.1)
        self._air.hold()
        loop.remove_reader(leader)
        os.close(leader)
        said = "".join(screen)
        if code:
            raise RuntimeError(f"{self.name}: anontrace {' '.join(arguments)} ended with {code}: {said}")
        return said


class Pages:
    """The walkthrough and the recording as they grow."""

    def __init__(self) -> None:
        self._text = [INTRODUCTION]
        self._console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)

    def say(self, text: str) -> None:
        self._text.append(text + "\n")

    async def show(self, wearer: Wearer, *arguments: str, answers: tuple[str, ...] = (), film: bool = True) -> str:
        """Run a command and put it onto the pages."""
        screen = await wearer.run(*arguments, answers=answers)
        typed = " ".join(["anontrace", *arguments])
        plain = "\n".join(line.rstrip() for line in Text.from_ansi(screen).plain.rstrip().splitlines())
        self._text.append(f"```console\n$ {typed}\n{plain}\n```\n")
        if film:
            self._console.print(Text("$ ", "bold green") + Text(typed, "bold"))
            self._console.print(Text.from_ansi(screen.rstrip()))
        return plain

    def write(self) -> None:
        (DOCS / "walkthrough.md").write_text("\n".join(self._text))
        svg = _FONT.sub("", self._console.export_svg(title="anontrace", unique_id="session"))
        (DOCS / "session.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


async def play(folder: Path) -> None:
    async with Air(folder / "clock", START) as air:
        environment = dict(os.environ) | {"ANONTRACE_CLOCK": str(folder / "clock")}
        (folder / "logs").mkdir()
        (folder / "network").mkdir()
        processes = Processes(folder / "logs", environment)
        try:
            backend = Backend(folder / "network", processes)
            await backend.start()
            people = {}
            for name in ("ada", "you"):
                home = folder / name
                (home / "badge").mkdir(parents=True)
                (home / "network.toml").write_bytes(backend.network_file.read_bytes())
                port = await air.add_adapter(f"{name}'s desk")
                people[name] = Wearer(name, home, air, port, environment)
            pages = Pages()
            await story(pages, people["ada"], people["you"], air, backend)
            pages.write()
        finally:
            await processes.stop()


async def own_badge(wearer: Wearer, air: Air) -> None:
    await air.start_badge(wearer.name, wearer.folder / "badge")
    air.set_range(wearer.name, f"{wearer.name}'s desk", -50)


async def story(pages: Pages, ada: Wearer, you: Wearer, air: Air, backend: Backend) -> None:
    for command in (["init", "network.toml"], ["register", "--slots", "48"],
                    ["badge", "provision", "--usb", "badge", "--usb-only"]):  # fmt: skip
        await ada.run(*command)
    await own_badge(ada, air)
    await ada.run("badge", "provision")

    pages.say("## Monday morning: join a network\n\nYour health authority gives you a network file.")
    await pages.show(you, "init", "network.toml")
    pages.say("Run in a terminal, `init` also asks for a passphrase. To check that everything works:")
    await pages.show(you, "doctor", film=False)
    pages.say("## Addresses\n\nYour badge broadcasts a new address every five minutes; each is registered beforehand.")
    await pages.show(you, "register", "--slots", "48")
    pages.say("## Make the badge yours\n\nOne key goes onto it by cable, once. Everything else goes over Bluetooth.")
    await pages.show(you, "badge", "provision", "--usb", "badge", "--usb-only", film=False)
    await own_badge(you, air)
    await pages.show(you, "badge", "provision")
    await pages.show(you, "badge", "set", "balanced", film=False)
    pages.say("Where things stand, on one screen:")
    await pages.show(you, "status")

    await air.run_for(300 - air.now % 300)
    air.set_range("ada", "you", -60)
    await air.run_for(20 * 60)
    air.set_range("ada", "you", None)
    await air.run_for(6 * 60)

    pages.say("## Later that day\n\nYou sat next to somebody for twenty minutes. Your badge recorded it, sealed:"
              " not even you can read who it was.")  # fmt: skip
    await pages.show(you, "badge", "sync")
    await pages.show(you, "poll", film=False)

    await ada.run("badge", "sync")
    token = await backend.issue_token("U07.1", (await ada.run("commit")).split()[0])
    await ada.run("report", "--token", token, "--yes")
    report = await backend.pending_report()
    sent = await backend.approve(report["report"], 15, 2)
    await asyncio.sleep(backend.seconds_under_way(sent) + 2)

    pages.say(
        "## Somebody tests positive\n\nYour neighbour hands in their log, the health authority approves, and you poll:"
    )
    told = await pages.show(you, "poll")
    matched = re.search(r"pass-on ([0-9a-f]{8})", told)
    if matched is None:
        raise RuntimeError(f"nobody was told: {told}")
    case = matched[1]
    await pages.show(you, "exposures", "list", film=False)
    await pages.show(you, "exposures", "show", case, film=False)
    pages.say("Without `--exact` you see only the day: the time of day might tell you who it was, and they rely on your"
              f" not knowing.\n\n{ANSWER}")  # fmt: skip
    await pages.show(you, "exposures", "answer", case, "--test", answers=("y",), film=False)
    pages.say("What they write back comes with a poll, and stands in `anontrace exposures show`.\n\n## Let those whom"
              " you met be told\n\nNothing is sent before you say yes, and you can leave out any day or time"
              " first.")  # fmt: skip
    await pages.show(you, "pass-on", case, answers=("", "y"))
    await pages.show(you, "status")
    pages.say(f"## A test of your own\n\n{TEST}\n\n{PLACES}\n\n## A backup")
    words = "three small green words"
    await pages.show(you, "backup", "monday.backup", answers=(words, words), film=False)
    pages.say("`anontrace restore monday.backup` brings everything back on another computer. What you do each day:"
              "\n`anontrace register`, `anontrace badge sync`, `anontrace poll`; or, once and for all,"
              " `anontrace service install`\n([run.md](run.md)).")  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="anontrace-") as folder:
        asyncio.run(play(Path(folder)))


if __name__ == "__main__":
    main()
