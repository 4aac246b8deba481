"""What a thief reads who takes flash and memory of a badge after a slot has ended: nothing that opens what went before.

The flash is read raw, the memory is that of the MicroPython process. Some secrets the test knows because it has the
companion's and the backend's keys, and by listening to the radio; the ephemeral scalars it does not know, so it tries
whatever looks like one.
"""

import asyncio
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace.companion.badge.link import BadgeLink
from anontrace_primitives import x25519, x25519_base
from anontrace_shared import badge_noise, commands, hkdf, hpke, log, schedule, slots

from tests.firmware.conftest import LOG_SECRET, Town, Wearer
from tests.primitives.test_scrub import memory_of
from tools.simulator import flash
from tools.simulator.air import Air
from tools.simulator.frames import Op

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into the process through /proc")

MIDNIGHT = 20_300 * 86400
STEP = 4  # bytes between places at which something may lie in memory
PROBE = 10  # bytes of a secret that suffice to give it away
SLOTS_BEFORE = 5  # midnight, from which on they meet
EPHEMERAL = hashlib.sha256(b"the companion's ephemeral secret").digest()


def image(wearer: Wearer) -> bytes:
    """Everything on the badge: memory of its process, raw bytes of its flash."""
    process = wearer.air.badges[wearer.name]._process
    assert process is not None
    return memory_of(process.pid) + flash.raw(wearer.flash)


def left(found: bytes, secrets: dict[str, bytes]) -> set[str]:
    """Names of the secrets of which the image has the beginning or the end."""
    return {name for name, secret in secrets.items() if secret[:PROBE] in found or secret[-PROBE:] in found}


def scalars_of(found: bytes, points: set[bytes]) -> Iterator[bytes]:
    """The points whose scalars, clamped or not, are in the image; places with few different bytes are passed over."""
    tried = set()
    for at in range(0, len(found) - 31, STEP):
        window = found[at : at + 32]
        if len(set(window)) >= 20 and window not in tried:
            tried.add(window)
            try:
                point = x25519_base(window)
            except ValueError:
                continue
            if point in points:
                yield point


def sealing_secrets(blocks: list[Any]) -> dict[str, bytes]:
    """What opens each block, by the key that only the backend has."""
    secrets = {}
    for block in blocks:
        shared = x25519(LOG_SECRET, block.enc)
        recipient = hpke.Recipient(LOG_SECRET, block.enc, b"anontrace/1 log")
        secrets |= {
            f"X25519 result of slot {block.slot}": shared,
            f"KEM secret of slot {block.slot}": hpke.kem_secret(shared, block.enc, x25519_base(LOG_SECRET)),
            f"key of slot {block.slot}": bytes(recipient._key),
        }
    return secrets


class Told:
    """What a badge writes to others and notifies, by slot, since this was made."""

    def __init__(self, wearer: Wearer) -> None:
        self.questions: list[tuple[int, bytes]] = []  # N that it asked
        self.answered: list[tuple[int, bytes]] = []
        self.openings: list[bytes] = []  # its public keys in the sessions of its companion
        stack = wearer.air.badges[wearer.name].stack
        call = stack.call

        def listen(op: int, arguments: bytes) -> bytes:
            slot = slots.slot_of(wearer.air.now)
            if op == Op.WRITE:
                self.questions.append((slot, arguments[5:]))
            elif op == Op.NOTIFY and len(arguments) == 4 + 48:
                self.answered.append((slot, arguments[4:]))
            elif op == Op.NOTIFY and arguments[4:6] == b"\x30\x00":
                self.openings.append(arguments[6:38])
            return call(op, arguments)

        stack.call = listen  # type: ignore[method-assign]


def challenge_secrets(told: Told, name: str, answerer: Wearer, before: int) -> dict[str, bytes]:
    """What both sides of the answered challenges of past slots have computed."""
    secrets = {}
    for slot, question in told.questions:
        if slot < before:
            shared = x25519(slot_secret(answerer, slot), question)
            secrets[f"challenge of {name} in slot {slot}"] = shared
            secrets[f"its key in slot {slot}"] = hkdf.extract(b"anontrace/1 challenge", shared)
    return secrets


def slot_secret(wearer: Wearer, slot: int) -> bytes:
    return schedule.slot_secret(schedule.day_key(wearer.day_key, wearer.day, slots.day_of(slot)), slot)


def logged(wearer: Wearer) -> tuple[list[log.Block], list[Any]]:
    """The blocks on its flash and the contacts in them."""
    blocks = [
        block
        for path, data in sorted(flash.files(wearer.flash).items())
        if path.startswith("log/")
        for block in log.blocks(data)
        if isinstance(block, log.Block)
    ]
    return blocks, [contact for block in blocks for contact in log.open_block(LOG_SECRET, block)]


