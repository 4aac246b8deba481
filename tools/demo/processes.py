"""The processes of the demonstration: started with their own log files, watched, and all stopped at the end.

Children get a session of their own, so that Ctrl-C reaches only the demonstration, which then stops them in order.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

# Real seconds: for a server to get ready, for a command to end, for a process to end when asked, before it is killed.
_START = 600.0
_COMMAND = 600.0
_PATIENCE = 30.0


class DemoError(Exception):
    """The demonstration cannot go on; the message is the reason, in one line."""


async def _drain(stream: asyncio.StreamReader) -> None:
    """Read and drop, so that a process never waits for its output to be read."""
    while await stream.read(65536):
        pass


class Processes:
    """Everything that the demonstration has started, with one environment and a folder for logs."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._drains: list[asyncio.Task[None]] = []

    async def serve(self, name: str, command: Sequence[str], ready: str) -> None:
        """Start a process that goes on running, and wait until it prints a line that begins with `ready`."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                start_new_session=True,
            )
        self._running[name] = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START):
                while line := await process.stdout.readline():
                    if line.decode(errors="replace").startswith(ready):
                        self._drains.append(asyncio.create_task(_drain(process.stdout)))
                        return
        except TimeoutError:
            raise DemoError(f"{name} was not ready after {_START:.0f} s: {self._last_line(name)}") from None
        await process.wait()
        del self._running[name]
        raise DemoError(f"{name} ended at its start with exit code {process.returncode}: {self._last_line(name)}")

    async def run(
        self, name: str, command: Sequence[str], typed: str = "", environment: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run a command to its end; its exit code, output and error output. The latter also goes to a log. `typed`: its
        standard input."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **(environment or {})},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_COMMAND):
                output, errors = await process.communicate(typed.encode())
        except TimeoutError:
            raise DemoError(f"{name}: {' '.join(command[1:])} did not end within {_COMMAND:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if errors:
            with (self._logs / f"{name}.log").open("ab") as log:
                log.write(errors)
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")

    def check(self) -> None:
        """DemoError if a process that should go on running has ended."""
        for name, process in self._running.items():
            if process.returncode is not None:
                raise DemoError(f"{name} ended with exit code {process.returncode}: {self._last_line(name)}")

    def _last_line(self, name: str) -> str:
        try:
            lines = (self._logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "no message"

    async def stop(self) -> None:
        """End everything, politely first."""
        running = [process for process in self._running.values() if process.returncode is None]
        self._running.clear()
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in running:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        await asyncio.gather(*self._drains)
        self._drains.clear()
