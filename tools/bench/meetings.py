"""What badges of the preset `together` hear of each other: a model of their meetings, with the firmware's own Beat.

    python -m tools.bench --only meetings

Each badge has a clock that is wrong by so much and goes wrong by so many ppm. All are in range of all, and two adverts
that overlap are both lost: in a real room the nearer one often gets through. tests/tools/test_meetings.py has the
bounds; two badges by the shipped firmware are in tests/firmware/test_together.py.
"""

import bisect
import itertools
import random
from collections.abc import Sequence

from anontrace_shared import beat

from tools.bench.energy import ADVERT_MS
from tools.bench.report import Report

MINUTE_MS = 60_000
SLOT_MEETINGS = 5
DEAF_MS = 2.0  # around an advert of one's own
ADDRESS = 20
LEARNED_PPM = 10.0  # of a constant error, what is left when the companion's messages come up to a second late
WORST_PPM = 1000.0
LOSS = 0.5
SETTLED = 10  # meetings


class Badge:
    """A badge as far as its meetings go. `error`: ms by which its clock is ahead; `ppm`: by which that grows."""

    def __init__(self, error: float, ppm: float, chance: random.Random) -> None:
        self.error = error
        self.ppm = ppm
        self.beat = beat.Beat()
        self.crowd = 0
        self.missed = beat.MISSED + 1
        self.dither = 0.0
        self.address = chance.randbytes(ADDRESS)

    @property
    def centre(self) -> float:
        """When its meeting is, in ms from where it should be."""
        return self.beat.shift - self.error

    def moments(self, chance: random.Random) -> list[float]:
        """Of its adverts."""
        half = beat.half_ms(self.crowd)
        met = [self.centre + self.dither + chance.uniform(-half, half) for _ in range(beat.adverts(self.crowd))]
        end = self.centre + self.reach(False)
        return met + [end + chance.uniform(0, beat.TAIL_MS) for _ in range(beat.TAIL_ADVERTS)]

    def reach(self, searching: bool) -> float:
        """For how long before and after its centre it listens, in ms."""
        if searching:
            return beat.SEARCH_MS
        longer = beat.DRIFT_MS * self.missed if self.missed <= beat.MISSED else 0
        return beat.half_ms(self.crowd) + beat.GUARD_MS + longer


