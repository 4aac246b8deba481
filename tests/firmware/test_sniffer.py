"""What somebody with a sniffer learns from a badge: over a simulated day, no two slots share what identifies it.

The wearers' badges stand out of each other's range; the sniffer gets every advertising event, and reads the GATT table
as any stranger can.
"""

import itertools
import statistics
from collections import defaultdict
from typing import Any

from anontrace.companion.badge.bumble_backend import BumbleClient
from anontrace.companion.badge.radio import Radio
from anontrace_shared import commands, slots
from anontrace_shared.advert import PREFIX, decode
from bleak import BleakClient
from bleak.exc import BleakError

from tests.firmware.conftest import Play, Town, Wearer
from tools.simulator.air import Sighting

DAY = 86400
FAST = 40  # ppm: as cheap crystals go
INTERVAL = 0.5  # seconds between a badge's adverts, before the random delay
MAX_DELAY = 0.010
MID = 150  # seconds into a slot


def longest_common(one: bytes, other: bytes) -> int:
    """Length of the longest run of bytes that both have."""
    return max(
        (size for size in range(1, len(one) + 1) for at in range(len(one) - size + 1) if one[at : at + size] in other),
        default=0,
    )


def test_over_a_day_no_two_slots_share_what_identifies_a_badge_and_after_it_they_turn_on_time(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada", ppm=FAST)
        await ada.provision(horizon_slots=2000)
        slow = {commands.ADVERTISING_INTERVAL_MS: 5000, commands.SCAN_WINDOW_MS: 0}  # fewer events, the same slots

        async def settings(link: Any) -> None:
            for setting, value in slow.items():
                await link.ask(commands.SET, setting, value)

        await ada.talk(settings)
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + MID)
        first = slots.slot_of(air.now)
        events: list[Sighting] = []
        air.sniff(events.append)
        await air.run_for(DAY)
        assert town.printed("ada") == ""

        # One BLE address goes with one payload: no advert carries old with new, none of either comes back.
        by_address: dict[bytes, list[Sighting]] = defaultdict(list)
        for event in events:
            assert event.kind == 0 and event.random and event.address[0] >> 6 == 0, "non-resolvable private address"
            by_address[event.address].append(event)
        payloads = [{event.data for event in seen} for seen in by_address.values()]
        assert all(len(data) == 1 for data in payloads)
        datas = [data.pop() for data in payloads]
        assert len(set(datas)) == len(datas) == 289  # 288 slots whole, and one of which the day has a part at each end
        for before, after in itertools.pairwise(by_address.values()):
            assert before[-1].time < after[0].time, "an address once left does not come back"

        # The payload: the prefix that all badges share, the same tx power of all, and 20 bytes that are nobody's twice.
        decoded = [decode(data) for data in datas]
        assert all(data.startswith(PREFIX) for data in datas) and len({what[0] for what in decoded if what}) == 1
        addresses = [what[1] for what in decoded if what]
        assert addresses == [ada.address(slot) for slot in range(first, first + 289)]
        halves = {half for address in addresses for half in (address[:10], address[10:])}
        assert len(halves) == 2 * len(addresses)
        for before, after in itertools.pairwise(by_address):
            assert longest_common(before, after) <= 3
        for one, other in itertools.combinations(addresses, 2):
            assert one[:3] != other[:3] or one[-3:] != other[-3:]

        # Its clock has run away meanwhile. The next sync shows by how much, and from then on slots turn on time.
        def early(whole: range) -> float:
            """By how much an address came before its slot at most: after the shortest silence of many."""
            first_heard: dict[bytes, float] = {}
            for event in events:
                first_heard.setdefault(event.data[9:], event.time)
            return max(slots.slot_start(slot) - first_heard[ada.address(slot)] for slot in whole)

        assert early(range(first + 216, first + 288)) > 0.5 * FAST * DAY / 1e6
        correction = await ada.set_time()
        assert -1.4 * FAST * DAY / 1e3 < correction < -0.6 * FAST * DAY / 1e3
        later = slots.slot_of(air.now) + 1
        await air.run_for(DAY / 4)
        assert abs(early(range(later, later + 71))) < 2  # how long the message took, which is real time
        assert town.printed("ada") == ""

    play(story)


