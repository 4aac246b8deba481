"""Bluetooth through bleak: finding the wearer's own badge and a pipe of bytes to it (protocol.md, sections 2, 4).

Owns every use of bleak. The adapter is "system" (its default one), on Linux also "hci1" and the like, or "bumble:" and
the name of a Bumble transport. What fails comes out as a sentence, through `failures`.
"""

import asyncio
import contextlib
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from anontrace_shared import advert, commands
from bleak import BleakClient, BleakScanner
from bleak.backends import BleakBackend
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakCharacteristicNotFoundError, BleakError

from anontrace.companion.badge.failures import sentences
from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError, BadgeNotFoundError, SetupError

SYSTEM = "system"
BUMBLE = "bumble:"
CONNECT_SECONDS = 20.0
BESIDE_SECONDS = 3.0  # in which a second new badge would be heard too
MIN_PIECE = 20  # bytes, which every connection takes
PACE = 8  # every so many pieces of a frame one is acknowledged; a badge's Bluetooth stack has buffers for 24
MAX_UNREAD = 1 << 16  # bytes of a badge that nobody has read yet; it is asked for 8 kB at a time

_SERVICE_DATA = f"0000{advert.SERVICE_UUID16:04x}-0000-1000-8000-00805f9b34fb"
_SERVICE_DATA_SIZE = 22  # version, tx power, address or beacon
_VERSION = 1
_OLD_INBOX = "a7ce0002-0a7e-4c1d-9a55-5f0a3c7e1b00"  # of firmware whose sessions are bound to nothing on the air

# Its warnings are for whoever asks for them: unhandled, they would go to the terminal, with names from the air in them.
logging.getLogger("bleak").addHandler(logging.NullHandler())


class Found(NamedTuple):
    """A badge that was heard, and the 20 bytes that it advertised then: its session is bound to them."""

    device: BLEDevice
    advertised: bytes


class Radio:
    """The chosen adapter; as a context manager, it is kept open from the scan to the end of the session."""

    def __init__(self, adapter: str) -> None:
        self._adapter = adapter
        self._scanner: dict[str, Any] = {}
        self._client: dict[str, Any] = {}
        self._open = contextlib.AsyncExitStack()
        if re.fullmatch("hci[0-9]+", adapter, re.ASCII):
            if sys.platform != "linux":
                raise SetupError(f"adapters are named as {adapter} on Linux alone; use system")
            self._scanner = self._client = {"bluez": {"adapter": adapter}}
        elif adapter != SYSTEM and not adapter.startswith(BUMBLE):
            raise SetupError(f"unknown Bluetooth adapter {adapter!r}: use system, hci1 (on Linux), or bumble:TRANSPORT")

    async def __aenter__(self) -> "Radio":
        if self._adapter.startswith(BUMBLE):
            with sentences("opening the Bluetooth adapter failed"):
                from anontrace.companion.badge.bumble_backend import BumbleClient, BumbleScanner, open_adapter

                transport = self._adapter.removeprefix(BUMBLE)
                self._scanner = {"backend": BumbleScanner, "bluez": {"adapter": transport}}
                self._client = {"backend": BumbleClient, "bluez": {"adapter": transport}}
                await self._open.enter_async_context(open_adapter(transport))
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._open.aclose()

    async def find(self, is_own: Callable[[bytes], bool], seconds: float) -> Found:
        """The device whose advertised 20 bytes are the own badge's; BadgeNotFoundError after `seconds`."""
        advertised = b""

        def matches(_device: BLEDevice, advertisement: AdvertisementData) -> bool:
            nonlocal advertised
            advertised = _advertised(advertisement) or b""
            return bool(advertised) and is_own(advertised)

        with sentences("scanning for the badge failed"):
            device = await BleakScanner.find_device_by_filter(matches, timeout=seconds, **self._scanner)
        if device is None:
            raise BadgeNotFoundError(
                f"the badge was not heard within {seconds:.0f} seconds; bring it near, and check that it is switched on"
            )
        return Found(device, advertised)

    async def find_new(self, is_new: Callable[[bytes], bool], seconds: float) -> Found:
        """The one device whose advertised 20 bytes are a new badge's; BadgeNotFoundError if there is none, or more."""
        heard = await self._heard_new(is_new, seconds)
        if len(heard) > 1:  # or one, which changed its Bluetooth address meanwhile: it has another only now
            heard = await self._heard_new(is_new, seconds)
        if not heard:
            raise BadgeNotFoundError(
                f"no new badge was heard within {seconds:.0f} seconds; press its button briefly (if it has none, switch"
                " it off and on) and try again; one that has an owner is emptied by eight seconds on its button"
            )
        if len(heard) > 1:
            raise BadgeNotFoundError(
                f"{len(heard)} new badges are heard, and one of them may not be yours;"
                " switch the others off or go away from them, and try again"
            )
        return heard[0]

    async def _heard_new(self, is_new: Callable[[bytes], bool], seconds: float) -> list[Found]:
        """The new badges that are heard, by Bluetooth address; listens on for a moment once there is one."""
        heard: dict[str, Found] = {}
        first = asyncio.Event()

        def hear(device: BLEDevice, advertisement: AdvertisementData) -> None:
            data = _advertised(advertisement)
            if data is not None and is_new(data):
                heard[device.address] = Found(device, data)
                first.set()

        with sentences("scanning for a new badge failed"):
            async with BleakScanner(hear, **self._scanner):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await first.wait()
                    await asyncio.sleep(BESIDE_SECONDS)
        return list(heard.values())

    async def listen(self, seconds: float) -> int:
        """How many badges are heard, whosever they are: whether the adapter can be used at all."""
        heard: set[bytes] = set()

        def hear(_device: BLEDevice, advertisement: AdvertisementData) -> None:
            if (data := _advertised(advertisement)) is not None:
                heard.add(data)

        with sentences("scanning failed"):
            async with BleakScanner(hear, **self._scanner):
                await asyncio.sleep(seconds)
        return len(heard)

    @asynccontextmanager
    async def connect(self, found: Found) -> AsyncIterator["GattPipe"]:
        """A pipe to the badge for the time of the block."""
        pipe = GattPipe(found.advertised)
        client = BleakClient(found.device, pipe.lost, timeout=CONNECT_SECONDS, **self._client)
        try:
            with sentences("connecting to the badge failed"):
                await client.connect()
        except BadgeNotFoundError as error:
            # It was heard a moment ago, and may have changed its Bluetooth address since: worth another attempt.
            raise BadgeLinkError(str(error)) from error
        try:
            with sentences("the badge does not offer the service that was expected"):
                await pipe.start(client)
            yield pipe
        finally:
            with contextlib.suppress(BleakError, OSError, EOFError, TimeoutError):
                await client.disconnect()


