"""Blinded scalars for the maker of a header: one X25519 a hop instead of a chain of them (docs/protocol.md section 6).

X25519 clamps every scalar, so a product of scalars cannot be handed to it as it is. But the message's keys are
multiples of the base point, whose order is the prime L, and only u-coordinates count, which P and -P share: any n that
is plus or minus the product modulo L will do. `representative` finds the one that clamping leaves alone. Never handles
a mix's secret.
"""

from nacl import bindings

ORDER = (1 << 252) + 27742317777372353535851937790883648493  # L, the order of the base point
_LOW = 1 << 251
_HIGH = 1 << 252
_INVERSE_OF_8 = pow(8, -1, ORDER).to_bytes(32, "little")


def clamp(scalar: bytes) -> bytes:
    """A 32-byte string as the scalar that X25519 makes of it (RFC 7748, section 5)."""
    return bytes([scalar[0] & 248]) + scalar[1:31] + bytes([scalar[31] & 127 | 64])


def times(scalar: bytes, factor: bytes) -> bytes:
    """x * clamp(factor) modulo L, 32 bytes, reduced. `scalar` may be any residue."""
    return bindings.crypto_core_ed25519_scalar_mul(scalar, clamp(factor))


def representative(scalar: bytes) -> bytes:
    """n = 8m with m = x/8 or -x/8 modulo L and 2**251 <= m < 2**252.

    ValueError for the few x that have none: m or L - m is at least 2**251, and both are outside only if one of them is
    under 2**125. A random x meets that with probability 2**-126.
    """
    eighth = int.from_bytes(bindings.crypto_core_ed25519_scalar_mul(scalar, _INVERSE_OF_8), "little")
    for m in (eighth, ORDER - eighth):
        if _LOW <= m < _HIGH:
            return (8 * m).to_bytes(32, "little")
    raise ValueError("this scalar has no representative that clamping leaves alone")
