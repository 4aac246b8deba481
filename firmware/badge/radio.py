"""Owner of bluetooth.BLE(): advertises, scans, serves the GATT table (docs/protocol.md, sections 2 and 4).

The interrupt handler copies into buffers allocated at boot, sets a flag and returns; it allocates nothing but what the
port itself does where an attribute that was written is read. That has to be done there: the port empties the attribute
before it copies, and what its task writes meanwhile would take the place of what was there. The contact address and the
BLE address change together, and nothing is sent in between. Never knows what an address means.
"""

import array
import asyncio
import time

import bluetooth
import micropython
from anontrace_shared import badge_advert as advert
from anontrace_shared import names
from micropython import const

IRQ_CENTRAL_CONNECT = 1
IRQ_CENTRAL_DISCONNECT = 2
IRQ_GATTS_WRITE = 3
IRQ_MTU_EXCHANGED = 21
IRQ_PERIPHERAL_CONNECT = 7  # this and the next three: of the connection that the badge itself has asked for
IRQ_PERIPHERAL_DISCONNECT = 8
IRQ_GATTC_CHARACTERISTIC_RESULT = 11  # the attribute searched for, and the end of the search
IRQ_GATTC_CHARACTERISTIC_DONE = 12
IRQ_GATTC_NOTIFY = 18
TX_POWER = 3  # dBm, what the ESP32 sends with

# The ring of adverts: the prefix to compare with (8), read and write position, number lost (2 each), state of search
# (1), spare (1), contact address sought (20), BLE address (6) and its type (1) of whoever was heard to send it, spare
# (1); then cells of address (20), tx power and RSSI (1 each, plus 128), spare (2), ticks in ms at which it was heard
# (4). One cell stays empty.
_CELL = const(28)
_TICKS = const(6)  # in 32-bit words from the cell
_FIRST = const(44)
_END = const(2760)  # _FIRST + 97 cells
_READ = const(4)  # in 16-bit words
_WRITE = const(5)
_LOST = const(6)
_SEARCH = const(14)
_SOUGHT = const(16)
_PEER = const(36)
_PEER_TYPE = const(42)
_NOT_SOUGHT = const(0)
_SOUGHT_FOR = const(1)
_HEARD = const(2)

_IRQ_SCAN_RESULT = const(5)
_ADV_IND = const(0)
_EVENTS = const(32)
_IRQ_GET_SECRET = const(29)
_OUR_IRK = const(10)  # asked for at the start; all other secrets, when somebody wants to pair
_HANDLE_BITS = const(16)

_FLAG_WRITE_NO_RESPONSE = const(0x0004)
_FLAG_WRITE = const(0x0008)
_FLAG_NOTIFY = const(0x0010)
_PRIVATE_NON_RESOLVABLE = const(3)
_PREFERRED_MTU = const(247)
_INBOX_BUFFER = const(256)  # one write
_CHALLENGE_BUFFER = const(33)  # a question of 32, and one more to tell it from a longer one
_RX_BUFFER = const(2048)
_MAX_TOLD = const(48)  # an answer to a challenge
_NOBODY = const(0xFFFF)
_EBUSY = const(16)
_LAST_HANDLE = const(0xFFFF)

# What was written and not yet fetched: place of the oldest byte and number of bytes (2 each), then the bytes, in a ring
# for one frame of 978: the companion sends one request at a time.
_WRITTEN = const(1024)

# taken at import, while the heap is in one piece; there is one radio
_RING = bytearray(_END)
_INBOX = bytearray(4 + _WRITTEN)


@micropython.viper
def _copy(data: ptr8, ring: ptr8, rssi: int, ticks: int) -> int:  # noqa: F821
    """Put an advert of the right size into the ring if it is one of ours. 0 if not; 2 if it is the one sought."""
    i = 0
    while i < 8:
        if data[i] != ring[i]:
            return 0
        i += 1
    answer = 1
    if int(ring[_SEARCH]) == _SOUGHT_FOR:
        i = 0
        while i < 20 and data[9 + i] == ring[_SOUGHT + i]:
            i += 1
        if i == 20:
            answer = 2
    words = ptr16(ring)  # noqa: F821
    cell = int(words[_WRITE])
    following = cell + _CELL
    if following == _END:
        following = _FIRST
    if following == int(words[_READ]):
        words[_LOST] = int(words[_LOST]) + 1
        return answer
    i = 0
    while i < 20:
        ring[cell + i] = data[9 + i]
        i += 1
    ring[cell + 20] = int(data[8]) ^ 0x80
    ring[cell + 21] = rssi + 128
    times = ptr32(ring)  # noqa: F821
    times[(cell >> 2) + _TICKS] = ticks
    words[_WRITE] = following
    return answer


