"""Adding up minutes: what the wearer is told, in whatever order and however often notifications arrive."""

from dataclasses import replace

import pytest
from anontrace.companion.exposures.judging import BELOW, OWN, TOLD, WITHDRAWN, Received, assess
from anontrace.mixnet import parts
from anontrace.mixnet.notification import Kind, Notification
from hypothesis import given
from hypothesis import strategies as st

CASE = bytes(range(16))
OTHER_CASE = bytes(16)
REPORT = b"report-1"
OTHER_REPORT = b"report-2"


def notified(slot: int, present: int, *, case=CASE, report=REPORT, rule=15, received=1000, attenuation=50) -> Received:
    return Received(
        slot,
        received,
        Notification(
            Kind.NOTIFICATION,
            case_id=case,
            report_id=report,
            chain_token=b"t" * 96,
            disease="U07.1",
            present=present,
            attenuation=attenuation,
            rule_minutes=rule,
            message="Stay at home",
        ),
    )


def retracted(slot: int, *, case=CASE, report=REPORT, received=2000) -> Received:
    content = Notification(Kind.RETRACTION, case_id=case, report_id=report, message="A mistake")
    return Received(slot, received, content)


def test_the_minutes_of_one_report_add_up_to_the_rule():
    fourteen_and_two_thirds = [notified(1, 15), notified(2, 15), notified(3, 14)]
    assert assess(fourteen_and_two_thirds, set(), set())[0].state == BELOW
    fifteen = [*fourteen_and_two_thirds, notified(4, 1)]
    (exposure,) = assess(fifteen, set(), set())
    assert (exposure.state, exposure.minutes) == (TOLD, 15.0)
    assert exposure.seconds == {1: 300, 2: 300, 3: 280, 4: 20}


def test_minutes_of_different_reports_do_not_add_up():
    received = [
        notified(1, 15),
        notified(2, 15),
        notified(3, 15, report=OTHER_REPORT),
        notified(4, 15, report=OTHER_REPORT),
    ]
    (exposure,) = assess(received, set(), set())
    assert (exposure.state, exposure.minutes) == (BELOW, 10.0)


def test_the_same_slot_twice_counts_once():
    received = [notified(1, 9), notified(1, 12), notified(1, 9)]
    assert assess(received, set(), set())[0].seconds == {1: 240}


def test_a_rule_of_no_minutes_tells_at_once():
    assert assess([notified(1, 1, rule=0)], set(), set())[0].state == TOLD


def test_the_wearers_own_case_is_not_told():
    received = [notified(slot, 15) for slot in range(6)]
    assert assess(received, {CASE}, set())[0].state == OWN


def test_a_retraction_withdraws_its_report_only():
    told = [notified(slot, 15) for slot in range(3)]
    assert assess(told, set(), set())[0].message == "Stay at home"
    (withdrawn,) = assess([*told, retracted(1)], set(), set())
    assert (withdrawn.state, withdrawn.message) == (WITHDRAWN, "A mistake")
    assert assess([*told, retracted(1, report=OTHER_REPORT)], set(), set())[0].state == TOLD
    assert assess([*told, retracted(1, case=OTHER_CASE)], set(), set())[0].state == TOLD
    second = [notified(slot, 15, report=OTHER_REPORT) for slot in range(5)]
    (exposure,) = assess([*told, retracted(1), *second], set(), set())
    assert (exposure.state, exposure.report_id) == (TOLD, OTHER_REPORT)


def test_a_retraction_of_something_unknown_says_nothing():
    assert assess([retracted(1)], set(), set()) == []


def test_cases_are_kept_apart_and_in_the_order_in_which_they_came():
    received = [notified(1, 15, case=OTHER_CASE, received=2000, rule=5), notified(2, 15, received=1000, rule=5)]
    exposures = assess(received, set(), {CASE})
    assert [(each.case_id, each.state, each.passed_on) for each in exposures] == [
        (CASE, TOLD, True),
        (OTHER_CASE, TOLD, False),
    ]


def test_the_closest_contact_is_shown():
    near_and_far = [notified(1, 15, attenuation=70), notified(2, 15, attenuation=48)]
    assert assess(near_and_far, set(), set())[0].attenuation == 48
    assert assess([*near_and_far, retracted(1)], set(), set())[0].attenuation == 48


def test_of_the_rules_of_one_report_the_longest_holds():
    assert assess([notified(1, 15, rule=5), notified(2, 15, rule=11)], set(), set())[0].state == BELOW
    assert assess([notified(1, 15, rule=11), notified(2, 15, rule=5)], set(), set())[0].rule_minutes == 11


