"""The ESP32 port's Bluetooth stack (NimBLE under MicroPython) for one badge, on a Bumble host and the virtual radio.

Turns the calls of the badge's bluetooth module into Bumble's and Bumble's events into IRQs; raises OSError with the
numbers that the port gives. Attribute values live in the badge, as they do there.
"""

import asyncio
import errno
import struct
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bumble import att, gatt, gatt_client, hci
from bumble.core import UUID, ConnectionError, ProtocolError
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration
from bumble.device import LegacyAdvertiser as HostAdvertiser
from bumble.host import Host
from bumble.keys import KeyStore
from bumble.transport.common import AsyncPipeSink

from tools.simulator.clock import Timer
from tools.simulator.frames import Irq, Op
from tools.simulator.radio import Advert, Radio

_MAX_CONNECTIONS = 4  # as the port is built
_NOTIFY_BUFFERS = 12  # notifications in flight before the port says ENOMEM
_DEFAULT_MTU = 256
_READ_TIMEOUT = 30.0
_ATT_NOTIFICATION = 0x1B

# Numbers, since the badge's errno are Linux's wherever the simulator runs.
EIO, ENOMEM, EBUSY, ENODEV, EINVAL, ENOTCONN, ETIMEDOUT, EALREADY = 5, 12, 16, 19, 22, 107, 110, 114


def _require(condition: bool, number: int) -> None:
    if not condition:
        raise OSError(number, errno.errorcode.get(number, ""))


