"""The state: what it keeps, and the two sectors it lies in: whole through a cut at any byte, nothing left of a key."""

import os

import flash
import flashbdev
from badge import defaults, sectors, store

BLOCKS = 16
OLD = b"old key " * 4
OWNER = bytes(range(32))
PLACES = 21


def nowhere(secret):
    image = flashbdev.bdev.bytes
    return secret[:8] not in image and secret[-8:] not in image


def again():
    """The badge starts anew from this flash; its state."""
    device = flashbdev.bdev
    flash.switch_off()
    flash.switch_on(device)
    return store.Store()


def test_a_fresh_badge_has_defaults_and_keeps_what_is_saved():
    state = store.Store()
    assert (state.boot, state.mode, state.horizon, state.keep_days) == (0, store.UNPROVISIONED, 0, 30)
    state.boot = 7
    state.day_key = OLD
    state.save()
    state = again()
    assert state.boot == 7 and state.day_key == OLD


def test_a_replaced_key_is_nowhere_at_once_and_costs_no_erase():
    state = store.Store()
    state.day_key = OLD
    state.save(OWNER)
    assert not nowhere(OLD) and not nowhere(OWNER)
    erases = flashbdev.bdev.erases
    state.day_key = bytes(32)
    state.save()
    assert nowhere(OLD) and store.owner_key() == OWNER
    state.save(b"new key " * 4)
    assert nowhere(OWNER) and flashbdev.bdev.erases == erases


def test_a_sector_is_erased_once_in_21_times():
    state = store.Store()
    begun = flashbdev.bdev.erases
    for number in range(1, 10 * PLACES + 1):
        state.horizon = number
        state.save()
        if number % 10 == 0:
            assert again().horizon == number
            state = store.Store()
    assert flashbdev.bdev.erases - begun == 2 * 9


def test_slots_are_counted_by_clearing_bits():
    state = store.Store()
    state.sent(1000)
    for slot in (1001, 1002, 1007, 1288):
        writes = flashbdev.bdev.writes = []
        state.sent(slot)
        assert [len(data) for _, data in writes] == [1, 1]
        state = again()
        assert state.broadcast == slot
    state.sent(1289)  # there are 288 bits
    state = again()
    assert state.broadcast == 1289
    state.sent(1290)
    state.horizon = 5
    state.save()
    state = again()
    assert state.broadcast == 1290
    state.sent(1291)
    assert again().broadcast == 1291


def test_erasing_keeps_the_counters_only_and_the_owner():
    state = store.Store()
    state.boot, state.segment, state.broadcast, state.horizon, state.mode, state.day_key = 3, 4, 5, 6, 1, OLD
    state.save(OWNER)
    defaults.reset(state)
    state.save()
    state = again()
    assert (state.boot, state.segment, state.broadcast, state.horizon, state.mode) == (3, 4, 5, 0, 0)
    assert store.owner_key() == OWNER and nowhere(OLD)


def test_a_badge_that_is_given_up_has_no_key_and_knows_that_it_is_not_done():
    state = store.Store()
    state.day_key = OLD
    state.save(OWNER)
    defaults.reset(state)
    state.erasing = 1
    state.save(bytes(32))
    assert nowhere(OWNER) and nowhere(OLD)
    assert again().erasing and store.owner_key() is None and nowhere(OWNER) and nowhere(OLD)


def test_the_state_of_an_older_or_newer_build_is_read_as_far_as_it_goes():
    state = store.Store()
    state.boot, state.keep_days, state.log_key = 9, 12, b"log key " * 4
    state.save(OWNER)
    content = sectors.newest()
    assert len(content) == 139 <= 147
    for newer, kept in ((content[:-1], 12), (content[:-2], 30), (content + b"more", 12)):
        sectors.put(newer)
        there = again()
        assert (there.boot, there.log_key, there.keep_days) == (9, b"log key " * 4, kept)
        assert store.owner_key() == OWNER


def saved(number):
    """A state of that number, with keys of its own."""
    state = store.Store()
    state.horizon = number
    state.day_key = bytes((number,)) * 32
    state.save(bytes((number ^ 0xFF,)) * 32)
    return state


