"""bleak on Bumble's host stack: BumbleScanner and BumbleClient for USB dongles and the simulator's radio.

Scanner and clients of one process share an open adapter by its name, such as "usb:0" or "tcp-client:127.0.0.1:9000".
Nothing is ever paired or bonded. Importing this module without Bumble raises a BleakError that says what to install.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str

from anontrace.companion.badge.bumble_adapter import OPEN_TIMEOUT, Adapter, acquire, open_adapter, release

# After the adapter's module, which says what to do when Bumble is missing.
# isort: split
from bumble import att, core, gatt_client, hci
from bumble.device import Connection

__all__ = ["BumbleClient", "BumbleScanner", "open_adapter", "parse_advertisement"]

MTU = 247  # one ATT packet then fills one link-layer packet of 251
_QUEUE = 8  # packets in the controller's queue from which writes without response wait
_SCAN_MS = 60.0  # interval and window alike: scanning without a pause
_SCAN_RSP = 4

_PROPERTIES: tuple[tuple[int, CharacteristicPropertyName], ...] = (
    (0x01, "broadcast"),
    (0x02, "read"),
    (0x04, "write-without-response"),
    (0x08, "write"),
    (0x10, "notify"),
    (0x20, "indicate"),
    (0x40, "authenticated-signed-writes"),
    (0x80, "extended-properties"),
)

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")


def _adapter_name(kwargs: dict[str, Any]) -> str:
    name = kwargs.get("adapter") or (kwargs.get("bluez") or {}).get("adapter")
    if not name:
        raise BleakError("no Bluetooth adapter is named: give adapter='usb:0' or another transport of Bumble")
    return str(name)


def _uuid(uuid: core.UUID) -> str:
    """As bleak writes it: 128 bits, lower case."""
    return normalize_uuid_str(uuid.to_hex_str("-") if len(uuid.uuid_bytes) == 16 else uuid.to_hex_str())


def _address(address: hci.Address) -> str:
    return address.to_string(with_type_qualifier=False)


def parse_advertisement(data: bytes, rssi: int) -> AdvertisementData:
    """Take advertising data apart; what is malformed is left out."""
    local_name: str | None = None
    tx_power: int | None = None
    manufacturer: dict[int, bytes] = {}
    service_data: dict[str, bytes] = {}
    uuids: list[str] = []
    at = 0
    while at + 1 < len(data) and data[at]:
        kind, value = data[at + 1], data[at + 2 : at + 1 + data[at]]
        at += 1 + data[at]
        if at > len(data):
            break
        if kind in (0x08, 0x09):
            local_name = value.decode("utf-8", "replace")
        elif kind == 0x0A and len(value) == 1:
            tx_power = int.from_bytes(value, "little", signed=True)
        elif kind == 0xFF and len(value) >= 2:
            manufacturer[int.from_bytes(value[:2], "little")] = value[2:]
        for kinds, data_kind, size in (((0x02, 0x03), 0x16, 2), ((0x04, 0x05), 0x20, 4), ((0x06, 0x07), 0x21, 16)):
            if kind in kinds:
                uuids += [
                    _uuid(core.UUID.from_bytes(value[i : i + size])) for i in range(0, len(value) - size + 1, size)
                ]
            elif kind == data_kind and len(value) >= size:
                service_data[_uuid(core.UUID.from_bytes(value[:size]))] = value[size:]
    return AdvertisementData(local_name, manufacturer, service_data, uuids, tx_power, rssi, (data,))


class BumbleScanner(BaseBleakScanner):
    """For BleakScanner(backend=BumbleScanner, adapter=...): scans without a pause, tells every event and its RSSI."""

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: Literal["active", "passive"],
        **kwargs: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode == "active"
        self._adapter_name = _adapter_name(kwargs)
        self._adapter: Adapter | None = None
        self._first_parts: dict[str, bytes] = {}

    async def start(self) -> None:
        """Begin to scan. Raises BleakError when the adapter cannot be opened."""
        if self._adapter is not None:
            raise BleakError("this scanner is scanning already")
        self.seen_devices = {}
        self._first_parts = {}
        adapter = await acquire(self._adapter_name)
        try:
            async with adapter.lock:
                adapter.device.host.on("advertising_report", self._on_report)
                if not adapter.scanners or (self._active and not adapter.active_scan):
                    if adapter.scanners:
                        await adapter.device.stop_scanning(legacy=True)
                    await adapter.device.start_scanning(
                        legacy=True, active=self._active, scan_interval=_SCAN_MS, scan_window=_SCAN_MS
                    )
                    adapter.active_scan = self._active
                adapter.scanners += 1
        except (core.BaseBumbleError, hci.HCI_Error) as error:
            await release(adapter)
            raise BleakError(f"Bluetooth adapter {adapter.name} cannot scan: {error}") from None
        self._adapter = adapter

    async def stop(self) -> None:
        """End scanning; does nothing when it has not begun."""
        adapter, self._adapter = self._adapter, None
        if adapter is None:
            return
        try:
            if not adapter.lost:
                async with adapter.lock:
                    adapter.device.host.remove_listener("advertising_report", self._on_report)
                    adapter.scanners -= 1
                    if not adapter.scanners:
                        await adapter.device.stop_scanning(legacy=True)
        except (core.BaseBumbleError, hci.HCI_Error, BleakError) as error:
            _logger.debug("scan not ended: %s", error)
        finally:
            await release(adapter)

    def _on_report(self, report: hci.HCI_LE_Advertising_Report_Event.Report) -> None:
        key = _address(report.address)
        data = bytes(report.data)
        if report.event_type == _SCAN_RSP:
            data = self._first_parts.get(key, b"") + data
        else:
            self._first_parts[key] = data
        parsed = parse_advertisement(data, report.rssi)
        if self.is_allowed_uuid(parsed.service_uuids):
            device = self.create_or_update_device(key, key, parsed.local_name, report.address, parsed)
            self.call_detection_callbacks(device, parsed)


class BumbleClient(BaseBleakClient):
    """A connection to one peripheral. For BleakClient(device, backend=BumbleClient, adapter=...)."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout, **kwargs)
        known = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._target = known.details if known is not None else None
        self._name = known.name if known is not None else None
        self._wanted: set[str] | None = kwargs.get("services")
        self._adapter_name = _adapter_name(kwargs)
        self._adapter: Adapter | None = None
        self._connection: Connection | None = None
        self._leaving = False

    @property
    def name(self) -> str:
        """Name from the advertisement, else the address."""
        return self._name or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        """ATT MTU of the connection in bytes."""
        return self._connection.att_mtu if self._connection is not None else att.ATT_DEFAULT_MTU

    @property
    def is_connected(self) -> bool:
        """True between connect() and the end of the connection, however that comes."""
        return self._connection is not None

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        """Connect, ask for MTU 247, discover services. Raises BleakError; BleakDeviceNotFoundError: nobody there."""
        if self.is_connected:
            raise BleakError(f"{self.address} is connected already")
        if pair:
            _logger.warning("pairing is not supported here: ignored")
        self._leaving = False
        adapter = self._adapter = await acquire(self._adapter_name)
        try:
            target = self._target if isinstance(self._target, hci.Address) else await self._look_for()
            async with adapter.lock:
                connection = await adapter.device.connect_le(
                    target, own_address_type=hci.OwnAddressType.RANDOM, timeout=self._timeout
                )
            self._connection = connection
            adapter.on_lost.add(self._on_disconnected)
            connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self._on_disconnected())
            await self._answer(connection.gatt_client.request_mtu(MTU))
            self.services = await self._answer(self._discover(connection))
        except BaseException as error:
            await self.disconnect()
            if isinstance(error, (TimeoutError, core.TimeoutError)):
                message = f"{self.address} did not answer within {self._timeout:g} s"
                raise BleakDeviceNotFoundError(self.address, message) from None
            if isinstance(error, (core.BaseBumbleError, hci.HCI_Error)):
                raise BleakError(f"{self.address} cannot be connected: {error}") from None
            raise

    async def _look_for(self) -> hci.Address:
        """Only the address is known as text: its type shows when it is heard."""
        found: asyncio.Future[hci.Address] = asyncio.get_running_loop().create_future()

        def on_device(device: BLEDevice, _data: AdvertisementData) -> None:
            if device.address.upper() == self.address.upper() and not found.done():
                found.set_result(device.details)

        scanner = BumbleScanner(on_device, None, "passive", adapter=self._adapter_name)
        await scanner.start()
        try:
            async with asyncio.timeout(self._timeout):
                return await found
        finally:
            await scanner.stop()

    async def disconnect(self) -> None:
        """End the connection; does nothing when there is none."""
        self._leaving = True
        connection, self._connection = self._connection, None
        adapter, self._adapter = self._adapter, None
        if adapter is None:
            return
        adapter.on_lost.discard(self._on_disconnected)
        try:
            if connection is not None and not adapter.lost:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    await connection.disconnect()
        except (core.BaseBumbleError, hci.HCI_Error, TimeoutError) as error:
            _logger.debug("not disconnected: %s", error)
        finally:
            self.services = None
            await release(adapter)

    def _on_disconnected(self) -> None:
        if self._leaving or self._connection is None:
            return
        self._connection = None
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.on_lost.discard(self._on_disconnected)
            task = asyncio.ensure_future(release(adapter))
            _background.add(task)
            task.add_done_callback(_background.discard)
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def _answer(self, work: Awaitable[_T]) -> _T:
        """Await Bumble's GATT client and turn its errors into bleak's."""
        try:
            return await work
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(int(error.error_code)) from None
        except (TimeoutError, core.TimeoutError):
            raise BleakError(f"{self.address} does not answer any more") from None
        except (core.BaseBumbleError, hci.HCI_Error) as error:
            raise BleakError(f"{self.address}: {error}") from None
        except asyncio.CancelledError:
            # Bumble cancels what is under way when the connection ends
            task = asyncio.current_task()
            if self.is_connected or (task is not None and task.cancelling()):
                raise
            raise BleakError(f"the connection to {self.address} was lost") from None

    def _client(self) -> gatt_client.Client:
        if self._connection is None:
            raise BleakError(f"{self.address} is not connected")
        return self._connection.gatt_client

    async def _discover(self, connection: Connection) -> BleakGATTServiceCollection:
        client = connection.gatt_client
        collection = BleakGATTServiceCollection()
        if self._wanted is None:
            found = await client.discover_services()
        else:
            found = [one for uuid in sorted(self._wanted) for one in await client.discover_service(uuid)]
        for one in found:
            service = BleakGATTService(one, one.handle, _uuid(one.uuid))
            collection.add_service(service)
            for proxy in await client.discover_characteristics([], one):
                characteristic = BleakGATTCharacteristic(
                    proxy,
                    proxy.handle,
                    _uuid(proxy.uuid),
                    [name for bit, name in _PROPERTIES if proxy.properties & bit],
                    lambda: self.mtu_size - 3,
                    service,
                )
                collection.add_characteristic(characteristic)
                if proxy.end_group_handle > proxy.handle:
                    for part in await client.discover_descriptors(proxy):
                        descriptor = BleakGATTDescriptor(part, part.handle, _uuid(part.type), characteristic)
                        collection.add_descriptor(descriptor)
        return collection

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        """Not supported: the protocol has its own session."""
        raise NotImplementedError("pairing is not supported")

    async def unpair(self) -> None:
        """Not supported: nothing was ever paired."""
        raise NotImplementedError("pairing is not supported")

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        """Read a value from the peripheral."""
        return bytearray(await self._answer(self._client().read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        """Read a descriptor from the peripheral."""
        return bytearray(await self._answer(self._client().read_value(descriptor.handle)))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        """Write; without response it waits only for room in the controller's queue."""
        client = self._client()
        value = bytes(memoryview(data))
        if not response and len(value) > self.mtu_size - 3:
            raise BleakError(f"{len(value)} bytes do not fit one write without response of {self.mtu_size - 3}")
        await self._answer(client.write_value(characteristic.handle, value, with_response=response))
        if not response and self._connection is not None and self._adapter is not None:
            queue = self._adapter.device.host.le_acl_packet_queue
            if queue is not None and queue.pending >= _QUEUE:
                await queue.drain(self._connection.handle)
                self._client()

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor."""
        value = bytes(memoryview(data))
        await self._answer(self._client().write_value(descriptor.handle, value, with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        """Subscribe to notifications, or to indications where there are only those."""

        def on_value(value: bytes) -> None:
            callback(bytearray(value))

        prefer_notify = "notify" in characteristic.properties
        await self._answer(self._client().subscribe(characteristic.obj, on_value, prefer_notify=prefer_notify))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe."""
        await self._answer(self._client().unsubscribe(characteristic.obj, force=True))


_background: set[asyncio.Task[None]] = set()
