"""The model of detection that `make bench` prints figures from gives what two radios on the virtual air give."""

import asyncio
import itertools
import random

import pytest
from anontrace_shared import beat
from anontrace_shared.presets import PRESETS
from bumble import hci

from tools.bench import detection, energy
from tools.simulator.clock import SECOND, Clock
from tools.simulator.radio import Ether, Radio

TRIALS = 400
UNIT_MS = 0.625


def radio(name: str, ether: Ether) -> Radio:
    address = hci.Address(name.encode().ljust(6, b"-"), hci.Address.PUBLIC_DEVICE_ADDRESS)
    return Radio(name, ether, address, name)


async def share_heard(preset: detection.Preset, seconds: float) -> float:
    """The share of encounters of that length in which one radio hears the other. No chance: the seeds are fixed."""
    advertising, window, scan = preset
    chance = random.Random(7)
    clock = Clock(0)
    ether = Ether(clock)
    speaker, listener = radio("speak", ether), radio("listen", ether)
    heard: list[int] = []
    listener.on_report = lambda _advert, _rssi: heard.append(clock.now)
    listener.start_scan(round(scan / UNIT_MS), round(window / UNIT_MS), False)
    advertiser = speaker.le_legacy_advertiser
    advertiser.advertising_interval_min = advertiser.advertising_interval_max = round(advertising / UNIT_MS)
    advertiser.advertising_data = bytes(29)
    advertiser.start()
    found = 0
    for _ in range(TRIALS):
        await clock.run_until(clock.unix + chance.uniform(10, 30))
        speaker.neighbours[listener] = -60
        speaker.noticed()
        heard.clear()
        await clock.run_until(clock.unix + seconds)
        found += bool(heard)
        speaker.neighbours.clear()
    assert clock.now > TRIALS * seconds * SECOND
    clock.close()
    return found / TRIALS


@pytest.mark.parametrize(("name", "seconds"), [("balanced", 1.0), ("balanced", 3.0), ("saver", 2.0), ("saver", 8.0)])
def test_the_model_hears_what_the_radio_hears(name: str, seconds: float) -> None:
    preset = PRESETS[name]
    chance = random.Random(11)
    many = 20_000
    expected = sum(bool(detection.heard_times(preset, 1000 * seconds, chance)) for _ in range(many)) / many
    assert 0.1 < expected < 0.99
    found = asyncio.run(share_heard(preset, seconds))
    assert abs(found - expected) < 4 * (expected * (1 - expected) / TRIALS) ** 0.5


def test_an_always_open_receiver_misses_nothing_and_a_lost_advert_is_not_heard() -> None:
    assert detection.probability(PRESETS["always"], 1, 100) == 1
    chance = random.Random(3)
    times = detection.heard_times(PRESETS["always"], 60_000, chance)
    assert 225 <= len(times) <= 240
    assert detection.heard_times(PRESETS["always"], 60_000, chance, loss=1.0) == []


def test_a_contact_over_the_edge_of_a_slot_does_not_count_within_a_second_of_it() -> None:
    chance = random.Random(5)
    for _ in range(50):
        times = detection.contact(PRESETS["always"], 2 * detection.SLOT_MS, chance)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert sum(gap > detection.EDGE_MS for gap in gaps) >= 1


def test_presets_are_settings_that_the_badge_takes_and_cost_in_their_order() -> None:
    for advertising, window, scan in PRESETS.values():
        assert 20 <= advertising <= 10240 and 3 <= window <= scan and (scan <= 10240 or scan == beat.PERIOD_MS)
    currents = [energy.mean_current(*PRESETS[name]) for name in ("saver", "balanced", "always")]
    assert energy.ESP32.idle < currents[0] < currents[1] < currents[2] < energy.ESP32.send
    assert energy.days(1000 / 24) == 1.0
