"""The contacts heard in the running interval: up to 512 in one buffer made at boot; hearing allocates nothing.

When an interval ends its entries turn old: they leave the table one by one as they are sealed, while new ones are
heard. Beyond 512 the strongest stay and the number dropped is counted. Figures: docs/protocol.md, section 3.
"""

import struct

import micropython
from anontrace_shared import badge_figures
from micropython import const

MAX_CONTACTS = 512
_MAX_CONTACTS = const(512)

# Where the radio's ring holds an advert: address (20), tx power (1), RSSI (1), each of the last two plus 128.
_CELL_TX = const(20)
_CELL_RSSI = const(21)

_ADDRESS = const(20)
_ENTRY = const(32)  # address 20, thirds 2, sightings 2, sum of signal codes 4, strongest 1, tx power 1, next 2
_THIRDS = const(10)  # in 16-bit words: a bit for each third of a minute, and _OLD
_SIGHTINGS = const(11)  # in 16-bit words, up to 65535
_SUM = const(6)  # in 32-bit words; of 16-bit sightings of 8-bit codes, so its highest byte is free for the two flags
_ASKED = const(0x10000000)  # challenged, whatever came of it
_VERIFIED = const(0x20000000)  # has passed
_CODES = const(0xFFFFFF)
_STRONGEST = const(28)
_TX = const(29)
_NEXT = const(15)  # in 16-bit words: the next entry of its bucket, or of the free list

_INTERVAL_MS = const(300000)
_THIRD_MS = const(20000)
_EDGE_MS = const(1000)

_OLD = const(0x8000)
_NONE = const(0xFFFF)

# The buffer in front of the entries: counters, heads of the buckets (by first byte of the address), and a bitmap by
# which an address dropped is counted once.
_LIVE = const(0)  # in 16-bit words, like the next three
_FREE = const(1)
_DROPPED = const(2)
_BUCKETS = const(4)
_BITMAP = const(520)  # in bytes: 2 * (4 + 256)
_BITS = const(4096)
_ENTRIES = const(1032)  # in bytes: _BITMAP + _BITS / 8

# taken at import, while the heap is in one piece; there is one badge
_TABLE = bytearray(_ENTRIES + MAX_CONTACTS * _ENTRY)


@micropython.viper
def _reset(table: ptr8):  # noqa: F821
    """Empty buckets and counters; entries and free list stay."""
    words = ptr16(table)  # noqa: F821
    words[_LIVE] = 0
    words[_DROPPED] = 0
    at = _BUCKETS
    while at < _BITMAP >> 1:
        words[at] = _NONE
        at += 1
    at = _BITMAP
    while at < _ENTRIES:
        table[at] = 0
        at += 1


@micropython.viper
def _release(table: ptr8, index: int):  # noqa: F821
    """Wipe an entry and put it on the free list."""
    words = ptr16(table)  # noqa: F821
    at = _ENTRIES + index * _ENTRY
    end = at + _ENTRY
    while at < end:
        table[at] = 0
        at += 1
    words[(end >> 1) - 1] = words[_FREE]
    words[_FREE] = index


@micropython.viper
def _age(table: ptr8):  # noqa: F821
    """Turn every entry in use old."""
    words = ptr16(table)  # noqa: F821
    at = (_ENTRIES >> 1) + _THIRDS
    end = at + _MAX_CONTACTS * (_ENTRY >> 1)
    while at < end:
        if words[at]:
            words[at] = int(words[at]) | _OLD
        at += _ENTRY >> 1


@micropython.viper
def _find(table: ptr8, ring: ptr8, cell: int) -> int:  # noqa: F821
    """Index of the entry with the cell's address, _NONE if there is none."""
    words = ptr16(table)  # noqa: F821
    index = int(words[_BUCKETS + int(ring[cell])])
    while index != _NONE:
        start = _ENTRIES + index * _ENTRY
        i = 0
        while i < _ADDRESS:
            if table[start + i] != ring[cell + i]:
                break
            i += 1
        if i == _ADDRESS:
            break
        index = int(words[(start >> 1) + _NEXT])
    return index


