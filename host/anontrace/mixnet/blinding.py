"""Blinded scalars for the maker of a header: one X25519 a hop instead of a chain of them (docs/protocol.md section 6).

X25519 clamps every scalar, so a product of scalars cannot be handed to it as it is. But the message's keys are
multiples of the base point, whose order is the prime L, and only u-coordinates count, which P and -P share: any n that
is plus or minus the product modulo L will do. One such n is left alone by clamping, and is kept as its eighth m: 32
bytes, n = 8m with 2**251 <= m < 2**252. Never handles a mix's secret.
"""

from nacl import bindings

ORDER = (1 << 252) + 27742317777372353535851937790883648493  # L, the order of the base point
_LOW = 1 << 251
_HIGH = 1 << 252


def clamp(scalar: bytes) -> bytes:
    """A 32-byte string as the scalar that X25519 makes of it (RFC 7748, section 5)."""
    return bytes([scalar[0] & 248]) + scalar[1:31] + bytes([scalar[31] & 127 | 64])


def eighth(scalar: bytes) -> bytes:
    """m of a clamped scalar (32)."""
    return (int.from_bytes(scalar, "little") >> 3).to_bytes(32, "little")


def scalar(eighth: bytes) -> bytes:
    """n = 8m (32)."""
    return (int.from_bytes(eighth, "little") << 3).to_bytes(32, "little")


def times(eighth: bytes, factor: bytes) -> bytes:
    """The eighth of n * clamp(factor) or of its negative, modulo L.

    ValueError for the few products that have none: m or L - m is at least 2**251, and both are outside only if one of
    them is under 2**125. A random product meets that with probability 2**-126.
    """
    product = int.from_bytes(bindings.crypto_core_ed25519_scalar_mul(eighth, clamp(factor)), "little")
    for m in (product, ORDER - product):
        if _LOW <= m < _HIGH:
            return m.to_bytes(32, "little")
    raise ValueError("this scalar has no representative that clamping leaves alone")
