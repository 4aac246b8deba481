"""What receipts about some swaps say of the others, and when they say nothing of them; and what they ask for.

The numbers are those of docs/companion-traffic.md, "Confirming by sample".
"""

import os
from random import Random

import pytest
from anontrace import clock
from anontrace.companion.addresses import confirming, registration
from anontrace.companion.store.state import State
from anontrace.companion.store.states import CONFIRMED, MADE, SENT
from anontrace.companion.store.timetable import Sample
from anontrace.mixnet import receipt
from anontrace.mixnet.receipt import NymAnswer
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire.levels import NORMAL
from anontrace_shared.slots import slot_of

from tests.companion.paper import MAILBOX, START, Time, Wearer

HOUR = 3600
SAMPLES, RENEWAL_SAMPLES = 20, 40
ARRIVED, DOUBT, SILENT, AGAIN = 3 * HOUR, 12 * HOUR, 9 * HOUR, 2 * HOUR
HOURS = 10  # in each of which one swap is sent


@pytest.fixture
def time(monkeypatch):
    now = Time()
    monkeypatch.setattr(clock, "now", lambda: now.now)
    return now


@pytest.fixture
def wearer(tmp_path, time, monkeypatch):
    """A companion that has sent a swap in each hour, and waited three hours more."""
    made = Wearer(tmp_path / "paper", time, monkeypatch, NORMAL)
    slot = slot_of(START)
    with made._servers(made.state) as servers:
        registration.make(made.state, servers, made.state.badges.get(), slot, slot + HOURS, lambda *_: None)
    for hour, item in enumerate(made.state.addresses.pending()):
        made.state.addresses.set_sent([item.surb], START + hour * HOUR)
    time.now = START + HOURS * HOUR + ARRIVED
    yield made
    made.close()


@pytest.fixture
def sent(wearer):
    return wearer.state


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
    samples(sent, *[True] * (SAMPLES - 1))
    assert taken(sent) == [SENT] * HOURS
    samples(sent, True)
    assert taken(sent) == [CONFIRMED] * 9 + [SENT]


def test_what_was_sent_since_the_last_receipt_that_was_answered_waits_for_another(sent, time):
    samples(sent, *[True] * SAMPLES, asked=START + 6 * HOUR)
    assert taken(sent) == [CONFIRMED] * 7 + [SENT] * 3
    samples(sent, True)
    assert taken(sent) == [CONFIRMED] * HOURS


def test_what_was_sent_within_an_hour_of_one_that_got_lost_is_in_doubt_whatever_is_held_later(sent, time):
    samples(sent, False, sent=START + 4 * HOUR)
    samples(sent, *[True] * SAMPLES)
    doubted = slice(3, 6)
    expected = [CONFIRMED] * HOURS
    expected[doubted] = [SENT] * 3
    time.now = START + 13 * HOUR
    assert taken(sent) == expected
    time.now = START + 5 * HOUR + DOUBT - 1
    expected[doubted] = [MADE, MADE, SENT]  # and so they leave once more
    assert taken(sent) == expected
    time.now += 1
    expected[doubted] = [MADE] * 3
    assert taken(sent) == expected


@pytest.mark.parametrize(("before", "after"), [(HOUR, HOUR), (HOUR + 1, HOUR), (HOUR, HOUR + 1)])
def test_an_hour_before_and_after_it_is_just_that(sent, before, after):
    lost = START + 4 * HOUR
    third, _, fifth = sent.addresses.pending()[3:6]
    sent.addresses.set_sent([third.surb], lost - before)
    sent.addresses.set_sent([fifth.surb], lost + after)
    samples(sent, False, sent=lost)
    samples(sent, *[True] * SAMPLES)
    assert taken(sent)[3:6] == [SENT if before == HOUR else CONFIRMED, SENT, SENT if after == HOUR else CONFIRMED]


