"""The processes of the demonstration: started with their own log files, watched, and all stopped at the end.

None of them is of the demonstration's own session, so that Ctrl-C reaches only itself, and it stops them in order.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.demo.programs import PROGRAMS
from tools.loaded import Forked

# Real seconds: for a server to get ready, for a command to end, for a process to end when asked, before it is killed.
_START = 600.0
_COMMAND = 600.0
_PATIENCE = 30.0
_GLANCE = 0.5  # in which a thread looks up from waiting, so that it does not keep anybody who has given up


class DemoError(Exception):
    """The demonstration cannot go on; the message is the reason, in one line."""


async def _drain(stream: asyncio.StreamReader) -> None:
    """Read and drop, so that a process never waits for its output to be read."""
    while await stream.read(65536):
        pass


async def _ends(process: Forked) -> None:
    while not await asyncio.to_thread(process.ends_within, _GLANCE):
        pass


class Processes:
    """Everything that the demonstration has started, with one environment and a folder for logs."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._running: dict[str, Forked] = {}
        self._drains: list[asyncio.Task[None]] = []

    async def serve(self, name: str, program: str, arguments: Sequence[str], ready: str) -> None:
        """Start a process that goes on running, and wait until it prints a line that begins with `ready`."""
        output, writing = os.pipe()
        said = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said), os.fdopen(output, "rb")
        )
        with tempfile.TemporaryFile() as nothing, (self._logs / f"{name}.log").open("ab") as log:
            streams = [nothing.fileno(), writing, log.fileno()]
            try:
                process = await asyncio.to_thread(PROGRAMS[program].start, arguments, self._environment, streams)
            finally:
                os.close(writing)
        self._running[name] = process
        try:
            async with asyncio.timeout(_START):
                while line := await said.readline():
                    if line.decode(errors="replace").startswith(ready):
                        self._drains.append(asyncio.create_task(_drain(said)))
                        return
        except TimeoutError:
            raise DemoError(f"{name} was not ready after {_START:.0f} s: {self._last_line(name)}") from None
        await _ends(process)
        del self._running[name]
        raise DemoError(f"{name} ended at its start with exit code {process.returncode}: {self._last_line(name)}")

    async def run(
        self,
        name: str,
        program: str,
        arguments: Sequence[str],
        typed: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]:
        """Run a command to its end; its exit code, output and error output. The latter also goes to a log. `typed`: its
        standard input."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as errors:
            given.write(typed.encode())
            given.seek(0)
            streams = [given.fileno(), said.fileno(), errors.fileno()]
            process = await asyncio.to_thread(
                PROGRAMS[program].start, arguments, {**self._environment, **(environment or {})}, streams
            )
            try:
                async with asyncio.timeout(_COMMAND):
                    await _ends(process)
            except TimeoutError:
                raise DemoError(f"{name}: {' '.join(arguments)} did not end within {_COMMAND:.0f} s") from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait(_PATIENCE)
            for file in (said, errors):
                file.seek(0)
            output, complaint = said.read(), errors.read()
        if complaint:
            with (self._logs / f"{name}.log").open("ab") as log:
                log.write(complaint)
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace"), complaint.decode(errors="replace")

    def check(self) -> None:
        """DemoError if a process that should go on running has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise DemoError(f"{name} ended with exit code {process.returncode}: {self._last_line(name)}")

    def _last_line(self, name: str) -> str:
        try:
            lines = (self._logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "no message"

    async def stop(self) -> None:
        """End everything, politely first."""
        running = [process for process in self._running.values() if process.poll() is None]
        self._running.clear()
        for process in running:
            process.terminate()
        for process in running:
            if not await asyncio.to_thread(process.ends_within, _PATIENCE):
                process.kill()
                await _ends(process)
        await asyncio.gather(*self._drains)
        self._drains.clear()
