"""What a badge broadcasts when: day key, slot secret, contact address, beacon (docs/protocol.md, sections 1 and 2).

The badge's half is in `badge_schedule` and stands here too; here is what looks for its addresses and beacons.
"""

# ruff: noqa: F403, F405
from collections import namedtuple

from anontrace_primitives import equal, hmac_sha256, sha256

from . import hkdf
from .badge_schedule import *
from .slots import slot_bytes

NYM_KEY = 32
FIRST_SLOT = 5785632  # of 2025: a badge takes no earlier time for one

# What a beacon says: the number of the badge's boot, and a slot, or how many periods of 300 s it was since that boot.
Beacon = namedtuple("Beacon", ("boot", "slot", "period"))


def address_at(key_of_day: bytes, slot: int) -> bytes:
    """K(slot) from the day key of the slot's own day."""
    return contact_address(public_key(slot_secret(key_of_day, slot)))


def nym_key(address: bytes, slot: int) -> bytes:
    """The key (32) under which the nymserver stores the SURB of this contact address."""
    return sha256(b"anontrace/1 nym key" + address + slot_bytes(slot))


def open_beacon(key: bytes, data: bytes) -> "Beacon | None":
    """What a beacon under this key says; None for any other 20 bytes of an advertisement."""
    if len(data) != ADDRESS:
        return None
    mac = bytes(data[CONTENT:])
    content = xor(bytes(data[:CONTENT]), hmac_sha256(key, mac)[:CONTENT])
    if not equal(hmac_sha256(key, content)[:MAC], mac):
        return None
    number, boot = int.from_bytes(content[:4], "little"), int.from_bytes(content[4:6], "little")
    return Beacon(boot, number, None) if number >= FIRST_SLOT else Beacon(boot, None, number)


def is_beacon(key: bytes, data: bytes) -> bool:
    """Whether these 20 bytes from an advertisement are a beacon under this key, of whatever moment."""
    return open_beacon(key, data) is not None


def is_beacon_of_version_1(owner_key: bytes, data: bytes) -> bool:
    """Whether a badge with firmware of 0.2 sends these 20 bytes: a nonce (8) and its MAC, of no moment."""
    key = hkdf.expand(owner_key, b"anontrace/1 beacon key", 32)
    return len(data) == ADDRESS and equal(hmac_sha256(key, bytes(data[:CONTENT]))[:MAC], bytes(data[CONTENT:]))
