"""Building the 141-byte header for a path of 1 to 4 mixes (docs/protocol.md section 6). The client's side only.

The header is of one size whatever the length of the path. Of many headers the exchanges of each step go at once. Never
chooses a path and never sends.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from anontrace_primitives import x25519_base_many, x25519_many
from anontrace_shared.errors import FormatError

from . import blinding, hop_keys
from .hop_keys import HopKeys
from .path import Hop, check
from .sizes import FINAL, HOP, KEY, MAILBOX, PAD, ROUTING, SPARE

RandomBytes = Callable[[int], bytes]
NO_MAILBOX = bytes(MAILBOX)  # the last hop is a nymserver, which does not look at it

# Versions of a mailbox address.
ALONE = 0  # a mailbox of its own
GROUPED = 1  # one of a group: group (16), box (16)


class Built(NamedTuple):
    """A header (141), and of every hop in order the seed (32) and the keys."""

    header: bytes
    seeds: list[bytes]
    keys: list[HopKeys]

    def __repr__(self) -> str:
        return "Built(...)"


def build(
    path: Sequence[Hop], mailbox: bytes, random_bytes: RandomBytes = os.urandom, version: int = ALONE
) -> tuple[bytes, list[bytes]]:
    """The header (141), and the seed (32) of every hop in order.

    `random_bytes` is asked for 32 (the first scalar), then for what fills the last hop's routing. `version`: of the
    mailbox address. FormatError if the path or the mailbox (32) cannot be used.
    """
    (built,) = build_many([path], [mailbox], random_bytes, version)
    return built.header, built.seeds


def build_many(
    paths: Sequence[Sequence[Hop]],
    mailboxes: Sequence[bytes],
    random_bytes: RandomBytes = os.urandom,
    version: int = ALONE,
) -> list[Built]:
    """A header for each path and mailbox, as `build` makes them: eight or more cost least each, where X25519 goes eight
    at a time. `random_bytes` is asked for all scalars first. FormatError if one path or mailbox cannot be used."""
    for path, mailbox in zip(paths, mailboxes, strict=True):
        check(path)
        if len(mailbox) != MAILBOX:
            raise FormatError(f"a mailbox address has {len(mailbox)} bytes instead of {MAILBOX}")
    secrets = [blinding.clamp(random_bytes(KEY)) for _ in paths]
    alphas = x25519_base_many(secrets)
    made = zip(paths, mailboxes, alphas, hops_of(paths, secrets), strict=True)
    return [_built(path, mailbox, alpha, hops, random_bytes, version) for path, mailbox, alpha, hops in made]


def _built(
    path: Sequence[Hop],
    mailbox: bytes,
    alpha: bytes,
    hops: list[tuple[bytes, HopKeys]],
    random_bytes: RandomBytes,
    version: int,
) -> Built:
    """The header that begins with this alpha."""
    keys = [each for _, each in hops]

    # Each mix appends HOP zeros to the routing and XORs its pad onto the whole. So what it appended comes out as the
    # end of its pad, and every later mix XORs the part of its own pad that lies there:
    #     filler_0 = empty;   filler_(i+1) = (filler_i || 0^HOP) XOR last (i+1) * HOP bytes of pad_i
    filler = b""
    for key in keys[:-1]:
        filler = _xor(filler + bytes(HOP), key.pad[PAD - len(filler) - HOP :])

    padding = random_bytes(ROUTING - len(filler) - FINAL)
    inner = bytes(FINAL - MAILBOX - SPARE) + mailbox + version.to_bytes(SPARE, "little") + padding
    routing = _xor(inner, keys[-1].pad) + filler
    tag = hop_keys.tag(keys[-1].tag_key, routing)
    for at in reversed(range(len(path) - 1)):
        following = path[at + 1]
        inner = bytes((following.key_select, following.number)) + tag + routing[: ROUTING - HOP]
        routing = _xor(inner, keys[at].pad)
        tag = hop_keys.tag(keys[at].tag_key, routing)
    return Built(bytes((path[0].key_select,)) + alpha + tag + routing, [seed for seed, _ in hops], keys)


def hops_of(paths: Sequence[Sequence[Hop]], secrets: Sequence[bytes]) -> list[list[tuple[bytes, HopKeys]]]:
    """Of each path the seed (32) that each mix will derive, and its keys, from the first hop's secret (32, clamped).

    One X25519 a hop. FormatError if a mix's key is a point of low order.
    """
    found: list[list[tuple[bytes, HopKeys]]] = [[] for _ in paths]
    eighths = [blinding.eighth(secret) for secret in secrets]
    for step in range(max(map(len, paths), default=0)):
        going = [number for number, path in enumerate(paths) if step < len(path)]
        if step:
            for number in going:
                eighths[number] = blinding.times(eighths[number], found[number][-1][1].blinding)
        scalars = [blinding.scalar(eighths[number]) for number in going]
        points = [paths[number][step].public_key for number in going]
        for number, shared in zip(going, x25519_many(scalars, points), strict=True):
            hop = paths[number][step]
            if shared is None:
                raise FormatError(f"the key of mix {hop.number} is a point of low order")
            seed = hop_keys.seed_of(shared, hop.public_key)
            found[number].append((seed, hop_keys.expand(seed)))
    return found


def _xor(data: bytes, pad: bytes) -> bytes:
    """`data` XOR as much of the pad as it is long."""
    size = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad[:size], "little")).to_bytes(size, "little")
