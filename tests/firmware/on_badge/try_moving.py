"""What firmware of 0.2 has left on littlefs: taken over whole, then nowhere, wherever the power fails meanwhile."""

import binascii
import os
import struct

import flash
from anontrace_shared import names
from badge import lending, store

HEAP = 2097152
BLOCKS = 20
DAY = 20000
FIRST = DAY * 288
OWNER = bytes(range(100, 132))
OLDER = b"key of a day that is over, older"
KEY = b"key of the day on which it ended"
LOG_KEY = b"the public key of the nymserver."
LAYOUT = "<BIHBBIIIIHHHBBI32s32sHhIB"
CUT_EVERY = 9  # of so many changes one is cut


def leave(sequence, key, mode=names.RATCHET, layout=LAYOUT):
    """A state as version 0.2 wrote it; by an older layout, without what that lacks."""
    values = (1, sequence, 41, mode, 0, FIRST + 500, FIRST + 3, FIRST + 2, 7, 500, 150, 1100, 1, 1, DAY, key, LOG_KEY)
    rest = (20003, -37, 1750000000, 12) if layout == LAYOUT else ()
    data = struct.pack(layout, *values, *rest)
    with open(f"state.{sequence & 1}", "wb") as file:
        file.write(data + struct.pack("<I", binascii.crc32(data)))


def left(mode=names.RATCHET):
    """A flash with all of that."""
    device = flash.blank(BLOCKS)
    with open("owner.key", "wb") as file:
        file.write(OWNER)
    for sequence in range(1, 300):
        leave(sequence, OLDER, mode)
    leave(300, KEY, mode)
    leave(301, KEY, mode)
    return device


def started(device):
    """The badge starts from this flash and takes over what there is."""
    flash.switch_off()
    flash.switch_on(device)
    state = store.Store()
    lending.take_over(state)
    return store.Store()


def check(device, state):
    assert (state.boot, state.mode, state.horizon, state.broadcast, state.barred) == (
        41,
        1,
        FIRST + 500,
        FIRST + 3,
        FIRST + 2,
    )
    assert (state.segment, state.place, state.day, state.day_key, state.log_key) == (7, 1, DAY, KEY, LOG_KEY)
    assert (state.doubted, state.rate, state.synced, state.keep_days) == (20003, -37, 1750000000, 12)
    assert store.owner_key() == OWNER and sorted(os.listdir()) == ["sector.0", "sector.1"]
    image = bytes(device.bytes)
    assert OLDER[:10] not in image and OLDER[-10:] not in image
    assert image.count(OWNER) == image.count(KEY) == 2


def test_it_is_taken_over_and_washed_wherever_the_power_fails():
    device = left()
    assert device.bytes.count(OLDER) > 9
    image = bytearray(device.bytes)
    device.writes = writes = []
    check(device, started(device))
    device.writes = None
    cuts = 0
    for count, (at, data) in enumerate(writes):
        if count % CUT_EVERY == 0:
            half = len(data) // 2
            device.bytes[:] = image
            device.bytes[at : at + half] = data[:half]
            check(device, started(device))
            cuts += 1
        image[at : at + len(data)] = data
    print(cuts, "cuts")
    assert cuts > 50


def test_a_badge_that_was_being_given_up_is():
    device = left()
    os.rename("owner.key", "owner.old")
    state = started(device)
    assert state.erasing and state.mode == store.UNPROVISIONED and store.owner_key() is None
    assert state.boot == 41 and OWNER not in device.bytes and KEY not in device.bytes


def test_an_older_layout_and_a_torn_state_are_read_as_before():
    device = flash.blank(BLOCKS)
    leave(4, KEY, layout="<BIHBBIIIIHHHBBI32s32s")
    with open("state.1", "wb") as file:
        file.write(b"\1torn")
    state = started(device)
    assert (state.boot, state.day_key, state.doubted, state.keep_days) == (41, KEY, 0, 30)


def test_a_list_stays_usable_and_cannot_be_read():
    device = left(names.LIST)
    given = [os.urandom(20) for _ in range(576)]
    os.mkdir("list")
    for day in (0, 1):
        with open("list/%08x" % (DAY + day), "wb") as file:
            for slot in range(day * 288, day * 288 + 288):
                check = binascii.crc32((FIRST + slot).to_bytes(4, "little") + given[slot])
                file.write(given[slot] + check.to_bytes(4, "little"))
    from badge.addresses import Addresses

    addresses = Addresses(started(device))
    for slot in (4, 5, 287, 288, 499):
        assert addresses.enter(FIRST + slot).address == given[slot]
    assert addresses.enter(FIRST + 500) is None
    assert not [one for one in given if one[:10] in device.bytes]


def test_a_key_of_another_size_is_no_owner_key():
    for size in (0, 31, 33):
        device = flash.blank(BLOCKS)
        with open("owner.key", "wb") as file:
            file.write(bytes(range(1, size + 1)))
        started(device)
        assert store.owner_key() is None and sorted(os.listdir()) == ["sector.0", "sector.1"]
