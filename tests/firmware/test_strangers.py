"""Strangers who connect and try to tell one badge from another: by what it tells, by when it answers, by pairing."""

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from anontrace.companion.badge.bumble_backend import BumbleClient
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace_shared import badge_noise, badge_transport, challenge, commands, hkdf, schedule, slots
from anontrace_shared.errors import AuthenticationError
from anontrace_shared.session import BadgeSession, CompanionSession
from bleak import BleakClient
from bleak.exc import BleakError
from bumble.device import Connection

from tests.firmware.conftest import Play, Town, Wearer
from tests.patience import HANG_SECONDS


@asynccontextmanager
async def near(wearer: Wearer) -> AsyncIterator[BleakClient]:
    """A stranger's connection to a badge."""
    name = f"tcp-client:127.0.0.1:{wearer.port}"
    async with Radio(f"bumble:{name}") as radio:
        found = await radio.find(wearer.is_own, 60)
        async with BleakClient(found.device, backend=BumbleClient, bluez={"adapter": name}) as client:
            yield client


async def pair(client: BleakClient) -> str:
    """Ask a badge to pair; what it tells of itself, "" if it hangs up."""
    connection = client._backend._connection  # type: ignore[attr-defined]
    told: asyncio.Queue[str] = asyncio.Queue()
    connection.on(Connection.EVENT_PAIRING, lambda _keys: told.put_nowait(str(connection.peer_address)))
    connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: told.put_nowait(""))
    pairing = asyncio.create_task(connection.pair())
    try:
        return await asyncio.wait_for(told.get(), HANG_SECONDS)
    finally:
        pairing.cancel()
        await asyncio.gather(pairing, return_exceptions=True)


def test_whoever_wants_to_pair_is_hung_up_on_and_the_owner_is_not(play: Play) -> None:
    async def story(town: Town) -> None:
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        port = await town.air.add_adapter("stranger")
        town.air.set_range("ada", "stranger", -50)
        town.air.realtime(4)
        for wearer in (ada, bob):
            async with near(wearer) as client:
                assert await pair(client) == ""
        async with (
            Radio(f"bumble:tcp-client:127.0.0.1:{ada.port}") as radio,
            radio.connect(await radio.find(ada.is_own, 60)) as pipe,
        ):
            link = BadgeLink(pipe, ada.owner_key)
            await link.open()
            before = await link.info()
            async with near(dataclasses.replace(ada, port=port)) as client:
                assert await pair(client) == ""
            assert (await link.info()).boot == before.boot
        assert town.printed("ada") == town.printed("bob") == ""

    play(story)


async def answers(wearer: Wearer) -> list[int]:
    """How many bytes come back to each of what a stranger may write; 0 where the badge hangs up."""
    companion = CompanionSession(bytes(31) + b"x", bytes(20)).open()
    question = schedule.public_key(bytes(range(32)))
    tries: list[tuple[str, bytes]] = [
        (commands.INBOX, companion),
        (commands.INBOX, b"\x31\0" + bytes(49)),
        (commands.INBOX, bytes(200)),
        (commands.CHALLENGE, question),
        (commands.CHALLENGE, question[:-1]),
        (commands.CHALLENGE, question + b"\0"),
        (commands.CHALLENGE, bytes(32)),
    ]
    found = []
    for characteristic, data in tries:
        async with near(wearer) as client:
            told: asyncio.Queue[int] = asyncio.Queue()
            connection = client._backend._connection  # type: ignore[attr-defined]
            connection.on(Connection.EVENT_DISCONNECTION, lambda _reason, told=told: told.put_nowait(0))
            for each in (commands.OUTBOX, commands.CHALLENGE):
                await client.start_notify(each, lambda _, data, told=told: told.put_nowait(len(data)))
            with contextlib.suppress(BleakError):
                await client.write_gatt_char(characteristic, data, response=True)
            found.append(await asyncio.wait_for(told.get(), HANG_SECONDS))
    return found


def test_strangers_are_answered_alike_by_all_badges_that_have_an_address(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob, new = await town.wearer("ada"), await town.wearer("bob"), await town.wearer("new")
        await ada.provision()
        await bob.provision()
        air.hold()
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + 100)
        air.realtime(12)
        found = await asyncio.gather(answers(ada), answers(bob), answers(new))
        assert found[0] == found[1] == [0, 0, 0, challenge.ANSWER, 0, 0, 0]
        assert found[2] == [0] * 7  # sends a beacon, and so has nothing to prove: that much shows

    play(story)


def test_what_a_stranger_makes_a_badge_compute_does_not_depend_on_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[Any, ...]] = []

    def spy(module: Any, name: str) -> None:
        function = getattr(module, name)

        def spied(*arguments: Any) -> Any:
            done.append((name, *[len(each) for each in arguments]))
            return function(*arguments)

        monkeypatch.setattr(module, name, spied)

    for module, names in (
        (badge_noise, ("sha256", "x25519", "x25519_base")),
        (badge_transport, ("aead_open", "aead_seal")),
        (hkdf, ("hmac_sha256",)),
        (challenge, ("hmac_sha256", "x25519", "x25519_base")),
    ):
        for name in names:
            spy(module, name)
    work = []
    first = CompanionSession(bytes(32), bytes(20)).open()
    question = schedule.public_key(bytes(range(32)))
    for number in range(20):
        owner_key, secret = os.urandom(32), os.urandom(32)
        point = schedule.public_key(secret)
        done.clear()
        with pytest.raises(AuthenticationError):
            BadgeSession(owner_key, os.urandom(20)).receive(first)
        challenge.answer(secret, point, question, number)
        work.append(tuple(done))
    assert len(set(work)) == 1 and ("x25519", 32, 32) in work[0]


def test_addresses_and_beacons_cannot_be_told_from_chance() -> None:
    def ones(made: list[bytes]) -> list[int]:
        """How often each of the 160 bits is set."""
        return [sum(each[bit // 8] >> bit % 8 & 1 for each in made) for bit in range(160)]

    day_key, beacons = os.urandom(32), schedule.beacon_key(os.urandom(32))
    made = (
        [schedule.address_at(day_key, slot) for slot in range(400)],
        [schedule.beacon(beacons, (6_000_000 + n).to_bytes(4, "little") + bytes(4)) for n in range(400)],
    )
    for each in made:
        assert len(set(each)) == 400
        assert all(140 < count < 260 for count in ones(each))  # six standard deviations
