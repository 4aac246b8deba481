"""Connections on a radio that a test plays: sessions, floods, replays, full buffers, challenges."""

import asyncio
import time

import utime
from anontrace_shared import advert, errors
from anontrace_shared.session import CompanionSession
from badge.clock import Clock
from badge.links import Links
from badge.radio import Radio
from badge.store import Store
from bluetooth import BLE

KEY = bytes(range(32))
ADVERTISED = bytes(20)
ENOMEM = 12

# asyncio's queue of tasks reads the real ticks, so those of the test stay ahead of them.
time.ms = utime.ticks_ms() + 200000 & 0x3FFFFFFF


class Place:
    """A badge's radio and links; requests are answered by their own bytes, reversed by `work` if given."""

    def __init__(self):
        self.state = Store()
        self.state.save(KEY)
        self.radio = Radio()
        self.radio.tune(500, 150, 1100)
        self.radio.start()
        self.radio.change(ADVERTISED)
        self.ble = BLE.last
        self.reports = []
        self.in_service = False
        self.asked = []
        self.links = Links(
            self.radio, Clock(self.state), self.answer, self.answer_challenge, self.wants_owner, self.reports.append
        )

    async def answer(self, request, reply, uptime_ms, by_owner):
        self.asked.append(request if by_owner else (request, "by anybody"))
        if request == b"fail":
            raise ValueError("a fault")
        await reply(request)

    def wants_owner(self):
        return self.in_service

    def answer_challenge(self, question):
        if len(question) != 32:
            raise errors.FormatError("no question")
        return question + bytes(16)

    async def settle(self, ms=0):
        """Let tasks run, and virtual time pass in steps of 20 ms."""
        for _ in range(max(ms // 20, 1)):
            time.ms += 20 if ms else 0
            for _ in range(6):
                while (event := self.radio.next_event()) is not None:
                    self.links.handle(*event)
                await asyncio.sleep_ms(0)

    async def connect(self, connection, mtu=247):
        self.ble.handler(1, (connection, 1, b"abcdef"))
        self.ble.handler(21, (connection, mtu))
        await self.settle()

    async def write(self, connection, data, attribute=12):
        self.ble.written[attribute] = self.ble.written.get(attribute, b"") + data
        self.ble.handler(3, (connection, attribute))
        await self.settle()

    def sent(self, connection, attribute=14):
        """What was notified to a connection since the last call."""
        mine = [n for n in self.ble.notified if n[0] == connection and n[1] == attribute]
        self.ble.notified = [n for n in self.ble.notified if n not in mine]
        return b"".join([n[2] for n in mine])

    def gone(self, connection):
        return ("disconnect", connection) in self.ble.told

    async def session(self, connection, key=KEY):
        companion = CompanionSession(key, ADVERTISED)
        await self.write(connection, companion.open())
        companion.receive(self.sent(connection))
        return companion


async def test_a_connection_whose_end_was_never_told_is_forgotten_and_its_handle_serves_the_next():
    place = Place()
    await place.connect(3)
    await place.session(3)
    assert place.radio.connections and place.links.in_session
    place.ble.unknown = (3,)
    await place.settle(61000)
    assert place.gone(3) and not place.radio.connections and not place.links.in_session
    place.ble.unknown = ()
    await place.connect(3)
    companion = await place.session(3)
    await place.write(3, companion.send(b"again"))
    assert place.asked[-1] == b"again"


async def test_an_end_without_a_beginning_counts_nothing():
    place = Place()
    place.ble.handler(2, (3, 1, b"abcdef"))
    await place.settle()
    assert not place.radio.connections
    await place.connect(3)
    place.ble.handler(1, (3, 1, b"abcdef"))  # told twice
    place.ble.handler(2, (3, 1, b"abcdef"))
    await place.settle()
    assert not place.radio.connections


async def test_the_owner_asks_and_is_answered_in_pieces_that_fit():
    place = Place()
    await place.connect(1, 50)
    companion = await place.session(1)
    request = bytes(range(256)) * 3
    frame = companion.send(request)
    for at in range(0, len(frame), 47):
        await place.write(1, frame[at : at + 47])
    assert place.asked == [request]
    assert all(len(piece) <= 47 for _, _, piece in place.ble.notified)
    assert companion.receive(place.sent(1)) == [request]


async def test_it_advertises_on_while_connected():
    place = Place()
    place.ble.told.clear()
    await place.connect(1)
    assert ("advertise", 500000, advert.encode(3, bytes(20))) in place.ble.told


async def test_full_buffers_are_waited_for():
    place = Place()
    await place.connect(1)
    companion = await place.session(1)
    place.ble.refuse["notify"] = [ENOMEM] * 30
    await place.write(1, companion.send(b"x" * 700))
    await place.settle(1000)
    assert companion.receive(place.sent(1)) == [b"x" * 700]


async def test_a_wrong_owner_key_is_answered_by_hanging_up():
    place = Place()
    await place.connect(1)
    await place.write(1, CompanionSession(bytes(32), ADVERTISED).open())
    assert place.sent(1) == b"" and place.gone(1) and place.reports == []


async def test_a_badge_without_owner_hangs_up():
    place = Place()
    place.state.save(bytes(32))
    await place.connect(1)
    await place.write(1, CompanionSession(KEY, ADVERTISED).open())
    assert place.sent(1) == b"" and place.gone(1)


async def test_in_service_mode_a_badge_without_owner_is_anybodys_for_fifteen_seconds_and_one_address():
    place = Place()
    place.in_service = True
    await place.connect(1)
    await place.write(1, CompanionSession(bytes(32), ADVERTISED).open())
    assert place.sent(1) == b"" and place.gone(1)  # it has an owner
    place.state.save(bytes(32))
    await place.connect(2)
    companion = await place.session(2, bytes(32))
    await place.write(2, companion.send(b"one"))
    assert place.asked == [(b"one", "by anybody")]
    await place.settle(15100)
    assert place.gone(2)
    await place.connect(3)
    companion = await place.session(3, bytes(32))
    await place.write(3, companion.send(b"two"))
    assert not place.gone(3)
    place.links.new_address()  # as when service mode ends, or somebody has become its owner
    assert place.gone(3)


async def test_a_replayed_frame_ends_the_session():
    place = Place()
    await place.connect(1)
    companion = await place.session(1)
    frame = companion.send(b"once")
    await place.write(1, frame)
    await place.write(1, frame)
    assert place.asked == [b"once"] and place.gone(1)


async def test_an_oversize_frame_and_a_flood_end_the_session():
    place = Place()
    await place.connect(1)
    companion = await place.session(1)
    await place.write(1, (977).to_bytes(2, "little"))
    assert place.gone(1)
    await place.connect(2)
    await place.write(2, bytes(3000))
    assert place.gone(2)
    assert not companion.receive(place.sent(1))


async def test_a_replayed_handshake_does_not_throw_the_owner_out():
    place = Place()
    await place.connect(1)
    companion = CompanionSession(KEY, ADVERTISED)
    opening = companion.open()
    await place.write(1, opening)
    companion.receive(place.sent(1))
    await place.write(1, companion.send(b"one"))
    await place.connect(2)
    await place.write(2, opening)
    await place.write(1, companion.send(b"two"))
    assert place.asked == [b"one", b"two"] and not place.gone(1)
    place.sent(2)
    await place.connect(3)
    other = await place.session(3)
    await place.write(3, other.send(b"three"))
    assert place.gone(1) and not place.gone(3)  # the owner himself, by another way


async def test_strangers_have_fifteen_seconds_and_the_owner_a_minute_of_silence():
    place = Place()
    await place.connect(1)
    await place.connect(2)
    companion = await place.session(2)
    await place.write(2, companion.send(b"one"))
    await place.settle(14000)
    assert not place.gone(1)
    await place.settle(1100)
    assert place.gone(1) and not place.gone(2)
    await place.settle(44000)
    assert not place.gone(2)
    await place.settle(16000)
    assert place.gone(2)


async def test_a_new_address_ends_what_strangers_hold():
    place = Place()
    for connection in (1, 2, 3):
        await place.connect(connection)
    companion = await place.session(2)
    await place.write(2, companion.send(b"one"))
    place.links.new_address()
    assert place.gone(1) and not place.gone(2) and place.gone(3)


async def test_a_fault_of_our_own_is_reported_and_costs_only_the_session():
    place = Place()
    await place.connect(1)
    companion = await place.session(1)
    await place.write(1, companion.send(b"fail"))
    assert place.gone(1) and isinstance(place.reports[0], ValueError)
    await place.connect(2)
    companion = await place.session(2)
    await place.write(2, companion.send(b"well"))
    assert companion.receive(place.sent(2)) == [b"well"]


async def test_challenges_are_answered_once_each_and_twenty_times_a_slot():
    place = Place()
    for connection in range(20):
        await place.connect(connection)
        await place.write(connection, bytes([connection]) * 32, 17)
        assert place.sent(connection, 17) == bytes([connection]) * 32 + bytes(16)
        await place.write(connection, bytes(32), 17)
        assert place.sent(connection, 17) == b"" and place.gone(connection)
    await place.connect(30)
    await place.write(30, bytes(32), 17)
    assert place.sent(30, 17) == b"" and place.gone(30)
    place.links.new_address()
    await place.connect(31)
    await place.write(31, bytes(31), 17)
    assert place.gone(31)
    await place.connect(32)
    await place.write(32, bytes(32), 17)
    assert len(place.sent(32, 17)) == 48


async def test_recorded_handshakes_are_answered_twelve_times_a_minute_and_strangers_do_not_count():
    place = Place()
    recorded = CompanionSession(KEY, ADVERTISED).open()
    answered = 0
    for connection in range(20):
        await place.connect(connection)
        await place.write(connection, CompanionSession(bytes(32), ADVERTISED).open())
        await place.connect(connection)
        await place.write(connection, recorded)
        answered += place.sent(connection) != b""
    assert answered == 12
    await place.settle(60000)
    await place.connect(1)
    companion = await place.session(1)
    assert companion.established