def cuts(device, image, writes):
    """Each flash that a power cut in these changes may leave, of an erase that at every 24th byte and in the head."""
    for count, (at, data) in enumerate(writes):
        for cut in range(len(data)):
            if image[at + cut] != data[cut]:
                if len(data) < flash.BLOCK or cut < 64 or cut % 24 == 5:
                    device.bytes[:] = image
                    yield count
                image[at + cut] = data[cut]
    device.bytes[:] = image
    yield len(writes)


def test_a_cut_at_any_byte_of_a_change_leaves_the_state_before_or_after_and_no_key_of_another():
    device = flash.blank(BLOCKS)
    for number in range(1, PLACES):
        state = saved(number)
    for number in range(PLACES, PLACES + 2):  # the sectors become full and are erased
        image = bytearray(device.bytes)
        device.writes = writes = []
        state.horizon = number
        state.day_key = bytes((number,)) * 32
        state.save(bytes((number ^ 0xFF,)) * 32)
        device.writes = None
        whole = bytearray(device.bytes)
        seen = set()
        tried = 0
        for _ in cuts(device, bytearray(image), writes):
            survivor = again()
            here = survivor.horizon
            seen.add(here)
            assert here in (number - 1, number)
            assert survivor.day_key == bytes((here,)) * 32
            assert store.owner_key() == bytes((here ^ 0xFF,)) * 32
            other = 2 * number - 1 - here
            assert nowhere(bytes((other,)) * 8) and nowhere(bytes((other ^ 0xFF,)) * 8)
            tried += 1
        assert seen == {number - 1, number} and tried > 200
        device.bytes[:] = whole
        state = again()


def test_a_cut_while_the_sectors_are_made_costs_nothing():
    device = flash.blank(BLOCKS)
    image = bytearray(device.bytes)
    device.writes = writes = []
    store.Store().save(OWNER)
    device.writes = None
    for _ in cuts(device, image, writes):
        state = again()
        assert store.owner_key() in (None, OWNER)
        state.save(OWNER)
        again()
        assert store.owner_key() == OWNER and sorted(os.listdir()) == ["sector.0", "sector.1"]


def test_one_sector_may_rot():
    device = flash.blank(BLOCKS)
    saved(5)
    blocks = sectors.blocks
    for block in blocks:
        image = bytearray(device.bytes)
        for at in range(block * 4096, block * 4096 + 300, 7):
            device.bytes[at] ^= 4
        assert again().horizon == 5 and store.owner_key() == bytes((5 ^ 0xFF,)) * 32, block
        saved(5)
        device.bytes[:] = image


def test_littlefs_never_moves_the_sectors_whatever_else_it_does():
    device = flash.blank(BLOCKS)
    state = saved(1)
    blocks = sectors.blocks
    for number in range(2, 200):
        state.horizon = number
        state.save()
        for name in ("one", "other"):
            with open(name, "wb") as file:
                file.write(bytes(number * 10))
        if number % 3 == 0:
            os.remove("one")
        if number % 10 == 0:
            full = 0
            try:
                with open("full", "wb") as file:
                    while True:
                        full += file.write(bytes(512))
            except OSError:
                pass
            os.remove("full")
            assert full > 4096 and again().horizon == number and sectors.blocks == blocks
            state = store.Store()
    assert device.erases > 500


def test_files_that_were_copied_from_elsewhere_are_no_sectors():
    saved(3)
    with open("sector.1", "rb") as file:
        data = file.read()
    with open("copy", "wb") as file:
        file.write(data)
    os.rename("copy", "sector.1")
    with open("other", "wb") as file:
        file.write(bytes(5000))
    assert again().horizon == 0 and store.owner_key() is None
    with open("other", "rb") as file:
        assert file.read() == bytes(5000)


def test_the_owner_key_is_not_that_of_nobody():
    state = store.Store()
    assert store.owner_key() is None
    state.save(bytes(32))
    assert store.owner_key() is None
    state.save(OWNER)
    assert store.owner_key() == OWNER
    again()
    assert store.owner_key() == OWNER


def test_a_removed_file_is_gone_and_an_absent_one_is_fine():
    here = sorted(os.listdir())
    with open("some", "wb") as file:
        file.write(bytes(1300))
    store.remove("some")
    store.remove("some")
    assert sorted(os.listdir()) == here