@micropython.viper
def _place(table: ptr8, ring: ptr8, cell: int) -> int:  # noqa: F821
    """Index of an entry made for the cell's address: a free one, or the weakest's if that is weaker than the cell.

    _NONE if there is neither, and while old entries wait to be sealed: then the address will be heard again later.
    """
    words = ptr16(table)  # noqa: F821
    index = int(words[_FREE])
    if index != _NONE:
        words[_FREE] = words[((_ENTRIES + index * _ENTRY) >> 1) + _NEXT]
        words[_LIVE] = int(words[_LIVE]) + 1
    elif int(words[_LIVE]) < _MAX_CONTACTS:
        return _NONE
    else:
        least = 256
        at = _ENTRIES + _STRONGEST
        i = 0
        while i < _MAX_CONTACTS:
            if int(table[at]) < least:
                least = int(table[at])
                index = i
            at += _ENTRY
            i += 1
        start = _ENTRIES + index * _ENTRY
        weaker = int(ring[cell + _CELL_RSSI]) <= least
        bit = (int(ring[cell + 1]) | int(ring[cell + 2]) << 8) & (_BITS - 1)
        if not weaker:
            bit = (int(table[start + 1]) | int(table[start + 2]) << 8) & (_BITS - 1)
        at = _BITMAP + (bit >> 3)
        if not int(table[at]) & (1 << (bit & 7)):
            table[at] = int(table[at]) | (1 << (bit & 7))
            words[_DROPPED] = int(words[_DROPPED]) + 1
        if weaker:
            return _NONE
        link = _BUCKETS + int(table[start])
        while int(words[link]) != index:
            link = ((_ENTRIES + int(words[link]) * _ENTRY) >> 1) + _NEXT
        words[link] = words[(start >> 1) + _NEXT]
    start = _ENTRIES + index * _ENTRY
    i = 0
    while i < _ENTRY:
        table[start + i] = ring[cell + i] if i < _ADDRESS else 0
        i += 1
    bucket = _BUCKETS + int(ring[cell])
    words[(start >> 1) + _NEXT] = words[bucket]
    words[bucket] = index
    return index


@micropython.viper
def _sight(table: ptr8, ring: ptr8, cell: int, where: int):  # noqa: F821
    """Add a sighting to an entry; `where` is its index * 16 + the third of a minute."""
    start = _ENTRIES + (where >> 4) * _ENTRY
    words = ptr16(table)  # noqa: F821
    sums = ptr32(table)  # noqa: F821
    at = (start >> 1) + _THIRDS
    words[at] = int(words[at]) | (1 << (where & 15))
    signal = int(ring[cell + _CELL_RSSI])
    at = (start >> 1) + _SIGHTINGS
    if int(words[at]) != 65535:
        words[at] = int(words[at]) + 1
        sums[(start >> 2) + _SUM] = int(sums[(start >> 2) + _SUM]) + signal
    if signal > int(table[start + _STRONGEST]):
        table[start + _STRONGEST] = signal
    table[start + _TX] = ring[cell + _CELL_TX]


@micropython.viper
def _mark(table: ptr8, index: int, flags: int):  # noqa: F821
    sums = ptr32(table)  # noqa: F821
    at = ((_ENTRIES + index * _ENTRY) >> 2) + _SUM
    sums[at] = int(sums[at]) | flags


@micropython.viper
def _candidate(table: ptr8, thirds: int, signal: int) -> int:  # noqa: F821
    """Index of the nearest entry not yet asked, heard in so many thirds and at least as strong; _NONE without one."""
    words = ptr16(table)  # noqa: F821
    sums = ptr32(table)  # noqa: F821
    found = _NONE
    index = 0
    while index < _MAX_CONTACTS:
        start = _ENTRIES + index * _ENTRY
        heard = int(words[(start >> 1) + _THIRDS])
        if heard & _OLD or int(sums[(start >> 2) + _SUM]) & _ASKED:
            heard = 0
        strongest = int(table[start + _STRONGEST])
        if strongest >= signal:
            count = 0
            while heard:
                count += heard & 1
                heard >>= 1
            if count >= thirds:
                found = index
                signal = strongest + 1
        index += 1
    return found


