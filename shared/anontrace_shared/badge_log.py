"""The badge's half of the contact log: seals blocks, writes clock anchors (docs/protocol.md, section 3).

Streams: a block is never whole in memory. Apart from `log`, which has the reader's half too, so that a badge need not
hold code that it cannot use. No files here, and no policy.
"""

import struct
from binascii import crc32

from . import badge_figures
from . import badge_hpke as hpke
from .errors import FormatError

KNOWN_SLOT = 1
UNKNOWN_SLOT = 2
CLOCK_ANCHOR = 3

HEAD = 7  # kind, slot field, number of records: says how long the block is
HEADER = HEAD + hpke.ENC
ADDRESS = 20
RECORD = ADDRESS + badge_figures.SIZE + hpke.TAG
CRC = 4
ANCHOR = 15
MAX_RECORDS = 0xFFFF
PERIOD_SECONDS = 300

INFO = b"anontrace/1 log"
AAD = 5  # first bytes of a block that are bound to each of its records
ANCHOR_LAYOUT = "<BHII"


class Sealer:
    """Seals the contacts of one slot to the log key: begin(count), record() count times, end(). Used once.

    slot_field is the slot, or `unknown_slot(boot, period)` for kind 2. Two scalar multiplications in the constructor,
    none later. `ephemeral` (32) is for vectors only. FormatError if the log key is no public key, or a value does not
    fit.
    """

    def __init__(self, log_public_key: bytes, kind: int, slot_field: int, ephemeral: bytes | None = None) -> None:
        if kind not in (KNOWN_SLOT, UNKNOWN_SLOT) or not 0 <= slot_field < 1 << 32:
            raise FormatError("a block is of kind 1 or 2, and its slot field is 4 bytes")
        self.aad = bytes((kind,)) + slot_field.to_bytes(4, "little")
        self._sender = hpke.Sender(log_public_key, INFO, ephemeral)
        self._left: int | None = None
        self._crc = 0

    def begin(self, count: int) -> bytes:
        """The header (39) of a block with exactly this many records."""
        if self._left is not None or not 0 <= count <= MAX_RECORDS:
            raise FormatError("a block begins once, with at most 65535 records")
        self._left = count
        return self._passed(self.aad + count.to_bytes(2, "little") + self._sender.enc)

    def record(self, address: bytes, packed_figures: bytes) -> bytes:
        """The next sealed record (40)."""
        if not self._left:
            raise FormatError("more records than the block began with")
        if len(address) != ADDRESS or len(packed_figures) != badge_figures.SIZE:
            raise FormatError("a record is an address of 20 bytes and figures of 4")
        self._left -= 1
        return self._passed(self._sender.seal(address + packed_figures, self.aad))

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
    anchor = struct.pack(ANCHOR_LAYOUT, CLOCK_ANCHOR, boot, uptime, unix)
    return anchor + crc32(anchor).to_bytes(CRC, "little")


def block_length(head: bytes) -> int | None:
    """The length of the whole block whose first HEAD (7) bytes these are; None if no block begins so."""
    if len(head) < HEAD or head[0] not in (KNOWN_SLOT, UNKNOWN_SLOT, CLOCK_ANCHOR):
        return None
    if head[0] == CLOCK_ANCHOR:
        return ANCHOR
    return HEADER + (head[5] | head[6] << 8) * RECORD + CRC
