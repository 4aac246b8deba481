"""One badge: the process that runs the firmware in MicroPython, its frames, and its place in the lock-step.

The process is started with a nonce in its environment and must show it; nobody else on the machine can pose as a badge.
"""

import asyncio
import collections
import contextlib
import hashlib
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from tools.simulator import frames
from tools.simulator.clock import SECOND, Clock
from tools.simulator.flash import IMAGE
from tools.simulator.frames import FromBadge, Irq, Op, ToBadge
from tools.simulator.nimble import Nimble
from tools.simulator.radio import Radio

_logger = logging.getLogger(__name__)
HEAP = 165_008  # bytes that an ESP32 has free after boot
# Scan results reach the badge in batches at multiples of this, and at the end of a run_until, so that badges compute
# side by side and seldom. Each bears the time at which it was heard, and the badge lives through it at that time; only
# what it then does to the radio comes later.
REPORT_LATENCY = 10 * SECOND
_REALTIME_LATENCY = 20_000
_STEP_TIMEOUT = 600.0  # real seconds that a badge may compute at one instant
_BOARD = Path(__file__).parent / "board"
_POWER_ON = 1
_BOOT_TIME = 300_000  # virtual microseconds from a reset to the firmware
_MAX_BOOTS = 5  # resets in a row before the badge is idle once


class BadgeError(Exception):
    """A badge's process ended, hangs, or broke the protocol; says which and with what last words."""


