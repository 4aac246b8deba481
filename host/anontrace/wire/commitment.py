"""The commitment: a code of 16 symbols that binds a sealed log as it is, before its wearer's test has a result.

docs/protocol.md section 8. A test site enters the code with the sample. A log counts for that test only if all of it
that is from before the commitment was bound then. The tree has a place for each slot of a fortnight, whether anybody
was met in it or not; what is not shown, since it was left out, is too old, or was never there, is a hash that says
nothing of which. Knows blocks by their bytes, and opens none.
"""

import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from anontrace_primitives import equal
from anontrace_shared import log as logs
from anontrace_shared.errors import FormatError

from . import symbols

SLOTS = 4096  # that end with the last one that is bound: a little over 14 days
NODE = 16
CODE = 10
SEED = 32
NONE = bytes(CODE)  # in a permit: no log was committed
KIND = 5  # of a block
LEAST_LOOSE, MOST_LOOSE = 64, 1 << 14
_HEAD = 1 + 4 + 2 + 2 + 2
_CRC = 4
MOST = _HEAD + (SLOTS + MOST_LOOSE) * NODE + _CRC  # bytes of a proof
_MAX_TRIES = 1 << 16
_ENTRY = 2 + NODE


@dataclass(frozen=True, slots=True)
class Commitment:
    """What the code of a log was made of, known to its wearer alone: the last slot that it binds, and the digests (16)
    of all blocks of its slots, by their places (0: the first of 4096 slots), and of those without a slot."""

    slot: int
    seed: bytes = field(repr=False)
    placed: Mapping[int, tuple[bytes, ...]] = field(repr=False)
    loose: tuple[bytes, ...] = field(repr=False)
    tries: int = 0

    @property
    def code(self) -> bytes:
        """10 bytes: the 80 bits that the code's symbols stand for."""
        return _code(self.slot, self.tries, _root(self._leaf), self._padded())

    def encode(self) -> bytes:
        """Last slot (4), tries (2), seed (32), number of blocks with a slot (2), each: place (2), digest (16); the
        others' digests (16 each)."""
        rows = [place.to_bytes(2, "little") + each for place, some in sorted(self.placed.items()) for each in some]
        head = self.slot.to_bytes(4, "little") + self.tries.to_bytes(2, "little") + self.seed
        return head + len(rows).to_bytes(2, "little") + b"".join(rows) + b"".join(self.loose)

    @classmethod
    def decode(cls, data: bytes) -> "Commitment":
        """What `encode` made. FormatError if it is cut short."""
        at = 4 + 2 + SEED
        count = int.from_bytes(data[at : at + 2], "little")
        end = at + 2 + count * _ENTRY
        if len(data) < end or (len(data) - end) % NODE:
            raise FormatError("what a code was made of is cut short")
        placed: dict[int, tuple[bytes, ...]] = {}
        for row in (data[start : start + _ENTRY] for start in range(at + 2, end, _ENTRY)):
            place = int.from_bytes(row[:2], "little")
            placed[place] = (*placed.get(place, ()), row[2:])
        loose = tuple(data[start : start + NODE] for start in range(end, len(data), NODE))
        tries = int.from_bytes(data[4:6], "little")
        return cls(int.from_bytes(data[:4], "little"), data[6:at], placed, loose, tries)

    def bound(self, log: bytes) -> bytes:
        """The log without what cannot count with this commitment: blocks of its time that were not there then, and
        slots of which a part is missing."""
        items = list(logs.blocks(log))
        dated = {each.enc: each.slot for each in logs.resolve(items)}
        here: dict[int, set[bytes]] = {}
        for each in items:
            if isinstance(each, logs.Block) and each.kind == logs.KNOWN_SLOT and each.records:
                here.setdefault(each.slot - self._first, set()).add(digest(each.raw))
        whole = {place for place, some in self.placed.items() if here.get(place, set()).issuperset(some)}
        loose, kept = set(self.loose), []
        for each in items:
            if isinstance(each, logs.Block) and each.records:
                slot, place = dated[each.enc], (each.slot or 0) - self._first
                if each.kind == logs.KNOWN_SLOT:
                    counts = each.slot > self.slot or (place in whole and digest(each.raw) in self.placed[place])
                else:
                    counts = slot is None or slot > self.slot or digest(each.raw) in loose
                if not counts:
                    continue
            if not isinstance(each, logs.Damage):
                kept.append(each.raw)
        return b"".join(kept)

    def prove(self, log: bytes) -> bytes:
        """The block that goes before this log, which is one that `bound` has let through: kind 5, last slot (4), tries
        (2), numbers of hashes in the tree and beside it (2 each), those (16 each), CRC-32."""
        shown = sorted(_shown(logs.blocks(log), self.slot))
        nodes = list(_covers(self._leaf, shown))
        loose = self._padded()
        head = bytes((KIND,)) + self.slot.to_bytes(4, "little") + self.tries.to_bytes(2, "little")
        head += len(nodes).to_bytes(2, "little") + len(loose).to_bytes(2, "little")
        data = head + b"".join(nodes) + b"".join(loose)
        return data + zlib.crc32(data).to_bytes(_CRC, "little")

    @property
    def _first(self) -> int:
        return self.slot - SLOTS + 1

    def _leaf(self, place: int) -> bytes:
        there = self.placed.get(place)
        if there is None:
            return sha256(b"anontrace/2 commit empty" + self.seed + place.to_bytes(2, "little")).digest()[:NODE]
        return _leaf(there)

    def _padded(self) -> list[bytes]:
        """The digests of blocks without a slot, among others that are made up, so that nobody sees how many there
        are."""
        size = max(LEAST_LOOSE, 1 << max(len(self.loose) - 1, 0).bit_length())
        made_up = (
            sha256(b"anontrace/2 commit filler" + self.seed + number.to_bytes(2, "little")).digest()[:NODE]
            for number in range(size - len(self.loose))
        )
        return sorted((*self.loose, *made_up))


