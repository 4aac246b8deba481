"""The ChaCha20 keystream as the packet format uses it: counter 0, nonce 0 (docs/protocol.md section 6).

Every key here is used for one stream only, so the nonce has nothing to tell apart. Never takes a key that is not fresh.
"""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

_COUNTER_AND_NONCE = bytes(16)


def xor(key: bytes, data: bytes) -> bytes:
    """`data` XOR the keystream of a 32-byte key."""
    return Cipher(ChaCha20(key, _COUNTER_AND_NONCE), None).encryptor().update(data)


def keystream(key: bytes, length: int) -> bytes:
    """The first `length` bytes of the keystream of a 32-byte key."""
    return xor(key, bytes(length))
