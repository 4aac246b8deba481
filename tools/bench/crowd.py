"""The badge in a crowd: from interrupt to recorded sighting, adverts a second, and the most heap that it ever held.

    python -m tools.bench --only crowd

The whole firmware in the real MicroPython with the heap of an ESP32, and the shipped companion, which pulls the log in
the middle of the crowd; radio, clock and peripherals are stand-ins. A second run has no more heap than the firmware may
take: getting through it is the proof, however much is garbage and however the heap is scattered.
"""

import asyncio
import dataclasses
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anontrace.companion.badge.link import BadgeLink
from anontrace_shared import commands

from tools import micropython, mpy
from tools.bench.report import Report
from tools.simulator import flash
from tools.simulator.badge import HEAP

HERE = Path(__file__).parent / "on_badge"
SECONDS = 60
MAX_HEAP = {4: 76 * 1024, 8: 100 * 1024}  # by the bytes of a word, of which the chip's have 4
MAX_HEAP_SESSION = {4: 100 * 1024, 8: 136 * 1024}  # while its companion pulls the log
OWNER_KEY = bytes(range(32))
LOG_SECRET = bytes(range(1, 33))
PEOPLE = 500, 700  # in the first slot, and in those after it
_FIGURES = (
    "recorded_us",
    "recorded_slow_us",
    "handler_us",
    "stranger_us",
    "adverts_per_second",
    "dropped",
    "heap_used",
    "heap_high",
    "heap_used_session",
    "heap_high_session",
    "base",
    "total",
)
_LAST = 255  # instead of a length: figures follow
_PIECE = 244
_TURNS = 20  # of the companion's event loop, which make it write whatever it has to


@dataclasses.dataclass
class Outcome:
    """What the badge has measured, what its companion has pulled and been told, and the log on its flash."""

    figures: dict[str, int]
    pulled: bytes
    info: Any
    log: bytes


class _Pipe:
    """The companion's end of the wire. What the badge advertises is the first that comes."""

    def __init__(self) -> None:
        self.advertised = b""
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.leaving = bytearray()

    async def write(self, data: bytes) -> None:
        self.leaving += data

    async def read(self) -> bytes:
        return await self.arrived.get()


