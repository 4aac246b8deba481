"""The companion by bleak's own Linux backend, as on a wearer's computer: BlueZ on paper, behind it the firmware.

BlueZ tells its MTU by the characteristics; what bleak calls the client's MTU is 23 there, with a warning.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion.badge import provision
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import MIN_PIECE, PACE, SYSTEM, Radio
from anontrace.companion.badge.sync import READ_BYTES
from anontrace.companion.store import state
from anontrace.companion.store.badges import LIST, RATCHET
from anontrace_primitives import x25519_base
from anontrace_shared import commands, schedule, slots
from bleak import BleakClient
from bleak.backends import BleakBackend

from tests.companion.conftest import START, Cli, SimulatedClock
from tests.patience import HANG_SECONDS
from tools.bench import pull
from tools.simulator.air import Air

if sys.platform != "linux":
    pytest.skip("bleak talks to BlueZ on Linux alone", allow_module_level=True)

from tests.companion.badge.bluez import Bluez

MTU = 247
ATT_HEAD = 3
LOG_KEY = x25519_base(bytes(range(32)))
MOST = [bytes([1 + number]) * 20 for number in range(commands.MAX_ADDRESSES)]  # the longest request there is
FRAME = 2 + 1 + 5 + 20 * commands.MAX_ADDRESSES + 16  # bytes of it: size, operation, first slot and number, K, tag
MAX_WRITES = 200  # for a megabyte; in pieces of 20 bytes it took 302, each acknowledged
SPEED = 5  # of the air while nobody is connected: a badge does not wait long for who is, and a busy machine is slow


class Desk:
    """A wearer's state folder, their badge on the air, and BlueZ between them."""

    def __init__(self, folder: Path, air: Air, bluez: Bluez, log: bytes) -> None:
        self.folder = folder
        self.air = air
        self.bluez = bluez
        self.log = log

    async def provision(self, mode: int) -> None:
        with state.changing(self.folder / "state") as opened:
            badge = opened.badges.get()
            async with self.link(badge.owner_key) as link:
                await provision.provision(opened, link, badge, LOG_KEY, mode)

    @asynccontextmanager
    async def link(self, owner_key: bytes) -> AsyncIterator[BadgeLink]:
        beacons = schedule.beacon_key(owner_key)
        async with Radio(SYSTEM) as radio:
            found = await radio.find(lambda data: schedule.is_beacon(beacons, data), HANG_SECONDS)
            async with radio.connect(found) as pipe:
                link = BadgeLink(pipe, owner_key)
                await link.open()
                yield link


@asynccontextmanager
async def desk(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    log_size: int = 0,
    flags: Sequence[str] | None = None,
    tells_mtu: bool = True,
) -> AsyncIterator[Desk]:
    async with asyncio.timeout(HANG_SECONDS), Air(folder / "clock", START) as air:
        monkeypatch.setattr(clock, "now", lambda: air.now)
        state.create(folder / "state")
        with state.changing(folder / "state") as opened:
            badge = opened.badges.ensure(slots.day_of(slots.slot_of(START)))
        log = pull.write_log(folder / "flash", log_size, LOG_KEY)
        (folder / "flash" / "owner.key").write_bytes(badge.owner_key)
        await air.start_badge("badge", folder / "flash")
        port = await air.add_adapter("desk")
        air.set_range("badge", "desk", -50)
        async with Bluez(port, flags=flags, tells_mtu=tells_mtu) as bluez:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
            air.realtime(SPEED, talking=1)
            yield Desk(folder, air, bluez, log)


def cut(size: int, piece: int) -> list[int]:
    return [min(piece, size - at) for at in range(0, size, piece)]


def test_a_megabyte_comes_with_one_write_for_each_request_none_acknowledged_and_nothing_warned_of(
    tmp_path, monkeypatch
):
    async def story() -> None:
        async with desk(tmp_path, monkeypatch, log_size=pull.MEGABYTE) as it:
            await it.provision(RATCHET)
            it.bluez.writes.clear()
            cli = Cli(tmp_path / "state", SimulatedClock(tmp_path / "unused"))
            cli.environment |= {"ANONTRACE_CLOCK": str(tmp_path / "clock"), "ANONTRACE_BLE": SYSTEM}
            done = await asyncio.to_thread(cli.script, "--json", "badge", "sync")
            assert (done.code, done.err) == (0, "")
            with state.changing(tmp_path / "state") as opened:
                (segments,) = opened.logs.segments()
            assert b"".join(segments).startswith(it.log) and len(it.log) >= pull.MEGABYTE
            assert done.json["freed"] == len(segments)
            # The handshake, info, the clock, info, rotate, the list, what is read, free, the horizon, info.
            reads = sum(-(-len(segment) // READ_BYTES) for segment in segments)
            assert len(it.bluez.writes) == reads + 9 < MAX_WRITES
            assert {kind for kind, _ in it.bluez.writes} == {"command"}

    asyncio.run(story())


QUIET = ["command"] * PACE
PACED = ["command"] * (PACE - 1) + ["request"]
HEARD = ["request"] * PACE


@pytest.mark.parametrize(
    ("bluez", "backend", "piece", "kinds"),
    [
        ({}, BleakBackend.BLUEZ_DBUS, MTU - ATT_HEAD, QUIET),
        ({"tells_mtu": False}, BleakBackend.BLUEZ_DBUS, MIN_PIECE, PACED),
        ({"flags": ["write", "notify"]}, BleakBackend.BLUEZ_DBUS, MTU - ATT_HEAD, HEARD),
        ({}, BleakBackend.CORE_BLUETOOTH, MTU - ATT_HEAD, HEARD),
    ],
    ids=["as BlueZ tells it", "BlueZ before 5.62", "an inbox that acknowledges all", "a Mac, which drops silently"],
)
def test_the_longest_request_goes_in_pieces_as_large_as_the_inbox_takes_and_no_more_unheard_than_the_badge_can_hold(
    tmp_path, monkeypatch, recwarn, bluez, backend, piece, kinds
):
    monkeypatch.setattr(BleakClient, "backend_id", backend)

    async def story() -> None:
        async with desk(tmp_path, monkeypatch, **bluez) as it:
            await it.provision(LIST)
            with state.changing(tmp_path / "state") as opened:
                owner_key = opened.badges.get().owner_key
            async with it.link(owner_key) as link:
                it.bluez.writes.clear()
                assert await link.ask(commands.ADDRESSES, slots.slot_of(it.air.now), MOST) == ()
            assert it.bluez.writes == list(zip(itertools.cycle(kinds), cut(FRAME, piece), strict=False))

    asyncio.run(story())
    assert not recwarn