@dataclass(frozen=True, slots=True)
class Proof:
    """What a log shows of its commitment: the last slot that is bound, hashes of what of the tree is not shown, and
    digests of blocks without a slot."""

    slot: int
    tries: int
    nodes: Sequence[bytes] = field(repr=False)
    loose: Sequence[bytes] = field(repr=False)

    def holds(self, code: bytes, items: Iterable[Any]) -> bool:
        """Whether a log continues the one that this code (10) was made of: none of its blocks that is from the time of
        the commitment or before is another. `items`: what `blocks` yields of it. Some 8,000 hashes at most, beside one
        for each block."""
        kept, known = list(items), set(self.loose)
        for block in logs.resolve(kept):
            is_dated = block.kind == logs.UNKNOWN_SLOT and block.records and block.slot is not None
            if is_dated and block.slot <= self.slot and digest(block.raw) not in known:
                return False
        shown = _shown(kept, self.slot)
        if any(not 0 <= place < SLOTS for place in shown):
            return False
        left = iter(self.nodes)
        try:
            root = _root_shown(shown, sorted(shown), left)
        except StopIteration:
            return False
        return next(left, None) is None and equal(_code(self.slot, self.tries, root, self.loose), code)


def commit(log: bytes, slot: int, seed: bytes) -> Commitment:
    """The commitment to all blocks of a log up to a slot, of which the last 4096 slots count, and to those without one.
    `seed` (32, random) hides what is not there, and is to be used once."""
    placed: dict[int, set[bytes]] = {}
    loose: set[bytes] = set()
    first = slot - SLOTS + 1
    for each in logs.blocks(log):
        if not isinstance(each, logs.Block) or not each.records:
            continue
        if each.kind == logs.UNKNOWN_SLOT:
            loose.add(digest(each.raw))
        elif first <= each.slot <= slot:
            placed.setdefault(each.slot - first, set()).add(digest(each.raw))
    by_place = {place: tuple(sorted(some)) for place, some in placed.items()}
    made = Commitment(slot, seed, by_place, tuple(sorted(loose)[:MOST_LOOSE]))
    root, padded = _root(made._leaf), made._padded()
    for tries in range(_MAX_TRIES):
        if symbols.remainder(symbols.encode(_code(slot, tries, root, padded))) == symbols.CODE_CHECK:
            return replace(made, tries=tries)
    raise AssertionError("one in 32 codes fits")


def digest(block: bytes) -> bytes:
    """Of the bytes of a block (16)."""
    return sha256(b"anontrace/2 commit block" + block).digest()[:NODE]


def text(code: bytes) -> str:
    """The code (10) as it is printed: XXXX-XXXX-XXXX-XXXX."""
    return symbols.grouped(symbols.encode(code))