def test_nothing_on_the_badge_opens_an_ended_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Air(tmp_path / "clock", MIDNIGHT - SLOTS_BEFORE * slots.SLOT_SECONDS) as air:
            town = Town(air, tmp_path)
            ada, bob, lea = await town.wearer("ada"), await town.wearer("bob"), await town.wearer("lea")
            begin = slots.slot_of(air.now)
            ada.day = bob.day = slots.day_of(begin)
            await ada.provision()
            await bob.provision()
            given = {slot: hashlib.sha256(slots.slot_bytes(slot)).digest()[:20] for slot in range(begin, begin + 20)}

            async def give_list(link: BadgeLink) -> None:
                await link.ask(commands.SET_TIME, round(air.now * 1000))
                provision = commands.Provision(commands.LIST, x25519_base(LOG_SECRET), begin + len(given))
                await link.ask(commands.PROVISION, provision)
                await link.ask(commands.ADDRESSES, begin, list(given.values()))

            await lea.talk(give_list)
            asked = {name: Told(wearer) for name, wearer in (("ada", ada), ("bob", bob), ("lea", lea))}
            air.set_range("ada", "bob", -60)
            air.set_range("ada", "lea", -65)
            yesterday, last = ada.day, slots.slot_of(MIDNIGHT) + 2

            async def session(link: BadgeLink) -> dict[str, bytes]:
                transport = link._session._transport
                assert transport is not None
                await link.ask(commands.LOG_ROTATE)
                (segments,) = await link.ask(commands.LOG_LIST, 0)
                for number, size in segments:
                    assert len(b"".join([piece async for piece in link.stream(commands.LOG_READ, number, 0, size)])) > 0
                return {
                    "key to the badge": bytes(transport._sending._key),
                    "key from the badge": bytes(transport._receiving._key),
                }

            await air.run_until(slots.slot_start(last - 1) + 60)
            with monkeypatch.context() as known:
                known.setattr(badge_noise, "random_bytes", lambda _: EPHEMERAL)
                secrets = await ada.talk(session)
            (opening,) = asked["ada"].openings
            secrets["X25519 result of the session"] = x25519(EPHEMERAL, opening)
            await air.run_until(slots.slot_start(last) + 45)
            found = image(ada)

            def key(day: int) -> bytes:
                return schedule.day_key(ada.day_key, yesterday, day)

            # The search finds what has to be there.
            today = yesterday + 1
            assert left(found, {"today's key": key(today), "secret": slot_secret(ada, last)}) == {
                "today's key",
                "secret",
            }
            assert left(found, {"now": ada.address(last)}) == {"now"}
            secret = slot_secret(ada, last)
            point = x25519_base(secret)
            assert set(scalars_of(found[: found.index(secret) + 64], {point})) == {point}

            past = range(begin, last)
            secrets |= {"log key": LOG_SECRET, "yesterday's key": key(yesterday)}
            for slot in past:
                for wearer in (ada, bob):
                    secrets[f"{wearer.name}'s secret of slot {slot}"] = slot_secret(wearer, slot)
                    secrets[f"{wearer.name}'s public key of slot {slot}"] = x25519_base(slot_secret(wearer, slot))
                    secrets[f"{wearer.name}'s address of slot {slot}"] = wearer.address(slot)
                secrets[f"lea's address of slot {slot}"] = given[slot]
            blocks, heard = logged(ada)
            assert len(blocks) >= 5 and len(heard) >= 10
            secrets |= sealing_secrets(blocks)
            assert len(asked["ada"].questions) >= 5 and len(asked["ada"].answered) >= 10, "she asked and was asked"
            secrets |= challenge_secrets(asked["ada"], "ada", bob, last)
            for name in ("bob", "lea"):
                secrets |= challenge_secrets(asked[name], name, ada, last)
            assert left(found, secrets) == set()
            points = {block.enc for block in blocks} | {question for _, question in asked["ada"].questions} | {opening}
            points |= {x25519_base(slot_secret(wearer, slot)) for slot in past for wearer in (ada, bob)}
            assert set(scalars_of(found, points)) == set()

            # A badge with a list: it has no key of a day, and what it has of today's list is no less than that key.
            found = image(lea)
            assert left(found, {"now": given[last]}) == {"now"}
            blocks, heard = logged(lea)
            assert len(blocks) >= 5 and len(asked["lea"].questions) >= 5
            verified = {contact.address for contact in heard if contact.figures.verified}
            assert verified >= {ada.address(slot) for slot in past[1:]}, "it can ask, though it cannot answer"
            secrets = sealing_secrets(blocks) | challenge_secrets(asked["lea"], "lea", ada, last)
            secrets |= {f"ada's address of slot {slot}": ada.address(slot) for slot in past}
            secrets |= {f"own address of slot {slot}": given[slot] for slot in past if slots.day_of(slot) == yesterday}
            assert left(found, secrets) == set()
            points = {block.enc for block in blocks} | {question for _, question in asked["lea"].questions}
            assert set(scalars_of(found, points)) == set()
            assert [town.printed(name) for name in asked] == ["", "", ""]

    asyncio.run(story())