class GattPipe:
    """The inbox and outbox characteristics as one pipe of bytes."""

    def __init__(self, advertised: bytes) -> None:
        self.advertised = advertised
        self._client: BleakClient | None = None
        self._inbox: BleakGATTCharacteristic | None = None
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: nothing more comes
        self._unread = 0

    async def start(self, client: BleakClient) -> None:
        self._inbox = client.services.get_characteristic(commands.INBOX)
        if self._inbox is None:
            if client.services.get_characteristic(_OLD_INBOX) is not None:
                raise BadgeAnswerError(
                    "the badge has older firmware than this program needs; update it by cable: make update PORT=..."
                )
            raise BleakCharacteristicNotFoundError(commands.INBOX)
        await client.start_notify(commands.OUTBOX, lambda _characteristic, data: self.take(bytes(data)))
        self._client = client

    def take(self, data: bytes) -> None:
        """What a notification holds. Of a badge that sends without being asked, no more than MAX_UNREAD is read."""
        if data and self._unread <= MAX_UNREAD:
            self._unread += len(data)
            self._arrived.put_nowait(data if self._unread <= MAX_UNREAD else None)

    def lost(self, _client: BleakClient) -> None:
        self._arrived.put_nowait(None)

    async def write(self, data: bytes) -> None:
        """Hand over `data`, in as few pieces as the connection lets through, and as few acknowledged.

        The badge's answer says that they have arrived. Every frame has one, and the next is sent only after it: no more
        than one frame ever waits in the badge, which has room for it.
        """
        assert self._client is not None and self._inbox is not None
        # Asked of the characteristic: on Linux the client says 23 for its MTU, whatever was agreed, and warns. Asked
        # each time: a larger one may become known after the beginning.
        piece = max(self._inbox.max_write_without_response_size, MIN_PIECE)
        # CoreBluetooth drops without a word what it has no room for, and bleak does not ask it first.
        quiet = (
            "write-without-response" in self._inbox.properties
            and self._client.backend_id != BleakBackend.CORE_BLUETOOTH
        )
        with sentences("the connection to the badge broke"):
            for number, at in enumerate(range(0, len(data), piece), 1):
                acknowledged = not quiet or number % PACE == 0
                await self._client.write_gatt_char(self._inbox, data[at : at + piece], response=acknowledged)

    async def read(self) -> bytes:
        data = await self._arrived.get()
        if data is None:
            self._arrived.put_nowait(None)
            raise BadgeLinkError("the connection to the badge broke")
        self._unread -= len(data)
        return data


def _advertised(advertisement: AdvertisementData) -> bytes | None:
    """The 20 bytes, K or beacon, of a badge's advertisement; None for anything else on the air."""
    data = advertisement.service_data.get(_SERVICE_DATA, b"")
    return bytes(data[2:]) if len(data) == _SERVICE_DATA_SIZE and data[0] == _VERSION else None
