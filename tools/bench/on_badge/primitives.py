"""Runs on MicroPython: times the badge's primitives and, in the same rounds, a plain X25519 ladder. Prints JSON, in us.

Each figure is the fastest of many rounds: what the code costs when nothing else runs.
"""

import json
import sys
import time

from anontrace_primitives import aead_open, aead_seal, hmac_sha256, x25519

P = (1 << 255) - 19


def plain_x25519(scalar, point):
    """RFC 7748, section 5, word by word: every result is reduced with % P, and the swap is a branch."""
    k = int.from_bytes(scalar, "little") & ((1 << 255) - 8) | 1 << 254
    x1 = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3 = x3, x2
            z2, z3 = z3, z2
        swap = bit
        a = (x2 + z2) % P
        aa = a * a % P
        b = (x2 - z2) % P
        bb = b * b % P
        e = (aa - bb) % P
        c = (x3 + z3) % P
        d = (x3 - z3) % P
        da = d * a % P
        cb = c * b % P
        x3 = (da + cb) % P
        x3 = x3 * x3 % P
        z3 = (da - cb) % P
        z3 = x1 * (z3 * z3 % P) % P
        x2 = aa * bb % P
        z2 = e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def fastest(rounds, **functions):
    """The least time of each function in us; they take turns, so that a slow moment of the machine meets all."""
    least = dict.fromkeys(functions, 1 << 29)
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.ticks_us()
            function()
            least[name] = min(least[name], time.ticks_diff(time.ticks_us(), start))
    return least


rounds = int(sys.argv[1])
key, nonce, aad, contact = bytes(range(32)), bytes(12), bytes(5), bytes(24)
point = x25519(bytes(range(64, 96)), b"\x09" + bytes(31))
mixed, sparse, dense = bytes(range(101, 133)), bytes(32), b"\xff" * 32
assert plain_x25519(mixed, point) == x25519(mixed, point)
record, frame = aead_seal(key, nonce, contact, aad), bytes(960)

result = fastest(
    rounds,
    plain_x25519=lambda: plain_x25519(mixed, point),
    x25519=lambda: x25519(mixed, point),
    x25519_sparse=lambda: x25519(sparse, point),
    x25519_dense=lambda: x25519(dense, point),
)
result.update(
    fastest(
        rounds * 10,
        seal_record=lambda: aead_seal(key, nonce, contact, aad),
        open_record=lambda: aead_open(key, nonce, record, aad),
        seal_frame=lambda: aead_seal(key, nonce, frame),
        hmac=lambda: hmac_sha256(key, contact),
    )
)
print(json.dumps(result))