class _Reader:
    """Takes an argument block apart."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def fields(self, layout: str) -> Any:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values[0] if len(values) == 1 else values

    def uuid(self) -> UUID | None:
        size = self.fields("B")
        return UUID.from_bytes(self.take(size)) if size else None

    def rest(self) -> bytes:
        return self.data[self.at :]


def _pack_uuid(uuid: UUID) -> bytes:
    raw = uuid.to_bytes()
    return bytes((len(raw),)) + raw


def _big_endian(address: hci.Address) -> bytes:
    """MicroPython writes addresses in the order in which they are read aloud, Bumble in that of the air."""
    return bytes(reversed(bytes(address)))


class Nimble:
    """One badge's stack. `post(irq, body, urgent)` brings an event to the badge; open() before use."""

    def __init__(self, radio: Radio, post: Callable[[Irq, bytes, bool], None]) -> None:
        self.radio = radio
        self.post = post
        self.active = False
        self.address_type = 0
        self.name = b"MPY ESP32"
        self.mtu = _DEFAULT_MTU
        self._scan_timer: Timer | None = None
        self._connect_task: asyncio.Task[None] | None = None
        self._in_flight: dict[int, int] = {}  # notifications by connection handle
        self._reads: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._attributes: dict[int, gatt.Characteristic[bytes] | gatt.Descriptor] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        host = Host(controller_source=None, controller_sink=AsyncPipeSink(radio))
        radio.set_packet_sink(host)
        radio.on_report = self._on_report
        radio.on_sent = self._on_sent
        config = DeviceConfiguration(name=self.name.decode(), gap_service_enabled=False, gatt_service_enabled=False)
        self.device = Device(config=config, host=host)
        self.device.keystore = KeyStore()
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)

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
        reader = _Reader(arguments)
        if op == Op.ACTIVE:
            self._set_active(bool(reader.fields("B")))
            return b""
        _require(self.active, ENODEV)
        handler: Callable[[_Reader], bytes | None] = {
            Op.ADDRESS: self._address,
            Op.NAME: self._name,
            Op.MTU: self._mtu,
            Op.ADVERTISE: self._advertise,
            Op.SCAN: self._scan,
            Op.CONNECT: self._connect,
            Op.DISCONNECT: self._disconnect,
            Op.REGISTER_SERVICES: self._register_services,
            Op.NOTIFY: self._notify,
            Op.INDICATE: self._indicate,
            Op.READ_ANSWER: self._read_answer,
            Op.DISCOVER_SERVICES: self._discover_services,
            Op.DISCOVER_CHARACTERISTICS: self._discover_characteristics,
            Op.DISCOVER_DESCRIPTORS: self._discover_descriptors,
            Op.READ: self._read,
            Op.WRITE: self._write,
            Op.EXCHANGE_MTU: self._exchange_mtu,
            Op.UPDATE: self._update,
        }[Op(op)]
        return handler(reader) or b""

    # State

    def _set_active(self, on: bool) -> None:
        if on == self.active:
            return
        self.active = on
        self._stop_scan(tell=False)
        if self._connect_task is not None:
            self._connect_task.cancel()
        for end in self.radio.links():
            self.device.gatt_server.on_disconnection(self.device.connections[end.handle])
            self.device.connections.pop(end.handle, None)
            self.device.host.connections.pop(end.handle, None)
        self.radio.power_off()
        self._in_flight.clear()
        self.address_type = 0
        self._reset_database()

    def _reset_database(self) -> None:
        server = self.device.gatt_server
        server.attributes.clear()
        server.services.clear()
        server.attributes_by_handle.clear()
        server.max_mtu = self.mtu
        self._attributes.clear()
        self.device.name = self.name.decode(errors="replace")
        self.device.add_default_services()

    def _idle(self) -> bool:
        radio = self.radio
        return not (radio.le_legacy_advertiser.enabled or radio.le_scan_enable or radio.pending_le_connection)

    def _address(self, reader: _Reader) -> bytes:
        if reader.rest():
            mode = reader.fields("B")
            _require(mode in (0, 1, 2, 3), EINVAL)
            if mode:
                _require(self._idle(), EBUSY)
                raw = bytearray(self.radio.random.randbytes(6))
                raw[5] = raw[5] & 0x3F | (0x00, 0xC0, 0x40, 0x00)[mode]  # static, resolvable, non-resolvable
                self.radio.random_address = hci.Address(bytes(raw), hci.Address.RANDOM_DEVICE_ADDRESS)
            self.address_type = 1 if mode else 0
        return bytes((self.address_type,)) + _big_endian(self._own_address)

    @property
    def _own_address(self) -> hci.Address:
        return self.radio.random_address if self.address_type else self.radio.public_address

    def _name(self, reader: _Reader) -> bytes:
        if reader.rest():  # "=" and the new name, which may be empty
            name = reader.rest()[1:]
            _require(len(name) <= 31, EINVAL)
            self.name = name
            self.device.name = name.decode(errors="replace")
            self.device.gatt_server.services[0].characteristics[0].value = name
        return self.name

    def _mtu(self, reader: _Reader) -> bytes:
        if reader.rest():
            mtu = reader.fields("H")
            _require(23 <= mtu <= 517, EINVAL)
            self.mtu = self.device.gatt_server.max_mtu = mtu
        return struct.pack("<H", self.mtu)

    # Advertising and scanning

    def _advertise(self, reader: _Reader) -> None:
        interval, flags = reader.fields("IB")
        data = reader.take(reader.fields("B"))
        response = reader.take(reader.fields("B"))
        advertiser = self.radio.le_legacy_advertiser
        advertiser.stop()
        if not interval:
            return
        _require(len(data) <= 31 and len(response) <= 31, EINVAL)
        _require(0x20 <= interval // 625 <= 0x4000, EINVAL)
        connectable = bool(flags & 1)
        _require(not connectable or len(self.device.connections) < _MAX_CONNECTIONS, ENOMEM)
        if flags & 2:
            advertiser.advertising_data = data
        if flags & 4:
            advertiser.scan_response_data = response
        advertiser.advertising_interval_min = advertiser.advertising_interval_max = interval // 625
        advertiser.advertising_type = 0 if connectable else 3
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

    def _scan(self, reader: _Reader) -> None:
        if not reader.rest():
            self._stop_scan(tell=True)
            return
        duration, interval, window, active = reader.fields("IIIB")
        _require(not self.radio.le_scan_enable, EALREADY)
        _require(self.radio.pending_le_connection is None, EBUSY)
        interval = max(4, min(0x4000, interval // 625))
        window = max(4, min(0x4000, window // 625))
        _require(window <= interval, EINVAL)
        self.radio.start_scan(interval, window, bool(active))
        if duration:
            self._scan_timer = self.radio.clock.after(duration * 1000, partial(self._stop_scan, tell=True))

    def _stop_scan(self, tell: bool) -> None:
        if self._scan_timer is not None:
            self._scan_timer.cancel()
            self._scan_timer = None
        if self.radio.le_scan_enable:
            self.radio.le_scan_enable = False
            if tell:
                self.post(Irq.SCAN_DONE, b"", True)

    def _on_report(self, advert: Advert, rssi: int) -> None:
        self.report(advert.kind, advert.address.address_type & 1, _big_endian(advert.address), rssi, advert.data)

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
        who = struct.pack("<HB", connection.handle, connection.peer_address.address_type & 1) + _big_endian(
            connection.peer_address
        )
        self._in_flight[connection.handle] = 0
        client = connection.gatt_client
        client.on_att_handle_value_notification = partial(  # type: ignore[method-assign]
            self._on_value, connection.handle, Irq.GATTC_NOTIFY, client
        )
        client.on_att_handle_value_indication = partial(  # type: ignore[method-assign]
            self._on_value, connection.handle, Irq.GATTC_INDICATE, client
        )
        self.post(up, who, True)

        def disconnected(_reason: int) -> None:
            self._in_flight.pop(connection.handle, None)
            self.post(down, who, True)

        connection.on(Connection.EVENT_DISCONNECTION, disconnected)
        connection.on(
            Connection.EVENT_CONNECTION_ATT_MTU_UPDATE,
            lambda: self.post(Irq.MTU_EXCHANGED, struct.pack("<HH", connection.handle, connection.att_mtu), True),
        )

    def _connect(self, reader: _Reader) -> None:
        if not reader.rest():
            if self._connect_task is not None:
                self._connect_task.cancel()
            return
        duration, address_type = reader.fields("IB")
        _require(self.radio.pending_le_connection is None and self._connect_task is None, EALREADY)
        _require(len(self.device.connections) < _MAX_CONNECTIONS, ENOMEM)
        address = hci.Address(bytes(reversed(reader.take(6))), hci.AddressType(address_type & 1))
        self._stop_scan(tell=True)
        task = asyncio.get_running_loop().create_task(self._connect_to(address))
        self._connect_task = task

        def expired() -> None:
            task.cancel()
            self.radio.clock.activity()

        timer = self.radio.clock.after((duration or 2000) * 1000, expired)
        task.add_done_callback(lambda _task: timer.cancel())
        self.radio.clock.activity()

    async def _connect_to(self, address: hci.Address) -> None:
        try:
            await self.device.connect_le(address, own_address_type=hci.OwnAddressType(self.address_type), timeout=None)
        except (asyncio.CancelledError, ConnectionError, ProtocolError):
            self.radio.pending_le_connection = None
            self.device.le_connecting = False
            if self.active:
                self.post(Irq.PERIPHERAL_DISCONNECT, struct.pack("<HB", 0xFFFF, 0xFF) + bytes(6), True)
        finally:
            self._connect_task = None

    def _disconnect(self, reader: _Reader) -> None:
        connection = self._connection(reader.fields("H"))
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

    # GATT server

    def _register_services(self, reader: _Reader) -> bytes:
        _require(self._idle() and not self.device.connections, EBUSY)
        self._reset_database()
        order: list[gatt.Characteristic[bytes] | gatt.Descriptor] = []
        for _ in range(reader.fields("B")):
            uuid = reader.uuid()
            _require(uuid is not None, EINVAL)
            assert uuid is not None
            characteristics = [self._characteristic(reader, order) for _ in range(reader.fields("B"))]
            self.device.gatt_server.add_service(gatt.Service(uuid, characteristics))
        for attribute in order:
            self._attributes[attribute.handle] = attribute
        return struct.pack(f"<{len(order)}H", *(attribute.handle for attribute in order))

    def _characteristic(
        self, reader: _Reader, order: list[gatt.Characteristic[bytes] | gatt.Descriptor]
    ) -> gatt.Characteristic[bytes]:
        uuid = reader.uuid()
        assert uuid is not None
        flags, count = reader.fields("HB")
        characteristic = gatt.Characteristic[bytes](
            uuid, gatt.Characteristic.Properties(flags & 0xFF), self._permissions(flags)
        )
        characteristic.value = self._value_of(characteristic)
        order.append(characteristic)
        descriptors = []
        for _ in range(count):
            kind = reader.uuid()
            assert kind is not None
            descriptor = gatt.Descriptor(kind, self._permissions(reader.fields("H")))
            descriptor.value = self._value_of(descriptor)
            descriptors.append(descriptor)
        characteristic.descriptors = descriptors
        order.extend(descriptors)
        return characteristic

    @staticmethod
    def _permissions(flags: int) -> att.Attribute.Permissions:
        permissions = att.Attribute.Permissions(0)
        if flags & 0x02:
            permissions |= att.Attribute.READABLE
        if flags & 0x0C:
            permissions |= att.Attribute.WRITEABLE
        return permissions

    def _value_of(self, attribute: gatt.Characteristic[bytes] | gatt.Descriptor) -> gatt.CharacteristicValue[bytes]:
        def require(permission: att.Attribute.Permissions, error: att.ErrorCode) -> None:
            if not attribute.permissions & permission:
                raise att.ATT_Error(error_code=error, att_handle=attribute.handle)

        async def read(connection: Connection) -> bytes:
            require(att.Attribute.READABLE, att.ErrorCode.READ_NOT_PERMITTED)
            key = (connection.handle, attribute.handle)
            answer = self._reads[key] = asyncio.get_running_loop().create_future()
            self.post(Irq.GATTS_READ_REQUEST, struct.pack("<HH", *key), True)
            try:
                return await asyncio.wait_for(answer, _READ_TIMEOUT)
            finally:
                self._reads.pop(key, None)

        def write(connection: Connection, value: bytes) -> None:
            require(att.Attribute.WRITEABLE, att.ErrorCode.WRITE_NOT_PERMITTED)
            self.post(Irq.GATTS_WRITE, struct.pack("<HH", connection.handle, attribute.handle) + value, True)

        return gatt.CharacteristicValue(read=read, write=write)

    def _read_answer(self, reader: _Reader) -> None:
        connection, handle, status = reader.fields("HHB")
        answer = self._reads.get((connection, handle))
        if answer is not None and not answer.done():
            if status:
                answer.set_exception(att.ATT_Error(error_code=att.ErrorCode(status), att_handle=handle))
            else:
                answer.set_result(reader.rest())
            self.radio.clock.activity()

    def _notify(self, reader: _Reader) -> None:
        handle, attribute = reader.fields("HH")
        connection = self._connection(handle)
        _require(attribute in self._attributes, EINVAL)
        _require(sum(self._in_flight.values()) < _NOTIFY_BUFFERS, ENOMEM)
        self._in_flight[handle] += 1
        pdu = att.ATT_Handle_Value_Notification(
            attribute_handle=attribute, attribute_value=reader.rest()[: connection.att_mtu - 3]
        )
        self.device.gatt_server.send_gatt_pdu(connection, bytes(pdu))

    def _on_sent(self, handle: int, pdu: bytes) -> None:
        # an L2CAP header is four bytes, then comes the ATT opcode
        if pdu[4] == _ATT_NOTIFICATION and self._in_flight.get(handle):
            self._in_flight[handle] -= 1

    def _update(self, reader: _Reader) -> None:
        """gatts_write(send_update=True): to every subscriber of the attribute."""
        handle = reader.fields("H")
        value = reader.rest()
        for connection, subscriptions in list(self.device.gatt_server.subscribers.items()):
            if isinstance(connection, Connection) and subscriptions.get(handle, b"\0")[0] & 1:
                self._notify(_Reader(struct.pack("<HH", connection.handle, handle) + value))

    def _indicate(self, reader: _Reader) -> None:
        handle, attribute = reader.fields("HH")
        connection = self._connection(handle)
        _require(attribute in self._attributes, EINVAL)
        value = reader.rest()

        async def indicate() -> None:
            status = 0
            try:
                await self.device.gatt_server.indicate_subscriber(
                    connection, self._attributes[attribute], value, force=True
                )
            except TimeoutError:
                status = 13  # BLE_HS_ETIMEOUT
            self.post(Irq.GATTS_INDICATE_DONE, struct.pack("<HHH", handle, attribute, status), True)

        self._start(indicate())

    # GATT client

    def _client(self, handle: int) -> gatt_client.Client:
        return self._connection(handle).gatt_client

    def _on_value(
        self,
        handle: int,
        irq: Irq,
        client: gatt_client.Client,
        pdu: att.ATT_Handle_Value_Notification | att.ATT_Handle_Value_Indication,
    ) -> None:
        self.post(irq, struct.pack("<HH", handle, pdu.attribute_handle) + pdu.attribute_value, True)
        if irq == Irq.GATTC_INDICATE:
            client.send_confirmation(att.ATT_Handle_Value_Confirmation())

    def _ask(self, work: Callable[[], Coroutine[Any, Any, None]], done: Irq, *fields: int) -> None:
        """Run a procedure of the client; its end is told with a status."""

        async def run() -> None:
            status = 0
            try:
                await work()
            except att.ATT_Error as error:
                status = 0x100 + int(error.error_code)  # BLE_HS_ATT_ERR
            except (ProtocolError, TimeoutError):
                status = 13
            self.post(done, struct.pack(f"<{len(fields) + 1}H", *fields, status), True)

        self._start(run())

    def _discover_services(self, reader: _Reader) -> None:
        handle = reader.fields("H")
        uuid = reader.uuid()
        client = self._client(handle)

        async def work() -> None:
            found = await (client.discover_service(uuid) if uuid else client.discover_services())
            for service in found:
                fields = struct.pack("<HHH", handle, service.handle, service.end_group_handle)
                self.post(Irq.GATTC_SERVICE_RESULT, fields + _pack_uuid(service.uuid), True)

        self._ask(work, Irq.GATTC_SERVICE_DONE, handle)

    def _discover_characteristics(self, reader: _Reader) -> None:
        handle, first, last = reader.fields("HHH")
        uuid = reader.uuid()
        client = self._client(handle)

        async def work() -> None:
            service = gatt_client.ServiceProxy(client, first, last, UUID.from_16_bits(0))  # type: ignore[no-untyped-call]
            for one in await client.discover_characteristics([uuid] if uuid else [], service):
                fields = struct.pack("<HHHB", handle, one.end_group_handle, one.handle, one.properties)
                self.post(Irq.GATTC_CHARACTERISTIC_RESULT, fields + _pack_uuid(one.uuid), True)

        self._ask(work, Irq.GATTC_CHARACTERISTIC_DONE, handle)

    def _discover_descriptors(self, reader: _Reader) -> None:
        handle, first, last = reader.fields("HHH")
        client = self._client(handle)

        async def work() -> None:
            for one in await client.discover_descriptors(start_handle=first, end_handle=last):
                self.post(
                    Irq.GATTC_DESCRIPTOR_RESULT, struct.pack("<HH", handle, one.handle) + _pack_uuid(one.type), True
                )

        self._ask(work, Irq.GATTC_DESCRIPTOR_DONE, handle)

    def _read(self, reader: _Reader) -> None:
        handle, attribute = reader.fields("HH")
        client = self._client(handle)

        async def work() -> None:
            value = await client.read_value(attribute)
            self.post(Irq.GATTC_READ_RESULT, struct.pack("<HH", handle, attribute) + value[:512], True)

        self._ask(work, Irq.GATTC_READ_DONE, handle, attribute)

    def _write(self, reader: _Reader) -> None:
        handle, attribute, mode = reader.fields("HHB")
        value = reader.rest()
        client = self._client(handle)
        if mode:
            self._ask(partial(client.write_value, attribute, value, True), Irq.GATTC_WRITE_DONE, handle, attribute)
        else:
            self._start(client.write_value(attribute, value, False))

    def _exchange_mtu(self, reader: _Reader) -> None:
        client = self._client(reader.fields("H"))
        self._start(client.request_mtu(self.mtu))