def test_timing_tells_nothing_that_lasts_beyond_a_slot(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        badges = [await town.wearer(name) for name in ("ada", "bob")]
        for badge in badges:
            await badge.provision()
        await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + 1)
        times: dict[str, dict[bytes, list[float]]] = defaultdict(lambda: defaultdict(list))
        air.sniff(lambda event: times[event.sender][event.address].append(event.time))
        await air.run_for(12 * slots.SLOT_SECONDS)
        for heard in times.values():
            whole = [at for at in heard.values() if len(at) > 500][:-1]
            assert len(whole) >= 10
            gaps = [later - earlier for at in whole for earlier, later in itertools.pairwise(at)]
            # Every seven to ten seconds, drawn anew each time, it advertises anew: no gap is longer for it.
            anew = [at for heard in whole for before, at in itertools.pairwise(heard) if at - before < INTERVAL]
            assert all(gap < INTERVAL + 2 * MAX_DELAY for gap in gaps)
            rests = [later - earlier for earlier, later in itertools.pairwise(anew)]
            rests = [rest for rest in rests if rest < 13]  # longer ones may be two, of which one fell on an advert
            assert len(rests) > 200 and min(rests) > 7 - MAX_DELAY and statistics.stdev(rests) > 0.6
            assert abs(statistics.correlation(rests[:-1], rests[1:])) < 0.3
            gaps = [gap for gap in gaps if INTERVAL <= gap < INTERVAL + MAX_DELAY + 1e-6]
            # Bluetooth's advDelay: spread over the whole of its range, and no advert's follows from the one before.
            delays = [gap - INTERVAL for gap in gaps]
            assert abs(statistics.mean(delays) - MAX_DELAY / 2) < 0.0005
            assert abs(statistics.correlation(delays[:-1], delays[1:])) < 0.06
            # No phase outlives the slot: what the gap over the boundary leaves modulo the interval is all over.
            over = [(after[0] - before[-1]) % INTERVAL for before, after in itertools.pairwise(whole)]
            assert max(over) - min(over) > INTERVAL / 8

    play(story)


async def visible(wearer: Wearer) -> dict[str, object]:
    """What a stranger reads without the owner key: services, characteristics, and every value that can be read."""
    name = f"tcp-client:127.0.0.1:{wearer.port}"
    wearer.air.realtime(4, talking=1)
    try:
        async with Radio(f"bumble:{name}") as radio:
            found = await radio.find(wearer.is_own, 20)
            async with BleakClient(found.device, backend=BumbleClient, bluez={"adapter": name}) as client:
                found: dict[str, object] = {"mtu": client.mtu_size}
                for service in client.services:
                    for one in service.characteristics:
                        place = f"{service.handle} {service.uuid} {one.handle} {one.uuid}"
                        found[place] = sorted(one.properties)
                        try:
                            found[place + " value"] = bytes(await client.read_gatt_char(one))
                        except BleakError as error:
                            found[place + " refusal"] = str(error)
                        for descriptor in one.descriptors:
                            value = bytes(await client.read_gatt_descriptor(descriptor.handle))
                            found[f"{place} {descriptor.handle} {descriptor.uuid}"] = value
                return found
    finally:
        wearer.air.hold()


def test_before_the_session_all_badges_look_alike_in_every_slot(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        await ada.provision()  # bob is out of the box
        tables = []
        for _ in range(2):
            tables += [await visible(ada), await visible(bob)]
            await air.run_until(slots.slot_start(slots.slot_of(air.now) + 1) + 2)
        assert tables[0] == tables[1] == tables[2] == tables[3]
        readable = {place: value for place, value in tables[0].items() if place.endswith(" value")}
        names = [value for place, value in readable.items() if "2a00" in place]
        assert names == [b""], "no device name"

    play(story)
