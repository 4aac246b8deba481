"""LIONESS (Anderson and Biham 1996) over ChaCha20 and keyed BLAKE2b: one flipped bit garbles the whole block.

docs/protocol.md section 6. A permutation, not authentication: what must be known to be whole is sealed first.
"""

from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct

from anontrace_shared.errors import FormatError

from . import stream
from .sizes import LIONESS_KEYS

_LEFT = 32
_KEYS = Struct("32s32s32s32s")
_WRONG_SIZES = f"LIONESS takes {LIONESS_KEYS} bytes of keys and a block of more than {_LEFT} bytes"
_number = int.from_bytes  # XOR of whole numbers is the shortest in Python; either byte order will do


def encrypt(keys: bytes, block: bytes) -> bytes:
    """The block (over 32 bytes), encrypted under k1, k2, k3, k4 (128 in all). FormatError on other sizes."""
    if len(keys) != LIONESS_KEYS or len(block) <= _LEFT:
        raise FormatError(_WRONG_SIZES)
    k1, k2, k3, k4 = _KEYS.unpack(keys)
    left, right = _number(block[:_LEFT]), block[_LEFT:]
    right = stream.xor((left ^ _number(k1)).to_bytes(_LEFT), right)
    left ^= _number(blake2b(right, digest_size=32, key=k2).digest())
    right = stream.xor((left ^ _number(k3)).to_bytes(_LEFT), right)
    left ^= _number(blake2b(right, digest_size=32, key=k4).digest())
    return left.to_bytes(_LEFT) + right


def decrypt(keys: bytes, block: bytes) -> bytes:
    """The reverse of `encrypt`."""
    if len(keys) != LIONESS_KEYS or len(block) <= _LEFT:
        raise FormatError(_WRONG_SIZES)
    k1, k2, k3, k4 = _KEYS.unpack(keys)
    left, right = _number(block[:_LEFT]), block[_LEFT:]
    left ^= _number(blake2b(right, digest_size=32, key=k4).digest())
    right = stream.xor((left ^ _number(k3)).to_bytes(_LEFT), right)
    left ^= _number(blake2b(right, digest_size=32, key=k2).digest())
    right = stream.xor((left ^ _number(k1)).to_bytes(_LEFT), right)
    return left.to_bytes(_LEFT) + right


def keys_from(seed: bytes) -> bytes:
    """LIONESS keys (128) out of a fresh 32-byte key that has no other use."""
    return stream.expand(seed, LIONESS_KEYS)


def layers(key_sets: Sequence[bytes], block: bytes) -> bytes:
    """Encrypt for a path whose hops decrypt in the given order: the last key set first."""
    for keys in reversed(key_sets):
        block = encrypt(keys, block)
    return block
