"""Cryptographic primitives on the host: libsodium, OpenSSL and hashlib behind the interface that shared code stands on.

docs/protocol.md, table of primitives. The badge has the same names in `firmware/anontrace_primitives`, those of batches
apart; both answer to the same vectors. This package knows no format, and keeps no state but by what it computes batches
(`x25519_batches`).

    x25519(scalar, point) -> 32            RFC 7748; ValueError if the result is all zero (a point of low order)
    x25519_base(scalar) -> 32              the same with the base point 9
    x25519_many(scalars, points) -> [32]   X25519 of each pair; None in the place of a point of low order
    x25519_base_many(scalars) -> [32]      the same with the base point 9
    aead_seal(key, nonce, plaintext, aad=b"") -> ciphertext + 16 of tag        RFC 8439
    aead_open(key, nonce, sealed, aad=b"") -> plaintext; ValueError if it does not authenticate
    sha256(data) -> 32                     FIPS 180-4
    hmac_sha256(key, data) -> 32           RFC 2104
    equal(a, b) -> bool                    in constant time; False if the lengths differ
    random_bytes(n) -> n                   from the operating system
    wipe(buffer) -> None                   overwrites a bytearray with zeros

Scalars, points and AEAD keys are 32 bytes, nonces 12; any other size is a ValueError. Arguments may be bytes, bytearray
or memoryview; results are bytes.
"""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl import bindings
from nacl.exceptions import CryptoError

from .x25519_batches import x25519_base_many, x25519_many

KEY = 32
NONCE = 12
TAG = 16
Bytes = bytes | bytearray | memoryview

__all__ = [
    "aead_open",
    "aead_seal",
    "equal",
    "hmac_sha256",
    "random_bytes",
    "sha256",
    "wipe",
    "x25519",
    "x25519_base",
    "x25519_base_many",
    "x25519_many",
]


def x25519(scalar: Bytes, point: Bytes) -> bytes:
    """X25519 of a 32-byte scalar and a 32-byte u-coordinate; ValueError if the result is all zero."""
    if len(scalar) != KEY or len(point) != KEY:
        raise ValueError("X25519 takes a scalar and a point of 32 bytes each")
    try:
        return bindings.crypto_scalarmult(bytes(scalar), bytes(point))
    except CryptoError:
        raise ValueError("X25519 result is all zero: the point is of low order") from None


def x25519_base(scalar: Bytes) -> bytes:
    """The public key (32) of a 32-byte scalar."""
    if len(scalar) != KEY:
        raise ValueError("X25519 takes a scalar of 32 bytes")
    return bindings.crypto_scalarmult_base(bytes(scalar))


def aead_seal(key: Bytes, nonce: Bytes, plaintext: Bytes, aad: Bytes = b"") -> bytes:
    """ChaCha20-Poly1305: ciphertext, as long as the plaintext, and 16 of tag. Key 32, nonce 12."""
    _check_sizes(key, nonce)
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def aead_open(key: Bytes, nonce: Bytes, sealed: Bytes, aad: Bytes = b"") -> bytes:
    """The plaintext of what `aead_seal` made; ValueError if key, nonce, aad or any byte of it differs."""
    _check_sizes(key, nonce)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise ValueError("sealed bytes do not authenticate") from None


def _check_sizes(key: Bytes, nonce: Bytes) -> None:
    if len(key) != KEY or len(nonce) != NONCE:
        raise ValueError("ChaCha20-Poly1305 takes a key of 32 bytes and a nonce of 12")


def sha256(data: Bytes) -> bytes:
    """SHA-256 of data, 32."""
    return hashlib.sha256(data).digest()


def hmac_sha256(key: Bytes, data: Bytes) -> bytes:
    """HMAC-SHA256 of data under a key of any length, 32."""
    return hmac.digest(key, data, "sha256")


def equal(a: Bytes, b: Bytes) -> bool:
    """Whether a and b are the same bytes; takes the same time wherever they differ."""
    return hmac.compare_digest(a, b)


def random_bytes(n: int) -> bytes:
    """n bytes from the operating system's generator."""
    return os.urandom(n)


def wipe(buffer: bytearray) -> None:
    """Overwrite a secret in place with zeros; its length stays."""
    buffer[:] = bytes(len(buffer))
