"""The log on flash: appended, rotated, freed, expired, cut off after a power cut, bit rot. Its room: try_flash."""

import binascii
import errno
import os

from anontrace_shared import log
from badge import defaults, segments
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


def undated(boot, period, count=1):
    data = bytes((log.UNKNOWN_SLOT,)) + boot.to_bytes(2, "little") + period.to_bytes(2, "little")
    data += count.to_bytes(2, "little") + bytes(32) + b"\xaa" * (40 * count)
    return data + binascii.crc32(data).to_bytes(4, "little")


def write(logbook, data):
    logbook.begin(data[:39])
    for at in range(39, len(data), 50):
        logbook.append(data[at : at + 50])
    logbook.commit()


def content(logbook, number):
    return b"".join(segments.read(logbook, number, 0, 1 << 20, 958)) if number in logbook.numbers() else b""


def test_blocks_are_appended_and_read_back_from_any_offset():
    logbook = opened()
    first, second = block(DAY * 288, 30), block(DAY * 288 + 1, 20)
    write(logbook, first)
    write(logbook, second)
    whole = first + second
    assert logbook.numbers() == [1] and logbook.open_segment == 1 and logbook.total() == len(whole)
    pieces = list(segments.read(logbook, 1, 100, 1500, 958))
    assert [len(piece) for piece in pieces] == [958, 542]
    assert b"".join(pieces) == whole[100:1600]
    assert b"".join(segments.read(logbook, 1, len(whole) - 5, 100, 958)) == whole[-5:]
    assert list(segments.read(logbook, 1, len(whole) + 5, 100, 958)) == []


def test_a_reboot_goes_on_in_the_same_segment():
    write(opened(), block(DAY * 288))
    logbook = opened()
    write(logbook, block(DAY * 288 + 1))
    assert logbook.numbers() == [1]
    assert content(logbook, 1) == block(DAY * 288) + block(DAY * 288 + 1)


def test_a_new_day_and_a_full_segment_open_the_next():
    logbook = opened()
    write(logbook, block(DAY * 288))
    write(logbook, block(DAY * 288 + 287))
    write(logbook, block((DAY + 1) * 288))
    assert logbook.numbers() == [1, 2]
    big = block((DAY + 1) * 288 + 1, 500)  # 20,043 bytes: three fill a segment of 65,432
    for _ in range(5):
        write(logbook, big)
    assert logbook.numbers() == [1, 2, 3] and logbook.size(2) == 3 * len(big) + len(block(1))
    again = opened()
    assert again.total() == logbook.total() == 5 * len(big) + 3 * len(block(1))
    write(again, block((DAY + 2) * 288))
    assert again.numbers() == [1, 2, 3, 4]


def test_without_a_time_a_segment_is_of_one_day_since_the_boot():
    logbook = opened()
    for boot, period in ((1, 0), (1, 287), (1, 288), (2, 288)):
        write(logbook, undated(boot, period))
    assert logbook.numbers() == [1, 2, 3]
    write(logbook, log.clock_anchor(2, 5, DAY * 86400))
    write(logbook, block(DAY * 288))
    assert logbook.numbers() == [1, 2, 3, 4]
    write(opened(), block(DAY * 288 + 1))
    assert logbook.numbers() == [1, 2, 3, 4]


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
    logbook.begin(data[:100])
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
    assert segments.free(logbook, 4) == 3
    assert opened().open_segment == 4
    segments.erase(logbook)
    assert opened().open_segment == 4


def test_the_open_segment_is_never_freed():
    logbook = opened()
    write(logbook, block(DAY * 288))
    assert segments.free(logbook, 99) == 0
    assert logbook.numbers() == [1]


