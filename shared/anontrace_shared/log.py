"""The sealed contact log: blocks of sealed records, clock anchors (docs/protocol.md, section 3).

The writer's half is in `badge_log` and stands here too. The reader meets hostile bytes: it stops at damage, never
raises on it, and takes time and memory in proportion to what it is given. No files here, and no policy.
"""

import struct
from binascii import crc32
from collections import namedtuple

from . import figures, hpke
from .badge_log import (
    AAD,
    ADDRESS,
    ANCHOR,
    ANCHOR_LAYOUT,
    CLOCK_ANCHOR,
    CRC,
    HEAD,
    HEADER,
    INFO,
    KNOWN_SLOT,
    MAX_RECORDS,
    PERIOD_SECONDS,
    RECORD,
    UNKNOWN_SLOT,
    Sealer,
    block_length,
    clock_anchor,
    unknown_slot,
)
from .errors import AuthenticationError, FormatError

try:
    from collections.abc import Iterable, Iterator
    from typing import Any
except ImportError:  # MicroPython, which does not evaluate annotations
    pass

__all__ = [
    "ADDRESS",
    "ANCHOR",
    "CLOCK_ANCHOR",
    "CRC",
    "HEAD",
    "HEADER",
    "KNOWN_SLOT",
    "MAX_RECORDS",
    "PERIOD_SECONDS",
    "RECORD",
    "UNKNOWN_SLOT",
    "Anchor",
    "Block",
    "Contact",
    "Damage",
    "Sealer",
    "block_length",
    "blocks",
    "clock_anchor",
    "open_block",
    "resolve",
    "unknown_slot",
]

Block = namedtuple("Block", "kind slot boot period enc records raw")
"""One slot's contacts. kind 1 has a slot, kind 2 boot and period, what is not there is None; records: a list of sealed
ones (40 each); raw: the block as it was read, to be kept or passed on."""

Anchor = namedtuple("Anchor", "kind boot uptime unix raw")
"""At this uptime (s) of this boot it was this unix time (s)."""

Damage = namedtuple("Damage", "offset reason")
"""From this offset on the bytes are not a log; the last thing that `blocks` yields."""

Contact = namedtuple("Contact", "address figures")
"""An opened record: K (20) and Figures."""


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
        recipient = hpke.Recipient(secret_key, block.enc, INFO)
    except FormatError:  # enc is no key: nothing was ever sealed with it
        return contacts
    aad = block.raw[:AAD]
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
        kind, boot, uptime, unix = struct.unpack(ANCHOR_LAYOUT, raw[:-CRC])
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
