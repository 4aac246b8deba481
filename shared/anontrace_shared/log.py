"""The sealed contact log: blocks of sealed records, clock anchors (docs/protocol.md, section 3).

The badge's side streams: a block is never whole in memory. The reader's side meets hostile bytes: it stops at damage,
never raises on it, and takes time and memory in proportion to what it is given. No files here, and no policy.
"""

import struct
from binascii import crc32
from collections import namedtuple

from . import figures, hpke
from .errors import AuthenticationError, FormatError

try:
    from collections.abc import Iterable, Iterator
    from typing import Any
except ImportError:  # MicroPython, which does not evaluate annotations
    pass

KNOWN_SLOT = 1
UNKNOWN_SLOT = 2
CLOCK_ANCHOR = 3

HEAD = 7  # kind, slot field, number of records: says how long the block is
HEADER = HEAD + hpke.ENC
ADDRESS = 20
RECORD = ADDRESS + figures.SIZE + hpke.TAG
CRC = 4
ANCHOR = 15
MOST_RECORDS = 0xFFFF
PERIOD_SECONDS = 300

_INFO = b"anontrace/1 log"
_AAD = 5
_ANCHOR = "<BHII"

Block = namedtuple("Block", "kind slot boot period enc records raw")
"""One slot's contacts. kind 1 has a slot, kind 2 boot and period, what is not there is None; records: a list of sealed
ones (40 each); raw: the block as it was read, to be kept or passed on."""

Anchor = namedtuple("Anchor", "kind boot uptime unix raw")
"""At this uptime (s) of this boot it was this unix time (s)."""

Damage = namedtuple("Damage", "offset reason")
"""From this offset on the bytes are not a log; the last thing that `blocks` yields."""

Contact = namedtuple("Contact", "address figures")
"""An opened record: K (20) and Figures."""


class Sealer:
    """Seals the contacts of one slot to the log key: begin(count), record() count times, end(). Used once.

    slot_field is the slot, or `unknown_slot(boot, period)` for kind 2. Two scalar multiplications in the constructor,
    none later. `ephemeral` (32) is for vectors only. FormatError if the log key is no public key, or a value does not
    fit.
    """

    def __init__(self, log_public_key: bytes, kind: int, slot_field: int, ephemeral: bytes | None = None) -> None:
        if kind not in (KNOWN_SLOT, UNKNOWN_SLOT) or not 0 <= slot_field < 1 << 32:
            raise FormatError("a block is of kind 1 or 2, and its slot field is 4 bytes")
        self._aad = bytes((kind,)) + slot_field.to_bytes(4, "little")
        self._sender = hpke.Sender(log_public_key, _INFO, ephemeral)
        self._left: int | None = None
        self._crc = 0

    def begin(self, count: int) -> bytes:
        """The header (39) of a block with exactly this many records."""
        if self._left is not None or not 0 <= count <= MOST_RECORDS:
            raise FormatError("a block begins once, with at most 65535 records")
        self._left = count
        return self._passed(self._aad + count.to_bytes(2, "little") + self._sender.enc)

    def record(self, address: bytes, packed_figures: bytes) -> bytes:
        """The next sealed record (40)."""
        if not self._left:
            raise FormatError("more records than the block began with")
        if len(address) != ADDRESS or len(packed_figures) != figures.SIZE:
            raise FormatError("a record is an address of 20 bytes and figures of 4")
        self._left -= 1
        return self._passed(self._sender.seal(address + packed_figures, self._aad))

    def end(self) -> bytes:
        """The CRC (4) that completes the block; the sealing key is wiped."""
        if self._left != 0:
            raise FormatError("fewer records than the block began with")
        self._left = None
        self.wipe()
        return self._crc.to_bytes(CRC, "little")

    def wipe(self) -> None:
        """Forget the sealing key, whether or not the block is complete."""
        self._sender.wipe()

    def _passed(self, data: bytes) -> bytes:
        self._crc = crc32(data, self._crc)
        return data


def unknown_slot(boot: int, period: int) -> int:
    """The slot field of a kind 2 block: boot number and whole 300 s periods since that boot, 2 bytes each."""
    if not 0 <= boot <= 0xFFFF or not 0 <= period <= 0xFFFF:
        raise FormatError("boot number and period are 2 bytes each")
    return boot | period << 16


