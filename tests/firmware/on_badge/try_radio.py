"""The radio's owner: what the handler takes, in which order the address changes, what it does with connections."""

import time

import micropython
from anontrace_shared import advert
from badge.radio import IRQ_CENTRAL_CONNECT, IRQ_CENTRAL_DISCONNECT, IRQ_GATTS_WRITE, IRQ_MTU_EXCHANGED, Radio
from bluetooth import BLE

ADDRESS = bytes(range(20))


def started():
    radio = Radio()
    radio.tune(500, 150, 1100)
    radio.start()
    return radio, BLE.last


def heard(radio):
    found = []

    def hear(ring, cell, ticks):
        found.append((bytes(ring[cell : cell + 20]), ring[cell + 20] - 128, ring[cell + 21] - 128, ticks))
        return True

    radio.drain(hear)
    return found


def test_adverts_of_badges_are_taken_and_others_are_not():
    radio, ble = started()
    ours = advert.encode(-7, ADDRESS)
    time.ms = 0x3FFFFFFF
    for kind, payload in ((4, ours), (0, ours[:-1]), (0, ours + b"\0"), (0, b"\x02\x01\x05" + ours[3:]), (0, b"")):
        ble.handler(5, (1, b"abcdef", kind, -66, memoryview(payload)))
    assert not radio.activity.state, "a stranger wakes nobody"
    ble.handler(5, (1, b"abcdef", 0, -66, memoryview(ours)))
    assert radio.activity.state
    assert heard(radio) == [(ADDRESS, -7, -66, 0x3FFFFFFF)]
    assert heard(radio) == []


def test_the_handler_allocates_nothing_and_a_full_ring_loses_the_newest():
    radio, ble = started()
    data = (1, b"abcdef", 0, -66, memoryview(advert.encode(3, ADDRESS)))
    write = (3, 12)

    def flood():
        for _ in range(1000):
            ble.handler(5, data)
            ble.handler(3, write)

    micropython.heap_lock()
    flood()
    micropython.heap_unlock()
    assert len(heard(radio)) == 96
    ble.handler(5, data)
    assert len(heard(radio)) == 1


def test_the_ring_goes_round():
    radio, ble = started()
    for number in range(500):
        address = number.to_bytes(20, "little")
        ble.handler(5, (1, b"abcdef", 0, -66, memoryview(advert.encode(3, address))))
        if number % 3 == 2:
            assert [int.from_bytes(a, "little") for a, *_ in heard(radio)] == [number - 2, number - 1, number]


def test_an_advert_not_yet_wanted_stays_in_the_ring():
    radio, ble = started()
    for number in range(3):
        address = number.to_bytes(20, "little")
        ble.handler(5, (1, b"abcdef", 0, -66, memoryview(advert.encode(3, address))))
    radio.drain(lambda ring, cell, ticks: ring[cell] < 1)
    assert [address[0] for address, *_ in heard(radio)] == [1, 2]


def test_contact_address_and_ble_address_change_while_nothing_is_on_the_air():
    radio, ble = started()
    radio.change(ADDRESS)
    ble.told.clear()
    radio.change(bytes(20))
    assert ble.told == [
        ("advertise", None, None),
        ("scan", None),
        ("config", {"addr_mode": 3}),
        ("advertise", 500000, advert.encode(3, bytes(20))),
        ("scan", 0, 1100000, 150000, False),
    ]


def test_without_a_scan_window_the_radio_only_advertises():
    radio, ble = started()
    radio.tune(500, 0, 1100)
    radio.change(ADDRESS)
    assert [what for what in ble.told if what[0] == "scan"] == [("scan", None)]


def test_new_settings_apply_at_once_from_the_same_address():
    radio, ble = started()
    radio.change(ADDRESS)
    ble.told.clear()
    radio.tune(1000, 30, 60)
    assert ("config", {"addr_mode": 3}) not in ble.told
    assert ble.told[-2:] == [("advertise", 1000000, advert.encode(3, ADDRESS)), ("scan", 0, 60000, 30000, False)]


def test_a_refused_address_leaves_the_air_silent():
    radio, ble = started()
    ble.refuse["config"] = [22]
    ble.told.clear()
    try:
        radio.change(ADDRESS)
    except OSError:
        assert [what[0] for what in ble.told] == ["advertise", "scan", "config"]
    else:
        raise AssertionError("went on with the old address")


