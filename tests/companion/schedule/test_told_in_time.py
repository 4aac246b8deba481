"""What lies in a mailbox is told within the hours that a level promises, whatever the age of the address.

The shipped scheduler on simulated time, with a wearer who has lived for a fortnight; packets are transparent ones of
the same size. The hours are counted from when the message lies in the mailbox.
"""

import secrets
from dataclasses import replace
from random import Random

import pytest
from anontrace import clock
from anontrace.wire import levels
from anontrace.wire.levels import HIGH, LOW, NORMAL
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from tests.companion.paper import START, Time, Wearer, exposure, make_transparent

HOUR, DAY = 3600, 86400
MAX_DAYS = 14  # between a meeting and a notification
COUNT = 100
MEETING = 12  # addresses: an hour
PROMISED = {"low": 26, "normal": 13, "high": 1}  # hours
SETTLED = {"low": 0.0, "normal": 1.0, "high": 0.6}  # days until what a level brings is there at each look
DAYS = {"low": 10.0, "normal": 7.0, "high": 0.5}  # in which the notifications come


class Quick(Wearer):
    """On a disk of its own, which nobody switches off."""

    keep_house_seconds = DAY

    def _open(self):
        super()._open()
        self.state._db.row("PRAGMA journal_mode = MEMORY")


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory):
    """A wearer who has lived for a fortnight, at the level that costs least."""
    folder, time = tmp_path_factory.mktemp("fortnight"), Time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: time.now)
        make_transparent(patch)
        wearer = Quick(folder / "life", time, patch, LOW)
        wearer.network.transparent = True
        wearer.until(START + MAX_DAYS * DAY)
        yield wearer
        wearer.close()


@pytest.fixture(params=[LOW, NORMAL, HIGH], ids=lambda level: level.name)
def wearer(request, fortnight, tmp_path, monkeypatch):
    time = Time()
    monkeypatch.setattr(clock, "now", lambda: time.now)
    make_transparent(monkeypatch)
    made = fortnight.copy(tmp_path / "state", time, monkeypatch)
    made._rng, made._level = Random(3), request.param
    made.begin()
    yield made
    made.close()


def tell(wearer, slot, sent):
    """The nymserver notifies the address of a slot, of a case of its own."""
    case = secrets.token_bytes(16)
    told = replace(exposure(case, secrets.token_bytes(8)), rule_minutes=5)
    held = sum(map(len, wearer.network.groups.values()))
    wearer.network.notify(wearer.addresses(slot, 1)[slot], slot, told)
    assert sum(map(len, wearer.network.groups.values())) == held + 1
    sent[case.hex()] = wearer.time.now


def longest(wearer, sent):
    """The hours after which the wearer was told of the last one of these cases, each counted by itself."""
    told = {case: event.document["time"] for event in wearer.events for case in event.document.get("told", ())}
    assert sent.keys() <= told.keys()
    return max(told[case] - moment for case, moment in sent.items()) / HOUR


def test_a_notification_of_any_age_and_all_those_of_an_hour_are_told_within_the_hours_of_the_level(wearer):
    level, chance = wearer._level, Random(5)
    promised = PROMISED[level.name]
    assert max(levels.LOOK_GAPS) * 24 / level.looks <= promised
    wearer.until(wearer.time.now + SETTLED[level.name] * DAY)
    begin, sent = wearer.time.now, {}
    ages = [chance.randrange(MAX_DAYS * SLOTS_PER_DAY) for _ in range(COUNT - 2)] + [0, MAX_DAYS * SLOTS_PER_DAY - 1]
    moments = sorted(begin + chance.uniform(0, DAYS[level.name]) * DAY for _ in ages)
    taken = set()
    for moment, age in zip(moments, chance.sample(ages, COUNT), strict=True):
        wearer.until(moment)
        slot = slot_of(moment) - age
        while slot in taken:
            slot -= 1
        taken.add(slot)
        tell(wearer, slot, sent)
    wearer.until(wearer.time.now + promised * HOUR)
    assert len(sent) == COUNT
    found = longest(wearer, sent)
    print(level.name, round(found, 2))
    assert promised / 2 < found <= promised

    last = slot_of(wearer.time.now) - 3 * SLOTS_PER_DAY
    meeting = {}
    for slot in [each for each in range(last, last + 10 * MEETING) if each not in taken][:MEETING]:
        tell(wearer, slot, meeting)
    wearer.until(wearer.time.now + promised * HOUR)
    assert longest(wearer, meeting) <= promised