class Badge(asyncio.Protocol):
    """A badge of the simulator. Made by Air.start_badge()."""

    def __init__(self, name: str, flash: Path, log: Path, radio: Radio, command: list[str], path: list[Path]) -> None:
        self.name = name
        self.flash = flash
        self.log = log
        self.radio = radio
        self.clock: Clock = radio.clock
        self.stack = Nimble(radio, self._post)
        self.failure: BadgeError | None = None
        self.on_failure: Callable[[BadgeError], None] | None = None
        self.lock_heap = False
        self.ppm = 0
        self.sleep_ppm = 0
        self.resets = 0
        self.on_pin: Callable[[float, int, int], None] | None = None  # unix time, output pin, its new level
        self.unique_id = hashlib.sha256(name.encode()).digest()[:6]
        self.main = Path()
        self._voltages: dict[int, int] = {}
        self._port = 0
        self._command = command
        self._path = path
        self._process: asyncio.subprocess.Process | None = None
        self._nonce = b""
        self._rtc = 0
        self._cause = _POWER_ON
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._inbox: collections.deque[tuple[int, bytes]] = collections.deque()  # events by time
        self._urgent = False
        self._working = False
        self._deadline = frames.FOREVER
        self._alarm_at = frames.FOREVER
        self._flush_due = False
        self._unfinished = False
        self._booted: asyncio.Future[None] | None = None
        self._boots = 0
        self._watch: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._stuck: asyncio.TimerHandle | None = None

    # Life

    @property
    def powered(self) -> bool:
        """True while a process runs the firmware."""
        return self._process is not None

    async def power_on(self, main: Path, port: int) -> None:
        """Boot; returns when the firmware is idle for the first time."""
        if self._process is not None:
            raise BadgeError(f"{self.name} is on already")
        self.main, self._port = main, port
        self._rtc = -self.clock.now
        self._cause = _POWER_ON
        self._boots = 1
        self.failure = self._booted = None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        await self._boot()
        assert self._booted is not None
        await self._booted
        if self.failure is not None:
            raise self.failure

    async def power_off(self) -> None:
        """Cut the power at this instant."""
        if self._restarting is not None:
            self._restarting.cancel()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        await self._end_process()
        self.stack.close()
        self._set_working(False)

    async def _boot(self) -> None:
        """Start the process; its first IDLE, or its failure, completes `_booted`."""
        self._nonce = secrets.token_bytes(16)
        if self._booted is None or self._booted.done():
            self._booted = asyncio.get_running_loop().create_future()
        self._set_working(True)
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "ANONTRACE_AIR": f"127.0.0.1:{self._port}:{self._nonce.hex()}",
            "ANONTRACE_MAIN": str(self.main),
            "ANONTRACE_FLASH": str(self.flash / IMAGE),
            "MICROPYPATH": ":".join([*map(str, self._path), ".frozen"]),
        }
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                str(_BOARD / "boot_sim.py"),
                cwd=self.flash,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is for the simulator, which then stops its badges
            )
        self._watch = asyncio.create_task(self._watch_process(self._process))

    async def _watch_process(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._fail(f"ended with exit code {code}")

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._inbox.clear()
        self._unfinished = False
        self._buffer.clear()
        self._deadline = frames.FOREVER

    def _fail(self, what: str) -> None:
        if self.failure is not None:
            return
        words = self.log.read_bytes()[-2000:].decode(errors="replace").strip() if self.log.exists() else ""
        self.failure = BadgeError(f"badge {self.name} {what}" + (f"; its last words:\n{words}" if words else ""))
        self._deadline = frames.FOREVER
        self.stack.close()
        if self._booted is not None and not self._booted.done():
            self._booted.set_result(None)
        elif self.on_failure is not None:
            self.on_failure(self.failure)
        self._set_working(False)

    async def _restart(self, cause: int) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        await self._end_process()
        self.stack.close()
        self.resets += 1
        self._cause = cause
        idle_once = self._booted is not None and self._booted.done()
        self._boots = 1 if idle_once else self._boots + 1
        if self._boots > _MAX_BOOTS:
            self._fail(f"was reset {_MAX_BOOTS} times in a row before it was idle")
        elif idle_once:
            self.clock.after(_BOOT_TIME, self._begin_boot)
            self._set_working(False)
        else:
            await self._boot()  # power_on() is waited for while the clock may stand

    def _begin_boot(self) -> None:
        if self._process is None and self.failure is None:
            self._set_working(True)  # time stands from this instant, not from when the task gets its turn
            self._restarting = asyncio.create_task(self._boot())

    # Lock-step

    def _set_working(self, working: bool) -> None:
        if working == self._working:
            return
        self._working = working
        if working:
            self.clock.begin()
            loop = asyncio.get_running_loop()
            self._stuck = loop.call_later(_STEP_TIMEOUT, self._fail, f"is not idle after {_STEP_TIMEOUT:.0f} s")
        else:
            if self._stuck is not None:
                self._stuck.cancel()
            self.clock.end()

    def _post(self, irq: Irq, body: bytes, urgent: bool) -> None:
        """An event for the badge: an urgent one is delivered at this instant, others may wait a little for company."""
        if self._transport is None:
            return
        self._inbox.append((self.clock.now, frames.event(self.clock.now, irq, body)))
        self._urgent = self._urgent or urgent
        if not self._working:
            self._arrange_delivery()

    def _arrange_delivery(self) -> None:
        if self._urgent:
            self.clock.at(self.clock.now, self._deliver)
        elif not self._flush_due:
            self._flush_due = True
            step = _REALTIME_LATENCY if self.clock.target is None else REPORT_LATENCY
            due = (self.clock.now // step + 1) * step
            self.clock.at(due if self.clock.target is None else min(due, self.clock.target), self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self._deliver()

    def _deliver(self) -> None:
        if self._inbox and not self._working and self._transport is not None:
            self._run()

    def _on_alarm(self) -> None:
        self._alarm_at = frames.FOREVER
        if self._working or self._transport is None:
            return
        if self.clock.now >= self._deadline:
            self._run()
        else:
            self._set_alarm()

    def _set_alarm(self) -> None:
        # One alarm at a time is kept in the clock, the earliest: a badge moves its deadline at every step.
        if self._deadline < self._alarm_at:
            self._alarm_at = self._deadline
            self.clock.at(self._deadline, self._on_alarm)

    def _run(self) -> None:
        """Deliver what there is and let the badge run; what does not fit its buffer follows when it is idle again."""
        assert self._transport is not None
        self._set_working(True)
        events = bytearray()
        until = 0
        while self._inbox and len(events) + len(self._inbox[0][1]) <= frames.MAX_BODY - frames.TIME.size:
            until, event = self._inbox.popleft()
            events += event
        self._unfinished = bool(self._inbox)
        self._urgent = self._urgent and self._unfinished
        self._transport.write(frames.run(until if self._unfinished else self.clock.now, bytes(events)))

    # Frames

    def adopt(self, transport: asyncio.Transport, nonce: bytes) -> bool:
        """A process has connected: is it this badge's?"""
        if not self._nonce or not secrets.compare_digest(nonce, self._nonce):
            return False
        self._nonce = b""
        self._transport = transport
        transport.set_protocol(self)
        welcome = frames.WELCOME.pack(
            self.clock.now,
            self._rtc,
            self.ppm,
            self.sleep_ppm,
            self._cause,
            int(self.lock_heap),
            self.unique_id,
        )
        transport.write(frames.frame(ToBadge.WELCOME, welcome))
        return True

    def data_received(self, data: bytes) -> None:
        """Bytes from the badge."""
        self._buffer += data
        while len(self._buffer) >= 3:
            size, kind = frames.HEADER.unpack_from(self._buffer)
            if len(self._buffer) < 3 + size:
                return
            body = bytes(self._buffer[3 : 3 + size])
            del self._buffer[: 3 + size]
            self._on_frame(kind, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended or closed its socket; _watch_process says why."""
        self._transport = None

    def _on_frame(self, kind: int, body: bytes) -> None:
        if kind == FromBadge.CALL:
            self._on_call(body)
        elif kind == FromBadge.IDLE:
            self._deadline = frames.TIME.unpack(body)[0]
            if self._booted is not None and not self._booted.done():
                self._booted.set_result(None)
            if self._unfinished:
                self._run()
                return
            self._set_alarm()
            if self._inbox:
                self._arrange_delivery()
            self._set_working(False)
        elif kind == FromBadge.RESET:
            cause, self._rtc = frames.RESET.unpack(body)
            self._restarting = asyncio.create_task(self._restart(cause))
        elif kind == FromBadge.PIN:
            time, pin, level = frames.PIN.unpack(body)
            if self.on_pin is not None:
                self.on_pin(self.clock.unix + (time - self.clock.now) / SECOND, pin, level)
        else:
            self._fail(f"sent frame {kind}, which does not exist")

    def _on_call(self, body: bytes) -> None:
        assert self._transport is not None
        try:
            if body[0] == Op.VOLTAGE:
                reply = b"\0" + self._voltages.get(body[1], 0).to_bytes(4, "little")
            else:
                reply = b"\0" + self.stack.call(body[0], body[1:])
        except OSError as error:
            reply = bytes(((error.errno or 5) & 0xFF,))
        except (ValueError, KeyError, IndexError) as error:
            _logger.warning("badge %s: call %d cannot be read: %r", self.name, body[0], error)
            reply = b"\x16"
        self._transport.write(frames.frame(ToBadge.REPLY, reply))

    # The world around

    def hear(self, address: bytes, data: bytes, rssi: int, *, kind: int = 0, address_type: int = 1) -> None:
        """Let the badge hear an advert of a stranger who is not on the air otherwise."""
        if self.radio.le_scan_enable:
            self.stack.report(kind, address_type, address, rssi, data)

    def set_pin(self, pin: int, level: int) -> None:
        """Drive an input pin, as a button does."""
        self._post(Irq.PIN, bytes((pin, 1 if level else 0)), True)

    def fail_power_after(self, size: int) -> None:
        """Let the power fail for an instant once so many more bytes of the flash have been written or erased."""
        self._post(Irq.POWER, size.to_bytes(4, "little"), True)

    def set_voltage(self, pin: int, millivolts: int) -> None:
        """Put a voltage on a pin, for the ADC to measure."""
        self._voltages[pin] = millivolts * 1000
