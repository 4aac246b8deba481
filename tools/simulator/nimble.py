"""The ESP32 port's Bluetooth stack (NimBLE under MicroPython) for one badge, on a Bumble host and the virtual radio.

Turns the calls of the badge's bluetooth module into Bumble's and Bumble's events into IRQs; raises OSError with the
numbers that the port gives.
"""

import asyncio
import enum
import struct
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bumble import hci
from bumble.core import ConnectionError, ProtocolError
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration
from bumble.device import LegacyAdvertiser as HostAdvertiser
from bumble.host import Host
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink

from tools.simulator.arguments import (
    EALREADY,
    EBUSY,
    EINVAL,
    EIO,
    ENODEV,
    ENOMEM,
    ENOTCONN,
    Arguments,
    big_endian,
    require,
)
from tools.simulator.clock import Timer
from tools.simulator.frames import Irq, Op
from tools.simulator.gattc import GattClient
from tools.simulator.gatts import GattServer
from tools.simulator.radio import Advert, Radio

_MAX_CONNECTIONS = 4  # as the port is built
_DEFAULT_MTU = 256
_DEFAULT_NAME = b"MPY ESP32"
_CONNECT_SCAN = 16  # units of 0.625 ms, as the next: what NimBLE asks the controller for
_CONNECTION_INTERVAL = (24, 40)  # units of 1.25 ms
_SUPERVISION = 256  # units of 10 ms
_LOST_HANDLE = 3  # of a connection that never came up
_LATE = 8_000_000  # virtual microseconds
_HANDLER = 1000  # virtual microseconds that the badge's handler is given; the stack waits for it
_PEER_SECRET = 2  # the kind of secret that is asked for: a peer's


class _Pairing(PairingDelegate):
    """Accepts whoever wants to pair, as NimBLE does by default: once the badge's handler, which it asks for the keys of
    those that it is bonded with before it answers, has returned."""

    def __init__(self, stack: "Nimble", connection: Connection) -> None:
        super().__init__()
        self._stack = stack
        self._connection = connection

    async def accept(self) -> bool:
        self._stack.post(Irq.GET_SECRET, bytes((_PEER_SECRET, 0)), True)
        handled = asyncio.Event()
        self._stack.radio.clock.after(_HANDLER, handled.set)
        await handled.wait()
        return self._stack.stands(self._connection)


class Loss(enum.Enum):
    """What the host is told of a connection that never comes up, by versions of the stack."""

    ENDED = "its end alone"
    LATE = "that it came, late, and its end"
    SILENT = "nothing, and it goes on advertising, without data"


