"""When badges of the preset `together` meet, and how each keeps to the others' moment (docs/protocol.md, section 2).

Once in each minute of unix time, around its middle, every such badge listens, and sends its adverts at random moments
of the middle of that. So whoever hears several adverts of one sender knows about how far off that badge is. At most 32
senders have a vote each, and a badge moves by half of their median: fewer liars than half move nobody far. Whatever it
hears, its moment stays within what its clock may be wrong by since its companion set it.
"""

import array

PERIOD_MS = 60000  # a preset's scan interval, that tells the badge to meet others so
CENTRE_MS = 30000  # of the meeting, in the minute
GUARD_MS = 150  # by which listening begins before the first advert may come, and ends after the last
DITHER_MS = 100  # at most, by which a badge is early or late on purpose, drawn for each slot
SEARCH_MS = 4000  # before and after the centre, in which a badge that has met nobody for long looks for others
TAIL_MS = 1000  # after the meeting, in which a badge still sends, for its companion
TAIL_ADVERTS = 4
LONELY = 25  # meetings without anybody, on average, before a search
FEW = 4  # adverts of one sender that make a vote: those of `balanced` and `saver` are fewer
DRIFT_MS = 120  # by which two badges may have moved apart from one meeting to the next
MISSED = 4  # meetings without anybody, after one with somebody, in which it listens for so much longer
CROWD = 50  # people from whom on a single advert makes a vote

_HALF_MS = 400
_MAX_HALF_MS = 1400
_ADVERTS = 10
_MIN_ADVERTS = 3
_SENDERS = 32
_MAX_STEP_MS = 100
_BACK = 64  # th part of the way to where the own clock says it should be, at each meeting,
_MAX_BACK_MS = 4  # up to so much: a few liars cannot drag a crowd as far as they like, nor does it wander
_BASE_MS = SEARCH_MS
_MAX_SHIFT_MS = 20000  # so that a meeting with all that belongs to it stays within its minute
_ALONE_MS = 50  # beyond the span of a meeting, who is heard does not keep to one


def half_ms(crowd: int) -> int:
    """Half of the time in which a badge that hears `crowd` others sends its adverts."""
    return min(max(_HALF_MS, crowd * 14 // 5), _MAX_HALF_MS)


def adverts(crowd: int) -> int:
    """How many it sends then: with more of them, those of a crowd would drown each other."""
    return min(max(half_ms(crowd) * 27 // (10 * max(crowd, 1)), _MIN_ADVERTS), _ADVERTS)


class Beat:
    """How far, in ms, the own meetings are moved from the middle of the minute by the own clock: `shift`."""

    def __init__(self) -> None:
        self.shift = 0
        self._salt = 0
        self._senders = array.array("H", bytes(2 * _SENDERS))
        self._counts = bytearray(_SENDERS)
        self._sums = array.array("i", bytes(4 * _SENDERS))
        self._first = array.array("h", bytes(2 * _SENDERS))
        self._late = bytearray(_SENDERS)
        self._span = 0

    def begin(self, salt: int, crowd: int) -> None:
        """Begin a meeting, with about so many. `salt`: 16 random bits, so that nobody can know whom the badge asks."""
        self._salt = salt
        self._span = 2 * half_ms(crowd) + _ALONE_MS
        for at in range(_SENDERS):
            self._counts[at] = 0

    def hear(self, address: bytes | bytearray, cell: int, offset: int) -> None:
        """An advert of the address (20 bytes at `cell`) was heard so many ms after the own centre."""
        at = (address[cell] ^ self._salt) & 31
        sender = (address[cell + 1] | address[cell + 2] << 8) ^ self._salt
        count = self._counts[at]
        if not count or self._senders[at] > sender:  # not the one heard first: those are more often early
            count = 0
            self._senders[at] = sender
            self._sums[at] = 0
            self._first[at] = offset
            self._late[at] = 0
        elif self._senders[at] != sender or count == 255:
            return
        elif offset - self._first[at] >= self._span:  # for its companion, or it does not keep to meetings
            self._late[at] = min(self._late[at] + 1, 255)
            return
        self._counts[at] = count + 1
        self._sums[at] += offset

    def settle(self, crowd: int, searching: bool, since_s: int) -> bool:
        """End a meeting; whether anybody was there who keeps to one.

        `crowd`: how many were heard; `since_s`: seconds since the companion set the clock.
        """
        need = 1 if crowd >= CROWD else FEW
        votes = []
        for at in range(_SENDERS):
            if self._counts[at] >= need and self._late[at] <= TAIL_ADVERTS:
                votes.append((2 * self._sums[at] + self._counts[at]) // (2 * self._counts[at]))
        if not votes:
            return False
        votes.sort()
        middle = len(votes) // 2
        median = votes[middle] if len(votes) & 1 else (votes[middle - 1] + votes[middle] + (self._salt & 1)) // 2
        if not searching:
            half = min((abs(median) + 1) // 2, _MAX_STEP_MS)  # not rounded down: a crowd would drift
            back = min((abs(self.shift) + _BACK // 2) // _BACK, _MAX_BACK_MS)
            median = (half if median > 0 else -half) - (back if self.shift > 0 else -back)
        most = min(_BASE_MS + max(since_s, 0), _MAX_SHIFT_MS)  # 1,000 ppm: a millisecond a second
        self.shift = min(max(self.shift + median, -most), most)
        return True
