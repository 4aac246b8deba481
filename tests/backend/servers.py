"""Real servers for tests: made by `anontrace-server init`, run as processes, on free ports of the loopback."""

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx

COMMAND = str(Path(sys.executable).with_name("anontrace-server"))
PATIENCE = 20.0


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `anontrace-server` to its end."""
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def eventually(what: str, check: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true result of a check that is made again and again."""
    deadline = time.monotonic() + patience
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, f"still not so after {patience} s: {what}"
        time.sleep(0.02)


class Servers:
    """A network in a folder and the processes that run it."""

    def __init__(self, folder: Path, *options: str, clock: Path | None = None, made: bool = False) -> None:
        """`made`: the folder holds a network already."""
        if not made:
            done = command("init", folder, "--loops", "0", *options)
            assert done.returncode == 0, done.stderr
        self.folder = folder
        self.http = httpx.Client(trust_env=False, timeout=20)
        self._clock = clock
        self._processes: dict[tuple[str, ...], subprocess.Popen[str]] = {}

    def start(self, *names: str, clock: Path | None = None, log: Path | None = None) -> None:
        """Run these servers in one process, and wait until they serve. `clock`: one of their own; `log`: a file that
        their log is added to, as JSON lines."""
        self.launch(*names, clock=clock, log=log)
        self.await_start(*names)

    def launch(self, *names: str, clock: Path | None = None, log: Path | None = None) -> None:
        """As `start`, without waiting."""
        environment = dict(os.environ)
        if clock is not None or self._clock is not None:
            environment["ANONTRACE_CLOCK"] = str(clock or self._clock)
        with nullcontext() if log is None else log.open("ab") as sink:
            process = subprocess.Popen(
                [COMMAND, "run", *(["--log-json"] if log else []), *(str(self.folder / name) for name in names)],
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                env=environment,
            )
        self._processes[names] = process

    def await_start(self, *names: str) -> None:
        """Wait until servers that were launched in one process serve."""
        process = self._processes[names]
        assert process.stdout is not None
        for name in names:
            assert process.stdout.readline() == f"ready {self.config(name)['name']} {self.config(name)['url']}\n"

    def process(self, *names: str) -> "subprocess.Popen[str]":
        """The process that runs these servers."""
        return self._processes[names]

    def kill(self, *names: str) -> None:
        """kill -9."""
        process = self._processes.pop(names)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def terminate(self, *names: str) -> int:
        """SIGTERM; the exit status."""
        process = self._processes.pop(names)
        process.terminate()
        status = process.wait(15)
        assert process.stdout is not None
        process.stdout.close()
        return status

    def close(self) -> None:
        for names in list(self._processes):
            self.kill(*names)
        self.http.close()

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

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.http.get(self.url(name) + "/v1/status").json())

    def count(self, name: str, counter: str) -> int:
        return int(self.status(name)["counters"].get(counter, 0))

    def authority(self, *arguments: str) -> Any:
        """A staff command with --json."""
        done = command("authority", *arguments, "--config", self.folder / "authority", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