def test_a_loss_whose_hour_is_not_known_is_forgotten_after_twenty_that_are_held(sent):
    samples(sent, False)
    assert taken(sent) == [MADE, MADE] + [SENT] * (HOURS - 2)  # twelve hours under way, and in doubt
    samples(sent, *[True] * SAMPLES)
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
    time.now = START + 6 * HOUR + DOUBT
    expected[4:7] = [MADE] * 3
    assert taken(sent) == expected


def test_what_was_sent_twice_is_not_asked_for(sent, time):
    samples(sent, False, asked=START + 9 * HOUR)
    assert taken(sent)[:2] == [MADE, MADE]
    first, second, *others = sent.addresses.pending()
    sent.addresses.set_sent([first.surb, second.surb], int(time.now))
    time.now += ARRIVED - 1
    assert taken(sent)[:2] == [SENT, SENT]
    time.now += 1
    assert taken(sent)[:2] == [SENT, SENT]
    samples(sent, True)
    assert taken(sent)[:2] == [CONFIRMED, CONFIRMED]
    assert CONFIRMED not in taken(sent)[2:] and len(others) == HOURS - 2


def test_a_receipt_that_got_lost_at_the_moment_of_one_that_was_answered_leaves_the_hours_around_both_in_doubt(sent):
    for hour, found in ((2, True), (4, None), (4, True), (6, True)):
        samples(sent, found, asked=START + hour * HOUR + HOUR // 2)
    samples(sent, *[True] * (SAMPLES - 1))
    assert taken(sent) == [CONFIRMED] * 3 + [SENT] * 4 + [CONFIRMED] * 3


def test_before_the_first_answer_and_after_the_last_all_is_in_doubt_when_a_receipt_got_lost(sent):
    samples(sent, None, asked=START + 2 * HOUR + HOUR // 2)
    samples(sent, *[True] * 2, asked=START + 4 * HOUR + HOUR // 2)
    samples(sent, *[True] * SAMPLES)
    assert taken(sent) == [MADE] * 2 + [SENT] * 3 + [CONFIRMED] * 5  # of which two are twelve hours under way


def test_a_swap_that_was_found_missing_by_hand_is_no_answer_by_whose_time_others_are_judged(sent):
    samples(sent, None, asked=START + 8 * HOUR + HOUR // 2)
    with sent.transaction():
        sent.timetable.add_sample(Sample(False, successor=False))
    samples(sent, *[True] * 2, asked=START + 7 * HOUR + HOUR // 2)
    samples(sent, *[True] * SAMPLES)
    assert taken(sent) == [CONFIRMED] * 8 + [SENT] * 2


@pytest.mark.parametrize(("lost", "is_good"), [(2, True), (3, False)])
def test_of_twenty_two_may_be_without_an_answer(sent, lost, is_good):
    long_ago = START - 40 * HOUR
    samples(sent, True, asked=long_ago - 1)
    samples(sent, *[None] * lost, asked=long_ago)
    samples(sent, True, asked=long_ago + 1)
    samples(sent, *[True] * (SAMPLES - lost - 1))
    assert (CONFIRMED in taken(sent)) == is_good


@pytest.mark.parametrize(
    ("found", "arrive"),
    [
        ([True] * 40, True),
        ([True] * 39, False),
        ([True] * 36 + [None] * 4, True),
        ([True] * 35 + [None] * 5, False),
        ([False] + [True] * 40, True),
        ([True] * 39 + [False], False),
    ],
)
def test_successors_arrive_as_long_as_the_last_forty_receipts_about_them_say_so(sent, found, arrive):
    with sent.transaction():
        for each in found:
            sent.timetable.add_sample(Sample(each, True, START))
            sent.timetable.add_sample(Sample(False, False, START))  # says nothing of successors
    assert confirming.successors_arrive(sent) == arrive


def test_what_is_vouched_for_was_not_seen(sent):
    samples(sent, *[True] * SAMPLES)
    assert CONFIRMED in taken(sent)
    assert not any(sent.addresses.is_seen(surb) for surb in sent._db.column("SELECT id FROM surbs"))


def test_what_is_lost_leaves_again_within_two_hours(sent, time):
    class Latest(Random):
        def randrange(self, stop):
            return stop - 1

    confirming.take(sent, Latest())
    assert sent._db.column("SELECT leaves FROM surbs WHERE state = ?", MADE) == [int(time.now) + AGAIN - 1] * 2


def asked(state: State, made: int, *, surb: int | None = None, upload: int | None = None) -> tuple[int, SurbSecrets]:
    """A receipt that was sent then: its mailbox, and what opens the answer."""
    kept = SurbSecrets((os.urandom(32),), os.urandom(32))
    with state.transaction():
        mailbox = state.addresses.add_mailbox(MAILBOX, os.urandom(32), START + 100 * HOUR, None)
        state.receipts.add(mailbox, kept.to_bytes(), made, surb=surb, upload=upload)
    return mailbox, kept


def answered(state: State, made: int, held: bool | None, *, surb: int) -> None:
    """A receipt that was sent then and answered; None: by what is no answer."""
    mailbox, kept = asked(state, made, surb=surb)
    with state.transaction():
        state.receipts.set_answer(mailbox, bytes(239) if held is None else receipt.expected(kept, NymAnswer(held)))


def test_a_receipt_is_lost_when_mailboxes_were_asked_nine_hours_later_and_its_answer_was_not_there(sent, time):
    (surb, *_), asked_at = [each.surb for each in sent.addresses.pending()], START + 10 * HOUR
    asked(sent, asked_at, surb=surb)
    time.now = asked_at + 2 * SILENT
    taken(sent)
    sent.timetable.set_asked(asked_at + SILENT - 1)
    taken(sent)
    assert len(sent.receipts.open()) == 1 and sent.timetable.samples() == []
    sent.timetable.set_asked(asked_at + SILENT)
    taken(sent)
    assert sent.receipts.open() == [] and sent.timetable.samples() == [Sample(None, False, asked_at)]


def test_a_receipt_about_an_upload_says_nothing_of_swaps_whether_it_is_answered_or_lost(sent, time):
    upload = sent.uploads.add("report", bytes(32), bytes(16), b"log", START).number
    mailbox, _ = asked(sent, START, upload=upload)
    with sent.transaction():
        sent.receipts.set_answer(mailbox, bytes(239))
    asked(sent, START, upload=upload)
    samples(sent, *[True] * SAMPLES)
    assert taken(sent) == [CONFIRMED] * HOURS  # ... of which none waits for it
    assert [each.mailbox for each in sent.receipts.answered()] == [mailbox]
    sent.timetable.set_asked(int(time.now))
    taken(sent)
    assert len(sent.timetable.samples()) == SAMPLES and sent.receipts.open() == []


def test_what_was_sent_three_hours_before_a_receipt_that_is_not_answered_yet_waits_with_it(sent):
    surb = sent.addresses.pending()[-1].surb
    asked(sent, START + 8 * HOUR, surb=surb)
    samples(sent, *[True] * SAMPLES)
    assert taken(sent) == [CONFIRMED] * 6 + [SENT] * 4


def test_each_answer_is_judged_once_and_is_a_sample(sent, time):
    held, missing, garbled = (each.surb for each in sent.addresses.pending()[:3])
    moment = START + 11 * HOUR
    answered(sent, moment, True, surb=held)
    answered(sent, moment + 1, False, surb=missing)
    answered(sent, moment + 2, None, surb=garbled)
    assert taken(sent)[:3] == [CONFIRMED, MADE, SENT]
    assert taken(sent)[:3] == [CONFIRMED, MADE, SENT]
    assert sent.addresses.is_seen(held) and not sent.addresses.is_seen(missing)
    assert sent.timetable.answered() == moment + 1  # what is no answer says nothing of the time before it
    assert sent.timetable.samples() == [
        Sample(None, False, moment + 2, START + 2 * HOUR),
        Sample(False, False, moment + 1, START + HOUR),
        Sample(True, False, moment),
    ]


def test_what_was_sent_again_since_it_was_asked_for_is_not_missing(sent, time):
    surb = sent.addresses.pending()[0].surb
    answered(sent, START + HOUR // 2, False, surb=surb)
    sent.addresses.set_sent([surb], START + HOUR)
    assert taken(sent)[0] == SENT and sent.timetable.samples() == []


def test_that_what_was_seen_before_is_still_there_is_no_sample(sent):
    surb = sent.addresses.pending()[0].surb
    for moment in (START + 4 * HOUR, START + 5 * HOUR):
        answered(sent, moment, True, surb=surb)
        taken(sent)
    assert sent.timetable.samples() == [Sample(True, False, START + 4 * HOUR)]
    assert sent.timetable.answered() == START + 5 * HOUR


@pytest.mark.parametrize("is_lossy", [False, True])
def test_that_one_of_two_messages_came_is_no_sample_while_some_get_lost(sent, is_lossy):
    first, second = (each.surb for each in sent.addresses.pending()[:2])
    sent.addresses.set_sent([first, second], START)
    samples(sent, not is_lossy, *[True] * (RENEWAL_SAMPLES - 1))
    answered(sent, START + 11 * HOUR, True, surb=first)
    taken(sent)
    assert len(sent.timetable.samples()) == RENEWAL_SAMPLES + (not is_lossy)
    samples(sent, True)  # by now that was before the last forty
    answered(sent, START + 11 * HOUR, True, surb=second)
    taken(sent)
    assert len(sent.timetable.samples()) == RENEWAL_SAMPLES + (not is_lossy) + 2


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (20, 20), (21, 20)])
def test_what_was_found_by_hand_is_a_sample_and_no_more_than_twenty(sent, time, count, kept):
    confirming.note_found(sent, count)
    assert sent.timetable.samples() == [Sample(True, False, int(time.now))] * kept
    assert sent.timetable.answered() == (int(time.now) if count else None)


def questions(wearer: Wearer, count: int) -> list[int]:
    """The SURBs that are asked for, in order."""
    with wearer._servers(wearer.state) as servers:
        group = registration.group_of_today(wearer.state, servers)
        with wearer.state.transaction():
            made = confirming.ask(wearer.state, servers, group, count, Random(1))
    by_mailbox = {each.mailbox: each.surb for each in wearer.state.receipts.open()}
    return [by_mailbox[mailbox] for mailbox, _ in made]


def test_what_was_sent_three_hours_ago_is_asked_for_once_and_then_what_is_in_use(wearer, time):
    surbs = [each.surb for each in wearer.state.addresses.pending()]
    time.now = START + 6 * HOUR + ARRIVED - 1
    assert sorted(questions(wearer, 4) + questions(wearer, 4)) == surbs[:6]
    time.now += 1
    assert questions(wearer, 4) == [surbs[6]]
    time.now += HOUR
    wearer.state.addresses.set_confirmed(surbs[8:], int(time.now))
    seventh, another = questions(wearer, 2)
    assert sorted([seventh, another, *questions(wearer, 9)]) == surbs[7:] and seventh == surbs[7]
    assert questions(wearer, 9) == []
    assert questions(wearer, 0) == []


def test_successors_that_nobody_has_seen_are_asked_for_before_what_is_in_use(wearer, time):
    state, surbs = wearer.state, [each.surb for each in wearer.state.addresses.pending()]
    state.addresses.set_confirmed(surbs, int(time.now), seen=False)
    old = state.addresses.to_renew((0, 1 << 31), int(time.now), 1)
    with wearer._servers(state) as servers:
        made = registration.successors(servers, registration.open_groups(state, servers), old)
    with state.transaction():
        state.renewals.start(old[0].surb, int(time.now))
        state.addresses.insert_successors(made, int(time.now))
    (successor,) = state._db.column("SELECT max(id) FROM surbs")
    state.addresses.set_sent([successor], int(time.now))
    state.addresses.set_confirmed([successor], int(time.now), seen=False)
    assert questions(wearer, 1) == [successor]
    assert questions(wearer, 1) != [successor]
