"""bleak on Bumble against a small peripheral on a badge, and one badge as the client of another."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from anontrace.companion.badge.bumble_backend import BumbleClient, BumbleScanner, open_adapter, parse_advertisement
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError

from tests.patience import HANG_SECONDS
from tests.simulator.conftest import Street

Make = Callable[..., AbstractAsyncContextManager[Street]]
INBOX = "a7ce0002-0a7e-4c1d-9a55-5f0a3c7e1b00"
OUTBOX = "a7ce0003-0a7e-4c1d-9a55-5f0a3c7e1b00"
NAMED = "00002a24-0000-1000-8000-00805f9b34fb"
SERVICE_DATA = "0000a7ce-0000-1000-8000-00805f9b34fb"


@asynccontextmanager
async def desk(make: Make) -> AsyncIterator[tuple[Street, str]]:
    """A peripheral, and the name of an adapter in its range."""
    async with make() as air:
        await air.badge("ada", "peripheral")
        port = await air.add_adapter("desk")
        air.set_range("ada", "desk", -47)
        air.realtime(20)
        yield air, f"tcp-client:127.0.0.1:{port}"


async def find(name: str) -> tuple[BLEDevice, AdvertisementData]:
    """Scan until the peripheral is heard."""
    async with BleakScanner(scanning_mode="passive", backend=BumbleScanner, bluez={"adapter": name}) as scanner:
        async with asyncio.timeout(10):
            async for device, data in scanner.advertisement_data():
                if SERVICE_DATA in data.service_data:
                    return device, data
    raise AssertionError


class Talk:
    """A client with the notifications that have come."""

    def __init__(self, device: BLEDevice | str, name: str) -> None:
        self.gone = asyncio.Event()
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.client = BleakClient(
            device, lambda _client: self.gone.set(), timeout=10, backend=BumbleClient, bluez={"adapter": name}
        )

    async def start(self) -> None:
        await self.client.connect()
        await self.client.start_notify(OUTBOX, lambda _characteristic, data: self.got.put_nowait(bytes(data)))

    async def say(self, words: bytes, response: bool = False) -> None:
        await self.client.write_gatt_char(INBOX, words, response=response)

    async def hear(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.got.get()


def test_connect_write_notify_disconnect_reconnect(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (air, name), open_adapter(name):
            device, data = await find(name)
            assert data.rssi == -47 and data.service_data == {SERVICE_DATA: b"\x01\x03"}
            assert data.local_name is None and data.service_uuids == [] and data.manufacturer_data == {}
            for _ in range(3):
                talk = Talk(device, name)
                await talk.start()
                assert talk.client.is_connected and talk.client.mtu_size == 247
                inbox = talk.client.services.get_characteristic(INBOX)
                assert inbox is not None and inbox.properties == ["write-without-response", "write"]
                assert inbox.max_write_without_response_size == 244
                await talk.say(b"one")
                await talk.say(b"two", response=True)
                assert [await talk.hear(), await talk.hear()] == [b"echo one", b"echo two"]
                assert await talk.client.read_gatt_char(NAMED) == b"a name of more than twenty bytes"
                assert await talk.client.read_gatt_char("00002a00-0000-1000-8000-00805f9b34fb") == b""
                await talk.client.disconnect()
                assert not talk.client.is_connected and not talk.gone.is_set()
            await asyncio.sleep(0.1)
            assert air.said("ada") == ["connect 1", "mtu 247", "read request", "disconnect 1"] * 3

    asyncio.run(job())


def test_the_badge_hangs_up(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (_, name):
            device, _ = await find(name)
            talk = Talk(device, name)
            await talk.start()
            await talk.say(b"hang up")
            await asyncio.wait_for(talk.gone.wait(), HANG_SECONDS)
            assert not talk.client.is_connected
            with pytest.raises(BleakError):
                await talk.say(b"hello?")

    asyncio.run(job())


def test_out_of_range(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (air, name), open_adapter(name):
            device, _ = await find(name)
            talk = Talk(device, name)
            await talk.start()
            reading = asyncio.ensure_future(talk.client.read_gatt_char(NAMED))
            air.set_range("ada", "desk", None)
            await asyncio.wait_for(talk.gone.wait(), HANG_SECONDS)
            with pytest.raises(BleakError, match="was lost"):
                await reading
            again = BleakClient(device, timeout=0.5, backend=BumbleClient, bluez={"adapter": name})
            with pytest.raises(BleakDeviceNotFoundError, match=r"did not answer within 0\.5 s"):
                await again.connect()
            air.set_range("ada", "desk", -50)
            await again.connect()
            await again.disconnect()
            await asyncio.sleep(0.1)
            assert air.said("ada").count("disconnect 1") == 2

    asyncio.run(job())


def test_the_badge_changes_its_address_while_connected(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (_, name), open_adapter(name):
            device, _ = await find(name)
            talk = Talk(device, name)
            await talk.start()
            await talk.say(b"change")
            assert await talk.hear() == b"changed"
            await talk.say(b"still there?")
            assert await talk.hear() == b"echo still there?"
            second, _ = await find(name)
            assert second.address != device.address
            await talk.client.disconnect()
            other = Talk(second, name)
            await other.start()
            await other.say(b"new")
            assert await other.hear() == b"echo new"
            await other.client.disconnect()

    asyncio.run(job())


def test_a_flood_of_notifications(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (air, name):
            device, _ = await find(name)
            talk = Talk(device, name)
            await talk.start()
            start = air.now
            await talk.say(b"flood 400")
            received = [await talk.hear() for _ in range(400)]
            rate = 400 * 244 / (air.now - start)
            assert [one[0] for one in received] == [number & 0xFF for number in range(400)]
            assert 20_000 < rate < 100_000, rate
            await talk.client.disconnect()
            assert air.said("ada")[-1] == "flooded 400 full True" or "flooded 400 full True" in air.said("ada")

    asyncio.run(job())


def test_an_address_as_text_and_a_missing_right(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (_, name):
            device, _ = await find(name)
            talk = Talk(device.address, name)
            await talk.start()
            with pytest.raises(BleakGATTProtocolError):
                await talk.client.read_gatt_char(OUTBOX)
            with pytest.raises(BleakError, match="do not fit"):
                await talk.say(bytes(245))
            await talk.client.disconnect()

    asyncio.run(job())


def test_adapters_that_cannot_be_opened() -> None:
    async def job() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(
            BleakError, match=rf"^Bluetooth adapter tcp-client:127\.0\.0\.1:{port} cannot be opened: .*$"
        ):
            async with open_adapter(f"tcp-client:127.0.0.1:{port}"):
                pass
        with pytest.raises(BleakError, match="cannot be opened"):
            async with open_adapter("carrier-pigeon:1"):
                pass
        with pytest.raises(BleakError, match="no Bluetooth adapter is named"):
            BleakScanner(backend=BumbleScanner)

    asyncio.run(job())


def test_the_adapter_goes_away(street: Make) -> None:
    async def job() -> None:
        async with desk(street) as (air, name):
            device, _ = await find(name)
            talk = Talk(device, name)
            await talk.start()
            await air.adapters["desk"].close()
            await asyncio.wait_for(talk.gone.wait(), HANG_SECONDS)
            with pytest.raises(BleakError):
                await talk.say(b"hello?")

    asyncio.run(job())


def test_a_badge_as_client(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "peripheral")
            await air.badge("bob", "central")
            air.set_range("ada", "bob", -50)
            started = time.monotonic()
            await air.run_for(30)
            assert time.monotonic() - started < 20
            assert air.said("bob") == [
                "connected True scan done True",
                "mtu 247",
                "services 1 0 UUID('a7ce0001-0a7e-4c1d-9a55-5f0a3c7e1b00')",
                "characteristics 3 0 [12, 16, 2]",
                "descriptors UUID(0x2902)",
                "written 0",
                "notified b'echo hello'",
                "read b'a name of more than twenty bytes'",
                "refused 258",
                "disconnect True",
                "gone True",
                "nobody (65535, 255, b'\\x00\\x00\\x00\\x00\\x00\\x00')",
            ]

    asyncio.run(job())


def test_two_programs_that_wait_in_loops_hold_a_conversation_twice(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "teller")
            await air.badge("bob", "asker")
            air.set_range("ada", "bob", -50)
            await air.run_for(20)
            told = ["mtu 512", "written 480 True", "confirmed 0"]
            assert air.said("ada") == [*told, *told, "over"]
            asked = [
                "mtu 512",
                "service True 0",
                "characteristic 58 0",
                "descriptor UUID(0x2902) 0",
                "write 0",
                "read 480 0",
                "notified b'told to who has asked for it'",
                "notified 480 True",
                "indicated b'and is this here'",
                "disconnect True",
            ]
            assert air.said("bob") == [*asked, *asked, "over"]

    asyncio.run(job())


def test_what_is_asked_twice_at_once_or_too_much_is_answered_as_by_nimble(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "peripheral")
            await air.badge("bob", "rules")
            air.set_range("ada", "bob", -50)
            await air.run_for(30)
            assert air.said("bob") == [
                "scan [6]",
                "connect again errno 5",
                "exchange at once errno 114",
                "exchange again errno 114",
                "discover at once errno 16",
                "wrote b'244 bytes'",
                "wrote b'244 bytes'",
                "indicated b'new'",
                "disconnect returned True",
                "disconnect again errno 114",
                "disconnect at last returned False",
            ]

    asyncio.run(job())


def test_advertisements_are_taken_apart() -> None:
    data = parse_advertisement(
        b"\x02\x01\x06\x03\x03\x0f\x18\x04\x09abc\x02\x0a\xf4\x05\xff\x59\x00\x01\x02\x11\x07" + bytes(range(16)), -70
    )
    assert data.local_name == "abc" and data.tx_power == -12 and data.rssi == -70
    assert data.manufacturer_data == {0x59: b"\x01\x02"}
    assert data.service_uuids == [
        "0000180f-0000-1000-8000-00805f9b34fb",
        "0f0e0d0c-0b0a-0908-0706-050403020100",
    ]
    for malformed in (b"\x05", b"\x1f\x09abc", b"\x02\x16\x01", b"\x01\xff", b"\x00\x00\x00", bytes(31), b"\x02\x0a"):
        parse_advertisement(malformed, 0)