class Room:
    """Badges with these (error, ppm), of whose adverts so large a share is lost anyway."""

    def __init__(self, clocks: Sequence[tuple[float, float]], loss: float, seed: int) -> None:
        self._chance = random.Random(seed)
        self.badges = [Badge(error, ppm, self._chance) for error, ppm in clocks]
        self._loss = loss
        self._minutes = 0
        self.sent: list[list[float]] = []  # of the last meeting, by badge
        self.since_s = 0  # since the companions came

    def pass_minutes(self, minutes: int) -> None:
        """Let time pass without meetings: nobody is near anybody."""
        self._minutes += minutes
        for badge in self.badges:
            badge.error += badge.ppm * MINUTE_MS * minutes / 1e6

    def turn(self) -> None:
        """A slot begins: everybody has another address, and is early or late by something else."""
        for badge in self.badges:
            badge.dither = self._chance.uniform(-beat.DITHER_MS, beat.DITHER_MS)
            badge.address = self._chance.randbytes(ADDRESS)

    def meet(
        self, searching: Sequence[int] = (), liars: Sequence[float] = (), listeners: int | None = None
    ) -> list[set[int]]:
        """One meeting, a minute after the last: whom each hears (the first `listeners` alone, if given).

        `searching`: who looks further; `liars`: badges beside them that send all their adverts at these moments.
        """
        self.pass_minutes(1)
        if self._minutes % SLOT_MEETINGS == 0:
            self.turn()
        self.sent = [badge.moments(self._chance) for badge in self.badges]
        air = sorted((moment, who) for who, moments in enumerate(self.sent) for moment in moments)
        times = [moment for moment, _ in air]
        whole = [
            (at, who)
            for index, (at, who) in enumerate(air)
            if (not index or at - times[index - 1] >= ADVERT_MS)
            and (index + 1 == len(air) or times[index + 1] - at >= ADVERT_MS)
        ]
        starts = [moment for moment, _ in whole]
        everybody = []
        for number, badge in enumerate(self.badges[:listeners]):
            reach = badge.reach(number in searching)
            low = bisect.bisect_left(starts, badge.centre - reach)
            high = bisect.bisect_right(starts, badge.centre + reach)
            badge.beat.begin(self._chance.getrandbits(16), badge.crowd)
            own = self.sent[number]
            heard = set()
            for moment, who in whole[low:high]:
                if who == number or self._chance.random() < self._loss:
                    continue
                if any(abs(moment - mine) < DEAF_MS for mine in own):
                    continue
                heard.add(who)
                badge.beat.hear(self.badges[who].address, 0, round(moment - badge.centre))
            for moment in liars:
                address = self._chance.randbytes(ADDRESS)
                for _ in range(beat.FEW):
                    if abs(moment) <= reach:
                        badge.beat.hear(address, 0, round(moment))
            badge.crowd = max(len(heard), badge.crowd * 3 // 4)
            met = badge.beat.settle(badge.crowd, number in searching, self.since_s + 60 * self._minutes)
            badge.missed = 0 if met else badge.missed + 1
            everybody.append(heard)
        return everybody


def contacts(minutes: int, loss: float, ppm: float, apart: int, trials: int, seed: int = 1) -> tuple[float, float]:
    """The share of contacts of two badges that are heard at all, and that of those whose minutes are right within one.

    Before it, neither has met anybody for `apart` minutes; their clocks were right then.
    """
    chance = random.Random(seed)
    heard = right = 0
    for trial in range(trials):
        room = Room([(0, chance.uniform(-ppm, ppm)) for _ in range(2)], loss, seed + trial)
        room.pass_minutes(apart)
        met = sum(1 in room.meet()[0] for _ in range(minutes))
        heard += met > 0
        right += abs(met - minutes) <= 1
    return heard / trials, right / trials


def crowd(people: int, loss: float = 0.0, listeners: int = 40, seed: int = 1) -> tuple[float, float]:
    """In a room of so many: the share of pairs that hear each other within five meetings, and that of the meetings."""
    chance = random.Random(seed)
    room = Room([(chance.gauss(0, 30), chance.uniform(-LEARNED_PPM, LEARNED_PPM)) for _ in range(people)], loss, seed)
    for badge in room.badges:
        badge.crowd = people - 1
    for _ in range(2):
        room.meet(listeners=listeners)
    for badge in room.badges[listeners:]:  # who does not listen in the model knows how many there are all the same
        badge.crowd = max(one.crowd for one in room.badges[:listeners])
    met = [room.meet(listeners=listeners) for _ in range(SLOT_MEETINGS)]
    pairs = listeners * (people - 1)
    once = sum(len(set.union(*(meeting[number] for meeting in met))) for number in range(listeners))
    return once / pairs, sum(len(one) for meeting in met for one in meeting) / (pairs * SLOT_MEETINGS)


def spread(people: int, minutes: int, loss: float, ppm: float, seed: int = 1) -> float:
    """How far apart, in ms, the meetings of so many are at most, after having kept together for that long."""
    chance = random.Random(seed)
    room = Room([(0, chance.uniform(-ppm, ppm)) for _ in range(people)], loss, seed)
    for _ in range(minutes):
        room.meet()
    centres = [badge.centre for badge in room.badges]
    return max(centres) - min(centres)


def newcomer(people: int, off_ms: float, seed: int = 1) -> tuple[int, float]:
    """Meetings, from its search on, until somebody who is so far off hears all; and how far that moved the others."""
    room = Room([(0, LEARNED_PPM)] * people + [(off_ms, -LEARNED_PPM)], LOSS, seed)
    for badge in room.badges[:people]:
        badge.missed = 0
    for number in range(1, 100):
        heard = room.meet(searching=(people,) if number == 1 else ())[people]
        if number > 1 and len(heard) == people:
            return number, max(abs(badge.centre) for badge in room.badges[:people])
    return 100, 0.0


def dragged(honest: int, liars: int, late_ms: float, minutes: int, seed: int = 1) -> float:
    """How far, in ms, so many liars, always late by so much, have moved the honest that hear them, after so long."""
    chance = random.Random(seed)
    room = Room([(0, chance.uniform(-LEARNED_PPM, LEARNED_PPM)) for _ in range(honest)], 0, seed)
    for _ in range(minutes):
        room.meet(liars=[late_ms] * liars)
    return sum(badge.centre for badge in room.badges) / honest


def linked(people: int, turns: int, ppm: float = LEARNED_PPM, seed: int = 1) -> float:
    """The share of addresses that a listener, to whom no advert is lost, links over a turn by when adverts come."""
    chance = random.Random(seed)
    room = Room([(chance.gauss(0, 30), chance.uniform(-ppm, ppm)) for _ in range(people)], 0, seed)
    for _ in range(4 * SLOT_MEETINGS - 1):
        room.meet()
    found = 0
    before: list[float] = []
    for slot in range(turns + 1):
        times: list[list[float]] = [[] for _ in range(people)]
        for _ in range(SLOT_MEETINGS):
            room.meet()
            for one, sent in zip(times, room.sent, strict=True):
                one.extend(sent)
        means = [sum(one) / len(one) for one in times]
        if slot:
            pairs = sorted((abs(before[a] - means[b]), a, b) for a, b in itertools.product(range(people), repeat=2))
            taken: tuple[set[int], set[int]] = (set(), set())
            for _, a, b in pairs:
                if a not in taken[0] and b not in taken[1]:
                    taken[0].add(a)
                    taken[1].add(b)
                    found += a == b
        before = means
    return found / (people * turns)


def run() -> Report:
    """Contacts of two, rooms of many, clocks, liars, and what a listener links."""
    report = Report("Meetings of badges that sleep (preset together)")
    for loss, what in ((0.0, ""), (LOSS, ", half of the adverts lost")):
        suffix = "_lossy" if loss else ""
        heard, _ = contacts(5, loss, LEARNED_PPM, 600, 400)
        report.add(f"heard{suffix}", f"5 min contact after ten hours alone{what}: heard", 100 * heard, "%")
        _, right = contacts(15, loss, LEARNED_PPM, 600, 200)
        report.add(f"minutes{suffix}", f"15 min contact after ten hours alone{what}: within a minute", 100 * right, "%")
        apart = spread(10, 60, loss, WORST_PPM)
        report.add(f"spread{suffix}", f"ten by oscillators of up to 1,000 ppm, an hour{what}: apart by", apart, "ms")
    for apart in (10, 20, 60, 600):
        heard, _ = contacts(5, LOSS, WORST_PPM, apart, 300)
        label = f"5 min contact, oscillators of up to 1,000 ppm not yet known, {apart} min alone"
        report.add(f"unknown_{apart}", f"{label}: heard without a search", 100 * heard, "%")
    for people in (50, 200, 500):
        once, each = crowd(people)
        report.add(f"crowd_{people}", f"{people} in a room, 5 min contact: heard", 100 * once, "%")
        report.add(f"crowd_{people}_meeting", f"{people} in a room: heard at a meeting", 100 * each, "%")
    meetings, moved = newcomer(10, 3000)
    report.add("newcomer", "somebody 3 s off, from a search on: meetings until ten are heard", meetings, "")
    report.add("newcomer_moved", "the ten meanwhile moved by at most", moved, "ms")
    report.add("liar", "one liar among 20, an hour: moved them by", dragged(20, 1, 500, 60), "ms")
    report.add("liars", "100 liars among 20, an hour: moved them by", dragged(20, 100, 500, 60), "ms")
    for people in (8, 30):
        share = linked(people, 100)
        label = f"{people} badges, listener: linked by when adverts come, over a turn"
        report.add(f"linked_{people}", f"{label} (chance {100 / people:.0f} %)", 100 * share, "%")
    report.remark("A search comes after a start, a sync, and every 20 to 30 meetings with nobody.")
    return report
