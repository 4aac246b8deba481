"""The air: badges, adapters for companions, who is in range of whom, and the clock that all of them share.

async with Air(clock_file=path, start=1_750_000_000) as air:
    await air.start_badge("ada", Path("flash/ada"))
    await air.start_badge("bob", Path("flash/bob"))
    port = await air.add_adapter("ada's desk")       # companion: --adapter bumble:tcp-client:127.0.0.1:PORT
    air.set_range("ada", "bob", -60)
    air.set_range("ada", "ada's desk", -50)
    air.realtime(10, talking=1)                      # while companions are at work
    ...
    await air.run_until(air.now + 3600)              # as fast as the badges can
"""

import asyncio
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bumble import hci
from bumble.transport.common import PacketParser

from tools.simulator import frames, image
from tools.simulator.badge import HEAP, Badge, BadgeError
from tools.simulator.clock import Clock
from tools.simulator.frames import FromBadge
from tools.simulator.radio import Advert, Ether, Radio

_logger = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Sighting:
    """What a sniffer next to `sender` gets: one advertising event. `address` in reading order."""

    time: float
    sender: str
    kind: int
    address: bytes
    random: bool
    data: bytes


class _Greeter(asyncio.Protocol):
    """A connection to the badges' port until its HELLO shows whose it is."""

    def __init__(self, air: "Air") -> None:
        self._air = air
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._data += data
        size = frames.HEADER.size + 16
        if len(self._data) < size:
            return
        length, kind = frames.HEADER.unpack_from(self._data)
        nonce = self._data[frames.HEADER.size :]
        if (length, kind) != (16, FromBadge.HELLO) or not any(
            badge.adopt(self._transport, nonce) for badge in self._air.badges.values()
        ):
            self._transport.abort()


class _Client(asyncio.Protocol):
    """One TCP connection to an adapter."""

    def __init__(self, adapter: "Adapter") -> None:
        self.adapter = adapter
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.adapter.welcome(self)

    def data_received(self, data: bytes) -> None:
        self.adapter.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.adapter.leave(self)


