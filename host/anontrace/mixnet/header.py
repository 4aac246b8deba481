"""Building the 141-byte header for a path of 1 to 4 mixes (docs/protocol.md section 6). The client's side only.

The header is of one size whatever the length of the path. Never chooses a path and never sends.
"""

import os
from collections.abc import Callable, Sequence

from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import FormatError

from . import blinding, hop_keys
from .path import Hop, check
from .sizes import FINAL, HOP, KEY, MAILBOX, PAD, ROUTING, SPARE

RandomBytes = Callable[[int], bytes]
NO_MAILBOX = bytes(MAILBOX)  # the last hop is a nymserver, which does not look at it

# Versions of a mailbox address.
ALONE = 0  # a mailbox of its own
GROUPED = 1  # one of a group: group (16), box (16)


def build(
    path: Sequence[Hop], mailbox: bytes, random_bytes: RandomBytes = os.urandom, version: int = ALONE
) -> tuple[bytes, list[bytes]]:
    """The header (141), and the seed (32) of every hop in order.

    `random_bytes` is asked for 32 (the first scalar), then for what fills the last hop's routing. `version`: of the
    mailbox address. FormatError if the path or the mailbox (32) cannot be used.
    """
    check(path)
    if len(mailbox) != MAILBOX:
        raise FormatError(f"a mailbox address has {len(mailbox)} bytes instead of {MAILBOX}")
    secret = blinding.clamp(random_bytes(KEY))
    seeds = seeds_of(path, secret)
    keys = [hop_keys.expand(seed) for seed in seeds]

    # Each mix appends HOP zeros to the routing and XORs its pad onto the whole. So what it appended comes out as the
    # end of its pad, and every later mix XORs the part of its own pad that lies there:
    #     filler_0 = empty;   filler_(i+1) = (filler_i || 0^HOP) XOR last (i+1) * HOP bytes of pad_i
    filler = b""
    for key in keys[:-1]:
        filler = _xor(filler + bytes(HOP), key.pad[PAD - len(filler) - HOP :])

    padding = random_bytes(ROUTING - len(filler) - FINAL)
    inner = bytes(FINAL - MAILBOX - SPARE) + mailbox + bytes((version,)).ljust(SPARE, b"\0") + padding
    routing = _xor(inner, keys[-1].pad) + filler
    tag = hop_keys.tag(keys[-1].tag_key, routing)
    for at in reversed(range(len(path) - 1)):
        following = path[at + 1]
        inner = bytes((following.key_select, following.number)) + tag + routing[: ROUTING - HOP]
        routing = _xor(inner, keys[at].pad)
        tag = hop_keys.tag(keys[at].tag_key, routing)
    return bytes((path[0].key_select,)) + x25519_base(secret) + tag + routing, seeds


def seeds_of(path: Sequence[Hop], secret: bytes) -> list[bytes]:
    """The seed (32) that each mix will derive, from the first hop's secret (32, clamped). One X25519 a hop."""
    seeds: list[bytes] = []
    scalar = secret
    for each in path:
        if seeds:
            blind = hop_keys.expand(seeds[-1]).blinding
            scalar = blinding.representative(blinding.times(scalar, blind))
        try:
            shared = x25519(scalar, each.public_key)
        except ValueError:
            raise FormatError(f"the key of mix {each.number} is a point of low order") from None
        seeds.append(hop_keys.seed_of(shared, each.public_key))
    return seeds


def _xor(data: bytes, pad: bytes) -> bytes:
    """`data` XOR as much of the pad as it is long."""
    size = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad[:size], "little")).to_bytes(size, "little")