def clock_anchor(boot: int, uptime: int, unix: int) -> bytes:
    """The 15 bytes that tell at which uptime (s) of which boot it was what unix time (s)."""
    if not 0 <= boot <= 0xFFFF or not 0 <= uptime < 1 << 32 or not 0 <= unix < 1 << 32:
        raise FormatError("an anchor's boot number is 2 bytes, its times are 4")
    anchor = struct.pack(_ANCHOR, CLOCK_ANCHOR, boot, uptime, unix)
    return anchor + crc32(anchor).to_bytes(CRC, "little")


def block_length(head: bytes) -> int | None:
    """The length of the whole block whose first HEAD (7) bytes these are; None if no block begins so."""
    if len(head) < HEAD or head[0] not in (KNOWN_SLOT, UNKNOWN_SLOT, CLOCK_ANCHOR):
        return None
    if head[0] == CLOCK_ANCHOR:
        return ANCHOR
    return HEADER + (head[5] | head[6] << 8) * RECORD + CRC


def blocks(data: bytes) -> "Iterator[Any]":
    """The Blocks and Anchors of a segment or log, in order; a Damage last, if not all of it is readable."""
    at = 0
    while at < len(data):
        length = block_length(data[at : at + HEAD])
        if length is None:
            yield Damage(at, "cut short" if at + HEAD > len(data) else "unknown kind of block")
            return
        if at + length > len(data):
            yield Damage(at, "cut short")
            return
        raw = data[at : at + length]
        if crc32(raw[:-CRC]) != int.from_bytes(raw[-CRC:], "little"):
            yield Damage(at, "bad CRC")
            return
        yield _parse(raw)
        at += length


def resolve(items: "Iterable[Any]") -> "list[Block]":
    """All Blocks of what `blocks` yielded, with the slots of kind 2 filled in by anchors of the same boot.

    The first anchor after the block counts, else the last one before it; without any (or where the times cannot be)
    the slot stays None.
    """
    resolved: list[Block] = []
    waiting: dict[int, list[int]] = {}  # boot -> places in `resolved` that wait for an anchor
    latest: dict[int, Anchor] = {}
    for item in items:
        if isinstance(item, Anchor):
            latest[item.boot] = item
            for place in waiting.pop(item.boot, ()):
                resolved[place] = _at_anchor(resolved[place], item)
        elif isinstance(item, Block):
            if item.kind == UNKNOWN_SLOT:
                waiting.setdefault(item.boot, []).append(len(resolved))
            resolved.append(item)
    for boot, places in waiting.items():
        for place in places:
            if boot in latest:
                resolved[place] = _at_anchor(resolved[place], latest[boot])
    return resolved


def open_block(secret_key: bytes, block: "Block") -> "list[Contact]":
    """The Contacts of a block, opened with the log key's secret (32).

    Records that do not open, or whose figures contradict themselves, are left out and keep their place in the sequence:
    len(block.records) minus the length of the result tells how many.
    """
    contacts: list[Contact] = []
    try:
        recipient = hpke.Recipient(secret_key, block.enc, _INFO)
    except FormatError:  # enc is no key: nothing was ever sealed with it
        return contacts
    aad = block.raw[:_AAD]
    for sealed in block.records:
        try:
            plaintext = recipient.open(sealed, aad)
        except AuthenticationError:
            recipient.skip()
            continue
        try:
            contacts.append(Contact(plaintext[:ADDRESS], figures.unpack(plaintext[ADDRESS:])))
        except FormatError:
            continue
    recipient.wipe()
    return contacts


def _parse(raw: bytes) -> "Block | Anchor":
    if raw[0] == CLOCK_ANCHOR:
        kind, boot, uptime, unix = struct.unpack(_ANCHOR, raw[:-CRC])
        return Anchor(kind, boot, uptime, unix, raw)
    slot = boot = period = None
    if raw[0] == KNOWN_SLOT:
        slot = int.from_bytes(raw[1:5], "little")
    else:
        boot, period = struct.unpack("<HH", raw[1:5])
    records = [raw[at : at + RECORD] for at in range(HEADER, len(raw) - CRC, RECORD)]
    return Block(raw[0], slot, boot, period, raw[HEAD:HEADER], records, raw)


def _at_anchor(block: "Block", anchor: "Anchor") -> "Block":
    slot = (anchor.unix - anchor.uptime + block.period * PERIOD_SECONDS) // PERIOD_SECONDS
    if slot < 0:
        return block
    return Block(block.kind, slot, block.boot, block.period, block.enc, block.records, block.raw)
