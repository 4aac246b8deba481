"""What is broadcast when: horizon, ratchet, list, and never the same address again after the clock went back."""

import asyncio
import os
import time

import flashbdev
import utime
from anontrace_shared import badge_orders, names, schedule
from badge import lists, orders
from badge.addresses import Addresses
from badge.store import Store

DAY = 20000
FIRST = DAY * 288
KEY = bytes(range(32))
LOG_KEY = bytes(range(65, 97))  # no part of it, with whatever is beside it, is a part of KEY
time.ms = utime.ticks_ms() + 200000 & 0x3FFFFFFF  # asyncio's queue reads the real ticks, so these stay ahead
BEFORE = (0, 1, 11, 12, 2, 1, 2)  # the clock is right, ten slots ahead, right, late by one, and right from then on


def provisioned(horizon=FIRST + 1000):
    state = Store()
    state.mode, state.horizon, state.day, state.day_key = names.RATCHET, horizon, DAY, KEY
    return state, Addresses(state)


def nowhere(secret):
    return secret not in flashbdev.bdev.bytes


class Badge:
    """As much of one as provisioning it needs."""

    hands = None

    def __init__(self, state, addresses):
        self.state = state
        self.addresses = addresses

    async def renew(self):
        pass


def provision(state, addresses, *values):
    asyncio.run(orders._provision(Badge(state, addresses), badge_orders.Provision(*values)))


