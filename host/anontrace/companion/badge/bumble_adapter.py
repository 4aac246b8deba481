"""Adapters of Bumble's host stack, open once per process and name, however many scanners and clients use them.

A name is a transport of Bumble, such as "usb:0" or "tcp-client:127.0.0.1:9000". Importing this module without Bumble
raises a BleakError that says what to install.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bleak.exc import BleakError

try:
    from bumble import hci, transport
    from bumble.device import Device
    from bumble.transport.common import Transport
except ModuleNotFoundError as error:
    raise BleakError("Bluetooth through Bumble is not installed: pip install 'anontrace[simulator]'") from error

OPEN_TIMEOUT = 10.0  # seconds for the adapter to come up

logging.getLogger("bumble").addHandler(logging.NullHandler())  # its warnings are for whoever asks for them


class Adapter:
    """An open adapter and those who use it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.users = 0
        self.scanners = 0
        self.active_scan = False
        self.lost = False
        self.on_lost: set[Callable[[], None]] = set()  # told when the adapter is unplugged
        self.lock = asyncio.Lock()  # one scan change or connection attempt at a time
        self._transport: Transport | None = None
        self._device: Device | None = None

    @property
    def device(self) -> Device:
        """Bumble's device; BleakError when the adapter is gone."""
        if self._device is None or self.lost:
            raise BleakError(f"Bluetooth adapter {self.name} is gone")
        return self._device

    async def open(self) -> None:
        """Open the transport and bring up the host."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                self._transport = await transport.open_transport(self.name)
                self._transport.source.terminated.add_done_callback(self._on_lost)
                address = hci.Address.generate_static_address()
                device = Device.with_hci("Anontrace", address, self._transport.source, self._transport.sink)
                up = asyncio.ensure_future(device.power_on())
                lost = asyncio.ensure_future(asyncio.shield(self._transport.source.terminated))
                try:
                    await asyncio.wait((up, lost), return_when=asyncio.FIRST_COMPLETED)
                    if not up.done():
                        raise ConnectionResetError("it closed the connection")
                    up.result()
                finally:
                    up.cancel()
                    lost.cancel()
        except TimeoutError:
            await self.close()
            raise BleakError(f"Bluetooth adapter {self.name} does not answer") from None
        except Exception as error:  # each transport raises what its library does: of USB, serial ports, WebSockets
            await self.close()
            raise BleakError(f"Bluetooth adapter {self.name} cannot be opened: {error}") from None
        self._device = device

    async def close(self) -> None:
        """Close the transport."""
        self.lost = True
        if self._transport is not None:
            await self._transport.close()

    def _on_lost(self, _terminated: object) -> None:
        if not self.lost:
            self.lost = True
            for tell in list(self.on_lost):
                tell()


_adapters: dict[tuple[asyncio.AbstractEventLoop, str], Adapter] = {}
_opening: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}


async def acquire(name: str) -> Adapter:
    """The adapter of that name, opened if nobody has; release() it. Raises BleakError."""
    loop = asyncio.get_running_loop()
    async with _opening.setdefault(loop, asyncio.Lock()):
        adapter = _adapters.get((loop, name))
        if adapter is None or adapter.lost:
            adapter = Adapter(name)
            await adapter.open()
            _adapters[loop, name] = adapter
        adapter.users += 1
        return adapter


async def release(adapter: Adapter) -> None:
    """The counterpart of acquire(): the last user closes it."""
    loop = asyncio.get_running_loop()
    async with _opening.setdefault(loop, asyncio.Lock()):
        adapter.users -= 1
        if not adapter.users:
            if _adapters.get((loop, adapter.name)) is adapter:
                del _adapters[loop, adapter.name]
            await adapter.close()
    if not any(key[0] is loop for key in _adapters):
        _opening.pop(loop, None)


@asynccontextmanager
async def open_adapter(name: str) -> AsyncIterator[None]:
    """Keep the adapter open across scans and connections; otherwise each opens it anew. Raises BleakError."""
    adapter = await acquire(name)
    try:
        yield
    finally:
        await release(adapter)
