"""The client half of GATT for one badge: discovery, reads, writes and what peripherals send, as MicroPython's IRQs."""

import struct
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bumble import att, gatt_client
from bumble.core import UUID, ProtocolError
from bumble.device import Connection

from tools.simulator.arguments import EALREADY, EBUSY, Arguments, pack_uuid, require
from tools.simulator.frames import Irq

_HS_TIMEOUT = 13  # NimBLE's BLE_HS_ETIMEOUT
_HS_ATT_ERROR = 0x100  # NimBLE's base for ATT errors
_WRITE_HEAD = 3  # bytes of a packet before the value


class GattClient:
    """Calls of the gattc_ family. `connection` finds one by its handle or raises OSError; `start` runs a task."""

    def __init__(
        self,
        connection: Callable[[int], Connection],
        start: Callable[[Coroutine[Any, Any, Any]], None],
        post: Callable[[Irq, bytes, bool], None],
    ) -> None:
        self.connection = connection
        self.start = start
        self.post = post
        self._discovering: set[int] = set()  # connections
        self._exchanged: set[int] = set()  # connections over which this side has told its MTU

    def _client(self, handle: int) -> gatt_client.Client:
        return self.connection(handle).gatt_client

    def attach(self, connection: Connection) -> None:
        """Hear what the peripheral of a new connection sends."""
        client = connection.gatt_client
        client.on_att_handle_value_notification = partial(  # type: ignore[method-assign]
            self._on_value, connection.handle, Irq.GATTC_NOTIFY, client
        )
        client.on_att_handle_value_indication = partial(  # type: ignore[method-assign]
            self._on_value, connection.handle, Irq.GATTC_INDICATE, client
        )

    def reset(self) -> None:
        """All connections have gone."""
        self._discovering.clear()
        self._exchanged.clear()

    def detach(self, connection: Connection) -> None:
        """It has gone."""
        self._discovering.discard(connection.handle)
        self._exchanged.discard(connection.handle)

    def on_mtu(self, handle: int) -> None:
        """The MTU is agreed on: this side has told its own, asked or asking."""
        self._exchanged.add(handle)

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
                status = _HS_ATT_ERROR + int(error.error_code)
            except (ProtocolError, TimeoutError):
                status = _HS_TIMEOUT
            self.post(done, struct.pack(f"<{len(fields) + 1}H", *fields, status), True)

        self.start(run())

    def _discover(self, work: Callable[[], Coroutine[Any, Any, None]], done: Irq, handle: int) -> None:
        """One discovery at a time over a connection."""
        require(handle not in self._discovering, EBUSY)
        self._discovering.add(handle)

        async def run() -> None:
            try:
                await work()
            finally:
                self._discovering.discard(handle)

        self._ask(run, done, handle)

    def discover_services(self, reader: Arguments) -> None:
        """Connection (2), UUID."""
        handle = reader.fields("H")
        uuid = reader.uuid()
        client = self._client(handle)

        async def work() -> None:
            found = await (client.discover_service(uuid) if uuid else client.discover_services())
            for service in found:
                fields = struct.pack("<HHH", handle, service.handle, service.end_group_handle)
                self.post(Irq.GATTC_SERVICE_RESULT, fields + pack_uuid(service.uuid), True)

        self._discover(work, Irq.GATTC_SERVICE_DONE, handle)

    def discover_characteristics(self, reader: Arguments) -> None:
        """Connection, first and last handle (2 each), UUID."""
        handle, first, last = reader.fields("HHH")
        uuid = reader.uuid()
        client = self._client(handle)

        async def work() -> None:
            service = gatt_client.ServiceProxy(client, first, last, UUID.from_16_bits(0))  # type: ignore[no-untyped-call]
            for one in await client.discover_characteristics([uuid] if uuid else [], service):
                fields = struct.pack("<HHHB", handle, one.end_group_handle, one.handle, one.properties)
                self.post(Irq.GATTC_CHARACTERISTIC_RESULT, fields + pack_uuid(one.uuid), True)

        self._discover(work, Irq.GATTC_CHARACTERISTIC_DONE, handle)

    def discover_descriptors(self, reader: Arguments) -> None:
        """Connection, first and last handle (2 each). As NimBLE does it takes the first for that of a value, which is
        no descriptor, and begins with the one after it."""
        handle, first, last = reader.fields("HHH")
        client = self._client(handle)

        async def work() -> None:
            for one in await client.discover_descriptors(start_handle=first + 1, end_handle=last):
                self.post(
                    Irq.GATTC_DESCRIPTOR_RESULT, struct.pack("<HH", handle, one.handle) + pack_uuid(one.type), True
                )

        self._discover(work, Irq.GATTC_DESCRIPTOR_DONE, handle)

    def read(self, reader: Arguments) -> None:
        """Connection, handle (2 each)."""
        handle, attribute = reader.fields("HH")
        client = self._client(handle)

        async def work() -> None:
            value = await client.read_value(attribute)
            self.post(Irq.GATTC_READ_RESULT, struct.pack("<HH", handle, attribute) + value[:512], True)

        self._ask(work, Irq.GATTC_READ_DONE, handle, attribute)

    def write(self, reader: Arguments) -> None:
        """Connection, handle (2 each), with response (1), value, of which goes what fits a packet."""
        handle, attribute, mode = reader.fields("HHB")
        client = self._client(handle)
        value = reader.rest()[: self.connection(handle).att_mtu - _WRITE_HEAD]
        if mode:
            self._ask(partial(client.write_value, attribute, value, True), Irq.GATTC_WRITE_DONE, handle, attribute)
        else:
            self.start(client.write_value(attribute, value, False))

    def exchange_mtu(self, reader: Arguments, mtu: int) -> None:
        """Connection (2); offers `mtu`. EALREADY if it was exchanged, by whichever side."""
        handle = reader.fields("H")
        client = self._client(handle)
        require(handle not in self._exchanged, EALREADY)
        self._exchanged.add(handle)
        self.start(client.request_mtu(mtu))
