"""How badges turn from slot to slot: what a listener beside them hears of it, and what it costs those who log.

The figures of the listener come from tests/adversary/listener.py, whose crowd is held against the firmware here.
"""

import asyncio
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace_primitives import x25519_base
from anontrace_shared import commands, slots

from tests.adversary import listener
from tests.firmware.conftest import LOG_SECRET, SILENCE, Play, Town, Wearer
from tests.firmware.test_on_air import contacts

NAMES = ("ada", "bob", "cleo", "dan", "planted")
PLANTED = Path(__file__).parent / "on_badge" / "steady_main.py"
TURNS = 4
APART = 0.3  # seconds by which clocks differ, one from the next


async def set_going(wearer: Wearer, behind: float) -> None:
    """Provision a badge whose clock is so many seconds behind, while others are provisioned too."""
    air = wearer.air
    async with Radio(f"bumble:tcp-client:127.0.0.1:{wearer.port}") as radio:
        found = await radio.find(wearer.is_own, 60)
        async with radio.connect(found) as pipe:
            link = BadgeLink(pipe, wearer.owner_key)
            await link.open()
            await link.ask(commands.SET_TIME, round((air.now - behind) * 1000))
            horizon = slots.slot_of(air.now) + 1000
            await link.ask(
                commands.PROVISION,
                commands.Provision(commands.RATCHET, x25519_base(LOG_SECRET), horizon, wearer.day, wearer.day_key),
            )


def test_the_firmware_turns_as_the_listeners_crowd_does_and_nobody_loses_more_than_a_third_at_a_turn(
    play: Play,
) -> None:
    async def story(town: Town) -> None:
        air = town.air
        badges = [
            await town.wearer(name, ppm=number * 10 - 20, main=PLANTED if name == "planted" else None)
            for number, name in enumerate(NAMES)
        ]
        for one, other in itertools.combinations(NAMES, 2):
            air.set_range(one, other, -80)  # too far off to be challenged
        air.realtime(4)
        await asyncio.gather(*[set_going(badge, number * APART) for number, badge in enumerate(badges)])
        air.hold()
        first = slots.slot_of(air.now) + 1
        await air.run_until(slots.slot_start(first) - 20)
        whole = range(first, first + TURNS + 1)
        times: dict[bytes, list[float]] = defaultdict(list)
        air.sniff(lambda sighting: times[sighting.data[9:]].append(sighting.time))
        await air.run_until(slots.slot_start(first + TURNS + 1) + 20)
        heard = []
        for slot in whole:
            each = [np.array(times[badge.address(slot)]) - slots.slot_start(slot) for badge in badges]
            heard.append(
                listener.Slot(
                    np.array([one[0] for one in each]),
                    np.array([one[-1] for one in each]),
                    np.array([(one[-1] - one[0]) / (len(one) - 1) for one in each]),
                )
            )
        late = np.arange(len(NAMES)) * APART
        all_after = np.array([one.first - late for one in heard])
        assert all_after[:, -1].std() < 0.1, "the planted one is found"
        after = all_after[:, :-1]
        before = np.array([listener.SLOT + late - one.last for one in heard])[:, :-1]
        for silences in (after, before):
            assert silences.min() > -1 and silences.max() < SILENCE + 1
            assert 2.5 < silences.mean() < 7.75 and silences.std() > 1.5
            assert min(silences.std(axis=0)) > 0.2, "drawn anew by each"
        assert abs(np.corrcoef(after.ravel(), before.ravel())[0, 1]) < 0.85
        gaps = np.array([one.gap for one in heard])
        assert np.abs(gaps - listener.GAP).max() < 0.01

        # What they have logged of each other: of the two thirds of a minute at a turn at most one is lost.
        for badge in (badges[0], badges[3]):
            logged = contacts(await badge.pull())
            for other in badges:
                if other is badge:
                    continue
                figures = [logged[slot][other.address(slot)] for slot in whole[:-1]]
                assert all(one.present == one.last - one.first + 1 for one in figures)
                for one, following in itertools.pairwise(figures):
                    assert (14 - one.last) + following.first <= 1
        assert {town.printed(name) for name in NAMES} == {""}

    play(story)
