"""Real servers for tests: made as by `anontrace-server init`, run as processes, on free ports of the loopback."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import httpx
from anontrace.backend.cli import group
from anontrace.backend.cli.network import init

from tests.backend import signed_in
from tests.backend.loaded import PROGRAM
from tests.patience import HANG_SECONDS, eventually
from tools.loaded import Forked

COMMAND = str(Path(sys.executable).with_name("anontrace-server"))


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `anontrace-server` to its end."""
    words = [*map(str, arguments)]
    return subprocess.CompletedProcess([COMMAND, *words], *PROGRAM.run(words, signed_in.environment(words, os.environ)))


class Servers:
    """A network in a folder and the processes that run it."""

    def __init__(self, folder: Path, *options: str, clock: Path | None = None, made: bool = False) -> None:
        """`made`: the folder holds a network already."""
        if not made:
            arguments = [str(folder), "--loops", "0", *options]
            init.main(arguments, standalone_mode=False, **group.context_settings)  # click keeps the first context's
        self.folder = folder
        self.http = httpx.Client(trust_env=False, timeout=HANG_SECONDS)
        self.started = 0  # so often was a process
        self._clock = clock
        self._processes: dict[tuple[str, ...], Forked] = {}
        self._said: dict[tuple[str, ...], TextIO] = {}  # what their processes print
        self._for_staff: dict[str, httpx.Client] = {}

    def start(self, *names: str, clock: Path | None = None, log: Path | None = None) -> None:
        """Run these servers in one process, and wait until they serve. `clock`: one of their own; `log`: a file that
        their log is added to, as JSON lines."""
        self.launch(*names, clock=clock, log=log)
        self.await_start(*names)

    def start_apart(self, *groups: Sequence[str], log: Path | None = None) -> None:
        """As `start`, each group in a process of its own, all at once."""
        for names in groups:
            self.launch(*names, log=log)
        for names in groups:
            self.await_start(*names)

    def launch(self, *names: str, clock: Path | None = None, log: Path | None = None) -> None:
        """As `start`, without waiting."""
        environment = dict(os.environ)
        if clock is not None or self._clock is not None:
            environment["ANONTRACE_CLOCK"] = str(clock or self._clock)
        arguments = ["run", *(["--log-json"] if log else []), *(str(self.folder / name) for name in names)]
        reading, writing = os.pipe()
        self._said[names] = os.fdopen(reading)
        self.started += 1
        with ExitStack() as stack:
            said = stack.enter_context(os.fdopen(writing, "w"))
            nothing = stack.enter_context(Path(os.devnull).open())
            sink = 2 if log is None else stack.enter_context(log.open("ab")).fileno()
            streams = [nothing.fileno(), said.fileno(), sink]
            self._processes[names] = PROGRAM.start(arguments, environment, streams)

    def await_start(self, *names: str) -> None:
        """Wait until servers that were launched in one process serve."""
        said = self._said[names]
        expected = {f"listening {self.config(name)['name']} {self.config(name)['url']}\n" for name in names}
        while expected:
            line = said.readline()
            assert line, f"{names} ended"
            expected.discard(line)

    def process(self, *names: str) -> Forked:
        """The process that runs these servers."""
        return self._processes[names]

    def kill(self, *names: str) -> None:
        """kill -9."""
        process = self._processes.pop(names)
        process.kill()
        process.wait(HANG_SECONDS)
        self._said.pop(names).close()

    def terminate(self, *names: str) -> int:
        """SIGTERM; the exit status."""
        process = self._processes.pop(names)
        process.terminate()
        status = process.wait(HANG_SECONDS)
        self._said.pop(names).close()
        return status

    def close(self) -> None:
        for names in list(self._processes):
            self.kill(*names)
        for http in (self.http, *self._for_staff.values()):
            http.close()

    def configure(self, name: str, old: str, new: str) -> None:
        """Change a line of a server's configuration."""
        path = self.folder / name / "server.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def config(self, name: str) -> dict[str, Any]:
        """server.toml in the folder of this name."""
        return tomllib.loads((self.folder / name / "server.toml").read_text())

    def url(self, name: str) -> str:
        config = self.config(name)
        return f"{'https' if 'tls' in config else 'http'}://{config['listen']}"

    def ready(self, names: Sequence[str]) -> None:
        """Wait until each of these knows all others."""
        urls = [self.url(name) + "/readyz" for name in names]
        eventually("all know each other", lambda: all(self.http.get(url).is_success for url in urls))

    def for_staff(self, name: str) -> httpx.Client:
        """A client of what the server answers to its staff and operators only. It keeps no connection: one that lay
        idle ends at the moment at which it is used."""
        if name not in self._for_staff:
            none = httpx.Limits(max_keepalive_connections=0)
            door = httpx.HTTPTransport(uds=str(self.folder / name / "staff.sock"), limits=none)
            self._for_staff[name] = httpx.Client(transport=door, base_url=f"http://{name}", timeout=20)
        return self._for_staff[name]

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.for_staff(name).get("/v1/status").json())

    def count(self, name: str, counter: str) -> int:
        return int(self.status(name)["counters"].get(counter, 0))

    def authority(self, *arguments: str) -> Any:
        """A staff command with --json."""
        done = command("authority", *arguments, "--config", self.folder / "authority", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