def days_left(logbook):
    """The days, or first periods, of the segments that are left."""
    found = []
    for number in logbook.numbers():
        first = next(log.blocks(content(logbook, number)))
        if isinstance(first, log.Anchor):
            found.append(first.unix // 86400)
        else:
            found.append(first.period if first.slot is None else first.slot // 288)
    return found


def test_each_segment_goes_thirty_days_after_its_day():
    logbook = opened()
    for day in (DAY, DAY + 1, DAY + 5):
        write(logbook, block(day * 288 + 287))
    segments.expire(logbook, DAY + 30, 0)
    assert days_left(logbook) == [DAY, DAY + 1, DAY + 5]
    segments.expire(logbook, DAY + 31, 0)
    assert days_left(logbook) == [DAY + 1, DAY + 5]
    segments.expire(logbook, DAY + 36, 0)
    assert logbook.numbers() == [] and logbook.open_segment == 4 and logbook.total() == 0
    write(logbook, block((DAY + 36) * 288))
    assert logbook.numbers() == [4]


def test_a_wearer_may_have_it_go_sooner():
    state = Store()
    state.keep_days = 3
    logbook = Logbook(state, lambda: ROOM)
    for day in (DAY, DAY + 1):
        write(logbook, block(day * 288))
    segments.expire(logbook, DAY + 3, 0)
    assert days_left(logbook) == [DAY, DAY + 1]
    segments.expire(logbook, DAY + 4, 0)
    assert days_left(logbook) == [DAY + 1]
    state.save()
    assert Store().keep_days == 3
    defaults.reset(state)
    state.save()
    assert Store().keep_days == 30


def test_without_a_time_the_day_since_the_boot_counts():
    state = Store()
    state.boot = 7
    logbook = Logbook(state, lambda: ROOM)
    write(logbook, undated(6, 5))  # nobody knows how long ago; it goes with what came next
    for period in (0, 287, 288, 31 * 288):
        write(logbook, undated(7, period))
    segments.expire(logbook, None, 30)
    assert days_left(logbook) == [5, 0, 288, 31 * 288]
    segments.expire(logbook, None, 31)
    assert days_left(logbook) == [288, 31 * 288]
    write(logbook, log.clock_anchor(7, 31 * 86400, DAY * 86400))
    write(logbook, block(DAY * 288))
    segments.expire(logbook, DAY, 32)
    assert days_left(logbook) == [31 * 288, DAY]


def test_what_a_wrong_clock_has_dated_neither_takes_the_rest_with_it_nor_stays_for_ever():
    logbook = opened()
    for day in (DAY, DAY - 3000, DAY + 3000, DAY + 1):
        write(logbook, block(day * 288))
    segments.expire(logbook, DAY + 1, 0)
    assert days_left(logbook) == [DAY, DAY + 3000, DAY + 1]
    segments.expire(logbook, DAY + 31, 0)
    assert days_left(logbook) == [DAY + 3000, DAY + 1]
    segments.expire(logbook, DAY + 32, 0)
    assert days_left(logbook) == []


def test_rot_in_a_segment_loses_that_segment_from_there_on():
    logbook = opened()
    blocks = [[block((DAY + day) * 288 + slot, 2) for slot in range(3)] for day in range(3)]
    for day in blocks:
        for data in day:
            write(logbook, data)
    size = len(blocks[0][0])
    for number in (2, 3):  # a closed one, and the open one
        path = f"log/{number:08x}.seg"
        with open(path, "rb") as file:
            whole = file.read()
        for at in range(0, len(whole), 5):
            rotten = bytearray(whole)
            rotten[at] ^= 16
            with open(path, "wb") as file:
                file.write(rotten)
            again = opened()
            for other in range(1, 4):
                got = [item.raw for item in log.blocks(content(again, other)) if isinstance(item, log.Block)]
                assert got == (blocks[other - 1][: at // size] if other == number else blocks[other - 1]), at
            segments.expire(again, DAY + 3, 0)
            assert 1 in again.numbers()
            write(again, block((DAY + 3) * 288))
            assert content(again, again.open_segment) == block((DAY + 3) * 288)
            segments.expire(again, DAY + 34, 0)
            assert again.numbers() == []
            for other in range(1, 4):
                with open(f"log/{other:08x}.seg", "wb") as file:
                    file.write(b"".join(blocks[other - 1]))
            state = Store()
            state.segment = 0
            state.save()


def test_of_a_day_that_fills_the_flash_alone_the_oldest_segment_goes():
    logbook = opened()
    for _ in range(4):
        write(logbook, block(DAY * 288))
        logbook.rotate()
    answers = [0, ROOM]
    logbook._free_bytes = lambda: answers.pop(0)
    write(logbook, block(DAY * 288 + 1))
    assert logbook.numbers() == [2, 3, 4, 5]


def test_with_nothing_left_to_drop_the_block_is_refused():
    logbook = opened(0)
    try:
        write(logbook, block(DAY * 288))
    except OSError as error:
        assert error.errno == 28  # ENOSPC
    else:
        raise AssertionError("wrote without room")
    assert logbook.numbers() == []