class Nimble:
    """One badge's stack. `post(irq, body, urgent)` brings an event to the badge; open() before use."""

    def __init__(self, radio: Radio, post: Callable[[Irq, bytes, bool], None]) -> None:
        self.radio = radio
        self.post = post
        self.active = False
        self.address_type = 0
        self.name = _DEFAULT_NAME
        self.mtu = _DEFAULT_MTU
        self.refusals = 0  # new addresses that it is still to refuse, as a controller may
        self.failures = 0  # how often it is still to fail to come up
        self._scan_timer: Timer | None = None
        self._connect_task: asyncio.Task[None] | None = None
        self._ending: set[int] = set()  # connections that the badge has ended, until they have gone
        self._tasks: set[asyncio.Task[None]] = set()
        host = Host(controller_source=None, controller_sink=AsyncPipeSink(radio))
        radio.set_packet_sink(host)
        radio.on_report = self._on_report
        config = DeviceConfiguration(name=self.name.decode(), gap_service_enabled=False, gatt_service_enabled=False)
        self.device = Device(config=config, host=host)
        self.device.keystore = KeyStore()
        self.device.pairing_config_factory = lambda connection: PairingConfig(delegate=_Pairing(self, connection))
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)
        self._client = GattClient(self._connection, self._start, post)
        self._server = GattServer(self.device, self._connection, self._start, post, radio.clock.activity)
        radio.on_sent = self._server.on_sent

    async def open(self) -> None:
        """Power up Bumble's host."""
        await self.device.power_on()
        self.device.random_address = self.radio.random_address

    def close(self) -> None:
        """The badge has lost its power."""
        self._set_active(False)
        for task in self._tasks:
            task.cancel()

    def call(self, op: int, arguments: bytes) -> bytes:
        """Do what the badge asks for; returns the answer or raises OSError."""
        reader = Arguments(arguments)
        if op == Op.ACTIVE:
            on = bool(reader.fields("B"))
            if on and not self.active and self.failures:
                self.failures -= 1
                raise OSError(EIO, "EIO")
            self._set_active(on)
            return b""
        if op == Op.SLEEP:
            self.radio.power_off()
            return b""
        require(self.active, ENODEV)
        handler: Callable[[Arguments], bytes | None] = {
            Op.ADDRESS: self._address,
            Op.NAME: self._name,
            Op.MTU: self._mtu,
            Op.ADVERTISE: self._advertise,
            Op.SCAN: self._scan,
            Op.CONNECT: self._connect,
            Op.DISCONNECT: self._disconnect,
            Op.REGISTER_SERVICES: self._register_services,
            Op.NOTIFY: self._server.notify,
            Op.INDICATE: self._server.indicate,
            Op.READ_ANSWER: self._server.read_answer,
            Op.DISCOVER_SERVICES: self._client.discover_services,
            Op.DISCOVER_CHARACTERISTICS: self._client.discover_characteristics,
            Op.DISCOVER_DESCRIPTORS: self._client.discover_descriptors,
            Op.READ: self._client.read,
            Op.WRITE: self._client.write,
            Op.EXCHANGE_MTU: lambda reader: self._client.exchange_mtu(reader, self.mtu),
            Op.UPDATE: self._server.update,
        }[Op(op)]
        return handler(reader) or b""

    # State

    def _set_active(self, on: bool) -> None:
        if on == self.active:
            return
        self.active = on
        self.name, self.mtu = _DEFAULT_NAME, _DEFAULT_MTU
        self._stop_scan()
        if self._connect_task is not None:
            self._connect_task.cancel()
        for handle, connection in list(self.device.connections.items()):
            self.device.gatt_server.on_disconnection(connection)
            del self.device.connections[handle]
            self.device.host.connections.pop(handle, None)
        self.radio.power_off()
        self._server.in_flight.clear()
        self._ending.clear()
        self._client.reset()
        self.address_type = 0
        self._server.reset(self.name, self.mtu)

    def _idle(self) -> bool:
        radio = self.radio
        return not (radio.le_legacy_advertiser.enabled or radio.le_scan_enable or radio.pending_le_connection)

    def _address(self, reader: Arguments) -> bytes:
        if reader.rest():
            mode = reader.fields("B")
            require(mode in (0, 1, 2, 3), EINVAL)
            if mode and (self.refusals or not self._idle()):
                self.refusals = max(self.refusals - 1, 0)
                return self._address(Arguments(b""))  # the port has its asserts off: it says nothing
            if mode:
                raw = bytearray(self.radio.random.randbytes(6))
                raw[5] = raw[5] & 0x3F | (0x00, 0xC0, 0x40, 0x00)[mode]  # static, resolvable, non-resolvable
                self.radio.random_address = hci.Address(bytes(raw), hci.Address.RANDOM_DEVICE_ADDRESS)
            self.address_type = 1 if mode else 0
        return bytes((self.address_type,)) + big_endian(self._own_address)

    @property
    def _own_address(self) -> hci.Address:
        return self.radio.random_address if self.address_type else self.radio.public_address

    def _name(self, reader: Arguments) -> bytes:
        if reader.rest():  # "=" and the new name, which may be empty
            name = reader.rest()[1:]
            require(len(name) <= 31, EINVAL)
            self.name = name
            self._server.rename(name)
        return self.name

    def _mtu(self, reader: Arguments) -> bytes:
        if reader.rest():
            mtu = reader.fields("H")
            require(23 <= mtu <= 517, EINVAL)
            self.mtu = self.device.gatt_server.max_mtu = mtu
        return struct.pack("<H", self.mtu)

    def _register_services(self, reader: Arguments) -> bytes:
        require(self._idle() and not self.device.connections, EBUSY)
        return self._server.register_services(reader, self.name, self.mtu)

    # Advertising and scanning

    def _advertise(self, reader: Arguments) -> None:
        interval, flags = reader.fields("IB")
        data = reader.take(reader.fields("B"))
        response = reader.take(reader.fields("B"))
        advertiser = self.radio.le_legacy_advertiser
        advertiser.stop()
        if not interval:
            return
        require(len(data) <= 31 and len(response) <= 31, EINVAL)
        require(0x20 <= interval // 625 <= 0x4000, EINVAL)
        connectable = bool(flags & 1)
        require(not connectable or len(self.device.connections) < _MAX_CONNECTIONS, ENOMEM)
        if flags & 2:
            advertiser.advertising_data = data
        if flags & 4:
            advertiser.scan_response_data = response
        advertiser.advertising_interval_min = advertiser.advertising_interval_max = interval // 625
        advertiser.advertising_type = 0 if connectable else 2  # ADV_SCAN_IND, since the port says "discoverable"
        advertiser.own_address_type = self.address_type
        self.device.random_address = self.radio.random_address
        self.device.legacy_advertiser = HostAdvertiser(
            device=self.device,
            advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
            own_address_type=hci.OwnAddressType(self.address_type),
            peer_address=hci.Address.ANY,
            auto_restart=False,
        )
        advertiser.start()

    def _scan(self, reader: Arguments) -> bytes:
        """Without arguments: stop. A byte is answered if that ended a scan, for the event comes within the call."""
        if not reader.rest():
            return b"\x01" if self._stop_scan() else b""
        duration, interval, window, active = reader.fields("IIIB")
        require(not self.radio.le_scan_enable, EALREADY)
        require(self.radio.pending_le_connection is None, EBUSY)
        interval = max(4, min(0x4000, interval // 625))
        window = max(4, min(0x4000, window // 625))
        require(window <= interval, EINVAL)
        self.radio.start_scan(interval, window, bool(active))
        if duration:
            self._scan_timer = self.radio.clock.after(duration * 1000, self._scan_is_over)
        return b""

    def _scan_is_over(self) -> None:
        if self._stop_scan():
            self.post(Irq.SCAN_DONE, b"", True)

    def _stop_scan(self) -> bool:
        """Whether there was a scan."""
        if self._scan_timer is not None:
            self._scan_timer.cancel()
            self._scan_timer = None
        was, self.radio.le_scan_enable = self.radio.le_scan_enable, False
        return was

    def _on_report(self, advert: Advert, rssi: int) -> None:
        self.report(advert.kind, advert.address.address_type & 1, big_endian(advert.address), rssi, advert.data)

    def report(self, kind: int, address_type: int, address: bytes, rssi: int, data: bytes) -> None:
        """A scan result for the badge."""
        body = bytes((address_type,)) + address + struct.pack("<Bb", kind, max(-127, min(20, rssi))) + data
        self.post(Irq.SCAN_RESULT, body, False)

    # Connections

    def _connection(self, handle: int) -> Connection:
        connection = self.device.connections.get(handle)
        if connection is None:
            raise OSError(ENOTCONN, "ENOTCONN")
        return connection

    def _on_connection(self, connection: Connection) -> None:
        central = connection.role == hci.Role.CENTRAL
        up, down = (
            (Irq.PERIPHERAL_CONNECT, Irq.PERIPHERAL_DISCONNECT)
            if central
            else (Irq.CENTRAL_CONNECT, Irq.CENTRAL_DISCONNECT)
        )
        who = struct.pack("<HB", connection.handle, connection.peer_address.address_type & 1) + big_endian(
            connection.peer_address
        )
        self._server.in_flight[connection.handle] = 0
        self._client.attach(connection)
        self.post(up, who, True)

        def disconnected(_reason: int) -> None:
            self._ending.discard(connection.handle)
            self._client.detach(connection)
            self._server.in_flight.pop(connection.handle, None)
            self.post(down, who, True)

        connection.on(Connection.EVENT_DISCONNECTION, disconnected)

        def mtu_exchanged() -> None:
            self._client.on_mtu(connection.handle)
            self.post(Irq.MTU_EXCHANGED, struct.pack("<HH", connection.handle, connection.att_mtu), True)

        connection.on(Connection.EVENT_CONNECTION_ATT_MTU_UPDATE, mtu_exchanged)

    def stands(self, connection: Connection) -> bool:
        """Whether a connection stands, and the badge has not ended it."""
        return connection.handle in self.device.connections and connection.handle not in self._ending

    def lose_connection(self, course: Loss) -> None:
        """A connection never comes up (disconnect reason 0x3E), as at the edge of range."""
        advertiser = self.radio.le_legacy_advertiser
        if course == Loss.SILENT:
            advertiser.advertising_data = b""
            advertiser.start()
            return
        advertiser.stop()
        late = course == Loss.LATE
        who = struct.pack("<HB", _LOST_HANDLE, 1) + bytes(6)
        if late:
            self.radio.clock.after(_LATE, partial(self.post, Irq.CENTRAL_CONNECT, who, True))
        self.radio.clock.after(2 * _LATE if late else 0, partial(self.post, Irq.CENTRAL_DISCONNECT, who, True))

    def _connect(self, reader: Arguments) -> bytes:
        """Without arguments: give up. Answers as `_scan` does, since connecting ends a scan."""
        if not reader.rest():
            task = self._connect_task
            if task is None:
                raise OSError(EALREADY, "EALREADY")
            task.cancel()
            return b""
        duration, address_type = reader.fields("IB")
        require(self.radio.pending_le_connection is None and self._connect_task is None, EALREADY)
        require(len(self.device.connections) < _MAX_CONNECTIONS, ENOMEM)
        address = hci.Address(bytes(reversed(reader.take(6))), hci.AddressType(address_type & 1))
        # NimBLE calls it done (BLE_HS_EDONE), for which MicroPython has no number of its own.
        require(all(bytes(each.peer_address) != bytes(address) for each in self.device.connections.values()), EIO)
        stopped = self._stop_scan()
        task = asyncio.get_running_loop().create_task(self._connect_to(address))
        self._connect_task = task

        def expired() -> None:
            task.cancel()
            self.radio.clock.activity()

        timer = self.radio.clock.after((duration or 2000) * 1000, expired)
        task.add_done_callback(lambda _task: timer.cancel())
        self.radio.clock.activity()
        return b"\x01" if stopped else b""

    async def _connect_to(self, address: hci.Address) -> None:
        """Connect, or tell that it failed. Not by Bumble's connect_le(): any new connection ends that."""
        reached = asyncio.get_running_loop().create_future()

        def connected(connection: Connection) -> None:
            if connection.role == hci.Role.CENTRAL and not reached.done():
                reached.set_result(None)

        device = self.device
        device.connect_own_address_type = hci.OwnAddressType(self.address_type)
        device.on(Device.EVENT_CONNECTION, connected)
        try:
            await device.send_async_command(
                hci.HCI_LE_Create_Connection_Command(
                    le_scan_interval=_CONNECT_SCAN,
                    le_scan_window=_CONNECT_SCAN,
                    initiator_filter_policy=0,
                    peer_address_type=address.address_type,
                    peer_address=address,
                    own_address_type=device.connect_own_address_type,
                    connection_interval_min=_CONNECTION_INTERVAL[0],
                    connection_interval_max=_CONNECTION_INTERVAL[1],
                    max_latency=0,
                    supervision_timeout=_SUPERVISION,
                    min_ce_length=0,
                    max_ce_length=0,
                )
            )
            await reached
        except (asyncio.CancelledError, ConnectionError, ProtocolError, hci.HCI_Error):
            self.radio.pending_le_connection = None
            if self.active:
                self.post(Irq.PERIPHERAL_DISCONNECT, struct.pack("<HB", 0xFFFF, 0xFF) + bytes(6), True)
        finally:
            device.remove_listener(Device.EVENT_CONNECTION, connected)
            self._connect_task = None

    def _disconnect(self, reader: Arguments) -> None:
        connection = self._connection(reader.fields("H"))
        require(connection.handle not in self._ending, EALREADY)
        self._ending.add(connection.handle)
        self._start(self.device.disconnect(connection, hci.HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR))

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        async def run() -> None:
            try:
                await work
            except (ConnectionError, ProtocolError, TimeoutError, hci.HCI_Error):
                pass  # the link went away meanwhile: the badge is told by its disconnection
            finally:
                self.radio.clock.activity()

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.radio.clock.activity()
