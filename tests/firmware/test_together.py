"""The preset `together` on the virtual radio: badges that sleep, and meet once a minute, whatever their clocks do.

What more badges do than fit here is in tests/shared/test_beat.py, by the model that `make bench` prints figures from.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from anontrace.companion.badge.care import set_up
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.errors import CompanionError
from anontrace_shared import beat, commands, slots
from anontrace_shared.presets import PRESETS

from tests.firmware.conftest import Answer, Play, Town, Wearer
from tests.firmware.test_hands import BOARD
from tests.firmware.test_on_air import contacts
from tools.simulator.clock import SECOND

LATE_SLOT = 2  # by then who has just been set up has met everybody


async def sleeper(town: Town, name: str, preset: str = "together", wrong: float = 0, **options: Any) -> Wearer:
    """A badge that is provisioned, with its clock so many seconds wrong, and this preset."""
    wearer = await town.wearer(name, **options)
    await wearer.provision(set_time=False)

    async def task(link: BadgeLink) -> None:
        await link.ask(commands.SET_TIME, round((town.air.now + wrong) * 1000))
        await set_up(link, preset, None)

    await wearer.talk(task)
    return wearer


async def say(wearer: Wearer, task: Callable[[BadgeLink], Awaitable[Answer]]) -> Answer:
    """What the companion does: try again at the next meeting if it did not connect in time for this one."""
    for attempt in range(4):
        await wearer.air.run_until((wearer.air.now + 38) // 60 * 60 + 22)
        try:
            return await wearer.talk(task)
        except CompanionError:
            if attempt == 3:
                raise
    raise AssertionError


class Awake:
    """For how many seconds a badge's radio was on."""

    def __init__(self, town: Town, name: str) -> None:
        self._clock, self._stack = town.air.clock, town.air.badges[name].stack
        self._since: int | None = self._clock.now if self._stack.active else None
        self._seconds = 0.0
        self._switch: Callable[[bool], None] = self._stack._set_active
        self._stack._set_active = self._set_active  # type: ignore[method-assign]

    def _set_active(self, on: bool) -> None:
        self._seconds = self.seconds()
        self._switch(on)
        self._since = self._clock.now if on else None

    def seconds(self) -> float:
        return self._seconds + (0 if self._since is None else (self._clock.now - self._since) / SECOND)


def minutes(found: dict[int, dict[bytes, Any]], of: Wearer) -> float:
    """For how many minutes a log says that somebody was there."""
    return sum(found[slot][of.address(slot)].present / 3 for slot in found if of.address(slot) in found[slot])


def test_a_quarter_of_an_hour_is_right_within_a_minute_by_bad_oscillators_and_with_half_the_adverts_lost(
    play: Play,
) -> None:
    async def story(town: Town) -> None:
        air = town.air
        main = Path(__file__).parent / "on_badge" / "learned_main.py"
        ada = await sleeper(town, "ada", sleep_ppm=1000, main=main, board='{"rate": -9900}')
        bob = await sleeper(town, "bob", sleep_ppm=-1000, main=main, board='{"rate": 9900}')
        air.ether.loss = 0.5
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + LATE_SLOT) + 40)
        air.set_range("ada", "bob", -60)
        await air.run_for(60)
        radio = Awake(town, "ada")
        await air.run_for(14 * 60)
        assert radio.seconds() < 14 * 2.8
        air.set_range("ada", "bob", None)
        await air.run_for(300)
        air.ether.loss = 0
        for one, other in ((ada, bob), (bob, ada)):
            found = contacts(await say(one, one.pull_from))
            assert 14 <= minutes(found, other) <= 16
            assert any(figures.verified for slot in found.values() for figures in slot.values())
        assert town.printed("ada") == town.printed("bob") == ""

    play(story)