@micropython.viper
def _fetch(data: ptr8, target: ptr8, size: int, at: int):  # noqa: F821
    """Copy `size` bytes to `at` in the target."""
    i = 0
    while i < size:
        target[at + i] = data[i]
        i += 1


@micropython.viper
def _peek(ring: ptr8) -> int:  # noqa: F821
    """The oldest cell, 0 if the ring is empty."""
    words = ptr16(ring)  # noqa: F821
    cell = int(words[_READ])
    if cell == int(words[_WRITE]):
        return 0
    return cell


@micropython.viper
def _ticks(ring: ptr8, cell: int) -> int:  # noqa: F821
    times = ptr32(ring)  # noqa: F821
    return int(times[(cell >> 2) + _TICKS])


@micropython.viper
def _pop(ring: ptr8):  # noqa: F821
    """Wipe and free the oldest cell: by one store, since the handler may read the position at any time."""
    words = ptr16(ring)  # noqa: F821
    cell = int(words[_READ])
    end = cell + _CELL
    while cell < end:
        ring[cell] = 0  # who was heard is not to be read here after the slot
        cell += 1
    if cell == _END:
        cell = _FIRST
    words[_READ] = cell


@micropython.viper
def _put(inbox: ptr8, data: ptr8, size: int):  # noqa: F821
    """Add to what was written; there has to be room."""
    words = ptr16(inbox)  # noqa: F821
    at = int(words[0]) + int(words[1])
    words[1] = int(words[1]) + size
    i = 0
    while i < size:
        inbox[4 + (at & 1023)] = data[i]
        at += 1
        i += 1


@micropython.viper
def _take(inbox: ptr8, data: ptr8, size: int):  # noqa: F821
    """Take the oldest bytes out, and wipe them there."""
    words = ptr16(inbox)  # noqa: F821
    at = int(words[0])
    i = 0
    while i < size:
        data[i] = inbox[4 + at]
        inbox[4 + at] = 0
        at = (at + 1) & 1023
        i += 1
    words[0] = at
    words[1] = int(words[1]) - size


