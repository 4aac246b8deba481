"""The two ways in which the packet format makes many bytes from one key (docs/protocol.md section 6).

Every key here has one use only, so there is no nonce to tell uses apart. Never takes a key that is not fresh.
"""

from hashlib import shake_256

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_NONCE = bytes(12)
_TAG = 16


def expand(key: bytes, length: int) -> bytes:
    """`length` bytes of further keys from a 32-byte key: SHAKE256 of it."""
    return shake_256(key).digest(length)


def xor(key: bytes, data: bytes) -> bytes:
    """`data` XOR the ChaCha20 keystream of a 32-byte key, nonce 0, from block 1 on.

    Block 1 is where RFC 8439's AEAD starts, whose one call is twice as fast here as a cipher object; its tag is of no
    use and is cut off.
    """
    return ChaCha20Poly1305(key).encrypt(_NONCE, data, None)[:-_TAG]
