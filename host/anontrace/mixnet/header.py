"""Building the 141-byte header for a path of 1 to 4 mixes (docs/protocol.md section 6). The client's side only.

The header is of one size whatever the length of the path. Never chooses a path and never sends.
"""

import os
from collections.abc import Callable, Sequence

from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import FormatError

from . import blinding, hop
from . import path as paths
from .path import Hop
from .sizes import FINAL, HOP, KEY, MAILBOX, PAD, ROUTING, SPARE

RandomBytes = Callable[[int], bytes]
NO_MAILBOX = bytes(MAILBOX)  # the last hop is a nymserver, which does not look at it


def build(path: Sequence[Hop], mailbox: bytes, random_bytes: RandomBytes = os.urandom) -> tuple[bytes, list[bytes]]:
    """The header (141), and the seed (32) of every hop in order.

    `random_bytes` is asked for 32 (the first scalar), then for what fills the last hop's routing. FormatError if the
    path or the mailbox (32) cannot be used.
    """
    paths.check(path)
    if len(mailbox) != MAILBOX:
        raise FormatError(f"a mailbox address has {len(mailbox)} bytes instead of {MAILBOX}")
    secret = blinding.clamp(random_bytes(KEY))
    seeds = seeds_of(path, secret)
    tag_keys, pads, _, _ = zip(*map(hop.expand, seeds), strict=True)

    filler = b""
    for pad in pads[:-1]:
        filler = _xor(filler + bytes(HOP), pad[PAD - len(filler) - HOP :])

    padding = random_bytes(ROUTING - len(filler) - FINAL)
    inner = bytes(FINAL - MAILBOX - SPARE) + mailbox + bytes(SPARE) + padding
    routing = _xor(inner, pads[-1]) + filler
    tag = hop.tag(tag_keys[-1], routing)
    for at in reversed(range(len(path) - 1)):
        following = path[at + 1]
        inner = bytes((following.key_select, following.number)) + tag + routing[: ROUTING - HOP]
        routing = _xor(inner, pads[at])
        tag = hop.tag(tag_keys[at], routing)
    return bytes((path[0].key_select,)) + x25519_base(secret) + tag + routing, seeds


def seeds_of(path: Sequence[Hop], secret: bytes) -> list[bytes]:
    """The seed (32) that each mix will derive, from the first hop's secret (32, clamped). One X25519 a hop."""
    seeds: list[bytes] = []
    scalar = secret
    for each in path:
        if seeds:
            _, _, blind, _ = hop.expand(seeds[-1])
            scalar = blinding.representative(blinding.times(scalar, blind))
        try:
            shared = x25519(scalar, each.public_key)
        except ValueError:
            raise FormatError(f"the key of mix {each.number} is a point of low order") from None
        seeds.append(hop.seed_of(shared, each.public_key))
    return seeds


def _xor(data: bytes, pad: bytes) -> bytes:
    """`data` XOR as much of the pad as it is long."""
    size = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad[:size], "little")).to_bytes(size, "little")
