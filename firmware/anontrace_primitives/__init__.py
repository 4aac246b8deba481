"""Cryptographic primitives on the badge: Python and viper over hashlib, behind the interface of the shared code.

docs/protocol.md, table of primitives. The host has the same names in `host/anontrace_primitives`; both answer to the
same vectors. This package knows no format and keeps no state between calls.

    x25519(scalar, point) -> 32            RFC 7748; ValueError if the result is all zero (a point of low order)
    x25519_base(scalar) -> 32              the same with the base point 9
    aead_seal(key, nonce, plaintext, aad=b"") -> ciphertext + 16 of tag        RFC 8439
    aead_open(key, nonce, sealed, aad=b"") -> plaintext; ValueError if it does not authenticate
    sha256(data) -> 32                     FIPS 180-4
    hmac_sha256(key, data) -> 32           RFC 2104
    equal(a, b) -> bool                    in constant time; False if the lengths differ
    random_bytes(n) -> n                   from the chip's generator
    wipe(buffer) -> None                   overwrites a bytearray with zeros

Scalars, points and AEAD keys are 32 bytes, nonces 12; any other size is a ValueError. Arguments may be bytes, bytearray
or memoryview; results are bytes.

Only here: `memory.scrub()` overwrites what the collector has freed.
"""

from os import urandom as random_bytes

from .chacha20poly1305 import aead_open, aead_seal
from .curve25519 import x25519, x25519_base
from .hashes import hmac_sha256, sha256
from .memory import equal, wipe

__all__ = ["aead_open", "aead_seal", "equal", "hmac_sha256", "random_bytes", "sha256", "wipe", "x25519", "x25519_base"]
