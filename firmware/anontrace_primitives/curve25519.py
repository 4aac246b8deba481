# ruff: noqa: F821 - ptr8, ptr16, ptr32 and uint are words of the viper compiler
"""X25519, RFC 7748, on MicroPython: big integers for products, viper for what lies between them.

A Montgomery ladder of 256 equal steps. No branch and no early exit depends on the scalar, and no index but the choice
between two values that are both at hand. Dividing by P costs as much as three products, so nothing is divided: products
are folded at 2**255 = 19 or 2**256 = 38 (modulo P). What is to be folded is never negative.

    x25519(scalar, point) -> 32        ValueError for other sizes than 32 and if the result is all zero
    x25519_base(scalar) -> 32
"""

from os import urandom

import micropython
from micropython import const

_P = (1 << 255) - 19
_MASK = (1 << 255) - 1
_128P = 128 * _P
_PRODUCT = const(68)  # bytes of the largest product of a step, 543 bits
_BASE = b"\x09" + bytes(31)


def x25519_base(scalar):
    """The public key (32) of a scalar (32)."""
    return x25519(scalar, _BASE)


def x25519(scalar, point):
    """X25519 of a scalar (32) and a u-coordinate (32)."""
    if len(scalar) != 32 or len(point) != 32:
        raise ValueError("X25519 takes a scalar and a point of 32 bytes each")
    clamped = bytearray(scalar)
    clamped[0] &= 248
    clamped[31] = clamped[31] & 127 | 64
    x, z = _ladder(clamped, int.from_bytes(point, "little") & _MASK)
    for i in range(32):
        clamped[i] = 0
    result = x * _inverse(z) % _P
    if result == 0:
        raise ValueError("X25519 result is all zero: the point is of low order")
    return result.to_bytes(32, "little")


@micropython.native
def _ladder(scalar, u):
    """(x, z), not reduced, of scalar times u; the scalar's most significant bit comes first.

    x2/z2 holds what the last step doubled and x3/z3 the sum, so a change of bit, not the bit, says which is doubled
    next. The sum is the same either way, but for a sign that its squares lose.
    """
    mask = _MASK
    size = _PRODUCT
    from_bytes = int.from_bytes
    sum2, difference2, sum3, difference3 = bytearray(32), bytearray(32), bytearray(32), bytearray(32)
    x2, z2, x3, z3 = 1, 0, u, 1
    last = 0
    for i in range(31, -1, -1):
        byte = scalar[i]
        for shift in range(7, -1, -1):
            bit = byte >> shift & 1
            change = bit ^ last
            last = bit
            _sum_and_difference(x2.to_bytes(size, "little"), z2.to_bytes(size, "little"), sum2, difference2)
            _sum_and_difference(x3.to_bytes(size, "little"), z3.to_bytes(size, "little"), sum3, difference3)
            a = from_bytes(sum2, "little")  # these four are under 2**256
            b = from_bytes(difference2, "little")
            c = from_bytes(sum3, "little")
            d = from_bytes(difference3, "little")
            da = d * a
            da = (da & mask) + 19 * (da >> 255)  # one fold leaves less than 2**262
            cb = c * b
            cb = (cb & mask) + 19 * (cb >> 255)
            aa = (a, c)[change]
            aa = aa * aa
            aa = (aa & mask) + 19 * (aa >> 255)
            bb = (b, d)[change]
            bb = bb * bb
            bb = (bb & mask) + 19 * (bb >> 255)
            x3 = da + cb
            x3 = x3 * x3
            z3 = da - cb
            z3 = z3 * z3
            z3 = ((z3 & mask) + 19 * (z3 >> 255)) * u
            x2 = aa * bb
            e = aa + _128P - bb
            z2 = e * (aa + 121665 * e)
    # The lowest bit of a clamped scalar is 0: what was doubled last is the result, without a last exchange.
    return x2, z2


@micropython.viper
def _sum_and_difference(x: ptr16, z: ptr16, total: ptr16, difference: ptr16):
    """x + z and x - z of two products (68 bytes each), modulo P and under 2**256 (32 bytes each).

    Halfword i + 16 folds onto halfword i with 38, halfword i + 32 with 38 * 38. The difference gets a multiple of P,
    2048 * (2**256 - 38), added, so that it ends positive.
    """
    plus = 0
    minus = -38 * 2048
    for i in range(16):
        low_x = int(x[i]) + 38 * int(x[i + 16])
        low_z = int(z[i]) + 38 * int(z[i + 16])
        if i < 2:
            low_x += 1444 * int(x[i + 32])
            low_z += 1444 * int(z[i + 32])
        plus += low_x + low_z
        minus += low_x - low_z
        total[i] = plus & 0xFFFF
        difference[i] = minus & 0xFFFF
        plus >>= 16
        minus >>= 16
    plus *= 38
    minus = 38 * (minus + 2048)
    for i in range(16):
        plus += int(total[i])
        minus += int(difference[i])
        total[i] = plus & 0xFFFF
        difference[i] = minus & 0xFFFF
        plus >>= 16
        minus >>= 16
    # A carry out of the top now means that what is left is less than 2**18: the last fold ends in the second halfword.
    plus = int(total[0]) + 38 * plus
    minus = int(difference[0]) + 38 * minus
    total[0] = plus & 0xFFFF
    difference[0] = minus & 0xFFFF
    total[1] += plus >> 16
    difference[1] += minus >> 16


def _inverse(z):
    """1/z modulo P, and 0 for 0: Euclid's algorithm on z times a random number, so its course tells nothing about z."""
    blind = int.from_bytes(urandom(32), "little") % _P or 1
    a, b = _P, z * blind % _P
    s, t = 0, 1
    while b:
        q = a // b
        a, b = b, a - q * b
        s, t = t, s - q * t
    return s * blind % _P
