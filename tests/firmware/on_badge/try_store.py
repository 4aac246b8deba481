"""The state on flash: kept whole through a cut at any byte, day keys overwritten."""

import binascii
import os
import struct

from badge import store


def test_a_fresh_badge_has_defaults_and_keeps_what_is_saved():
    state = store.Store()
    assert (state.boot, state.mode, state.horizon) == (0, store.UNPROVISIONED, 0)
    state.boot = 7
    state.day_key = bytes(range(32))
    state.save()
    again = store.Store()
    assert again.boot == 7 and again.day_key == bytes(range(32))


def test_a_power_cut_at_any_byte_of_a_write_leaves_the_state_before_or_after():
    state = store.Store()
    for horizon in (1, 2, 3):
        state.horizon = horizon
        state.save()
    with open("state.1", "rb") as file:
        newest = file.read()
    assert store.Store().horizon == 3
    for cut in range(len(newest)):
        with open("state.1", "wb") as file:
            file.write(newest[:cut])
        survivor = store.Store()
        assert survivor.horizon == 2, cut
    survivor.horizon = 4
    survivor.save()
    assert store.Store().horizon == 4


def test_a_flipped_bit_is_noticed():
    state = store.Store()
    for horizon in (1, 2, 3):
        state.horizon = horizon
        state.save()
    with open("state.1", "rb") as file:
        data = bytearray(file.read())
    for at in range(len(data)):
        data[at] ^= 4
        with open("state.1", "wb") as file:
            file.write(data)
        data[at] ^= 4
        assert store.Store().horizon == 2, at


def test_a_replaced_day_key_is_in_no_file():
    state = store.Store()
    state.day_key = b"old day key " * 2 + b"12345678"
    state.save_over()
    state.day_key = bytes(32)
    state.save_over()
    for name in os.listdir():
        with open(name, "rb") as file:
            assert b"old day" not in file.read()


def test_the_state_of_an_older_build_is_taken_over():
    state = store.Store()
    state.boot, state.doubted, state.log_key = 9, 20000, b"log key " * 4
    state.save()
    with open("state.1", "rb") as file:
        data = file.read()
    first = struct.calcsize("<BIHBBIIIIHHHBBI32s32s")
    for end in (first, len(data) - 4):
        with open("state.1", "wb") as file:
            file.write(data[:end] + struct.pack("<I", binascii.crc32(data[:end])))
        older = store.Store()
        assert (older.boot, older.log_key) == (9, b"log key " * 4)
        assert older.doubted == (0 if end == first else 20000)
        assert (older.window_ms, older.scan_ms) == (150, 1100)


def test_erasing_keeps_the_counters_only():
    state = store.Store()
    state.boot, state.segment, state.broadcast, state.horizon, state.mode = 3, 4, 5, 6, 1
    state.save()
    state.erase()
    again = store.Store()
    assert (again.boot, again.segment, again.broadcast, again.horizon, again.mode) == (3, 4, 5, 0, 0)


def test_the_owner_key_is_exactly_32_bytes_and_not_that_of_nobody():
    assert store.owner_key() is None
    for size in (0, 31, 32, 33):
        with open("owner.key", "wb") as file:
            file.write(bytes(size))
        assert store.owner_key() is None
    with open("owner.key", "wb") as file:
        file.write(bytes(range(32)))
    assert store.owner_key() == bytes(range(32))


def test_a_removed_file_is_gone_and_an_absent_one_is_fine():
    with open("secret", "wb") as file:
        file.write(bytes(1300))
    store.remove("secret")
    store.remove("secret")
    assert os.listdir() == []
