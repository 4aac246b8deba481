"""Attacks on the challenge, by radios that play badges: what they send is logged, and nobody is taken for verified.

A forger is a badge with a main.py of its own (on_badge/forging_main.py). The asking badge is the whole firmware.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from anontrace.companion.badge.bumble_backend import BumbleClient
from anontrace.companion.badge.radio import Radio
from anontrace_shared import challenge, commands, schedule, slots
from bleak import BleakClient

from tests.firmware.conftest import SILENCE, Play, Town, Wearer
from tests.firmware.test_on_air import SECRET, challenge_answer, contacts

FORGER = Path(__file__).parent / "on_badge" / "forging_main.py"
LOW_ORDER = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")


async def forger(town: Town, name: str, near: Wearer, rssi: int, **way: Any) -> Path:
    """Switch on a forger near a wearer, or again with another way; its flash."""
    flash = town.folder / name / "flash"
    flash.mkdir(parents=True, exist_ok=True)
    (flash / "way").write_text(json.dumps({k: v.hex() if isinstance(v, bytes) else v for k, v in way.items()}))
    for left in ("asked", "answer"):
        (flash / left).unlink(missing_ok=True)
    if name in town.air.badges:
        await town.air.restart_badge(name)
    else:
        await town.air.start_badge(name, flash, main=FORGER)
    town.air.set_range(name, near.name, rssi)
    return flash


def slot_keys(wearer: Wearer, slot: int) -> tuple[bytes, bytes]:
    """k and P of a wearer's slot."""
    day_key = schedule.day_key(wearer.day_key, wearer.day, slots.day_of(slot))
    secret = schedule.slot_secret(day_key, slot)
    return secret, schedule.public_key(secret)


def test_whoever_answers_wrongly_shortly_at_length_or_not_at_all_stays_unverified(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        bob = await town.wearer("bob")
        await bob.provision()
        slot = slots.slot_of(air.now) + 1
        await air.run_until(slots.slot_start(slot) + 2)
        keys = [bytes([number]) * 32 for number in range(1, 7)]
        points = [schedule.public_key(key) for key in keys]
        own = [schedule.contact_address(point) for point in points]
        ways: dict[str, dict[str, Any]] = {
            "honest": {"address": own[0], "secret": keys[0], "public_key": points[0]},
            "wrong MAC": {"address": own[1], "answer": points[1] + bytes(16)},
            "P of another": {"address": own[2], "secret": keys[0], "public_key": points[0]},
            "low order": {
                "address": schedule.contact_address(LOW_ORDER),
                "public_key": LOW_ORDER,
                "shared": bytes(32),
            },
            "a byte too many": {"address": own[3], "secret": keys[3], "public_key": points[3], "tail": b"\0"},
            "a byte too few": {"address": own[4], "answer": points[4] + bytes(15)},
            "silent": {"address": own[5]},
        }
        # The seventh is not asked: six in a slot, the nearest first.
        flashes = [
            await forger(town, name, bob, -50 - number, slot=slot, **way)
            for number, (name, way) in enumerate(ways.items())
        ]
        await air.run_until(slots.slot_start(slot + 1) + 2)
        assert [name for name, flash in zip(ways, flashes, strict=True) if (flash / "asked").exists()] == list(ways)[:6]
        for name in list(ways)[:-1]:
            air.set_range(name, "bob", None)
        await air.run_until(slots.slot_start(slot + 2) + 5)
        assert (flashes[-1] / "asked").exists()
        found = contacts(await bob.pull())
        assert set(found[slot]) == {way["address"] for way in ways.values()}
        assert [address for address in found[slot] if found[slot][address].verified] == [own[0]]
        assert not found[slot + 1][own[5]].verified
        assert town.printed("bob") == ""

    play(story)


def test_an_overheard_address_is_unverified_in_its_slot_and_later_and_a_live_relay_passes(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada"), await town.wearer("bob")  # never in range of each other
        await ada.provision()
        await bob.provision()

        async def slot_with(slot: int, **way: Any) -> Path:
            flash = await forger(town, "eve", bob, -60, **way)
            await air.run_until(slots.slot_start(slot) + 39)  # before it has been heard in three thirds of a minute
            return flash

        async def relay(slot: int, flash: Path) -> bytes | None:
            """Hand Bob's question to Ada as it comes; her answer."""
            while not (flash / "asked").exists():
                await air.run_for(0.2)
            answer = await challenge_answer(ada, ada.address(slot), (flash / "asked").read_bytes(), scale=0.25)
            (flash / "answer").write_bytes(answer or b"")
            return answer

        first = slots.slot_of(air.now) + 1
        await air.run_until(slots.slot_start(first) + 2)
        recorded = await challenge_answer(ada, ada.address(first))
        assert recorded is not None
        flash = await slot_with(first, address=ada.address(first), answer=recorded)
        await air.run_until(slots.slot_start(first + 1) - 5)
        air.set_range("eve", "bob", None)
        await air.run_until(slots.slot_start(first + 1) + 2)
        assert (flash / "asked").exists()

        # Relayed as it happens: nothing that the two badges can see is wrong.
        flash = await slot_with(first + 1, address=ada.address(first + 1), relay=True)
        assert await relay(first + 1, flash) is not None
        await air.run_until(slots.slot_start(first + 2) - 5)
        air.set_range("eve", "bob", None)
        await air.run_until(slots.slot_start(first + 2) + 2)

        # The address of a slot that is over: the true badge itself cannot answer for it any more.
        flash = await slot_with(first + 2, address=ada.address(first), relay=True)
        assert await relay(first + 2, flash) is not None
        await air.run_until(slots.slot_start(first + 3) + 5)
        found = contacts(await bob.pull())
        verified = {slot: {address: f.verified for address, f in found[slot].items()} for slot in sorted(found)}
        assert verified == {
            first: {ada.address(first): False},
            first + 1: {ada.address(first + 1): True},
            first + 2: {ada.address(first): False},
        }
        assert town.printed("ada") == town.printed("bob") == ""

    play(story)


def test_a_connection_of_one_slot_asks_nothing_in_the_next(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await ada.provision()
        slot = slots.slot_of(air.now) + 1
        await air.run_until(slots.slot_start(slot + 1) - SILENCE - 3)
        name = f"tcp-client:127.0.0.1:{ada.port}"
        gone = asyncio.Event()
        air.realtime(2)
        async with Radio(f"bumble:{name}") as radio:
            found = await radio.find(lambda data: data == ada.address(slot), 20)
            client = BleakClient(found.device, lambda _: gone.set(), backend=BumbleClient, bluez={"adapter": name})
            await client.connect()
            answers: list[bytes] = []
            await client.start_notify(commands.CHALLENGE, lambda _, data: answers.append(bytes(data)))
            assert slots.slot_of(air.now) == slot
            await asyncio.wait_for(gone.wait(), 30)  # before the turn, and before a stranger's 15 seconds are over
            assert slots.slot_start(slot + 1) - SILENCE - 1 < air.now < slots.slot_start(slot + 1) + 1
            with pytest.raises(Exception, match="connect"):
                await client.write_gatt_char(commands.CHALLENGE, challenge.question(SECRET), response=True)
            assert answers == []
        air.hold()

    play(story)