def test_connection_events_arrive_in_order_and_a_flood_of_writes_is_one():
    radio, ble = started()
    ble.handler(1, (3, 1, b"abcdef"))
    ble.handler(21, (3, 247))
    for number in range(100):
        ble.written[12] = bytes((number,)) * 10
        ble.handler(3, (3, 12))
    ble.handler(2, (3, 1, b"abcdef"))
    events = []
    while (event := radio.next_event()) is not None:
        events.append(event)
    assert events == [
        (IRQ_CENTRAL_CONNECT, 3, 0, 0),
        (IRQ_MTU_EXCHANGED, 3, 247, 0),
        (IRQ_GATTS_WRITE, 3, 12, 1000),
        (IRQ_CENTRAL_DISCONNECT, 3, 0, 0),
    ]
    assert radio.received(1000) == b"".join([bytes((number,)) * 10 for number in range(100)])
    assert radio.connections == 0 and not radio.lost


def test_what_two_write_at_once_stays_apart_and_more_than_there_is_room_for_is_told():
    radio, ble = started()
    wrote = {3: b"", 4: b""}
    got = {3: b"", 4: b""}
    for number in range(300):  # many times round the ring
        for connection in (3, 4, 4):
            data = bytes((number & 0xFF, connection)) * (number % 50 + 1)
            ble.written[12] = data
            ble.handler(3, (connection, 12))
            wrote[connection] += data
        for _ in range(2):
            event, connection, attribute, size = radio.next_event()
            assert (event, attribute) == (IRQ_GATTS_WRITE, 12)
            got[connection] += radio.received(size)
        assert radio.next_event() is None and got == wrote
    for connection, size in ((3, 1000), (4, 25), (3, 24), (3, 1), (4, 100)):
        ble.written[12] = bytes((connection,)) * size
        ble.handler(3, (connection, 12))
    assert radio.next_event() == (IRQ_GATTS_WRITE, 3, 12, 1000) and radio.received(1000) == bytes((3,)) * 1000
    assert radio.next_event() == (IRQ_GATTS_WRITE, 4, 12, 0) and radio.received(0) == b""
    assert radio.next_event() == (IRQ_GATTS_WRITE, 3, 12, 24) and radio.received(24) == bytes((3,)) * 24
    assert radio.next_event() == (IRQ_GATTS_WRITE, 3, 12, 0)
    assert radio.next_event() == (IRQ_GATTS_WRITE, 4, 12, 0)
    assert radio.next_event() is None and not radio.lost


def test_a_write_that_comes_while_an_event_is_fetched_is_told_too():
    radio, ble = started()

    class Interrupted:
        """The events, in the midst of fetching which the handler runs."""

        def __init__(self, events):
            self.events = events

        def __setitem__(self, at, value):
            self.events[at] = value

        def __getitem__(self, at):
            if isinstance(at, slice) and wrote:
                ble.written[12] = wrote.pop()
                ble.handler(3, (3, 12))
            return self.events[at]

    wrote = []
    radio.events = Interrupted(radio.events)
    ble.written[12] = b"first"
    ble.handler(3, (3, 12))
    wrote.append(b"second")
    got = b""
    while (event := radio.next_event()) is not None:
        got += radio.received(event[3])
    assert got == b"firstsecond"


def test_where_no_memory_is_left_to_read_what_was_written_that_is_told():
    radio, ble = started()
    ble.full = True
    ble.written[12] = b"gone"
    ble.handler(3, (3, 12))
    assert radio.next_event() == (IRQ_GATTS_WRITE, 3, 12, 0)


def test_losing_an_event_is_told():
    radio, ble = started()
    for number in range(40):
        ble.handler(1, (number, 1, b"abcdef"))
    assert radio.lost


def test_with_all_connections_taken_it_waits_and_otherwise_it_complains():
    radio, ble = started()
    radio.change(ADDRESS)
    ble.handler(1, (0, 1, b"abcdef"))
    ble.refuse["advertise"] = [12, 12]
    radio.advertise()
    ble.handler(2, (0, 1, b"abcdef"))
    try:
        radio.advertise()
    except OSError:
        return
    raise AssertionError("silent without a reason")