def test_whoever_comes_three_seconds_off_finds_the_others_and_they_stay_where_they_are(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        names = "ada", "bob", "eve"
        for name in names[:2]:
            await sleeper(town, name)
        await air.run_until(air.now // 60 * 60 + 100)
        eve = await sleeper(town, names[2], wrong=3)
        for one, other in (("ada", "bob"), ("ada", "eve"), ("bob", "eve")):
            air.set_range(one, other, -60)
        sent: dict[str, list[float]] = {name: [] for name in names}
        air.sniff(lambda sighting: sent[sighting.sender].append(sighting.time % 60 - 30))
        await air.run_for(60)
        assert sum(time < -2 for time in sent["eve"]) >= 8  # she is early
        await air.run_for(120)
        for times in sent.values():
            times.clear()
        await air.run_for(180)
        moments = [time for times in sent.values() for time in times]
        assert min(moments) > -1 and max(moments) < 2.5
        assert len(max(contacts(await say(eve, eve.pull_from)).items())[1]) == 2

    play(story)


def test_badges_of_other_presets_are_heard_by_the_minute_and_hear_it_for_some_of_its_minutes(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await sleeper(town, "ada"), await sleeper(town, "bob", "balanced")
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + LATE_SLOT))
        air.set_range("ada", "bob", -60)
        await air.run_for(600)
        air.set_range("ada", "bob", None)
        await air.run_for(330)
        assert 9 <= minutes(contacts(await say(ada, ada.pull_from)), bob) <= 10
        # A third of a minute for each meeting in which one of its windows caught an advert; challenges add none.
        assert 1 < minutes(contacts(await bob.pull()), ada) < 5

    play(story)


def test_its_button_ends_the_sleep_and_service_mode_keeps_it_awake(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        await sleeper(town, "ada", board=BOARD)
        sent: list[float] = []
        air.sniff(lambda sighting: sent.append(sighting.time))
        await air.run_until(air.now // 60 * 60 + 60 + 45)
        sent.clear()
        await air.run_for(5)
        assert not sent
        air.badges["ada"].set_pin(0, 0)
        await air.run_for(0.3)
        air.badges["ada"].set_pin(0, 1)
        await air.run_for(30)
        assert len(sent) > 40 and sent[-1] > air.now - 1
        await air.run_for(310)
        sent.clear()
        await air.run_for(240)
        assert len({time // 60 for time in sent}) >= 4 and all(28 < time % 60 < 33 for time in sent)

    play(story)


def test_where_bluetooth_does_not_come_up_again_it_is_balanced_and_says_so(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await sleeper(town, "ada")
        await air.run_for(90)
        air.badges["ada"].stack.failures = 1  # once is nothing
        await air.run_for(180)
        assert air.badges["ada"].resets == 0
        air.badges["ada"].stack.failures = 3
        await air.run_for(240)
        assert air.badges["ada"].resets == 1 and air.badges["ada"].stack.failures == 0
        sent: list[float] = []
        air.sniff(lambda sighting: sent.append(sighting.time))
        await air.run_for(60)
        assert 110 < len(sent) < 130

        async def ask(link: BadgeLink) -> tuple[Any, bytes]:
            text = b"".join([piece async for piece in link.stream(commands.CRASH_LOG)])
            return await link.info(), text

        info, text = await ada.talk(ask)
        assert not info.flags & (commands.TOGETHER | commands.SAFE_MODE) and info.flags & commands.TIME_KNOWN
        assert text.count(b"OSError") == 4 and text.count(b"`balanced` from now on") == 1

    play(story)


def test_its_memory_is_the_same_after_a_hundred_meetings(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        await sleeper(town, "ada", main=Path(__file__).parent / "on_badge" / "measuring_main.py")
        await air.run_for(600)
        before = len(town.printed("ada").splitlines())
        await air.run_for(100 * 60)
        held = [int(line.split()[1]) for line in town.printed("ada").splitlines()[before:]]
        assert len(held) == 20 and max(held) - min(held) < 4096 and held[-1] - held[0] < 1024

    play(story)


def test_its_clock_learns_the_rate_of_an_oscillator_that_is_worse_than_any_crystal(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await sleeper(town, "ada", sleep_ppm=-1000)
        corrections = []

        async def task(link: BadgeLink) -> None:
            (correction,) = await link.ask(commands.SET_TIME, round(town.air.now * 1000))
            corrections.append(correction)

        for _ in range(2):
            await town.air.run_for(4500)
            await say(ada, task)
        assert 3500 < corrections[0] < 5500
        assert corrections[1] < corrections[0] - 150  # by a part of a day it learns a part

    play(story)


def test_it_says_that_it_meets_others_and_goes_from_preset_to_preset(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await sleeper(town, "ada")
        flags = []
        for preset in ("always", "together", "saver"):
            await say(ada, partial(set_up, preset=preset, place=None))
            await town.air.run_for(70)
            flags.append(bool((await say(ada, lambda link: link.info())).flags & commands.TOGETHER))
        assert flags == [False, True, False]
        assert PRESETS["together"][2] == beat.PERIOD_MS
        assert town.printed("ada") == ""

    play(story)