def read(typed: str) -> bytes:
    """The code (10) that was typed, as tolerantly as a token. FormatError says what is wrong, and repeats nothing."""
    found = symbols.read(typed, "code")
    left = symbols.remainder(found)
    if left == 0:
        raise FormatError(
            "the check of the code does not fit: a symbol is mistyped, or this is a token, no code of a log"
        )
    if left != symbols.CODE_CHECK:
        raise FormatError("the check of the code does not fit: a symbol is mistyped")
    return symbols.decode(found)


def split(log: bytes) -> tuple[bytes | None, bytes]:
    """The proof before a log, if there is one that is whole, and the log."""
    if len(log) < _HEAD + _CRC or log[0] != KIND:
        return None, log
    size = _HEAD + NODE * (int.from_bytes(log[7:9], "little") + int.from_bytes(log[9:11], "little")) + _CRC
    block = log[:size]
    if len(block) != size or zlib.crc32(block[:-_CRC]).to_bytes(_CRC, "little") != block[-_CRC:]:
        return None, log
    return block, log[size:]


def parse(block: bytes) -> Proof:
    """What a block that `split` has found says. FormatError if it holds more than a proof can."""
    nodes, loose = int.from_bytes(block[7:9], "little"), int.from_bytes(block[9:11], "little")
    if nodes > SLOTS or loose > MOST_LOOSE:
        raise FormatError("the proof before this log is longer than one can be")
    hashes = [block[at : at + NODE] for at in range(_HEAD, len(block) - _CRC, NODE)]
    slot, tries = int.from_bytes(block[1:5], "little"), int.from_bytes(block[5:7], "little")
    return Proof(slot, tries, hashes[:nodes], hashes[nodes:])


def _code(slot: int, tries: int, root: bytes, loose: Iterable[bytes]) -> bytes:
    head = b"anontrace/2 commitment" + slot.to_bytes(4, "little") + tries.to_bytes(2, "little")
    return sha256(head + root + sha256(b"".join(loose)).digest()).digest()[:CODE]


def _leaf(digests: Iterable[bytes]) -> bytes:
    return sha256(b"anontrace/2 commit slot" + b"".join(sorted(digests))).digest()[:NODE]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"anontrace/2 commit node" + left + right).digest()[:NODE]


def _root(leaf: Callable[[int], bytes], low: int = 0, size: int = SLOTS) -> bytes:
    """Of the part of the tree that begins at place `low`."""
    if size == 1:
        return leaf(low)
    half = size // 2
    return _node(_root(leaf, low, half), _root(leaf, low + half, half))


def _is_among(shown: Sequence[int], low: int, size: int) -> bool:
    """Whether one of these places, which rise, is in this part of the tree."""
    at = bisect_left(shown, low)
    return at < len(shown) and shown[at] < low + size


def _covers(leaf: Callable[[int], bytes], shown: Sequence[int], low: int = 0, size: int = SLOTS) -> Iterator[bytes]:
    """The hashes of the largest parts of the tree of which nothing is shown, from the left."""
    if not _is_among(shown, low, size):
        yield _root(leaf, low, size)
    elif size > 1:
        yield from _covers(leaf, shown, low, size // 2)
        yield from _covers(leaf, shown, low + size // 2, size // 2)


def _root_shown(
    shown: Mapping[int, Iterable[bytes]], order: Sequence[int], covers: Iterator[bytes], low: int = 0, size: int = SLOTS
) -> bytes:
    """The root by what is shown, and by what `_covers` gave of the rest. StopIteration if that is too little."""
    if not _is_among(order, low, size):
        return next(covers)
    if size == 1:
        return _leaf(shown[low])
    half = size // 2
    return _node(_root_shown(shown, order, covers, low, half), _root_shown(shown, order, covers, low + half, half))


def _shown(items: Iterable[Any], last: int) -> dict[int, set[bytes]]:
    """The digests of a log's blocks of slots up to the last one that is bound, by their places in the tree; places of
    what is older than the tree are below 0."""
    shown: dict[int, set[bytes]] = {}
    for each in items:
        is_placed = isinstance(each, logs.Block) and each.kind == logs.KNOWN_SLOT and each.records
        if is_placed and each.slot <= last:
            shown.setdefault(each.slot - last + SLOTS - 1, set()).add(digest(each.raw))
    return shown