class Adapter:
    """A companion's Bluetooth adapter: HCI over TCP on loopback, one client at a time; others wait for their turn."""

    def __init__(self, radio: Radio) -> None:
        self.radio = radio
        self.port = 0
        self._server: asyncio.Server | None = None
        self._clients: list[_Client] = []
        self._parser = PacketParser(radio)
        radio.set_packet_sink(self)
        radio.on_link = radio.clock.talk

    async def listen(self) -> None:
        """Open a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the port and unplug the adapter."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            if client.transport is not None:
                client.transport.abort()
        self.radio.power_off()

    def welcome(self, client: _Client) -> None:
        """A companion opens the adapter."""
        self._clients.append(client)
        if client is not self._clients[0] and client.transport is not None:
            client.transport.pause_reading()

    def feed(self, data: bytes) -> None:
        """HCI from the companion."""
        self.radio.clock.catch_up()
        self._parser.feed_data(data)

    def leave(self, client: _Client) -> None:
        """The companion has closed the adapter or died: its links are gone, and the next one may have it."""
        current = client is self._clients[0]
        self._clients.remove(client)
        if current:
            self.radio.power_off()
            self._parser.reset()
            if self._clients and self._clients[0].transport is not None:
                self._clients[0].transport.resume_reading()

    def on_packet(self, packet: bytes) -> None:
        """HCI from the controller."""
        if self._clients and self._clients[0].transport is not None:
            self._clients[0].transport.write(packet)


def _folder(path: Path) -> Path:
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


class Air:
    """The whole simulation, as an asynchronous context manager. `start` is the unix time at which it begins.

    `heap` is what the firmware finds in bytes; what the simulator's modules need in the same process comes on top.
    """

    def __init__(
        self,
        clock_file: Path | None = None,
        start: float = 1_750_000_200.0,
        *,
        micropython: Sequence[str] | None = None,
        seed: str = "anontrace",
        log_dir: Path | None = None,
        heap: int = HEAP,
    ) -> None:
        self.badges: dict[str, Badge] = {}
        self.adapters: dict[str, Adapter] = {}
        self._clock_file = clock_file
        self._start = start
        self._micropython = list(micropython) if micropython is not None else None
        self._seed = seed
        self._log_dir = log_dir
        self._heap = heap
        self._server: asyncio.Server | None = None
        self.failures: list[BadgeError] = []
        self._failed = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._micropython is None:
            from tools import micropython

            self._micropython = list(micropython.find())
        logging.getLogger("bumble").addHandler(logging.NullHandler())
        self.clock = Clock(self._start, self._clock_file)
        self.ether = Ether(self.clock)
        self._server = await asyncio.get_running_loop().create_server(lambda: _Greeter(self), "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End every process, close every port."""
        self.clock.hold()
        for badge in self.badges.values():
            badge.on_failure = None
            await badge.power_off()
        for adapter in self.adapters.values():
            await adapter.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        self.clock.close()

    # Who is there

    def _radio(self, name: str) -> Radio:
        if name in self.badges or name in self.adapters:
            raise ValueError(f"there is a {name!r} already")
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        address = hci.Address(digest[:6], hci.Address.PUBLIC_DEVICE_ADDRESS)
        return Radio(name, self.ether, address, f"{self._seed}/{name}")

    async def start_badge(
        self,
        name: str,
        flash: Path,
        *,
        main: Path | None = None,
        path: Sequence[Path] | None = None,
        lock_heap: bool = False,
        ppm: int = 0,
        sleep_ppm: int = 0,
    ) -> Badge:
        """Boot a badge whose flash is the folder `flash`; returns when it is idle for the first time.

        `main` and `path` name another main.py and other module folders than the firmware's. `lock_heap` locks the heap
        while an IRQ handler runs. Its crystal is `ppm` fast, its oscillator in light sleep `sleep_ppm`. What it prints
        goes to NAME.log in `log_dir`, by default beside the flash folder. Raises BadgeError.
        """
        assert self._micropython is not None
        flash = _folder(flash)
        log = (self._log_dir or flash.parent) / f"{name}.log"
        main = (main or _ROOT / "firmware" / "main.py").absolute()
        folders = await asyncio.to_thread(image.folders, self._micropython)
        heap = self._heap + await asyncio.to_thread(
            image.weight, tuple(self._micropython), folders[0], (flash / "board.json").exists()
        )
        if path is not None:
            folders[1:] = [one.absolute() for one in path]
        command = [*self._micropython, "-X", f"heapsize={heap}"]
        badge = Badge(name, flash, log, self._radio(name), command, folders)
        badge.lock_heap, badge.ppm, badge.sleep_ppm = lock_heap, ppm, sleep_ppm
        badge.on_failure = self._on_failure
        self.badges[name] = badge
        await badge.stack.open()
        await badge.power_on(main, self._port)
        return badge

    async def restart_badge(self, name: str) -> None:
        """Cut a badge's power, if it has any, and give it back: the flash is what is left of it."""
        badge = self.badges[name]
        await badge.power_off()
        await badge.power_on(badge.main, self._port)

    def _on_failure(self, error: BadgeError) -> None:
        self.failures.append(error)
        self._failed.set()
        _logger.error("%s", error)
        self.clock.fail(error)

    async def failed(self) -> BadgeError:
        """Wait until a badge dies; the answer says which and with what last words."""
        await self._failed.wait()
        return self.failures[0]

    async def add_adapter(self, name: str) -> int:
        """A Bluetooth adapter for one companion; returns its TCP port on loopback, which speaks HCI."""
        adapter = Adapter(self._radio(name))
        self.adapters[name] = adapter
        await adapter.listen()
        return adapter.port

    def _find(self, name: str) -> Radio:
        place = self.badges.get(name) or self.adapters.get(name)
        if place is None:
            raise ValueError(f"nobody here is called {name!r}")
        return place.radio

    def set_range(self, a: str, b: str, rssi: int | None) -> None:
        """From now on `a` and `b` hear each other at `rssi` dBm, or not at all (None)."""
        one, other = self._find(a), self._find(b)
        if one is other:
            raise ValueError(f"{a!r} cannot be in range of itself")
        self.clock.catch_up()
        if rssi is None:
            if one.neighbours.pop(other, None) is not None:
                other.neighbours.pop(one, None)
                self.ether.fade(one, other)
        else:
            one.neighbours[other] = other.neighbours[one] = rssi
            one.noticed()
            other.noticed()

    def sniff(self, callback: Callable[[Sighting], None]) -> None:
        """Call with every advertising event that anybody sends."""

        def on_advert(sender: Radio, advert: Advert) -> None:
            address = bytes(reversed(bytes(advert.address)))
            callback(
                Sighting(self.clock.unix, sender.name, advert.kind, address, not advert.address.is_public, advert.data)
            )

        self.ether.sniffers.append(on_advert)
        for name in (*self.badges, *self.adapters):
            self._find(name).noticed()

    # Time

    @property
    def now(self) -> float:
        """Simulated unix time."""
        return self.clock.unix

    def hold(self) -> None:
        """Let time stand."""
        self.clock.hold()

    def realtime(self, scale: float = 1.0, talking: float | None = None) -> None:
        """Let time pass at `scale` times real time, at `talking` times while a companion is connected to a badge."""
        self.clock.realtime(scale, talking)

    async def run_until(self, unix: float) -> None:
        """Let time pass as fast as the badges can, then as before. Raises BadgeError if a badge dies."""
        if self.failures:
            raise self.failures[0]
        await self.clock.run_until(unix)

    async def run_for(self, seconds: float) -> None:
        """The same, for so many simulated seconds."""
        await self.run_until(self.now + seconds)