class Contacts:
    """Who was heard in the running interval, and what of the one before is not sealed yet."""

    def __init__(self):
        self.table = _TABLE
        self.rssi = 0  # dB that are added to what this board hears
        self.waiting = 0  # old entries not yet taken
        self._next = 0
        self._set_word(_FREE, _NONE)
        for index in range(MAX_CONTACTS - 1, -1, -1):
            _release(self.table, index)
        _reset(self.table)

    def _word(self, at):
        return self.table[2 * at] | self.table[2 * at + 1] << 8

    def _set_word(self, at, value):
        self.table[2 * at] = value & 0xFF
        self.table[2 * at + 1] = value >> 8

    def hear(self, ring, cell, since_ms):
        """Count the advert in the radio's ring at `cell`, heard so many milliseconds after the interval began.

        Near its edges, an address not heard before in this interval may be of the neighbouring slot, by a clock that
        differs a little: it is passed over, and heard again if it stays.
        """
        table = self.table
        index = _find(table, ring, cell)
        if index == _NONE:
            if not _EDGE_MS <= since_ms < _INTERVAL_MS - _EDGE_MS:
                return
            index = _place(table, ring, cell)
        if index != _NONE:
            _sight(table, ring, cell, index << 4 | max(since_ms, 0) // _THIRD_MS)

    @property
    def heard(self):
        """Number of addresses heard and kept in the running interval."""
        return self._word(_LIVE)

    def close(self):
        """End the interval: what was heard waits to be sealed. Returns the number of addresses that found no room.

        What was still waiting from the interval before is discarded: its turn was then.
        """
        self.discard()
        dropped = self._word(_DROPPED)
        self.waiting = self.heard
        self._next = 0
        _age(self.table)
        _reset(self.table)
        return dropped

    def _oldest(self):
        """Byte offset and index of the next old entry, and past it."""
        at = _ENTRIES + self._next * _ENTRY
        while not self.table[at + 2 * _THIRDS + 1] & 0x80:  # _OLD
            at += _ENTRY
        index = (at - _ENTRIES) // _ENTRY
        self._next = index + 1
        self.waiting -= 1
        return at, index

    def take(self):
        """(address, packed figures) of one that waited, which is wiped; only while `waiting` is above 0."""
        at, index = self._oldest()
        address = bytes(self.table[at : at + _ADDRESS])
        thirds, sightings, total, strongest, tx_power = struct.unpack_from("<HHIBB", self.table, at + _ADDRESS)
        _release(self.table, index)
        present = 0
        first = last = -1
        for third in range(badge_figures.THIRDS):
            if thirds >> third & 1:
                present += 1
                last = third
                if first < 0:
                    first = third
        mean = (total & _CODES) // sightings
        return address, badge_figures.pack(
            bool(total & _VERIFIED),
            first,
            last,
            present,
            strongest + self.rssi - 128,
            mean + self.rssi - 128,
            tx_power - 128,
            sightings,
        )

    def candidate(self, thirds, rssi):
        """Address of the nearest contact not yet challenged that was heard in so many thirds of a minute and, once at
        least, with that RSSI; None without one."""
        index = _candidate(self.table, thirds, rssi - self.rssi + 128)
        if index == _NONE:
            return None
        at = _ENTRIES + index * _ENTRY
        return bytes(self.table[at : at + _ADDRESS])

    def mark(self, address, verified):
        """A contact of the running interval has been challenged, and has passed or not."""
        index = _find(self.table, address, 0)
        if index != _NONE:
            _mark(self.table, index, _ASKED | _VERIFIED if verified else _ASKED)

    def discard(self):
        """Wipe what waits."""
        while self.waiting:
            _release(self.table, self._oldest()[1])
