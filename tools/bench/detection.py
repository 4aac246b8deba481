"""How likely a badge is to hear another one near it: a model of both duty cycles, checked against the virtual radio.

An advert goes out every advertising interval plus 0 to 10 ms at random (Bluetooth's advDelay); it is heard if it falls
into the scan window. Both begin anew, at unrelated moments, when a slot begins.
"""

import random

ADV_DELAY_MS = 10.0
SLOT_MS = 300_000.0
EDGE_MS = 1000.0  # a new address so near to a slot's edges does not count
THIRD_MS = 20_000.0

Preset = tuple[int, int, int]  # advertising interval, scan window, scan interval, in ms


def heard_times(preset: Preset, ms: float, chance: random.Random, loss: float = 0.0) -> list[float]:
    """When, in ms from the beginning of an encounter of `ms` within one slot, an advert is heard; lost ones are not."""
    advertising, window, scan = preset
    phase = chance.uniform(0, scan)
    at = chance.uniform(0, advertising + ADV_DELAY_MS)
    times = []
    while at < ms:
        if (at + phase) % scan < window and not (loss and chance.random() < loss):
            times.append(at)
        at += advertising + chance.uniform(0, ADV_DELAY_MS)
    return times


def contact(preset: Preset, ms: float, chance: random.Random, loss: float = 0.0) -> list[float]:
    """The same for a contact that begins anywhere in a slot and goes over its edge."""
    times: list[float] = []
    at, into = 0.0, chance.uniform(0, SLOT_MS)
    while at < ms:
        length = min(SLOT_MS - into, ms - at)
        heard = [time for time in heard_times(preset, length, chance, loss) if time + into < SLOT_MS - EDGE_MS]
        if into < EDGE_MS:
            heard = [time for time in heard if time + into >= EDGE_MS]
        times += [at + time for time in heard]
        at += length
        into = 0.0
    return times


def probability(preset: Preset, minutes: float, trials: int, loss: float = 0.0, seed: int = 1) -> float:
    """The share of contacts that are heard at all."""
    chance = random.Random(seed)
    return sum(bool(contact(preset, minutes * 60_000, chance, loss)) for _ in range(trials)) / trials


def coverage(preset: Preset, trials: int, loss: float = 0.0, seed: int = 1) -> float:
    """The share of a contact's thirds of a minute in which it is heard: how well its length is known."""
    chance = random.Random(seed)
    found = sum(bool(heard_times(preset, THIRD_MS, chance, loss)) for _ in range(trials))
    return found / trials
