"""What receipts about some swaps say of the others, and when they say nothing of them."""

from random import Random

import pytest
from anontrace import clock
from anontrace.companion.addresses import confirming, registration
from anontrace.companion.schedule.levels import NORMAL
from anontrace.companion.store.state import State
from anontrace.companion.store.states import CONFIRMED, MADE, SENT
from anontrace.companion.store.timetable import Sample
from anontrace_shared.slots import slot_of

from tests.companion.paper import START, Time, Wearer

HOUR = 3600
HOURS = 10  # in each of which one swap is sent


@pytest.fixture
def time(monkeypatch):
    now = Time()
    monkeypatch.setattr(clock, "now", lambda: now.now)
    return now


@pytest.fixture
def sent(tmp_path, time, monkeypatch):
    """A companion that has sent a swap in each hour, and waited three hours more."""
    made = Wearer(tmp_path / "paper", time, monkeypatch, NORMAL)
    slot = slot_of(START)
    with made._servers(made.state) as servers:
        registration.make(made.state, servers, made.state.badges.get(), slot, slot + HOURS, lambda *_: None)
    for hour, item in enumerate(made.state.addresses.pending()):
        made.state.addresses.set_sent([item.surb], START + hour * HOUR)
    time.now = START + HOURS * HOUR + confirming.ARRIVED_SECONDS
    yield made.state
    made.close()


def samples(state: State, *found: bool | None, asked: int | None = None, sent: int | None = None) -> None:
    """What receipts said that were `asked` then, or just now."""
    with state.transaction():
        for each in found:
            moment = asked or int(clock.now())
            state.timetable.add_sample(Sample(each, False, moment, sent))
            if each is not None:
                state.timetable.set_answered(moment)


def taken(state: State) -> list[str]:
    """The states of the swaps, in the order in which they were sent."""
    confirming.take(state, Random(1))
    return state._db.column("SELECT state FROM surbs ORDER BY id")


def test_twenty_that_are_held_speak_for_all_that_had_time_to_arrive(sent, time):
    time.now = START + 11 * HOUR
    samples(sent, *[True] * (confirming.SAMPLES - 1))
    assert taken(sent) == [SENT] * HOURS
    samples(sent, True)
    assert taken(sent) == [CONFIRMED] * 9 + [SENT]


def test_what_was_sent_since_the_last_receipt_that_was_answered_waits_for_another(sent, time):
    samples(sent, *[True] * confirming.SAMPLES, asked=START + 6 * HOUR)
    assert taken(sent) == [CONFIRMED] * 7 + [SENT] * 3
    samples(sent, True)
    assert taken(sent) == [CONFIRMED] * HOURS


def test_what_was_sent_within_an_hour_of_one_that_got_lost_is_in_doubt_whatever_is_held_later(sent, time):
    samples(sent, False, sent=START + 4 * HOUR)
    samples(sent, *[True] * confirming.SAMPLES)
    doubted = slice(3, 6)
    expected = [CONFIRMED] * HOURS
    expected[doubted] = [SENT] * 3
    time.now = START + 13 * HOUR
    assert taken(sent) == expected
    time.now = START + 5 * HOUR + confirming.DOUBT_SECONDS
    expected[doubted] = [MADE] * 3  # and so they leave once more
    assert taken(sent) == expected


def test_a_loss_whose_hour_is_not_known_is_forgotten_after_twenty_that_are_held(sent):
    samples(sent, False)
    assert taken(sent) == [MADE, MADE] + [SENT] * (HOURS - 2)  # twelve hours under way, and in doubt
    samples(sent, *[True] * confirming.SAMPLES)
    assert taken(sent) == [MADE, MADE] + [CONFIRMED] * (HOURS - 2)


def test_what_was_sent_about_when_a_receipt_got_lost_is_in_doubt(sent, time):
    for hour in range(13):
        if hour == 4:
            samples(sent, None, asked=START + hour * HOUR + HOUR // 2)  # nine hours later that is certain
        elif hour != 5:
            samples(sent, True, True, asked=START + hour * HOUR + HOUR // 2)
    time.now = START + 13 * HOUR
    expected = [CONFIRMED] * 4 + [SENT] * 3 + [CONFIRMED] * 3
    assert taken(sent) == expected
    time.now = START + 6 * HOUR + confirming.DOUBT_SECONDS
    expected[4:7] = [MADE] * 3
    assert taken(sent) == expected


def test_what_was_sent_twice_is_not_asked_for(sent, time):
    samples(sent, False, asked=START + 9 * HOUR)
    assert taken(sent)[:2] == [MADE, MADE]
    first, second, *others = sent.addresses.pending()
    sent.addresses.set_sent([first.surb, second.surb], int(time.now))
    time.now += confirming.ARRIVED_SECONDS - 1
    assert taken(sent)[:2] == [SENT, SENT]
    time.now += 1
    assert taken(sent)[:2] == [SENT, SENT]
    samples(sent, True)
    assert taken(sent)[:2] == [CONFIRMED, CONFIRMED]
    assert CONFIRMED not in taken(sent)[2:] and len(others) == HOURS - 2
