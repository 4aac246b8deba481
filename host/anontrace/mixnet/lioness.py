"""LIONESS (Anderson and Biham 1996) over ChaCha20 and keyed BLAKE2b: one flipped bit garbles the whole block.

docs/protocol.md section 6. A permutation, not authentication: what must be known to be whole is sealed first.
"""

from collections.abc import Sequence
from hashlib import blake2b

from anontrace_shared.errors import FormatError

from . import stream
from .sizes import LIONESS_KEYS

_LEFT = 32


def encrypt(keys: bytes, block: bytes) -> bytes:
    """The block (over 32 bytes), encrypted under k1, k2, k3, k4 (128 in all). FormatError on other sizes."""
    _check(keys, block)
    left, right = block[:_LEFT], block[_LEFT:]
    right = stream.xor(_xor(left, keys[0:32]), right)
    left = _xor(left, blake2b(right, digest_size=32, key=keys[32:64]).digest())
    right = stream.xor(_xor(left, keys[64:96]), right)
    left = _xor(left, blake2b(right, digest_size=32, key=keys[96:128]).digest())
    return left + right


def decrypt(keys: bytes, block: bytes) -> bytes:
    """The reverse of `encrypt`."""
    _check(keys, block)
    left, right = block[:_LEFT], block[_LEFT:]
    left = _xor(left, blake2b(right, digest_size=32, key=keys[96:128]).digest())
    right = stream.xor(_xor(left, keys[64:96]), right)
    left = _xor(left, blake2b(right, digest_size=32, key=keys[32:64]).digest())
    right = stream.xor(_xor(left, keys[0:32]), right)
    return left + right


def keys_from(seed: bytes) -> bytes:
    """LIONESS keys (128) out of a fresh 32-byte key that has no other use."""
    return stream.keystream(seed, LIONESS_KEYS)


def layers(key_sets: Sequence[bytes], block: bytes) -> bytes:
    """Encrypt for a path whose hops decrypt in the given order: the last key set first."""
    for keys in reversed(key_sets):
        block = encrypt(keys, block)
    return block


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(32, "little")


def _check(keys: bytes, block: bytes) -> None:
    if len(keys) != LIONESS_KEYS or len(block) <= _LEFT:
        raise FormatError(f"LIONESS takes {LIONESS_KEYS} bytes of keys and a block of more than {_LEFT} bytes")
