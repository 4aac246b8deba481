"""The log on flash: appended, rotated, freed, expired, cut off after a power cut at any byte, room made when full."""

import binascii
import errno
import os

from anontrace_shared import log, slots
from badge.logbook import Logbook
from badge.store import Store

DAY = 20000
ROOM = 1 << 30


def block(slot, count=1):
    data = bytes((log.KNOWN_SLOT,)) + slot.to_bytes(4, "little") + count.to_bytes(2, "little")
    data += bytes(32) + b"\xaa" * (40 * count)
    return data + binascii.crc32(data).to_bytes(4, "little")


def opened(free=ROOM):
    return Logbook(Store(), lambda: free)


def write(logbook, data, day=DAY):
    logbook.begin(len(data), day)
    for at in range(0, len(data), 50):
        logbook.append(data[at : at + 50])
    logbook.commit()


def content(logbook, number):
    return b"".join(logbook.read(number, 0, 1 << 20, 958)) if number in logbook.numbers() else b""


def test_blocks_are_appended_and_read_back_from_any_offset():
    logbook = opened()
    first, second = block(DAY * 288, 30), block(DAY * 288 + 1, 20)
    write(logbook, first)
    write(logbook, second)
    whole = first + second
    assert logbook.numbers() == [1] and logbook.open_segment == 1 and logbook.total() == len(whole)
    pieces = list(logbook.read(1, 100, 1500, 958))
    assert [len(piece) for piece in pieces] == [958, 542]
    assert b"".join(pieces) == whole[100:1600]
    assert b"".join(logbook.read(1, len(whole) - 5, 100, 958)) == whole[-5:]
    assert list(logbook.read(1, len(whole) + 5, 100, 958)) == []


def test_a_reboot_goes_on_in_the_same_segment():
    write(opened(), block(DAY * 288))
    logbook = opened()
    write(logbook, block(DAY * 288 + 1))
    assert logbook.numbers() == [1]
    assert content(logbook, 1) == block(DAY * 288) + block(DAY * 288 + 1)


def test_a_new_day_and_a_full_segment_open_the_next():
    logbook = opened()
    write(logbook, block(DAY * 288))
    write(logbook, block((DAY + 1) * 288), DAY + 1)
    assert logbook.numbers() == [1, 2]
    big = block((DAY + 1) * 288 + 1, 900)
    write(logbook, big, DAY + 1)
    write(logbook, big, DAY + 1)
    write(logbook, big, DAY + 1)
    assert logbook.numbers() == [1, 2, 3]
    again = opened()
    write(again, block((DAY + 2) * 288), DAY + 2)
    assert again.numbers() == [1, 2, 3, 4]


def test_blocks_without_a_time_stay_with_the_day_around_them():
    logbook = opened()
    write(logbook, block(DAY * 288))
    write(logbook, log.clock_anchor(1, 5, DAY * 86400), DAY)
    write(logbook, block(DAY * 288), None)
    assert logbook.numbers() == [1]


def test_a_power_cut_at_any_byte_loses_nothing_that_was_whole_and_leaves_nothing_torn():
    logbook = opened()
    whole = block(DAY * 288, 2)
    write(logbook, whole)
    last = block(DAY * 288 + 1, 3)
    write(logbook, last)
    for cut in range(len(last)):
        with open("log/00000001.seg", "wb") as file:
            file.write(whole + last[:cut])
        again = opened()
        assert content(again, again.open_segment) == whole, cut
        after = block(DAY * 288 + 2)
        write(again, after)
        assert content(again, again.open_segment) == whole + after, cut
        assert again.numbers() == [1] and sorted(os.listdir("log")) == ["00000001.seg"]


def test_a_power_cut_in_the_first_block_leaves_no_segment():
    logbook = opened()
    with open("log/00000001.seg", "wb") as file:
        file.write(block(DAY * 288)[:-1])
    logbook = opened()
    assert logbook.numbers() == [] and logbook.size(1) == 0


def test_a_power_cut_while_the_tail_is_cut_off_is_survived():
    logbook = opened()
    write(logbook, block(DAY * 288))
    with open("log/00000001.seg", "ab") as file:
        file.write(block(DAY * 288 + 1)[:20])
    with open("log/cut", "wb") as file:
        file.write(b"half a copy")
    again = opened()
    assert content(again, 1) == block(DAY * 288)
    assert os.listdir("log") == ["00000001.seg"]


def test_a_write_that_fails_is_taken_back():
    logbook = opened()
    write(logbook, block(DAY * 288))
    data = block(DAY * 288 + 1, 5)
    logbook.begin(len(data), DAY)
    logbook.append(data[:100])
    real = logbook._file

    class Broken:
        def write(self, data):
            raise OSError(errno.EIO)

        def close(self):
            real.close()

    logbook._file = Broken()
    try:
        logbook.append(data[100:])
    except OSError:
        pass
    else:
        raise AssertionError("no error")
    assert content(logbook, 1) == block(DAY * 288)
    write(logbook, data)
    assert content(logbook, 1) == block(DAY * 288) + data


def test_numbers_are_never_used_again():
    logbook = opened()
    for _ in range(3):
        write(logbook, block(DAY * 288))
        logbook.rotate()
    assert logbook.open_segment == 4
    assert logbook.rotate() == 4  # empty: there is nothing to close
    assert logbook.free(4) == 3
    assert opened().open_segment == 4
    logbook.erase()
    assert opened().open_segment == 4


def test_the_open_segment_is_never_freed():
    logbook = opened()
    write(logbook, block(DAY * 288))
    assert logbook.free(99) == 0
    assert logbook.numbers() == [1]


def test_segments_expire_after_thirty_days_with_undated_ones_before_them():
    logbook = opened()
    write(logbook, bytes((2,)) + block(0)[1:-4] + binascii.crc32(b"\2" + block(0)[1:-4]).to_bytes(4, "little"), None)
    logbook.rotate()
    for day in (DAY, DAY + 1, DAY + 5):
        write(logbook, block(day * 288), day)
    assert logbook.numbers() == [1, 2, 3, 4]
    logbook.expire(DAY + 30)
    assert logbook.numbers() == [1, 2, 3, 4]
    logbook.expire(DAY + 31)
    assert logbook.numbers() == [3, 4]
    logbook.expire(DAY + 36)
    assert logbook.numbers() == [] and logbook.open_segment == 5
    write(logbook, block((DAY + 36) * 288), DAY + 36)
    assert logbook.numbers() == [5]


def test_a_full_flash_drops_the_oldest_day_and_tells():
    free = [ROOM]
    state = Store()
    logbook = Logbook(state, lambda: free[0])
    for day in (DAY, DAY, DAY + 1, DAY + 2):
        write(logbook, block(day * 288), day)
        if day == DAY:
            logbook.rotate()
    assert logbook.numbers() == [1, 2, 3, 4]
    answers = [0, ROOM]
    logbook._free_bytes = lambda: answers.pop(0)
    write(logbook, block((DAY + 2) * 288 + 1), DAY + 2)
    assert logbook.numbers() == [3, 4] and state.log_was_full
    assert logbook.free(1) == 0
    assert not Store().log_was_full


def test_with_nothing_left_to_drop_the_block_is_refused():
    logbook = opened(0)
    try:
        write(logbook, block(DAY * 288))
    except OSError as error:
        assert error.errno == 28  # ENOSPC
    else:
        raise AssertionError("wrote without room")
    assert slots.day_of(DAY * 288) == DAY
