"""HKDF-SHA256, RFC 5869: extract and expand, on both interpreters.

Stands on `anontrace_primitives.hmac_sha256` alone. It never stores what it derives.
"""

from anontrace_primitives import hmac_sha256

HASH = 32


def extract(salt: bytes, ikm: bytes) -> bytes:
    """The pseudorandom key (32) of input key material; an empty salt stands for 32 zero bytes, as in the RFC."""
    return hmac_sha256(salt, ikm)


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """`length` bytes of output key material, at most 255 * 32 (ValueError beyond); prk is 32 bytes or longer."""
    if not 0 <= length <= 255 * HASH:
        raise ValueError("HKDF-Expand gives at most 8160 bytes")
    block = b""
    output = b""
    counter = 1
    while len(output) < length:
        block = hmac_sha256(prk, block + info + bytes([counter]))
        output += block
        counter += 1
    return output[:length]
