"""The ChaCha20 keystream as the packet format uses it: nonce 0, from block 1 on (docs/protocol.md section 6).

Every key here is used for one stream only, so the nonce has nothing to tell apart. Block 1 is where RFC 8439's AEAD
starts, whose one call is twice as fast here as a cipher object; its tag is of no use and is cut off.
"""

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_NONCE = bytes(12)
_TAG = 16


def xor(key: bytes, data: bytes) -> bytes:
    """`data` XOR the keystream of a 32-byte key."""
    return ChaCha20Poly1305(key).encrypt(_NONCE, data, None)[:-_TAG]


def keystream(key: bytes, length: int) -> bytes:
    """The first `length` bytes of the keystream of a 32-byte key."""
    return xor(key, bytes(length))
