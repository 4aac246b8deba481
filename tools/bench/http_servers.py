"""Which HTTP server costs least: ours (uvicorn with httptools, uvloop and our bounds) or granian, for what comes most.

    python -m tools.bench --only http_servers

The shipped application with one endpoint that reads a body and does nothing with it, in a process of its own for each,
asked in turns: with 256 messages, as mixes ask, and with a look's size, as companions do. Counted is the processor time
of the server's process for a request. granian is fetched into a temporary folder. It has none of our bounds:
connections by sender, time-outs of heads and of readers, TLS handshakes that hold nobody up.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from anontrace.backend.config import HttpSettings
from anontrace.backend.operating import serving
from anontrace.backend.web.app import application, octets
from anontrace.backend.web.http import OCTETS
from anontrace.mixnet.sizes import MESSAGE
from fastapi import FastAPI, Request, Response

from tools.bench.report import Report
from tools.bench.servers import until, x25519_seconds

_GRANIAN = ("granian==2.8.7",)
_BODIES = {"messages": 256 * MESSAGE, "look": 664}
_LABELS = {"messages": "256 messages", "look": "a look's size"}
_REQUESTS, _ROUNDS = 300, 7
_REPOSITORY = Path(__file__).parents[2]


def app() -> FastAPI:
    """What both serve."""
    made = application("bench", HttpSettings(), ())

    @made.post("/v1/messages", status_code=202, response_class=Response)
    async def messages(request: Request) -> Response:
        await octets(request, at_least=1, at_most=max(_BODIES.values()), unit=1)
        return Response(status_code=202)

    return made


async def _serve(port: int) -> None:
    """Ours."""
    settings = HttpSettings()
    with socket.create_server(("127.0.0.1", port)) as listening:
        async with serving.opened(app(), [listening], None, settings, asyncio.Event()):
            await asyncio.Event().wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class _Running:
    """A server in a process of its own."""

    def __init__(self, command: list[str], port: int, path: str | None = None) -> None:
        environment = os.environ if path is None else os.environ | {"PYTHONPATH": path}
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=environment, stdout=silent, stderr=silent, cwd=_REPOSITORY)
        self._http = httpx.Client(trust_env=False, timeout=60, base_url=f"http://127.0.0.1:{port}")
        until("the server listens", self._answers)

    def _answers(self) -> bool:
        try:
            return self._post(b"x").status_code == 202
        except httpx.HTTPError:
            if self._process.poll() is not None:
                raise RuntimeError("the server ended") from None
            return False

    def _post(self, body: bytes) -> httpx.Response:
        return self._http.post("/v1/messages", content=body, headers={"Content-Type": OCTETS})

    def cost(self, body: bytes) -> float:
        """Seconds of processor time for a request."""
        before = self._spent()
        for _ in range(_REQUESTS):
            assert self._post(body).status_code == 202
        return (self._spent() - before) / _REQUESTS

    def _spent(self) -> float:
        """Of the process and those that it started."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in (self._process.pid, *map(int, children)))

    def close(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def _running(missing: list[str]) -> Iterator[dict[str, _Running]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found: dict[str, _Running] = {}

        def start(name: str, command: list[str], port: int, path: str | None = None) -> None:
            found[name] = _Running(command, port, path)
            stack.callback(found[name].close)

        port = _free_port()
        start("uvicorn", [sys.executable, "-m", "tools.bench.http_servers", str(port)], port)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
        ]
        done = subprocess.run([*pip, folder, *_GRANIAN], capture_output=True, text=True, check=False)
        if done.returncode:
            missing.append((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        else:
            port = _free_port()
            options = ["--interface", "asginl", "--loop", "uvloop", "--workers", "1", "--no-ws", "--factory"]
            command = [sys.executable, "-m", "granian", *options, "--port", str(port), "tools.bench.http_servers:app"]
            start("granian", command, port, folder)
        yield found


def run() -> Report:
    """The figures."""
    report = Report("HTTP servers: processor time of a request", ("X25519", "microseconds"))
    missing: list[str] = []
    with _running(missing) as found:
        costs: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(_ROUNDS):
            for what, size in _BODIES.items():
                body = os.urandom(size)
                for name, server in found.items():
                    measure, cost = x25519_seconds(), server.cost(body)
                    costs.setdefault((name, what), []).append((2 * cost / (measure + x25519_seconds()), cost))
    middle = {key: [statistics.median(column) for column in zip(*each, strict=True)] for key, each in costs.items()}
    for (name, what), (ratio, seconds) in middle.items():
        figures = {f"{name}_{what}_cost": ratio, f"{name}_{what}_us": seconds * 1e6}
        report.add_row(f"{name}: {_LABELS[what]}", "", figures)
    for what, label in _LABELS.items():
        if ("granian", what) in middle:
            ratio = middle["granian", what][0] / middle["uvicorn", what][0]
            report.add(f"granian_to_uvicorn_{what}", f"granian to ours: {label}", ratio, "")
    for each in missing:
        report.remark(f"No figures of granian: {each}")
    report.remark(
        f"The middle of {_ROUNDS} rounds of {_REQUESTS} requests over one connection. Ours is with all bounds."
    )
    return report


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1])))
