"""Light, button and service mode of the whole firmware on the virtual radio, no interrupt of which may allocate."""

import sys
from typing import Any

import pytest
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace.companion.errors import BadgeLinkError, BadgeRefusedError
from anontrace_primitives import x25519_base
from anontrace_shared import commands, names, schedule, slots

from tests.firmware.conftest import LOG_SECRET, Play, Town, Wearer
from tests.firmware.test_image import logged
from tests.primitives.test_scrub import memory_of
from tools.simulator import flash

LED, BUTTON = 5, 0
BOARD = '{"led": 5, "led_on": 0, "button": 0, "pressed": 0}'
SERVICE_SECONDS = 300
NOBODYS = schedule.beacon_key(names.NO_OWNER)
OWNER_KEY = bytes(range(7, 39))


class Light:
    """What a badge's light does: the moments at which it went on, and how long it stayed on."""

    def __init__(self, wearer: Wearer) -> None:
        self.flashes: list[tuple[float, float]] = []
        self._since: float | None = None
        self._air = wearer.air
        wearer.air.badges[wearer.name].on_pin = self._see

    def _see(self, time: float, pin: int, level: int) -> None:
        assert pin == LED
        if level == 0:
            self._since = time
        elif self._since is not None:
            self.flashes.append((self._since, time - self._since))
            self._since = None

    async def rounds(self, seconds: float = 30) -> list[int]:
        """How many flashes each round had in so many seconds, the first and the last round left out."""
        self.flashes.clear()
        await self._air.run_for(seconds)
        assert sum(length for _, length in self.flashes) < seconds * 0.03, "the battery hardly notices"
        counts = [1]
        for (one, _), (other, _) in zip(self.flashes, self.flashes[1:], strict=False):
            if other - one < 0.5:
                counts[-1] += 1
            else:
                counts.append(1)
        return counts[1:-1]


async def press(wearer: Wearer, seconds: float) -> None:
    """Press the button for so long; its contacts bounce."""
    badge, air = wearer.air.badges[wearer.name], wearer.air
    for level in (0, 1):
        for _ in range(3):
            badge.set_pin(BUTTON, level)
            await air.run_for(0.002)
            badge.set_pin(BUTTON, 1 - level)
            await air.run_for(0.003)
        badge.set_pin(BUTTON, level)
        await air.run_for(seconds if level == 0 else 0.5)


def listen(wearer: Wearer) -> list[bytes]:
    """The 20 bytes of each advert from now on."""
    payloads: list[bytes] = []
    wearer.air.sniff(lambda sighting: payloads.append(sighting.data[9:]))
    return payloads


def segments(wearer: Wearer) -> list[str]:
    return [path for path in flash.files(wearer.flash) if path.startswith("log/")]


async def info(link: BadgeLink) -> Any:
    return await link.info()


