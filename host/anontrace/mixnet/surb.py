"""Single-use reply blocks: made by a client, kept by the nymserver, used once (docs/protocol.md section 7).

Whoever holds a SURB can send one message to its maker without learning who that is. Never stores one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from anontrace_primitives import x25519_base_many
from anontrace_shared.errors import FormatError

from . import header, hop_keys, lioness, packet
from .header import RandomBytes
from .path import Hop
from .sizes import HEADER, KEY, MAX_HOPS, MIX_NUMBER, SURB


class Surb(NamedTuple):
    """A SURB taken apart: where to send the message, its header (141), the key (32) to seal to. Of a reply block the
    key is one that both sides know."""

    first_mix: int
    header: bytes
    message_key: bytes


@dataclass(frozen=True, slots=True)
class SurbSecrets:
    """What the maker keeps of a SURB: the seeds of its hops in order, and the secret of the message key. Of a reply
    block: the seeds, and the key itself."""

    seeds: tuple[bytes, ...] = field(repr=False)
    message_secret: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """32 for the message secret and 32 for each hop."""
        return self.message_secret + b"".join(self.seeds)

    @classmethod
    def from_bytes(cls, data: bytes) -> "SurbSecrets":
        """The reverse of `to_bytes`; FormatError if it cannot be that."""
        if len(data) % KEY or not 2 <= len(data) // KEY <= 1 + MAX_HOPS:
            raise FormatError(f"these are not the secrets of a SURB: {len(data)} bytes")
        parts = [data[at : at + KEY] for at in range(0, len(data), KEY)]
        return cls(tuple(parts[1:]), parts[0])

    def undo(self, payload: bytes) -> bytes:
        """The payload (239) as it was handed to the first mix, from what arrived in the mailbox."""
        packet.check_payload(payload)
        return lioness.layers([hop_keys.lioness_keys(seed) for seed in self.seeds], payload)

    def arrives(self, payload: bytes) -> bytes:
        """What arrives in the mailbox (239) of a payload (239) that is handed to the first mix."""
        packet.check_payload(payload)
        for seed in self.seeds:
            payload = lioness.decrypt(hop_keys.lioness_keys(seed), payload)
        return payload


def make(
    path: Sequence[Hop], mailbox: bytes, random_bytes: RandomBytes = os.urandom, version: int = header.ALONE
) -> tuple[bytes, SurbSecrets]:
    """A SURB (174) that leads along the path to the mailbox (32), and what to keep of it.

    `random_bytes` is asked for the message secret (32) first, then as by `header.build`; `version` as there.
    """
    (made,) = make_many([path], [mailbox], random_bytes, version)
    return made


def make_many(
    paths: Sequence[Sequence[Hop]],
    mailboxes: Sequence[bytes],
    random_bytes: RandomBytes = os.urandom,
    version: int = header.ALONE,
    message_secrets: Sequence[bytes | None] | None = None,
) -> list[tuple[bytes, SurbSecrets]]:
    """The same for each path and mailbox; `random_bytes` is asked for all message secrets first. `message_secrets`:
    those of SURBs whose address has one already (32), which stays the same."""
    secrets = [each or random_bytes(KEY) for each in message_secrets or [None] * len(paths)]
    built = header.build_many(paths, mailboxes, random_bytes, version)
    return [
        (bytes((path[0].number,)) + each.header + public, SurbSecrets(tuple(each.seeds), secret))
        for path, secret, public, each in zip(paths, secrets, x25519_base_many(secrets), built, strict=True)
    ]


def make_reply(
    path: Sequence[Hop], mailbox: bytes, random_bytes: RandomBytes = os.urandom, version: int = header.ALONE
) -> tuple[bytes, SurbSecrets]:
    """A reply block (174) for one answer of somebody who is told its key, and what to keep of it.

    Laid out as a SURB, with that key (32, random, for one use) in place of the message key. `random_bytes` is asked for
    the key first, then as by `header.build`; `version` as there.
    """
    key = random_bytes(KEY)
    built, seeds = header.build(path, mailbox, random_bytes, version)
    return bytes((path[0].number,)) + built + key, SurbSecrets(tuple(seeds), key)


def parse(surb: bytes) -> Surb:
    """Take a SURB or a reply block (174) apart. FormatError if it cannot be one."""
    if len(surb) != SURB:
        raise FormatError(f"a SURB has {len(surb)} bytes instead of {SURB}")
    if surb[0] == 0:
        raise FormatError("this SURB names no first mix")
    at = MIX_NUMBER + HEADER
    return Surb(surb[0], surb[MIX_NUMBER:at], surb[at:])


def use(surb: Surb, payload: bytes) -> bytes:
    """The mix message (380) for the SURB's first mix that carries the payload (239) to its maker."""
    packet.check_payload(payload)
    return surb.header + payload
