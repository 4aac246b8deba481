"""What a badge needs of `schedule`: deriving what it broadcasts when (docs/protocol.md, sections 1 and 2).

The badge loads this half only. Pure derivations. Never keeps a key: whoever ratchets a day key forward overwrites the
old one.
"""

from anontrace_primitives import hmac_sha256, sha256, x25519_base

from . import hkdf
from .errors import FormatError
from .slots import slot_bytes

DAY_KEY = 32
ADDRESS = 20
CONTENT = 8  # of a beacon
MAC = 12
MAX_DAYS = 3660  # ten years: a wild date must not keep a badge hashing for hours


def next_day_key(day_key: bytes) -> bytes:
    """D(day + 1) from D(day). There is no way back."""
    if len(day_key) != DAY_KEY:
        raise FormatError("a day key is 32 bytes")
    return hkdf.expand(day_key, b"anontrace/1 day key", DAY_KEY)


def day_key(key: bytes, from_day: int, to_day: int) -> bytes:
    """D(to_day) from D(from_day), at most MAX_DAYS later; FormatError if to_day is earlier, or further off."""
    if to_day < from_day:
        raise FormatError("a day key cannot be turned back to an earlier day")
    if to_day - from_day > MAX_DAYS:
        raise FormatError("that day is more than ten years after the day key's")
    for _ in range(to_day - from_day):
        key = next_day_key(key)
    return key


def slot_secret(key_of_day: bytes, slot: int) -> bytes:
    """k(slot), an X25519 scalar (clamped by X25519 itself), from the day key of the slot's own day."""
    if len(key_of_day) != DAY_KEY:
        raise FormatError("a day key is 32 bytes")
    return hkdf.expand(key_of_day, b"anontrace/1 slot secret" + slot_bytes(slot), 32)


def public_key(secret: bytes) -> bytes:
    """P of a slot secret."""
    return x25519_base(secret)


def contact_address(slot_public_key: bytes) -> bytes:
    """K (20) of a slot public key."""
    return sha256(b"anontrace/1 contact address" + slot_public_key)[:ADDRESS]


def beacon_key(owner_key: bytes) -> bytes:
    """The key by which a companion recognises its own badge's beacons."""
    return hkdf.expand(owner_key, b"anontrace/2 beacon key", 32)


def beacon(key: bytes, data: bytes) -> bytes:
    """A beacon (20), which tells its 8 bytes to whoever has the key: number (4), boot (2), random (2).

    The number is a slot; of a badge that shall be found whatever its clock says, how many periods it is since its boot.
    """
    if len(data) != CONTENT:
        raise FormatError("a beacon holds 8 bytes")
    mac = hmac_sha256(key, data)[:MAC]
    return xor(data, hmac_sha256(key, mac)[:CONTENT]) + mac


def xor(a: bytes, b: bytes) -> bytes:
    """Of what a beacon holds and its mask."""
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(CONTENT, "little")