def test_the_light_tells_the_state_and_a_press_begins_service_mode_which_ends_by_itself(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada", board=BOARD)
        light = Light(ada)
        assert set(await light.rounds()) == {3}  # not provisioned
        await ada.provision(horizon_slots=4)
        assert set(await light.rounds()) == {1}  # broadcasting
        payloads = listen(ada)
        slot = slots.slot_of(air.now)
        await air.run_for(2)
        assert set(payloads) == {ada.address(slot)}
        air.badges["ada"].set_pin(BUTTON, 0)  # a disturbance
        await air.run_for(0.01)
        air.badges["ada"].set_pin(BUTTON, 1)
        await air.run_for(5)
        assert set(payloads) == {ada.address(slot)}
        await press(ada, 0.3)
        pressed = air.now
        light.flashes.clear()
        await air.run_for(20)
        assert 14 <= len(light.flashes) <= 20  # service mode
        payloads.clear()
        await air.run_until(pressed + SERVICE_SECONDS - 2)
        beacon = schedule.beacon_key(ada.owner_key)
        assert payloads and all(schedule.is_beacon(beacon, payload) for payload in payloads)
        await air.run_for(6)
        payloads.clear()
        assert set(await light.rounds()) == {1}
        assert set(payloads) <= {ada.address(slots.slot_of(air.now) + more) for more in (-1, 0)}
        await air.run_until(slots.slot_start(slot + 6) + 10)
        assert set(await light.rounds()) == {2}  # past its horizon
        assert town.printed("ada") == ""

    play(story)


def test_eight_seconds_erase_everything_and_letting_go_before_that_nothing(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada", board=BOARD), await town.wearer("bob")
        (ada.flash / "crash.txt").write_text("a crash")
        await air.restart_badge("ada")
        assert flash.files(ada.flash)["crash.txt"] == b"a crash"
        await ada.provision()
        await bob.provision()
        air.set_range("ada", "bob", -60)
        await air.run_for(610)
        assert segments(ada)
        before = await ada.talk(info)
        light = Light(ada)
        await press(ada, 7.5)
        warned = [moment for moment, length in light.flashes if length < 0.1]
        assert len(warned) > 30 and (await ada.talk(info)).log_bytes == before.log_bytes > 100
        light.flashes.clear()
        payloads = listen(ada)
        await press(ada, 8.3)
        await air.run_for(3)
        assert max(length for _, length in light.flashes) > 2  # erased
        for secret in (ada.owner_key, ada.day_key, x25519_base(LOG_SECRET)):
            assert secret[:10] not in flash.raw(ada.flash) and secret[-10:] not in flash.raw(ada.flash)
            if sys.platform == "linux":
                process = air.badges["ada"]._process
                assert process is not None and secret[:16] not in memory_of(process.pid)
        assert not segments(ada) and "crash.txt" not in flash.files(ada.flash)
        payloads.clear()
        await air.run_for(20)  # nobody's, and its button has to be pressed first
        assert payloads and not any(ada.is_own(payload) for payload in payloads)
        await press(ada, 0.2)
        ada.owner_key = names.NO_OWNER
        after = await ada.talk(info)
        assert (after.boot, after.horizon, after.log_bytes, after.flags) == (2, 0, 0, commands.TIME_KNOWN)
        assert after.open_segment > before.open_segment
        assert town.printed("ada") == ""

    play(story)


def test_an_erasing_that_was_cut_off_is_finished_at_the_next_boot(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await town.wearer("ada", board=BOARD)
        for size in (100, 400, 3000):  # in the state, in what was before it, in the files
            await ada.provision()
            await town.air.run_for(300)
            assert ada.owner_key in flash.raw(ada.flash) and ada.day_key in flash.raw(ada.flash)
            badge = town.air.badges["ada"]
            resets = badge.resets
            badge.fail_power_after(size)
            await press(ada, 8.3)
            await town.air.run_for(60)
            assert badge.resets == resets + 1, size
            gone = ada.owner_key not in flash.raw(ada.flash)
            assert gone == (size > 100), "before or after, and nothing between"
            if gone:
                assert ada.day_key[:10] not in flash.raw(ada.flash) and not segments(ada)
                (ada.flash / "owner.key").write_bytes(ada.owner_key)
                await town.air.restart_badge("ada")
        assert town.printed("ada") == ""

    play(story)


def test_without_a_button_a_badge_that_has_no_owner_is_in_service_mode_for_five_minutes(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada", owned=False)
        payloads = listen(ada)
        await air.run_for(SERVICE_SECONDS - 5)
        assert payloads and all(schedule.is_beacon(NOBODYS, payload) for payload in payloads)
        await air.run_for(10)
        payloads.clear()
        await air.run_for(310)
        assert payloads and not any(schedule.is_beacon(NOBODYS, payload) for payload in payloads)

    play(story)


@pytest.mark.parametrize("board", ["nonsense", '{"led": 34, "led_on": 0}'])
def test_a_broken_board_file_costs_the_badge_nothing_else(play: Play, board: str) -> None:
    async def story(town: Town) -> None:
        ada = await town.wearer("ada", board=board)
        await ada.provision()
        assert (await ada.talk(info)).flags & commands.PROVISIONED
        assert town.printed("ada").startswith("board.json: ")

    play(story)


def test_what_a_board_hears_too_weakly_is_corrected_in_the_log_and_nowhere_on_the_air(play: Play) -> None:
    boards = {
        "ada": ('{"rssi": 6, "led": 34, "led_on": 0}', -60),  # whatever else is wrong with it
        "eve": ('{"rssi": -99}', -86),  # 20 dB at most
    }

    async def story(town: Town) -> None:
        wearers = {name: await town.wearer(name, board=board) for name, (board, _) in boards.items()}
        bob = await town.wearer("bob")
        powers: set[bytes] = set()
        town.air.sniff(lambda sighting: powers.add(sighting.data[8:9]))
        for each in wearers.values():
            town.air.set_range(each.name, "bob", -66)
            await each.provision()
        await bob.provision()
        await town.air.run_for(400)
        assert powers == {b"\x03"}
        for name, each in wearers.items():
            _, records = logged(each)
            assert {record.figures.strongest for record in records} == {boards[name][1]}
            assert {record.figures.tx_power for record in records} == {3}

    play(story)


REFUSED_TO_ANYBODY: list[tuple[Any, ...]] = [
    (commands.SET_TIME, 1_750_000_000_000),
    (commands.PROVISION, commands.Provision(commands.RATCHET, x25519_base(LOG_SECRET), 9, 0, bytes(32))),
    (commands.ADDRESSES, 1, [bytes(20)]),
    (commands.HORIZON, 5),
    (commands.LOG_LIST, 0),
    (commands.LOG_FREE, 9),
    (commands.LOG_ROTATE,),
    (commands.SET, commands.PLACE, 1),
    (commands.ERASE,),
    (commands.RESTART,),
    (commands.OWN, names.NO_OWNER),
]


def test_in_service_mode_a_badge_without_owner_takes_one_and_does_nothing_else_for_strangers(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada", owned=False, board=BOARD)
        payloads = listen(ada)
        await air.run_for(20)
        assert payloads and not any(schedule.is_beacon(NOBODYS, payload) for payload in payloads)
        await press(ada, 0.2)
        desk = await air.add_adapter("another desk")
        air.set_range("ada", "another desk", -60)

        async def as_anybody(link: BadgeLink) -> None:
            assert (await link.info()).flags == 0
            for op, *values in REFUSED_TO_ANYBODY:
                with pytest.raises(BadgeRefusedError, match="in the state it is in"):
                    await link.ask(op, *values)
            for op, *values in ((commands.LOG_READ, 1, 0, 9), (commands.CRASH_LOG,)):
                with pytest.raises(BadgeRefusedError):
                    _ = [piece async for piece in link.stream(op, *values)]
            await link.ask(commands.OWN, OWNER_KEY)
            with pytest.raises(BadgeRefusedError):
                await link.ask(commands.OWN, bytes(range(32)))

        async with Radio(f"bumble:tcp-client:127.0.0.1:{desk}") as radio:
            air.realtime(2, talking=1)
            found = await radio.find(ada.is_own, 20)
            async with radio.connect(found) as pipe:  # somebody who was there before it had an owner
                other = BadgeLink(pipe, names.NO_OWNER)
                await other.open()
                await ada.talk(as_anybody)
                air.realtime(2, talking=1)
                with pytest.raises((BadgeLinkError, BadgeRefusedError)):
                    await other.ask(commands.OWN, bytes(range(32)))
        payloads.clear()
        ada.owner_key = OWNER_KEY
        assert OWNER_KEY in flash.raw(ada.flash)
        with pytest.raises(BadgeLinkError):
            await ada.talk(info, key=names.NO_OWNER)

        async def as_owner(link: BadgeLink) -> None:
            with pytest.raises(BadgeRefusedError):
                await link.ask(commands.OWN, bytes(range(32)))

        await ada.talk(as_owner)
        await ada.provision()
        await air.run_for(3)
        payloads.clear()
        await air.run_for(3)
        assert set(payloads) == {ada.address(slots.slot_of(air.now))}, "service mode has done its work"
        assert town.printed("ada") == ""

    play(story)