class Radio:
    """`activity` is set when there is something in `next_event()` or in the ring for `drain()`."""

    def __init__(self):
        self.activity = asyncio.ThreadSafeFlag()
        self.connections = 0  # a bit for each that stands, by its handle
        self.connection = None  # the owner's
        self.lost = False  # an event was: nothing is sure about connections any more
        self.ring = _RING
        self.ring[:8] = advert.PREFIX
        self.ring[2 * _READ] = self.ring[2 * _WRITE] = _FIRST
        self.events = array.array("H", bytes(2 * 4 * _EVENTS))
        self._read = 0
        self._write = 0
        self.advert = None
        self._interval_us = 0
        self._scan = None
        self._reaching = False
        self._told = bytearray(_MAX_TOLD)
        self._told_size = 0
        self._ble = bluetooth.BLE()

    def start(self):
        """Switch the radio on and register the service. Nothing is sent before `change()`."""
        ble = self._ble
        ble.irq(self._irq)
        if not ble.active():  # main.py has switched it on; twice would be off and on
            ble.active(True)
        ble.config(gap_name="", mtu=_PREFERRED_MTU)
        try:
            ble.config(rxbuf=_RX_BUFFER)
        except ValueError:
            pass  # builds that call the handler at once, without a buffer in between, do not know it
        uuid = bluetooth.UUID
        inbox = (uuid(names.INBOX), _FLAG_WRITE | _FLAG_WRITE_NO_RESPONSE)
        outbox = (uuid(names.OUTBOX), _FLAG_NOTIFY)
        challenge = (uuid(names.CHALLENGE), _FLAG_WRITE | _FLAG_NOTIFY)
        service = (uuid(names.SERVICE), (inbox, outbox, challenge))
        ((self.inbox, self.outbox, self.challenge),) = ble.gatts_register_services((service,))
        ble.gatts_set_buffer(self.inbox, _INBOX_BUFFER, True)
        ble.gatts_set_buffer(self.challenge, _CHALLENGE_BUFFER)

    def _irq(self, event, data):
        if event == _IRQ_SCAN_RESULT:
            peer_type, peer, kind, rssi, payload = data
            if kind == _ADV_IND and len(payload) == advert.SIZE:
                what = _copy(payload, self.ring, rssi, time.ticks_ms())
                if what == 2:
                    _fetch(peer, self.ring, 6, _PEER)
                    self.ring[_PEER_TYPE] = peer_type
                    self.ring[_SEARCH] = _HEARD
                if what:
                    self.activity.set()
        elif (
            event == IRQ_CENTRAL_CONNECT
            or event == IRQ_CENTRAL_DISCONNECT
            or event == IRQ_PERIPHERAL_CONNECT
            or event == IRQ_PERIPHERAL_DISCONNECT
        ):
            connection, _, _ = data
            if connection != _NOBODY:
                if event == IRQ_CENTRAL_CONNECT or event == IRQ_PERIPHERAL_CONNECT:
                    self.connections |= 1 << (connection & 15)
                else:
                    self.connections &= ~(1 << (connection & 15))
            self._note(event, connection, 0)
        elif event == _IRQ_GET_SECRET and data[0] != _OUR_IRK:
            # NimBLE pairs with anybody, and tells them the chip's own address. It asks for their keys first.
            for connection in range(_HANDLE_BITS):
                if self.connections >> connection & 1 and connection != self.connection:
                    self.disconnect(connection)
        elif event == IRQ_GATTC_CHARACTERISTIC_RESULT:
            connection, _, value, _, _ = data
            self._note(event, connection, value)
        elif event == IRQ_GATTC_CHARACTERISTIC_DONE:
            connection, value = data
            self._note(event, connection, value)
        elif event == IRQ_GATTC_NOTIFY:
            connection, value, payload = data
            self._told_size = len(payload)
            _fetch(payload, self._told, min(len(payload), _MAX_TOLD), 0)
            self._note(event, connection, value)
        elif event == IRQ_MTU_EXCHANGED:
            connection, value = data
            self._note(event, connection, value)
        elif event == IRQ_GATTS_WRITE:
            connection, value = data
            try:
                data = self._ble.gatts_read(value)
            except MemoryError:
                data = b""
            size = len(data)
            if size + _INBOX[2] + (_INBOX[3] << 8) > _WRITTEN:
                size = 0
            if self._note(event, connection, value, size):
                _put(_INBOX, data, size)

    def _note(self, event, connection, value, size=0):
        """False if there is no room."""
        events = self.events
        at = self._write
        self.activity.set()
        if event == IRQ_GATTS_WRITE and at != self._read:  # a flood of writes to one attribute is one event or two
            last = (at or 4 * _EVENTS) - 4
            if (
                events[last] == IRQ_GATTS_WRITE
                and events[last + 1] == connection
                and events[last + 2] == value
                and (events[last + 3] == 0) == (size == 0)
            ):
                events[last + 3] += size
                return True
        following = at + 4
        if following == 4 * _EVENTS:
            following = 0
        if following == self._read:
            self.lost = True
            return False
        events[at] = event
        events[at + 1] = connection
        events[at + 2] = value
        events[at + 3] = size
        self._write = following
        return True

    def next_event(self):
        """The oldest (event, connection, attribute handle or MTU, bytes written) not yet fetched, None without one.

        Of a write with bytes, `received` has to be called before the next event is fetched. One without has lost some.
        """
        at = self._read
        if at == self._write:
            return None
        # First: the handler adds to an event that is not fetched. One cell stays empty, so this one is not written to.
        self._read = 0 if at + 4 == 4 * _EVENTS else at + 4
        return tuple(self.events[at : at + 4])

    def drain(self, hear):
        """Hand adverts to `hear(ring, cell, ticks)`, by place in the ring and time; one it answers False to stays."""
        ring = self.ring
        cell = _peek(ring)
        while cell and hear(ring, cell, _ticks(ring, cell)):
            _pop(ring)
            cell = _peek(ring)

    def tune(self, advertising_ms, window_ms, scan_ms):
        """Set advertising interval (0: no adverts), scan window (0: no scanning) and scan interval."""
        self._interval_us = advertising_ms * 1000
        self._scan = (0, scan_ms * 1000, window_ms * 1000, False) if window_ms else None
        if self.advert is not None and not self._reaching:
            self._hush()
            self._speak()

    def change(self, address):
        """Fall silent, draw a fresh BLE address, then send `address` (a contact address or beacon) from it.

        OSError if the radio refuses: then nothing is on the air. The port may keep the old BLE address and not say so.
        """
        self._hush()
        self.advert = None
        before = self._ble.config("mac")
        self._ble.config(addr_mode=_PRIVATE_NON_RESOLVABLE)
        if self._ble.config("mac") == before:
            raise OSError(_EBUSY)
        self.advert = advert.encode(TX_POWER, address)
        try:
            self._speak()
        except OSError:
            self.advert = None
            self._hush()
            raise

    def _hush(self):
        self._ble.gap_advertise(None)
        self._ble.gap_scan(None)

    def leave(self):
        """Send nothing more until `change()`, and listen on."""
        if self.advert is not None:
            self.advert = None
            self._ble.gap_advertise(None)

    def _speak(self):
        self.advertise()
        if self._scan is not None:
            self._ble.gap_scan(*self._scan)

    def advertise(self, ms=0):
        """Advertise again: the chip stops when somebody connects. With no connection left to offer it stays silent.

        Every `ms`, if that is given; else as tuned, which may be not at all.
        """
        every = ms * 1000 or self._interval_us
        if self.advert is None or not every:
            return
        try:
            self._ble.gap_advertise(every, adv_data=self.advert)
        except OSError:
            if not self.connections:
                raise

    def sent(self):
        """The 20 bytes on the air; none while nothing is."""
        return (self.advert or b"")[advert.ADDRESS_AT :]

    def received(self, size):
        """The bytes written of which the event tells that was fetched last."""
        data = bytearray(size)
        _take(_INBOX, data, size)
        return data

    def notify(self, connection, attribute, data):
        """Send one notification, at most the connection's MTU - 3 bytes. OSError(ENOMEM): try again in a while."""
        self._ble.gatts_notify(connection, attribute, data)

    def disconnect(self, connection):
        """End a connection; whether it stood. If not, no event comes."""
        try:
            stood = self._ble.gap_disconnect(connection)
        except OSError:
            stood = True  # it is being ended
        if not stood:
            self.connections &= ~(1 << (connection & 15))
        return stood

    # Asking others

    def seek(self, address):
        """From now on, note who sends this contact address."""
        self.ring[_SEARCH] = _NOT_SOUGHT
        self.ring[_SOUGHT:_PEER] = address
        self.ring[_SEARCH] = _SOUGHT_FOR

    def found(self):
        """(type, BLE address) of who sends the address sought, None if nobody was heard yet."""
        if self.ring[_SEARCH] != _HEARD:
            return None
        return self.ring[_PEER_TYPE], bytes(self.ring[_PEER:_PEER_TYPE])

    def forget(self):
        """Seek nobody, and wipe who was sought and what was told."""
        self.ring[_SEARCH] = _NOT_SOUGHT
        for at in range(_SOUGHT, _FIRST):
            self.ring[at] = 0
        for at in range(_MAX_TOLD):
            self._told[at] = 0

    def reach(self, peer_type, peer, ms):
        """Connect to a badge within so many ms: IRQ_PERIPHERAL_CONNECT or IRQ_PERIPHERAL_DISCONNECT comes. OSError.

        Not scanning until `resume()`.
        """
        self._ble.gap_scan(None)
        self._reaching = True
        self._ble.gap_connect(peer_type, peer, ms)

    def give_up(self):
        """Stop trying to connect; IRQ_PERIPHERAL_DISCONNECT comes."""
        try:
            self._ble.gap_connect(None)
        except OSError:
            pass

    def resume(self):
        """Scan again, whatever has become of the connection."""
        self._reaching = False
        self._hush()
        self._speak()

    def exchange_mtu(self, connection):
        """IRQ_MTU_EXCHANGED comes."""
        self._ble.gattc_exchange_mtu(connection)

    def find_challenge(self, connection):
        """Search for the other badge's challenge attribute.

        IRQ_GATTC_CHARACTERISTIC_RESULT with its handle comes, then IRQ_GATTC_CHARACTERISTIC_DONE.
        """
        self._ble.gattc_discover_characteristics(connection, 1, _LAST_HANDLE, bluetooth.UUID(names.CHALLENGE))

    def write(self, connection, attribute, data):
        """Write an attribute of the other badge; IRQ_GATTC_NOTIFY comes if it answers."""
        self._ble.gattc_write(connection, attribute, data, 1)

    def told(self):
        """What the other badge has told; longer than 48 is shown by its length only."""
        return bytes(self._told[: self._told_size]) + bytes(max(self._told_size - _MAX_TOLD, 0))
