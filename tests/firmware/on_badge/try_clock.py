"""The clock: unknown until set, kept over a reset, exact at the edges of slots, ticks that wrap, doubt after a jump."""

import time

import machine
from badge.clock import Clock
from badge.store import Store

NOW = 1711929599  # 2024-03-31 23:59:59
LATER = 1800000000  # 2027-01-15 08:00:00, the first second of slot 6000000


def test_without_a_time_it_counts_periods_since_boot():
    clock = Clock(Store())
    assert not clock.known and clock.unix() == 0
    assert clock.interval() == (False, 0)
    time.ms += 299999
    assert clock.since_ms(time.ticks_ms()) == 299999 and clock.left_ms() == 1
    assert clock.interval() == (False, 0)
    time.ms += 1
    assert clock.left_ms() == 0
    assert clock.interval() == (False, 1)
    assert clock.since_ms(time.ticks_ms()) == 0 and clock.left_ms() == 300000


def test_it_is_set_to_the_moment_of_the_message():
    clock = Clock(Store())
    time.ms += 5000
    arrived = clock.uptime_ms()
    time.ms += 1500
    assert clock.set(LATER * 1000 + 250, arrived) == 0
    assert clock.unix() == LATER + 1
    assert clock.interval() == (True, LATER // 300)
    assert clock.left_ms() == 300000 - 1750
    assert machine.rtc_set == [(2027, 1, 15, 4, 8, 0, 1, 750000)]


def test_a_correction_is_what_the_clock_was_off():
    clock = Clock(Store())
    clock.set(LATER * 1000, clock.uptime_ms())
    time.ms += 60000
    assert clock.set(LATER * 1000 + 60300, clock.uptime_ms()) == 300
    assert clock.set(LATER * 1000, clock.uptime_ms()) == -60300


def test_an_rtc_that_kept_the_time_is_believed_and_one_that_lost_it_is_not():
    time.rtc = LATER - 946684800
    assert Clock(Store()).unix() == LATER
    time.rtc = NOW - 946684800
    assert not Clock(Store()).known


def test_slots_change_on_the_millisecond():
    clock = Clock(Store())
    clock.set(LATER * 1000, clock.uptime_ms())
    clock.interval()
    time.ms += 299999
    assert clock.since_ms(time.ticks_ms()) == 299999 and clock.left_ms() == 1
    assert clock.interval() == (True, LATER // 300)
    time.ms += 1
    assert clock.since_ms(time.ticks_ms()) == 300000 and clock.left_ms() == 0  # the interval last asked for
    assert clock.interval() == (True, LATER // 300 + 1)
    assert clock.since_ms(time.ticks_ms()) == 0
    assert clock.since_ms(time.ticks_add(time.ticks_ms(), -1)) == -1  # heard a moment ago


def test_uptime_goes_on_when_the_ticks_wrap():
    clock = Clock(Store())
    for _ in range(30):
        time.ms += 86400000
        clock.uptime_ms()
    assert clock.uptime_ms() == 30 * 86400000


def test_a_day_told_once_is_in_doubt_until_another_day_confirms_it_or_thirty_have_passed():
    state = Store()
    clock = Clock(state)
    today = LATER // 86400

    def tell(unix):
        clock.set(unix * 1000, clock.uptime_ms())

    def live(days):
        for _ in range(days):
            time.ms += 86400000
            clock.uptime_ms()

    assert clock.sure_day() is None
    tell(LATER)
    tell(LATER + 5)  # a companion that tries again confirms nothing
    live(1)
    assert clock.sure_day() is None
    tell(LATER + 86400 + 60)
    assert clock.sure_day() == today + 1
    tell(LATER + 3 * 365 * 86400)  # a computer whose clock is wrong
    live(1)
    assert clock.sure_day() is None
    tell(LATER + 2 * 86400)  # and is mended
    assert clock.sure_day() is None
    live(30)
    assert clock.sure_day() is None
    live(1)
    assert clock.sure_day() == today + 33
    tell(LATER + 33 * 86400 + 3 * 3600)
    state.save()
    time.rtc = LATER + 34 * 86400 - 946684800
    again = Clock(Store())  # after a reset it is still in doubt
    assert again.known and again.sure_day() is None
