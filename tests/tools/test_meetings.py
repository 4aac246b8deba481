"""The bounds of the preset `together`, by the models of `make bench ONLY=meetings` and `ONLY=energy`."""

import pytest
from anontrace_shared import beat

from tools.bench import energy, meetings


@pytest.mark.parametrize("loss", [0.0, meetings.LOSS])
def test_a_contact_is_heard_and_its_minutes_are_right_within_one_after_ten_hours_alone(loss: float) -> None:
    heard, _ = meetings.contacts(5, loss, meetings.LEARNED_PPM, 600, 200)
    _, right = meetings.contacts(15, loss, meetings.LEARNED_PPM, 600, 100)
    assert heard >= 0.99 and right >= 0.97


def test_whose_oscillators_nobody_knows_yet_keep_together_as_long_as_they_meet_and_lose_each_other_alone() -> None:
    assert meetings.spread(10, 60, meetings.LOSS, meetings.WORST_PPM) < 2 * (beat.GUARD_MS + beat.DITHER_MS)
    heard, _ = meetings.contacts(5, meetings.LOSS, meetings.WORST_PPM, 60, 100)
    assert heard < 0.5  # what a search is for


@pytest.mark.parametrize("people", [50, 500])
def test_a_crowd_is_heard_in_one_second_or_three(people: int) -> None:
    once, each = meetings.crowd(people, listeners=20)
    assert once >= 0.99 and each >= 0.95


def test_who_comes_three_seconds_off_finds_ten_others_by_one_search_and_they_stay() -> None:
    for off in (3000, -3000):
        found, moved = meetings.newcomer(10, off)
        assert found <= 3 and moved < beat.GUARD_MS


def test_one_liar_does_not_drag_twenty_and_a_hundred_do_not_drag_them_beyond_what_a_clock_may_be_wrong_by() -> None:
    assert abs(meetings.dragged(20, 1, 500, 60)) < 2 * beat.GUARD_MS
    assert 1000 < meetings.dragged(5, 100, 500, 60) < beat.SEARCH_MS + 60 * 60 + beat.GUARD_MS
    one = beat.Beat()
    for _ in range(1000):
        one.begin(0, 1)
        for _ in range(beat.FEW):
            one.hear(bytes(range(20)), 0, -beat.SEARCH_MS)
        one.settle(1, True, 60)
    assert one.shift == -beat.SEARCH_MS - 60


def test_a_listener_links_addresses_over_a_turn_by_their_moments_no_better_than_by_chance_and_five_points() -> None:
    assert meetings.linked(8, 100) <= 1 / 8 + 0.05  # of 30: make bench


def test_who_sends_at_all_times_has_no_vote_though_heard_at_each_meeting() -> None:
    one = beat.Beat()
    for every, searching in ((500, False), (300, False), (250, True)):
        reach = beat.SEARCH_MS if searching else beat.half_ms(1) + beat.GUARD_MS
        for phase in range(0, every, 10):
            one.begin(phase, 1)
            for offset in range(phase - reach, reach, every):
                one.hear(bytes(range(20)), 0, offset)
            assert not one.settle(1, searching, 0) or every == 300
        assert abs(one.shift) < beat.GUARD_MS


def test_it_lasts_ten_days_on_an_esp32_alone_and_with_others() -> None:
    for people in (0, 1, 50):
        assert energy.days(energy.together(energy.ESP32, people)) >= 10
    assert energy.together(energy.ESP32, 500) > energy.together(energy.ESP32, 50)
    assert energy.current("together") < energy.current("saver") / 5
