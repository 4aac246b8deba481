"""What a badge broadcasts when: day key, slot secret, contact address, beacon (docs/protocol.md, sections 1 and 2).

The badge's half is in `badge_schedule` and stands here too; here is what looks for its addresses and beacons.
"""

# ruff: noqa: F403, F405
from anontrace_primitives import equal, hmac_sha256, sha256

from .badge_schedule import *
from .slots import slot_bytes

NYM_KEY = 32


def address_at(key_of_day: bytes, slot: int) -> bytes:
    """K(slot) from the day key of the slot's own day."""
    return contact_address(public_key(slot_secret(key_of_day, slot)))


def nym_key(address: bytes, slot: int) -> bytes:
    """The key (32) under which the nymserver stores the SURB of this contact address."""
    return sha256(b"anontrace/1 nym key" + address + slot_bytes(slot))


def is_beacon(key: bytes, data: bytes) -> bool:
    """Whether these 20 bytes from an advertisement are a beacon under this key."""
    return len(data) == ADDRESS and equal(hmac_sha256(key, bytes(data[:NONCE]))[:MAC], bytes(data[NONCE:]))
