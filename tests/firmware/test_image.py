"""What a thief reads who takes flash and memory of a badge after a slot has ended: nothing that opens what went before.

The flash is its folder, the memory that of the MicroPython process. Some secrets the test knows because it has the
companion's and the backend's keys; the ephemeral scalars it does not know, so it tries whatever looks like one.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace.companion.badge.link import BadgeLink
from anontrace_primitives import x25519, x25519_base
from anontrace_shared import hpke, log, schedule, slots

from tests.firmware.conftest import LOG_SECRET, Town, Wearer
from tests.primitives.test_scrub import memory_of
from tools.simulator.air import Air

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into the process through /proc")

MIDNIGHT = 20_300 * 86400
STEP = 4  # bytes between places at which something may lie in memory
PROBE = 10  # bytes of a secret that suffice to give it away


def image(wearer: Wearer) -> bytes:
    """Everything on the badge: memory of its process, files of its flash."""
    process = wearer.air.badges[wearer.name]._process
    assert process is not None
    files = [path.read_bytes() for path in sorted(wearer.flash.rglob("*")) if path.is_file()]
    return memory_of(process.pid) + b"".join(files)


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


def test_nothing_on_the_badge_opens_an_ended_slot(tmp_path: Path) -> None:
    async def story() -> None:
        async with Air(tmp_path / "clock", MIDNIGHT - 5 * slots.SLOT_SECONDS) as air:
            town = Town(air, tmp_path)
            ada, bob = await town.wearer("ada"), await town.wearer("bob")
            ada.day = bob.day = slots.day_of(slots.slot_of(air.now))
            await ada.provision()
            await bob.provision()

            async def session_keys(link: BadgeLink) -> dict[str, bytes]:
                transport = link._session._transport
                assert transport is not None
                return {
                    "key to the badge": bytes(transport._sending._key),
                    "key from the badge": bytes(transport._receiving._key),
                }

            secrets = await ada.talk(session_keys)
            air.set_range("ada", "bob", -60)
            yesterday, last = ada.day, slots.slot_of(MIDNIGHT) + 2
            await air.run_until(slots.slot_start(last) + 45)
            found = image(ada)

            def key(day: int) -> bytes:
                return schedule.day_key(ada.day_key, yesterday, day)

            # The search finds what has to be there.
            today = yesterday + 1
            assert left(found, {"today's key": key(today), "secret": schedule.slot_secret(key(today), last)}) == {
                "today's key",
                "secret",
            }
            assert left(found, {"now": ada.address(last)}) == {"now"}
            secret = schedule.slot_secret(key(today), last)
            point = x25519_base(secret)
            assert set(scalars_of(found[: found.index(secret) + 64], {point})) == {point}

            past = range(slots.slot_of(MIDNIGHT) - 5, last)
            secrets |= {"log key": LOG_SECRET, "yesterday's key": key(yesterday)}
            for slot in past:
                secrets[f"secret of slot {slot}"] = schedule.slot_secret(key(slots.day_of(slot)), slot)
                secrets[f"own address of slot {slot}"] = ada.address(slot)
                secrets[f"contact of slot {slot}"] = bob.address(slot)
            blocks = [
                block
                for path in sorted((ada.flash / "log").glob("*.seg"))
                for block in log.blocks(path.read_bytes())
                if isinstance(block, log.Block)
            ]
            heard = [contact for block in blocks for contact in log.open_block(LOG_SECRET, block)]
            assert len(blocks) >= 5 and len(heard) >= 5
            secrets |= sealing_secrets(blocks)
            assert left(found, secrets) == set()
            points = {block.enc for block in blocks}
            points |= {x25519_base(secrets[f"secret of slot {slot}"]) for slot in past}
            assert set(scalars_of(found, points)) == set()
            assert town.printed("ada") == ""

    asyncio.run(story())