def test_what_came_first_of_a_report_is_what_it_says():
    early, late = notified(1, 15, received=1000), notified(2, 15, received=1001, rule=0)
    late = late._replace(notification=replace(late.notification, message="Go out", disease="B05"))
    (exposure,) = assess([late, early], set(), set())
    assert (exposure.message, exposure.disease, exposure.received) == ("Stay at home", "U07.1", 1000)
    taken_back = [retracted(1, received=2001), retracted(2, received=2000)]
    taken_back[0] = taken_back[0]._replace(notification=replace(taken_back[0].notification, message="Twice"))
    (exposure,) = assess([notified(1, 15, rule=5), *taken_back], set(), set())
    assert exposure.message == "A mistake"


def test_it_was_at_a_place_if_any_notification_of_the_report_says_so():
    somewhere = notified(1, 15)
    place = somewhere._replace(slot=2, notification=replace(somewhere.notification, of_place=True))
    assert [assess(each, set(), set())[0].of_place for each in ([somewhere], [somewhere, place])] == [False, True]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (([15], 5, True), ([15] * 9, 60, False)),  # withdrawn before below
        (([15], 5, False), ([15] * 9, 5, True)),  # told before withdrawn
        (([15, 15], 5, False), ([15], 5, False)),  # longer before shorter
        (([15, 15], 20, False), ([15], 20, False)),
        (([15], 5, False), ([15], 5, False)),  # the same: by its ID, whichever came first
        (([15], 4, False), ([15], 5, False)),  # by the shorter rule
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_of_several_reports_of_a_case_that_one_counts_which_says_most(better, worse, is_first):
    received = []
    for report, (presents, rule, is_withdrawn) in ((REPORT, better), (OTHER_REPORT, worse)):
        came = 1000 if (report == REPORT) == is_first else 1001
        received += [
            notified(slot, present, report=report, rule=rule, received=came) for slot, present in enumerate(presents)
        ]
        received += [retracted(0, report=report)] * is_withdrawn
    (exposure,) = assess(received, set(), set())
    assert exposure.report_id == REPORT


items = st.builds(
    notified,
    st.integers(0, 20),
    st.integers(1, 15),
    case=st.sampled_from([CASE, OTHER_CASE]),
    report=st.sampled_from([REPORT, OTHER_REPORT]),
    rule=st.integers(0, 40),
    received=st.just(1000),
) | st.builds(retracted, st.integers(0, 20), report=st.sampled_from([REPORT, OTHER_REPORT]), received=st.just(1000))


@given(st.lists(items, max_size=30), st.randoms())
def test_order_and_repeats_make_no_difference(received, random):
    def said(items):
        return {(each.case_id, each.state, each.minutes, each.rule_minutes) for each in assess(items, set(), set())}

    shuffled = [*received, *received[::2]]
    random.shuffle(shuffled)
    assert said(received) == said(shuffled)


@given(st.lists(items, max_size=30))
def test_told_means_that_one_report_reached_its_rule(received):
    for exposure in assess(received, set(), set()):
        total = sum(exposure.seconds.values())
        if exposure.state in (TOLD, WITHDRAWN):
            assert total >= exposure.rule_minutes * 60
        else:
            assert total < exposure.rule_minutes * 60
        assert all(20 <= seconds <= 300 for seconds in exposure.seconds.values())


TEXT = "Come on Monday between 8 and 12 to the old fire station, and bring nobody else with you. Ring 555 0100"


def in_parts(text: str) -> list[Received]:
    """Told in five slots, each with another part of the text."""
    numbers = parts.split(text)
    found = []
    for place in range(5):
        told = notified(place, 15)
        words = parts.part(numbers, 7 * place).ljust(58, b"\0")
        kept = replace(told.notification, message="", words=words).encode()
        found.append(told._replace(notification=Notification.decode(kept, kept=True)))
    return found


@pytest.mark.parametrize("order", [(0, 1, 2), (4, 2, 3), (1, 0, 4, 2, 3), (3, 3, 1, 1, 0)])
def test_what_the_authority_says_in_parts_is_read_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    received = in_parts(TEXT)
    (exposure,) = assess([received[place] for place in order], set(), set())
    assert (exposure.state, exposure.message) == (TOLD, TEXT)


def test_what_is_missing_of_what_the_authority_says_is_said() -> None:
    without = notified(9, 15)
    received = [*in_parts(TEXT)[:2], without._replace(notification=replace(without.notification, message=""))]
    (exposure,) = assess(received, set(), set())
    assert exposure.state == TOLD
    assert exposure.message == "(of what it says 2 of 3 parts have come; the rest is missing)"
    mixed = [*in_parts(TEXT)[:2], in_parts(TEXT[::-1])[2]]
    assert "do not fit together" in assess(mixed, set(), set())[0].message
