"""The whole firmware on the virtual radio, with the heap of an ESP32: from power-on to a log that opens."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from anontrace.backend.nymserver import exposures
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace.companion.errors import BadgeRefusedError
from anontrace_primitives import x25519_base
from anontrace_shared import challenge, commands, log, schedule, slots
from anontrace_shared.advert import decode
from anontrace_shared.errors import AuthenticationError
from anontrace_shared.schedule import nym_key
from bleak import BleakClient

from tests.firmware.conftest import LOG_SECRET, SILENCE, START, Play, Town, Wearer
from tests.firmware.test_hands import BOARD, Light
from tests.patience import HANG_SECONDS
from tools.simulator import flash
from tools.simulator.air import Sighting
from tools.simulator.nimble import Loss

SLOT = slots.slot_of(START)
SECRET = bytes(range(100, 132))  # n of a challenge


def contacts(data: bytes) -> dict[int, dict[bytes, Any]]:
    found: dict[int, dict[bytes, Any]] = {}
    for block in log.resolve(log.blocks(data)):
        assert isinstance(block, log.Block)
        for contact in log.open_block(LOG_SECRET, block):
            assert contact.address not in found.setdefault(block.slot, {})
            found[block.slot][contact.address] = contact.figures
    return found


async def challenge_answer(
    wearer: Wearer, address: bytes, question: bytes = challenge.question(SECRET), scale: float = 1
) -> bytes | None:
    """What the badge that broadcasts `address` answers to a question, None if it hangs up."""
    from anontrace.companion.badge.bumble_backend import BumbleClient

    wearer.air.realtime(scale)
    answers: asyncio.Queue[bytes | None] = asyncio.Queue()
    name = f"tcp-client:127.0.0.1:{wearer.port}"
    try:
        async with Radio(f"bumble:{name}") as radio:
            found = await radio.find(lambda data: data == address, 20)
            client = BleakClient(
                found.device, lambda _: answers.put_nowait(None), backend=BumbleClient, bluez={"adapter": name}
            )
            await client.connect()
            await client.start_notify(commands.CHALLENGE, lambda _, data: answers.put_nowait(bytes(data)))
            await client.write_gatt_char(commands.CHALLENGE, question, response=True)
            answer = await asyncio.wait_for(answers.get(), HANG_SECONDS)
            if answer is not None:
                await client.disconnect()
            return answer
    finally:
        wearer.air.hold()


def test_two_badges_meet_and_the_log_says_for_how_long(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        await ada.provision()
        await bob.provision()
        first = slots.slot_of(air.now) + 1
        start = slots.slot_start(first)
        await air.run_until(start + 40)
        air.set_range("ada", "bob", -60)
        await air.run_until(start + 100)
        air.set_range("ada", "bob", None)
        await air.run_until(start + 580)
        air.set_range("ada", "bob", -70)
        await air.run_until(start + 640)
        air.set_range("ada", "bob", None)
        await air.run_until(start + 910)
        for one, other in ((ada, bob), (bob, ada)):
            found = contacts(await one.pull())
            assert sorted(found) == [first, first + 1, first + 2]
            figures = {slot: found[slot].pop(other.address(slot)) for slot in found}
            assert not any(found.values())
            assert [f[1:4] for f in figures.values()] == [(2, 4, 3), (14, 14, 1), (0, 1, 2)]
            assert [f.strongest for f in figures.values()] == [f.mean for f in figures.values()] == [-60, -70, -70]
            assert figures[first].sightings > figures[first + 2].sightings > 1
            assert all(f.tx_power == 3 for f in figures.values())
            assert not figures[first + 1].verified and not figures[first + 2].verified  # too short to be asked
        assert town.printed("ada") == town.printed("bob") == ""

    play(story)


def test_address_and_ble_address_change_together_around_the_edge_of_a_slot_after_a_silence(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await ada.provision()
        seen: dict[bytes, set[bytes]] = {}
        times: dict[bytes, list[float]] = {}

        def sniff(sighting: Sighting) -> None:
            decoded = decode(sighting.data)
            assert decoded is not None and sighting.random and sighting.address[0] >> 6 == 0
            seen.setdefault(decoded[1], set()).add(sighting.address)
            times.setdefault(decoded[1], []).append(sighting.time)

        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + SILENCE + 1)
        air.sniff(sniff)
        begin = slots.slot_of(air.now)
        await air.run_until(slots.slot_start(begin + 5) + SILENCE + 1)
        assert set(seen) == {ada.address(slot) for slot in range(begin, begin + 6)}
        assert all(len(addresses) == 1 for addresses in seen.values())
        assert len(set.union(*seen.values())) == 6
        late = 0.5  # the badge's clock is as late as the companion's message was; its adverts are so far apart
        begins = [min(times[ada.address(slot)]) - slots.slot_start(slot) for slot in range(begin + 1, begin + 6)]
        ends = [slots.slot_start(slot + 1) - max(times[ada.address(slot)]) for slot in range(begin, begin + 5)]
        for silences in (begins, ends):
            assert all(-late < silence < SILENCE + 2 * late for silence in silences)
            assert max(silences) - min(silences) > 0.5, "drawn anew each time"

    play(story)


def test_where_the_radio_keeps_its_ble_address_and_says_nothing_no_new_address_goes_out_under_it(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await ada.provision()
        seen: list[Sighting] = []
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + 100)
        air.sniff(seen.append)
        air.badges["ada"].stack.refusals = 3
        begin = slots.slot_of(air.now)
        await air.run_until(slots.slot_start(begin + 2) - 0.1)
        before, after = [
            [each for each in seen if decode(each.data) == (3, ada.address(slot))] for slot in (begin, begin + 1)
        ]
        assert before and after and len(before) + len(after) == len(seen)
        assert not {each.address for each in before} & {each.address for each in after}
        silence = after[0].time - slots.slot_start(begin + 1)
        assert 5 < silence < 10 + SILENCE  # longer than any other, then at the fourth try

        async def task(link: BadgeLink) -> bytes:
            return b"".join([piece async for piece in link.stream(commands.CRASH_LOG)])

        assert (await ada.talk(task)).count(b"OSError: 16") == 1

    play(story)


def test_a_radio_that_goes_on_refusing_is_reset(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await ada.provision()
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + 100)
        air.badges["ada"].stack.refusals = 40
        await air.run_for(210)
        assert air.badges["ada"].resets == 0
        await air.run_for(70)
        assert air.badges["ada"].resets == 1
        seen: list[Sighting] = []
        air.sniff(seen.append)
        await air.run_for(60)
        assert len(seen) > 60

    play(story)


def test_what_is_written_while_the_port_reads_breaks_no_session(play: Play) -> None:
    async def story(town: Town) -> None:
        main = Path(__file__).parent / "on_badge" / "racing_main.py"
        ada = await town.wearer("ada", main=main)
        first = slots.slot_of(town.air.now)
        given = [bytes([number]) * 20 for number in range(1, 47)]

        async def task(link: BadgeLink) -> None:
            await link.ask(commands.SET_TIME, round(town.air.now * 1000))
            await link.ask(commands.PROVISION, commands.Provision(commands.LIST, x25519_base(LOG_SECRET), first))
            for number in range(0, 460, 46):  # frames of 978 bytes, in pieces
                await link.ask(commands.ADDRESSES, first + number, given)

        await ada.talk(task)
        assert town.printed("ada") == ""

    play(story)


@pytest.mark.parametrize("course", Loss, ids=lambda course: f"told is {course.value}")
def test_a_connection_that_never_comes_up_keeps_the_right_advert_off_the_air_for_ten_seconds_at_most(
    play: Play, course: Loss
) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await ada.provision()
        slot = slots.slot_of(air.now) + 1
        await air.run_until(slots.slot_start(slot) + 30)
        seen: list[Sighting] = []
        air.sniff(seen.append)
        for number in range(5):
            await air.run_for(2)
            lost = air.now
            air.badges["ada"].stack.lose_connection(course)
            await air.run_for(30)
            after = [each for each in seen if each.time > lost]
            while after and after[0].data == b"":
                assert course == Loss.SILENT
                after.pop(0)
            assert {(decode(each.data), each.address) for each in after} == {((3, ada.address(slot)), seen[0].address)}
            assert after[0].time - lost < 10 and len(after) > 30, number
        await ada.set_time()  # it can be found, and answers

    play(story)


def test_past_its_horizon_and_without_time_a_badge_sends_beacons_only_its_owner_knows(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        payloads: list[bytes] = []
        air.sniff(lambda sighting: payloads.append(sighting.data[9:]))
        await air.run_for(700)
        assert payloads and all(ada.is_own(payload) for payload in payloads)
        assert len(set(payloads)) == 3
        await ada.provision(horizon_slots=2)
        edge = slots.slot_start(slots.slot_of(air.now) + 2)
        await air.run_until(edge + 1)
        payloads.clear()
        await air.run_for(900)
        addresses = {ada.address(slot) for slot in range(SLOT - 1, SLOT + 20)}
        assert payloads and not addresses & set(payloads) and all(ada.is_own(payload) for payload in payloads)

    play(story)


def test_without_a_time_no_address_is_sent_and_what_is_heard_is_dated_by_the_next_sync(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        await ada.provision()
        await bob.provision()
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + 100)
        await air.restart_badge("ada")  # the time is lost
        sent: list[bytes] = []
        air.sniff(lambda sighting: sent.append(sighting.data[9:]) if sighting.sender == "ada" else None)
        first = slots.slot_of(air.now) + 1
        await air.run_until(slots.slot_start(first) + 60)
        air.set_range("ada", "bob", -60)
        await air.run_until(slots.slot_start(first + 2) + 120)  # four, five, two minutes of three slots
        air.set_range("ada", "bob", None)
        await air.run_for(400)
        beacon_key = schedule.beacon_key(ada.owner_key)
        assert len(set(sent)) == 5 and all(schedule.is_beacon(beacon_key, data) for data in sent)

        async def set_time(link: BadgeLink) -> Any:
            info = await link.info()
            assert info.flags & commands.PROVISIONED and not info.flags & commands.TIME_KNOWN and info.boot == 2
            await link.ask(commands.SET_TIME, round(air.now * 1000))
            return await link.info()

        info = await ada.talk(set_time)
        assert info.flags & commands.TIME_KNOWN and abs(info.unix_time - air.now) < 2
        sent.clear()
        await air.run_for(10)
        assert set(sent) <= {ada.address(slots.slot_of(air.now)), ada.address(slots.slot_of(air.now) - 1)}
        # What the nymserver makes of it: each address in its own slot, with its minutes.
        heard, tally = exposures.read(LOG_SECRET, await ada.pull(), air.now)
        assert (tally.misdated, tally.broken, tally.damaged) == (0, 0, 0)
        registered = {nym_key(bob.address(slot), slot) for slot in range(first - 2, first + 6)}
        contacts = await exposures.match(heard, lambda keys: there(keys, registered), tally)
        found = {contact.slot: contact for contact in contacts}
        assert sorted(found) == [first, first + 1, first + 2] and len(contacts) == 3
        for slot, minutes in ((first, 4), (first + 1, 5), (first + 2, 2)):
            assert found[slot].address == bob.address(slot)
            assert abs(found[slot].present - 3 * minutes) <= 1, "thirds of a minute"

    play(story)


async def there(keys: list[bytes], registered: set[bytes]) -> list[bool]:
    """Whether each key is registered, as the nymserver looks it up."""
    return [key in registered for key in keys]


def test_a_clock_set_back_sends_no_address_again_by_ratchet_or_by_list(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, eve = await town.wearer("ada"), await town.wearer("eve")
        await ada.provision()
        first = slots.slot_of(air.now) + 1
        given = [bytes([number]) * 20 for number in range(1, 9)]

        async def provision(link: BadgeLink) -> None:
            await link.ask(commands.SET_TIME, round(air.now * 1000))
            await link.ask(commands.PROVISION, commands.Provision(commands.LIST, x25519_base(LOG_SECRET), first))
            await link.ask(commands.ADDRESSES, first, given)
            await link.ask(commands.HORIZON, first + len(given))

        await eve.talk(provision)
        eve.given = frozenset(given)
        slot = first + 3
        air.set_range("ada", "eve", -60)
        await air.run_until(slots.slot_start(slot) + 30)
        sent: dict[str, list[bytes]] = {"ada": [], "eve": []}
        air.sniff(lambda sighting: sent[sighting.sender].append(sighting.data[9:]))
        for badge in (ada, eve):
            await badge.set_time(-600)
        sent["ada"].clear()
        sent["eve"].clear()
        await air.run_until(slots.slot_start(slot) + 600 + 290)  # the badges live through slot - 2 to slot once more
        assert all(ada.is_own(data) for data in sent["ada"]) and not set(given) & set(sent["eve"])
        assert not {ada.address(number) for number in range(first - 2, slot + 2)} & set(sent["ada"])
        await air.run_for(120)
        assert sent["ada"][-1] == ada.address(slot + 1) and sent["eve"][-1] == given[slot + 1 - first]
        # A companion whose computer is years ahead does not empty a log that it has not pulled yet.
        ada.given = frozenset([ada.address(slot + 1)])  # late as it still is
        kept = await ada.pull()
        assert len(contacts(kept)) >= 4
        await ada.set_time(3 * 365 * 86400)
        assert (await ada.pull())[: len(kept)] == kept
        assert town.printed("ada") == town.printed("eve") == ""

    play(story)


def test_a_list_badge_broadcasts_what_it_was_given_and_answers_no_challenge(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        first = slots.slot_of(air.now) + 1
        given = [bytes([number]) * 20 for number in range(1, 5)]

        async def provision(link: BadgeLink) -> None:
            await link.ask(commands.SET_TIME, round(air.now * 1000))
            with pytest.raises(BadgeRefusedError):
                await link.ask(commands.ADDRESSES, first, given)
            await link.ask(commands.PROVISION, commands.Provision(commands.LIST, x25519_base(LOG_SECRET), first))
            await link.ask(commands.ADDRESSES, first, given)
            await link.ask(commands.HORIZON, first + 4)

        await ada.talk(provision)
        payloads: list[bytes] = []
        await air.run_until(slots.slot_start(first) + 1)
        air.sniff(lambda sighting: payloads.append(sighting.data[9:]))
        await air.run_until(slots.slot_start(first + 3) + 100)
        assert list(dict.fromkeys(payloads)) == given
        assert await challenge_answer(ada, given[3]) is None

    play(story)


def test_a_challenge_is_answered_once_per_connection_and_holds_for_the_slot(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await town.wearer("ada")
        await ada.provision()
        slot = slots.slot_of(town.air.now)
        answer = await challenge_answer(ada, ada.address(slot))
        assert answer is not None
        challenge.verify(SECRET, challenge.question(SECRET), answer, ada.address(slot), slot)
        with pytest.raises(AuthenticationError):
            challenge.verify(SECRET, challenge.question(SECRET), answer, ada.address(slot), slot + 2)

    play(story)


async def meet(town: Town, one: Wearer, other: Wearer) -> tuple[int, dict[bytes, Any]]:
    """Let two badges be near each other for a slot; the slot, and what the first one logged in it."""
    air = town.air
    slot = slots.slot_of(air.now) + 1
    await air.run_until(slots.slot_start(slot) + 2)
    air.set_range(one.name, other.name, -60)
    await air.run_until(slots.slot_start(slot) + 150)
    air.set_range(one.name, other.name, None)
    await air.run_until(slots.slot_start(slot + 1) + 5)
    return slot, contacts(await one.pull())[slot]


def test_two_badges_challenge_each_other_and_both_logs_say_verified(play: Play) -> None:
    async def story(town: Town) -> None:
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        await ada.provision()
        await bob.provision()
        slot, found = await meet(town, ada, bob)
        assert list(found) == [bob.address(slot)] and found[bob.address(slot)].verified
        assert contacts(await bob.pull())[slot][ada.address(slot)].verified
        assert town.printed("ada") == town.printed("bob") == ""

    play(story)


def test_settings_erase_and_restart(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await ada.provision()

        async def settings(link: BadgeLink) -> None:
            for setting, value in (
                (9, 1), (commands.PLACE, 2), (commands.SCAN_WINDOW_MS, 2000),
                (commands.KEEP_DAYS, 0), (commands.KEEP_DAYS, 31),
            ):  # fmt: skip
                with pytest.raises(BadgeRefusedError):
                    await link.ask(commands.SET, setting, value)
            with pytest.raises(BadgeRefusedError):
                await link.ask(commands.SET_TIME, 1000)
            await link.ask(commands.SET, commands.ADVERTISING_INTERVAL_MS, 2000)
            await link.ask(commands.SET, commands.PLACE, 1)
            await link.ask(commands.SET, commands.KEEP_DAYS, 14)
            assert (await link.info()).flags & commands.PLACE_BADGE

        await ada.talk(settings)
        times: list[float] = []
        air.sniff(lambda sighting: times.append(sighting.time))
        await air.run_for(20)
        assert 9 <= len(times) <= 11 + 3  # it advertises anew every seven to ten seconds, whatever else it does

        async def restart(link: BadgeLink) -> None:
            await link.ask(commands.RESTART)

        await ada.talk(restart)
        await air.run_for(5)

        async def erase(link: BadgeLink) -> Any:
            info = await link.info()
            assert info.boot == 2 and info.flags & commands.TIME_KNOWN and info.flags & commands.PROVISIONED
            assert b"".join([piece async for piece in link.stream(commands.CRASH_LOG)]) == b""
            await link.ask(commands.ERASE)
            return await link.info()

        info = await ada.talk(erase)
        assert info.flags == commands.TIME_KNOWN and info.horizon == 0 and info.boot == 2
        assert ada.day_key[:10] not in flash.raw(ada.flash)
        await air.restart_badge("ada")
        await ada.provision()

    play(story)


def test_a_pull_cut_off_in_the_middle_goes_on_where_it_was(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        await ada.provision()
        await bob.provision()
        air.set_range("ada", "bob", -60)
        await air.run_for(3000)

        async def begin(link: BadgeLink) -> tuple[int, int, bytes]:
            (end,) = await link.ask(commands.LOG_ROTATE)
            (segments,) = await link.ask(commands.LOG_LIST, 0)
            number, size = segments[0]
            assert end == number + 1 and size > 800
            async for piece in link.stream(commands.LOG_READ, number, 0, 300):
                return number, size, piece
            raise AssertionError("nothing came")

        number, size, part = await ada.talk(begin)
        await air.restart_badge("ada")

        async def rest(link: BadgeLink) -> bytes:
            data = part
            async for piece in link.stream(commands.LOG_READ, number, len(part), size):
                data += piece
            async for piece in link.stream(commands.LOG_READ, number, size + 7, 10):
                assert piece == b""
            with pytest.raises(BadgeRefusedError):
                await link.ask(commands.LOG_READ, number + 9, 0, 10)
            assert await link.ask(commands.LOG_FREE, number + 1) == (1,)
            assert await link.ask(commands.LOG_LIST, 0) == ([],)
            return data

        data = await ada.talk(rest)
        assert len(data) == size
        found = contacts(data)
        assert len(found) >= 9 and all(bob.address(slot) in found[slot] for slot in found)

    play(story)


def test_after_three_crashes_in_a_row_it_is_safe_and_tells_why(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await town.wearer("ada", main=Path(__file__).parent / "on_badge" / "crashing_main.py", board=BOARD)
        light = Light(ada)
        await town.air.run_for(60)
        assert set(await light.rounds()) == {4}

        async def ask(link: BadgeLink) -> tuple[Any, bytes]:
            text = b"".join([piece async for piece in link.stream(commands.CRASH_LOG)])
            return await link.info(), text

        info, text = await ada.talk(ask)
        assert info.flags == commands.SAFE_MODE and info.boot == 4
        assert text.count(b"ValueError: broken on purpose") == 3 and b"version 0." in text
        await town.air.run_for(700)
        await town.air.restart_badge("ada")
        info, _ = await ada.talk(ask)
        assert info.flags == 0

    play(story)


def test_three_hangs_in_a_row_are_three_crashes(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await town.wearer("ada", main=Path(__file__).parent / "on_badge" / "hanging_main.py")
        await town.air.run_for(700)

        async def ask(link: BadgeLink) -> tuple[Any, bytes]:
            text = b"".join([piece async for piece in link.stream(commands.CRASH_LOG)])
            return await link.info(), text

        info, text = await ada.talk(ask)
        assert info.flags == commands.SAFE_MODE and info.boot == 4
        assert text.count(b"the watchdog struck") == 3

    play(story)
