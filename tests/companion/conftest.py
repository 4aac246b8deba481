"""A real backend in its own process, a clock that the tests move, and the shipped CLI as a user runs it."""

import json
import os
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend import signed_in
from tests.backend.loaded import PROGRAM as SERVERS
from tests.companion.loaded import PROGRAM
from tests.patience import HANG_SECONDS, eventually
from tools import loaded

BIN = Path(sys.executable).parent
START = 1_767_600_000  # 2026-01-05 08:00 UTC, the beginning of a slot
SLOT_SECONDS = 300


class SimulatedClock:
    """The eight bytes that ANONTRACE_CLOCK names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = float(START)
        path.write_bytes(struct.pack("<d", self.now))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        with self.path.open("r+b") as file:  # in place: servers have it mapped
            file.write(struct.pack("<d", self.now))

    @property
    def slot(self) -> int:
        return int(self.now // SLOT_SECONDS)


@dataclass
class Result:
    """One run of the CLI."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


class Cli:
    """`anontrace` with a state folder of its own."""

    def __init__(self, folder: Path, clock: SimulatedClock, adapter: str | None = None) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "ANONTRACE_STATE": str(folder),
            "ANONTRACE_CLOCK": str(clock.path),
            "TZ": "UTC",
        }
        if adapter is not None:
            self.environment["ANONTRACE_BLE"] = adapter

    def command(self, *arguments: str) -> list[str]:
        return [str(BIN / "anontrace"), *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """A command in a process that has loaded the program already; by the script where that is not the same."""
        if not loaded.fits(self.environment):
            return self.script(*arguments, stdin=stdin)
        return _checked(*PROGRAM.run(arguments, self.environment, stdin))

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> loaded.Forked:
        """A command with these three file descriptors as its streams, in a process that has loaded the program."""
        return PROGRAM.start(arguments, environment, streams)

    def piped(self, *arguments: str) -> loaded.Piped:
        """A command that is read while it runs, in a process that has loaded the program."""
        return loaded.Piped(PROGRAM, arguments, self.environment)

    def script(self, *arguments: str, stdin: str | None = None) -> Result:
        """A command by the script that is installed."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment, capture_output=True, text=True, input=stdin, timeout=HANG_SECONDS, check=False,
        )  # fmt: skip
        return _checked(done.returncode, done.stdout, done.stderr)

    def do(self, *arguments: str) -> dict[str, Any]:
        """A command that must succeed; its JSON document."""
        result = self.run("--json", *arguments)
        assert result.code == 0, result.err
        return result.json


def _checked(code: int, out: str, err: str) -> Result:
    assert "Traceback (most recent" not in err + out, err
    return Result(code, out, err)


class Network:
    """A network of real servers, all in one process."""

    def __init__(self, folder: Path, clock: SimulatedClock) -> None:
        self.folder = folder
        self.clock = clock
        self.file = folder / "network.toml"
        self._clock = clock
        self._environment = os.environ | {"ANONTRACE_CLOCK": str(clock.path)}
        self._server("init", str(folder), "--delay", "0.02", "--pace", "0.01")
        homes = [str(path.parent) for path in sorted(folder.glob("*/server.toml"))]
        log = folder / "servers.log"
        with log.open("w") as output, Path(os.devnull).open() as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            self._process = SERVERS.start(["run", *homes], self._environment, streams)
        eventually("all servers serve", lambda: log.read_text().count("ready ") == len(homes), self._process)
        self.ready()

    def ready(self) -> None:
        """Wait until all servers know each other's keys, as they do again some seconds after the clock was moved."""
        urls = [tomllib.loads(path.read_text())["url"] for path in self.folder.glob("*/server.toml")]
        with httpx.Client(trust_env=False, timeout=HANG_SECONDS) as client:
            eventually(
                "the servers know each other",
                lambda: all(client.get(f"{url}/readyz").is_success for url in urls),
                self._process,
            )

    def _server(self, *arguments: str) -> str:
        role = signed_in.role_for(arguments)
        if role is None:
            return self._run(arguments, {})
        day = int(self._clock.now // 86400)
        return self._run(arguments, signed_in.by_commands(self._run, self.folder / "authority", role, day))

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str], typed: str | None = None) -> str:
        code, out, err = SERVERS.run(arguments, {**self._environment, **environment}, typed)
        assert code == 0, err
        return out

    def staff(self, *arguments: str) -> Any:
        return json.loads(self._server("authority", *arguments, "--json", "--config", str(self.folder / "authority")))

    def token(self) -> str:
        return str(self.staff("issue", "--disease", "U07.1", "--result", "positive")["token"])

    def pending_report(self, case: str) -> dict[str, Any]:
        """The report of a case that waits for a decision, once the nymserver has opened the log."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            reports = self.staff("reports")["reports"]
            found[:] = [each for each in reports if each["case"] == case and each["state"] == "pending"]
            return bool(found)

        eventually("the report is pending", is_there, self._process)
        return found[0]

    def approve(self, case: str, minutes: int, depth: int = 2, message: str = "Call 116117") -> None:
        report = self.pending_report(case)["report"]
        self.staff("approve", report, "--minutes", str(minutes), "--depth", str(depth), "--message", message)

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(HANG_SECONDS) == 0, (self.folder / "servers.log").read_text()


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SimulatedClock:
    return SimulatedClock(tmp_path_factory.mktemp("clock") / "clock")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, clock: SimulatedClock) -> Iterator[Network]:
    running = Network(tmp_path_factory.mktemp("network"), clock)
    yield running
    running.stop()


@pytest.fixture
def cli(tmp_path: Path, clock: SimulatedClock) -> Cli:
    return Cli(tmp_path / "state", clock)


@pytest.fixture
def member(cli: Cli, network: Network) -> Cli:
    """A companion that belongs to the network."""
    cli.do("init", str(network.file))
    return cli