def _interpreter() -> tuple[str, int]:
    """What MicroPython loads native code for here, and how many bytes its words have."""
    probe = "import sys; print(getattr(sys.implementation, '_mpy', 0) >> 10, 8 if sys.maxsize >> 32 else 4)"
    done = subprocess.run([*micropython.find(), "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    architecture, word = map(int, done.stdout.split())
    return mpy.ARCHITECTURES[architecture], word


@contextmanager
def _short(folder: Path) -> Iterator[tuple[dict[str, str], int]]:
    """An environment in which MicroPython finds modules in this folder by a path as short as the chip's, and the file
    descriptor that it needs for that: every module keeps its path in memory."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield os.environ | {"MICROPYPATH": f"/dev/fd/{descriptor}:.frozen"}, descriptor
    finally:
        os.close(descriptor)


def _weight(folder: Path) -> int:
    """Bytes of heap that are not among those free after boot on the chip: the mounted file system is there already, and
    stand-ins and script are not."""
    with tempfile.TemporaryDirectory() as work, _short(folder) as (environment, modules):
        (Path(work) / flash.IMAGE).write_bytes(b"\xff" * flash.SIZE)
        done = subprocess.run(
            [*micropython.find(), "-m", "crowd"],
            cwd=work, env=environment, pass_fds=[modules], capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    return int(done.stdout)


async def _pull(pipe: _Pipe) -> tuple[bytes, Any]:
    """The log of the first slot, read while the second's is being sealed, then that one's; what the badge is then."""
    pipe.advertised = await pipe.read()
    link = BadgeLink(pipe, OWNER_KEY)
    await link.open()
    log = b""
    for second in (False, True):
        if second:
            await link.ask(commands.LOG_ROTATE)  # waits for the block
        (segments,) = await link.ask(commands.LOG_LIST, 0)
        segment, size = segments[0]
        async for piece in link.stream(commands.LOG_READ, segment, len(log), size):
            log += piece
    return log, await link.info()


async def _play(command: list[str], folder: Path, environment: dict[str, str], modules: int) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        pass_fds=[modules],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    pipe = _Pipe()
    pulling: asyncio.Task[tuple[bytes, Any]] | None = None
    try:
        while (size := (await process.stdout.readexactly(1))[0]) != _LAST:
            if size:
                pipe.arrived.put_nowait(await process.stdout.readexactly(size))
                continue
            pulling = pulling or asyncio.create_task(_pull(pipe))
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            piece = bytes(pipe.leaving[:_PIECE])
            del pipe.leaving[:_PIECE]
            process.stdin.write(bytes((len(piece),)) + piece)
        figures = dict(zip(_FIGURES, json.loads(await process.stdout.read()), strict=True))
        await process.wait()
        log = b"".join(data for path, data in sorted(flash.files(folder).items()) if path.startswith("log/"))
        pulled, info = (b"", None) if pulling is None else await pulling
        return Outcome(figures, pulled, info, log)
    except asyncio.IncompleteReadError:
        await process.wait()  # it ran out of memory, and has said so
        raise
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if pulling is not None:
            pulling.cancel()


class Crowd:
    """The firmware compiled as for the chip, in a folder of its own; `play` it as often as needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        architecture, self.word = _interpreter()
        self.max_heap, self.max_heap_session = MAX_HEAP[self.word], MAX_HEAP_SESSION[self.word]
        mpy.build(architecture, folder)  # compiling in place would leave its traces in the heap
        for path in (HERE / "crowd.py", *(HERE / "standins").glob("*.py")):
            mpy.compile_module(architecture, path, path.stem, folder / f"{path.stem}.mpy")
        self._heap = HEAP + _weight(folder)

    def play(self, seconds: int = SECONDS) -> Outcome:
        """A minute (or `seconds`) of each of three crowds, from an empty flash; the companion comes with the third."""
        return self._play(seconds, self._heap)

    def play_within(
        self, heap: int, measured: dict[str, int], seconds: int = SECONDS, *, companion: bool = False
    ) -> Outcome:
        """The same within `heap` bytes for the firmware, without a companion unless asked; used up, it fails."""
        mode = () if companion else ("0",)
        return self._play(seconds, (measured["base"] + heap) * self._heap // measured["total"], *mode)

    def _play(self, seconds: int, heap: int, *mode: str) -> Outcome:
        command = [*micropython.find(), "-X", f"heapsize={heap}", "-m", "crowd", str(seconds), *mode]
        with tempfile.TemporaryDirectory() as folder, _short(self._folder) as (environment, modules):
            (Path(folder) / flash.IMAGE).write_bytes(b"\xff" * flash.SIZE)
            return asyncio.run(_play(command, Path(folder), environment, modules))


def run() -> Report:
    """The figures; they fail if the firmware does not get through the crowd with the heap that it may take."""
    report = Report("The badge in a crowd of 500, then 700, at 2,000 adverts a second")
    with tempfile.TemporaryDirectory() as folder:
        crowd = Crowd(Path(folder))
        figures = crowd.play().figures
        for heap, companion in ((crowd.max_heap, False), (crowd.max_heap_session, True)):
            try:
                crowd.play_within(heap, figures, companion=companion)
            except asyncio.IncompleteReadError:
                report.failures.append(f"out of memory in a heap of {heap} B")
    for name, label, unit in (
        ("handler_us", "interrupt handler, one advert", "us"),
        ("stranger_us", "interrupt handler, advert of another service", "us"),
        ("recorded_us", "interrupt to recorded sighting, median", "us"),
        ("recorded_slow_us", "interrupt to recorded sighting, 99 of 100", "us"),
        ("adverts_per_second", "adverts sustained", "a second"),
        ("dropped", "dropped of twice 700 (the table holds 512)", ""),
        ("heap_used", "heap of the firmware, high-water", "B"),
        ("heap_high", "the same with garbage not yet collected", "B"),
        ("heap_used_session", "high-water while the companion pulls the log in the crowd", "B"),
        ("heap_high_session", "the same with garbage not yet collected", "B"),
    ):
        report.add(name, label, figures[name], unit)
    report.limit("heap_used", crowd.max_heap)
    if not report.failures:
        report.remark(
            f"Played again where the firmware has {crowd.max_heap} B in all, garbage and gaps included, and with its"
            f" companion in {crowd.max_heap_session} B: they suffice."
        )
    report.remark(f"Sighting: handler, ring, table; of this machine. A word has {crowd.word} bytes here, the chip's 4.")
    return report
