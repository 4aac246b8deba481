"""The server half of GATT for one badge: its services, what peers write and read, notifications with their buffers.

Values live in the badge, as in the port: a read asks it, a write is told to it.
"""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from bumble import att, gatt
from bumble.device import Connection, Device

from tools.simulator.arguments import EINVAL, ENOMEM, Arguments, require
from tools.simulator.frames import Irq

_NOTIFY_BUFFERS = 12  # notifications in flight before the port says ENOMEM
_READ_TIMEOUT = 30.0  # real seconds in which a badge is to answer a read
_ATT_NOTIFICATION = 0x1B
_NOTIFICATIONS, _INDICATIONS = 1, 2  # bits of what a client writes to subscribe
_HS_TIMEOUT = 13  # NimBLE's BLE_HS_ETIMEOUT


class GattServer:
    """Calls of the gatts_ family. `connection` finds one by its handle or raises OSError; `start` runs a task."""

    def __init__(
        self,
        device: Device,
        connection: Callable[[int], Connection],
        start: Callable[[Coroutine[Any, Any, Any]], None],
        post: Callable[[Irq, bytes, bool], None],
        activity: Callable[[], None],
    ) -> None:
        self.device = device
        self.connection = connection
        self.start = start
        self.post = post
        self.activity = activity
        self.in_flight: dict[int, int] = {}  # notifications by connection handle
        self._reads: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._attributes: dict[int, gatt.Characteristic[bytes] | gatt.Descriptor] = {}

    def reset(self, name: bytes, mtu: int) -> None:
        """Back to the services that every device has: GAP with this name, and GATT."""
        server = self.device.gatt_server
        server.attributes.clear()
        server.services.clear()
        server.attributes_by_handle.clear()
        server.max_mtu = mtu
        self._attributes.clear()
        self.device.name = name.decode(errors="replace")
        self.device.add_default_services()

    def rename(self, name: bytes) -> None:
        """Change the name that GAP tells."""
        self.device.gatt_server.services[0].characteristics[0].value = name

    def register_services(self, reader: Arguments, name: bytes, mtu: int) -> bytes:
        """Count, services: each UUID, count, characteristics. Returns handles (2 each): values, descriptors."""
        self.reset(name, mtu)
        order: list[gatt.Characteristic[bytes] | gatt.Descriptor] = []
        for _ in range(reader.fields("B")):
            uuid = reader.uuid()
            assert uuid is not None
            characteristics = [self._characteristic(reader, order) for _ in range(reader.fields("B"))]
            self.device.gatt_server.add_service(gatt.Service(uuid, characteristics))
        for attribute in order:
            self._attributes[attribute.handle] = attribute
        return struct.pack(f"<{len(order)}H", *(attribute.handle for attribute in order))

    def _characteristic(
        self, reader: Arguments, order: list[gatt.Characteristic[bytes] | gatt.Descriptor]
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
        def demand(permission: att.Attribute.Permissions, error: att.ErrorCode) -> None:
            if not attribute.permissions & permission:
                raise att.ATT_Error(error_code=error, att_handle=attribute.handle)

        async def read(connection: Connection) -> bytes:
            demand(att.Attribute.READABLE, att.ErrorCode.READ_NOT_PERMITTED)
            key = (connection.handle, attribute.handle)
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._reads[key] = answer
            self.post(Irq.GATTS_READ_REQUEST, struct.pack("<HH", *key), True)
            try:
                async with asyncio.timeout(_READ_TIMEOUT):
                    return await answer
            finally:
                self._reads.pop(key, None)

        def write(connection: Connection, value: bytes) -> None:
            demand(att.Attribute.WRITEABLE, att.ErrorCode.WRITE_NOT_PERMITTED)
            self.post(Irq.GATTS_WRITE, struct.pack("<HH", connection.handle, attribute.handle) + value, True)

        return gatt.CharacteristicValue(read=read, write=write)

    def read_answer(self, reader: Arguments) -> None:
        """Connection, handle (2 each), ATT error (1), value: what the badge says to a read request."""
        connection, handle, status = reader.fields("HHB")
        answer = self._reads.get((connection, handle))
        if answer is not None and not answer.done():
            if status:
                answer.set_exception(att.ATT_Error(error_code=att.ErrorCode(status), att_handle=handle))
            else:
                answer.set_result(reader.rest())
            self.activity()

    def notify(self, reader: Arguments) -> None:
        """Connection, handle (2 each), value: subscribed or not, as the port does. ENOMEM when no buffer is free."""
        handle, attribute = reader.fields("HH")
        connection = self.connection(handle)
        require(attribute in self._attributes, EINVAL)
        require(sum(self.in_flight.values()) < _NOTIFY_BUFFERS, ENOMEM)
        self.in_flight[handle] += 1
        pdu = att.ATT_Handle_Value_Notification(
            attribute_handle=attribute, attribute_value=reader.rest()[: connection.att_mtu - 3]
        )
        self.device.gatt_server.send_gatt_pdu(connection, bytes(pdu))

    def on_sent(self, handle: int, pdu: bytes) -> None:
        """An L2CAP PDU (header of 4, ATT opcode, ...) has been on the air: its buffer is free."""
        if pdu[4] == _ATT_NOTIFICATION and self.in_flight.get(handle):
            self.in_flight[handle] -= 1

    def update(self, reader: Arguments) -> None:
        """gatts_write(send_update=True): to every subscriber of the attribute, as it has asked for it."""
        handle = reader.fields("H")
        value = reader.rest()
        for connection, subscriptions in list(self.device.gatt_server.subscribers.items()):
            if not isinstance(connection, Connection):
                continue
            wanted = subscriptions.get(handle, b"\0")[0]
            send = self.notify if wanted & _NOTIFICATIONS else self.indicate if wanted & _INDICATIONS else None
            if send is not None:
                send(Arguments(struct.pack("<HH", connection.handle, handle) + value))

    def indicate(self, reader: Arguments) -> None:
        """Connection, handle (2 each), value; the end is told by an IRQ."""
        handle, attribute = reader.fields("HH")
        connection = self.connection(handle)
        require(attribute in self._attributes, EINVAL)
        value = reader.rest()

        async def indicate() -> None:
            status = 0
            try:
                await self.device.gatt_server.indicate_subscriber(
                    connection, self._attributes[attribute], value, force=True
                )
            except TimeoutError:
                status = _HS_TIMEOUT
            self.post(Irq.GATTS_INDICATE_DONE, struct.pack("<HHH", handle, attribute, status), True)

        self.start(indicate())