def expected(slot):
    return schedule.address_at(schedule.day_key(KEY, DAY, slot // 288), slot)


def test_each_slot_below_the_horizon_has_its_address_made_ahead_or_not():
    state, addresses = provisioned(FIRST + 3)
    assert addresses.enter(FIRST).address == expected(FIRST)
    addresses.prepare(FIRST + 1)
    assert addresses.enter(FIRST + 1).address == expected(FIRST + 1)
    addresses.prepare(FIRST + 2)
    assert addresses.enter(FIRST + 2).address == expected(FIRST + 2)
    addresses.prepare(FIRST + 3)
    assert addresses.enter(FIRST + 3) is None
    state.horizon = FIRST + 5
    assert addresses.enter(FIRST + 4).address == expected(FIRST + 4)


def test_without_provision_there_is_nothing_to_broadcast():
    assert Addresses(Store()).enter(FIRST) is None


def test_a_slot_is_durable_before_it_is_broadcast():
    _, addresses = provisioned()
    addresses.enter(FIRST + 7)
    assert Store().broadcast == FIRST + 7


def test_the_day_key_goes_forward_and_the_old_one_is_nowhere():
    state, addresses = provisioned()
    state.save()
    assert not nowhere(KEY)
    addresses.prepare(FIRST + 288)
    assert state.day == DAY  # today's key is still needed
    slot = addresses.enter(FIRST + 288)
    assert slot.address == expected(FIRST + 288)
    assert nowhere(KEY)
    assert addresses.enter(FIRST + 3 * 288).address == expected(FIRST + 3 * 288)
    assert addresses.enter(FIRST + 5) is None  # the way back is closed


def test_the_day_key_stays_usable_when_the_clock_runs_away():
    state, addresses = provisioned(FIRST + 300)
    assert addresses.enter(FIRST + 100 * 288) is None
    assert state.day == DAY + 2, "the day after its horizon's: nothing opens what was on the air"
    state.horizon = FIRST + 102 * 288
    assert addresses.enter(FIRST + 101 * 288).address == expected(FIRST + 101 * 288)


def test_with_a_sure_clock_the_day_key_goes_forward_beyond_the_horizon_and_in_service_mode_too():
    state, addresses = provisioned(FIRST + 300)
    addresses.pass_days(FIRST + 100 * 288, True)
    assert state.day == Store().day == DAY + 100 and nowhere(KEY)


def test_a_clock_set_back_repeats_no_address():
    _, addresses = provisioned()
    for slot in range(FIRST, FIRST + 5):
        assert addresses.enter(slot) is not None
    addresses.clock_set(FIRST + 2)
    for slot in range(FIRST + 2, FIRST + 5):
        assert addresses.enter(slot) is None
    assert addresses.enter(FIRST + 5).address == expected(FIRST + 5)
    addresses.clock_set(FIRST + 5)
    assert addresses.enter(FIRST + 5) is not None  # set within the slot: it goes on


def test_a_clock_that_was_ahead_for_a_while_repeats_nothing_by_ratchet_or_by_list():
    for mode in (names.RATCHET, names.LIST):
        state, addresses = provisioned(FIRST + 100)
        if mode == names.LIST:
            provision(state, addresses, names.LIST, LOG_KEY, state.horizon)
            lists.keep(state, FIRST, [bytes([number]) * 20 for number in range(46)])
        sent = []
        for slot in BEFORE + tuple(range(3, 20)):
            addresses.clock_set(FIRST + slot)
            entered = addresses.enter(FIRST + slot)
            if entered is not None:
                sent.append(entered.number - FIRST)
        assert sent[:2] == [0, 1] and sent[2:] == list(range(11, 20))
        again = Addresses(Store())
        again.clock_set(FIRST + 5)
        assert [again.enter(FIRST + slot) for slot in range(5, 20)] == [None] * 15
        state.broadcast = state.barred = 0
        state.save()


def test_a_clock_set_back_after_a_reboot_repeats_no_address_either():
    state, addresses = provisioned()
    state.save()
    addresses.enter(FIRST + 9)
    again = Addresses(Store())
    again.clock_set(FIRST + 4)
    assert Addresses(Store()).enter(FIRST + 9) is None
    assert Addresses(Store()).enter(FIRST + 10).address == expected(FIRST + 10)


def test_a_wiped_slot_answers_no_challenge():
    _, addresses = provisioned()
    slot = addresses.enter(FIRST)
    secret = slot.secret
    assert schedule.public_key(secret) == slot.public_key
    slot.wipe()
    assert slot.secret is None and secret == bytes(32)


def listed(horizon=FIRST + 1000):
    state = Store()
    addresses = Addresses(state)
    provision(state, addresses, names.LIST, LOG_KEY, horizon)
    return state, addresses


def test_a_list_is_kept_by_day_and_past_days_go():
    state, addresses = listed()
    given = [bytes((number,)) * 20 for number in range(1, 5)]
    lists.keep(state, FIRST + 286, given)
    assert sorted(os.listdir("sealed")) == [f"{DAY:08x}", f"{DAY + 1:08x}"]
    for number in range(4):
        slot = addresses.enter(FIRST + 286 + number)
        assert slot.address == given[number] and slot.secret is None
    assert addresses.enter(FIRST + 290) is None
    assert os.listdir("sealed") == [f"{DAY + 1:08x}"]
    addresses.erase()
    assert os.listdir("sealed") == []


def test_a_list_is_sealed_and_what_opens_a_day_of_it_goes_with_the_day():
    state, addresses = listed()
    given = [os.urandom(20) for _ in range(4)]
    lists.keep(state, FIRST + 286, given)
    assert all(nowhere(address[:8]) and nowhere(address[-8:]) for address in given)
    key = state.day_key
    assert addresses.enter(FIRST + 286).address == given[0] and not nowhere(key)
    assert addresses.enter(FIRST + 288).address == given[2]
    assert nowhere(key) and state.day_key != key
    lists.keep(state, FIRST + 287, given)  # a companion that is late
    assert addresses.enter(FIRST + 289).address == given[2]


def test_a_list_goes_on_when_it_is_provisioned_once_more_and_not_after_a_ratchet():
    state, addresses = listed()
    lists.keep(state, FIRST, [b"a" * 20, b"b" * 20])
    provision(state, addresses, names.LIST, LOG_KEY, FIRST + 2)
    assert Addresses(Store()).enter(FIRST).address == b"a" * 20
    provision(state, addresses, names.RATCHET, LOG_KEY, FIRST + 2, DAY, KEY)
    provision(state, addresses, names.LIST, LOG_KEY, FIRST + 2)
    assert addresses.enter(FIRST + 1) is None and nowhere(KEY)


def test_a_torn_entry_of_a_list_is_not_broadcast():
    state, addresses = listed()
    lists.keep(state, FIRST, [b"a" * 20, b"b" * 20, b"c" * 20])
    for at in (32 + 3, 64 + 11):
        with open(f"sealed/{DAY:08x}", "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes((byte ^ 4,)))
    assert addresses.enter(FIRST).address == b"a" * 20
    assert addresses.enter(FIRST + 1) is None and addresses.enter(FIRST + 2) is None
