"""The tables of what servers and companions decide hold their answers, whatever is asked and in whichever order."""

import numpy as np
import pytest
from anontrace.backend.authority.rules import Rule
from anontrace.backend.nymserver import exposures, risk
from anontrace.backend.nymserver.records import Contact
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Received
from anontrace.epidemic import shipped
from anontrace.epidemic.scenario import Strategy
from anontrace.mixnet.notification import Kind, Notification


def test_each_set_of_values_is_asked_for_once() -> None:
    asked: list[tuple[int, int]] = []

    def function(one: int, other: int) -> int:
        asked.append((one, other))
        return one * 10 + other

    table = shipped.Asked(function, 5, 7)
    assert table(np.array([4, 1, 4]), np.array([6, 2, 6])).tolist() == [46, 12, 46]
    assert table(np.array([1, 0]), np.array([2, 0])).tolist() == [12, 0]
    assert sorted(asked) == [(0, 0), (1, 2), (4, 6)]


def test_staff_take_and_weigh_as_their_own_code_does() -> None:
    staff = shipped.Staff(Strategy(name="rule", attenuation=63, before=2, after=5))
    rng = np.random.default_rng(1)
    offset, present, attenuation = rng.integers(-9, 9, 60), rng.integers(1, 16, 60), rng.integers(40, 90, 60)
    rule = Rule(15, 63, onset=100, before=2, after=5)
    taken, at_risk = staff.takes(offset, present, attenuation), staff.risk(present, attenuation)
    for place in range(60):
        shown = {"day": 100 + offset[place], "minutes": present[place] / 3, "attenuation": attenuation[place]}
        assert taken[place] == rule.takes(shown)
        contact = Contact(
            id=1, address=b"", slot=0, present=present[place], attenuation=attenuation[place], verified=True
        )
        assert at_risk[place] == risk.of(contact)
    assert 0 < taken.sum() < 60
    no_onset = np.array([shipped.NO_ONSET])
    assert staff.takes(no_onset, np.array([3]), np.array([63])).all()
    assert not staff.takes(no_onset, np.array([3]), np.array([64])).any()


@pytest.mark.parametrize("minutes", [5, 15, 40])
def test_a_companion_tells_as_its_own_code_does_however_long_it_was(minutes: int) -> None:
    companion = shipped.Companion(minutes)
    for thirds in (1, 3 * minutes - 1, 3 * minutes, companion.most, companion.most + 1, 4000):
        parts = [15] * (thirds // 15) + [thirds % 15] * (thirds % 15 > 0)
        received = [
            Received(slot, 0, Notification(Kind.NOTIFICATION, present=part, rule_minutes=minutes))
            for slot, part in enumerate(parts)
        ]
        for own in (0, 1):
            (exposure,) = judging.assess(received, {bytes(16)} if own else set(), set())
            said = companion.tells(np.array([thirds]), np.array([own]))
            assert said.tolist() == [exposure.state == judging.TOLD]


def test_an_address_is_found_in_the_slots_that_a_nymserver_looks_in() -> None:
    later = np.arange(-3, 4)
    assert shipped.hears(later).tolist() == [100 + each in exposures.slots_for(100) for each in later]
    assert shipped.attenuation_of(np.array([-5, 60, 400])).tolist() == [0, 60, 255]
