"""BlueZ on paper: the D-Bus objects that bleak's own Linux backend talks to, before an adapter of the virtual radio.

Every program that connects gets a bus of its own, on which nobody but BlueZ is; so no message bus has to be installed.
dbus-fast, on which bleak stands, has only the client's half of that: greeting and framing are done here, its messages
read and written by it.
"""

import asyncio
import io
import itertools
import struct
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from anontrace.companion.badge.bumble_backend import BumbleClient, BumbleScanner, open_adapter
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from dbus_fast import Message, Variant
from dbus_fast._private.unmarshaller import Unmarshaller

ADAPTER = "/org/bluez/hci0"
ADAPTER1, DEVICE1, SERVICE1, CHARACTERISTIC1 = (
    f"org.bluez.{name}1" for name in ("Adapter", "Device", "GattService", "GattCharacteristic")
)
_PROPERTIES = "org.freedesktop.DBus.Properties"
_MANAGER = "org.freedesktop.DBus.ObjectManager"
_HEAD = 16  # bytes of a message, in which the sizes of the rest stand

Interfaces = dict[str, dict[str, Variant]]


class Bluez:
    """bluetoothd and its bus, as an asynchronous context manager; programs find it by `address`.

    `flags`: what the characteristics say they can do, in place of what the badge says. `tells_mtu`: False before 5.62.
    """

    def __init__(self, port: int, *, flags: Sequence[str] | None = None, tells_mtu: bool = True) -> None:
        self.writes: list[tuple[str, int]] = []  # "command" or "request" (one that is acknowledged), and its bytes
        self._radio = f"tcp-client:127.0.0.1:{port}"
        self._flags = flags
        self._tells_mtu = tells_mtu
        self._objects: dict[str, Interfaces] = {
            ADAPTER: {ADAPTER1: {"Powered": Variant("b", True), "Roles": Variant("as", ["central"])}}
        }
        self._found: dict[str, BLEDevice] = {}
        self._clients: dict[str, BleakClient] = {}
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._listeners: set[asyncio.StreamWriter] = set()
        self._serials = itertools.count(1)
        self._scanner: BleakScanner | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        path = self._open.enter_context(tempfile.TemporaryDirectory()) + "/bus"  # short: a socket's name has to be
        await self._open.enter_async_context(open_adapter(self._radio))
        server = await asyncio.start_unix_server(self._serve, path)
        self._open.callback(server.close)
        self.address = f"unix:path={path}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        for device in list(self._clients):
            await self._disconnect(device)
        tasks = [task for task in self._connections.values() if task is not None]
        for writer in list(self._connections):
            writer.close()
        await asyncio.gather(*tasks)
        await self._open.aclose()

    # The bus

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = asyncio.current_task()
        try:
            while not (line := await reader.readuntil(b"\r\n")).startswith(b"BEGIN"):
                writer.write(b"AGREE_UNIX_FD\r\n" if line.startswith(b"NEGOTIATE") else b"OK " + b"0" * 32 + b"\r\n")
            while True:
                head = await reader.readexactly(_HEAD)
                body, _, fields = struct.unpack_from("<III", head, 4)
                rest = await reader.readexactly((fields + 7) // 8 * 8 + body)
                message = Unmarshaller(io.BytesIO(head + rest)).unmarshall()
                assert message is not None
                if message.member == "AddMatch":
                    self._listeners.add(writer)
                self._send(writer, await self._reply(message))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the program has ended
        finally:
            self._listeners.discard(writer)
            self._connections.pop(writer, None)
            writer.close()

    async def _reply(self, message: Message) -> Message:
        try:
            signature, body = await self._call(message.path or "", message.member or "", message.body)
        except BleakError as error:
            return Message.new_error(message, "org.bluez.Error.Failed", str(error))
        return Message.new_method_return(message, signature, body)

    def _send(self, writer: asyncio.StreamWriter, message: Message) -> None:
        message.serial = next(self._serials)
        writer.write(message._marshall(False))

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        for writer in self._listeners:
            self._send(writer, Message.new_signal(path, interface, member, signature, body))

    # The objects

    def _add(self, path: str, interface: str, properties: dict[str, Variant]) -> None:
        self._objects[path] = {interface: properties}
        self._signal("/", _MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, self._objects[path]])

    def _change(self, path: str, interface: str, changed: dict[str, Variant]) -> None:
        self._objects[path][interface].update(changed)
        self._signal(path, _PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    async def _call(self, path: str, member: str, body: Sequence[Any]) -> tuple[str, list[Any]]:
        """What a method answers: signature and values. BleakError: it fails."""
        if member == "Hello":
            return "s", [":1.1"]
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self._objects]
        if member == "StartDiscovery":
            self._scanner = BleakScanner(self._hear, backend=BumbleScanner, bluez={"adapter": self._radio})
            await self._scanner.start()
        elif member == "StopDiscovery" and self._scanner is not None:
            await self._scanner.stop()
        elif member == "Connect":
            await self._connect(path)
        elif member == "Disconnect":
            await self._disconnect(path)
        elif member == "StartNotify":
            await self._client(path).start_notify(_handle(path), lambda _, data: self._tell(path, bytes(data)))
        elif member == "WriteValue":
            value, options = body
            await self._write(path, bytes(value), options["type"].value)
        elif member not in ("AddMatch", "RemoveMatch", "SetDiscoveryFilter"):
            raise BleakError(f"{member} is not on this paper")
        return "", []

    def _hear(self, device: BLEDevice, data: AdvertisementData) -> None:
        path = f"{ADAPTER}/dev_{device.address.replace(':', '_')}"
        advertised = {
            "RSSI": Variant("n", data.rssi),
            "ServiceData": Variant("a{sv}", {uuid: Variant("ay", value) for uuid, value in data.service_data.items()}),
        }
        if path in self._found:
            self._change(path, DEVICE1, advertised)
            return
        self._found[path] = device
        device_properties = {
            "Address": Variant("s", device.address),
            "Alias": Variant("s", device.address.replace(":", "-")),
            "Adapter": Variant("o", ADAPTER),
            **{name: Variant("b", False) for name in ("Connected", "Paired", "ServicesResolved")},
        }
        self._add(path, DEVICE1, device_properties | advertised)

    async def _connect(self, path: str) -> None:
        client = BleakClient(
            self._found[path], lambda _: self._gone(path), backend=BumbleClient, bluez={"adapter": self._radio}
        )
        await client.connect()
        self._clients[path] = client
        self._change(path, DEVICE1, {"Connected": Variant("b", True)})
        for service in client.services:
            place = f"{path}/service{service.handle:04x}"
            self._add(place, SERVICE1, {"UUID": Variant("s", service.uuid), "Device": Variant("o", path)})
            for each in service.characteristics:
                properties = {
                    "UUID": Variant("s", each.uuid),
                    "Service": Variant("o", place),
                    "Flags": Variant("as", list(self._flags or each.properties)),
                }
                if self._tells_mtu:
                    properties["MTU"] = Variant("q", client.mtu_size)
                self._add(f"{place}/char{each.handle:04x}", CHARACTERISTIC1, properties)
        self._change(path, DEVICE1, {"ServicesResolved": Variant("b", True)})

    async def _disconnect(self, path: str) -> None:
        if path in self._clients:
            await self._clients[path].disconnect()
            self._gone(path)

    def _gone(self, path: str) -> None:
        self._clients.pop(path, None)
        for place in [each for each in self._objects if each.startswith(path + "/")]:
            (interface,) = self._objects.pop(place)
            self._signal("/", _MANAGER, "InterfacesRemoved", "oas", [place, [interface]])
        self._change(path, DEVICE1, {name: Variant("b", False) for name in ("Connected", "ServicesResolved")})

    def _client(self, path: str) -> BleakClient:
        for device, client in self._clients.items():
            if path.startswith(device + "/"):
                return client
        raise BleakError("Not connected")

    async def _write(self, path: str, value: bytes, kind: str) -> None:
        flag = {"command": "write-without-response", "request": "write"}[kind]
        if flag not in self._objects[path][CHARACTERISTIC1]["Flags"].value:
            raise BleakError(f"a {kind} is not supported")
        self.writes.append((kind, len(value)))
        await self._client(path).write_gatt_char(_handle(path), value, response=kind == "request")

    def _tell(self, path: str, data: bytes) -> None:
        self._change(path, CHARACTERISTIC1, {"Value": Variant("ay", data)})


def _handle(path: str) -> int:
    return int(path[-4:], 16)
