"""The clock: unknown until set, kept over a reset, exact at the edges of slots, drift corrected, doubt after a jump."""

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


class Crystal:
    """True time, and a chip whose ticks are `ppm` fast; a day goes by in steps of a minute."""

    def __init__(self, ppm):
        self.ppm = ppm
        self.unix_ms = LATER * 1000
        self.begin = time.ms

    def wait(self, clock, minutes):
        """Let time pass; how far the clock is off then, in ms."""
        for _ in range(minutes):
            self.unix_ms += 60000
            passed = self.unix_ms - LATER * 1000
            time.ms = self.begin + passed + passed * self.ppm // 1000000
            clock.uptime_ms()
        _, number = clock.interval()
        return (number + 1) * 300000 - clock.left_ms() - self.unix_ms

    def sync(self, clock, late_ms=0):
        clock.set(self.unix_ms, clock.uptime_ms() - late_ms)


def test_drift_is_measured_at_each_sync_and_corrected():
    for ppm in (-45, -20, 3, 40):
        for minutes in (1440, 720, 97, 3 * 1440):  # between two syncs
            state = Store()
            clock, crystal = Clock(state), Crystal(ppm)
            crystal.sync(clock)
            off = 0
            for _ in range(4 * 1440 // minutes + 1):
                off = crystal.wait(clock, minutes)
                crystal.sync(clock)
            assert abs(off) < 100, (ppm, minutes, off)
            assert abs(crystal.wait(clock, 1440)) < 250, (ppm, minutes)


def test_late_messages_cost_less_than_a_second_a_day():
    for ppm in (-40, 25):
        state = Store()
        clock, crystal = Clock(state), Crystal(ppm)
        late = 1
        for _ in range(40):
            late = late * 5 % 601
            crystal.sync(clock, late)
            off = crystal.wait(clock, 360)
        crystal.sync(clock)
        assert abs(off) < 1000
        assert abs(crystal.wait(clock, 1440)) < 1000


def test_the_rate_is_kept_over_resets_and_power_loss_for_slots_and_periods_alike():
    state = Store()
    clock, crystal = Clock(state), Crystal(40)
    crystal.sync(clock)
    crystal.wait(clock, 1440)
    crystal.sync(clock)
    state.save()
    time.rtc = crystal.unix_ms // 1000 - 946684800
    clock = Clock(Store())  # after a reset: the chip's clock goes on
    assert abs(crystal.wait(clock, 1440)) <= 20
    time.rtc = 0
    clock = Clock(Store())
    assert not clock.known
    crystal.wait(clock, 5 * 1440)
    assert abs(clock.uptime_ms() - 5 * 86400000) <= 60


def test_what_no_crystal_can_do_is_not_learned():
    state = Store()
    clock, crystal = Clock(state), Crystal(0)
    crystal.sync(clock)
    for wrong in (60000, -60000, 3 * 86400000, -3 * 86400000):  # a computer is set right, or wrong
        crystal.wait(clock, 1440)
        crystal.sync(clock, wrong)
        assert state.rate == 0
        crystal.wait(clock, 60)
        crystal.sync(clock)
        assert state.rate == 0
    clock, crystal = Clock(state), Crystal(90)
    crystal.sync(clock)
    crystal.wait(clock, 1440)
    crystal.sync(clock)
    assert state.rate == -500
