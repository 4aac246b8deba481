"""Any mix behind the first: which of the messages that it saw earlier, or that a client sent, is the one it sees now?

It sees each message's 380 bytes, from which neighbour they come and to which they go; with real packets. Two messages
that have anything in common would be the same one, or made of the same reply header.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from anontrace.mixnet import packet
from anontrace.mixnet.packet import Delivery, Relay
from anontrace.mixnet.sizes import MESSAGE

_BLOCK = 16  # bytes that do not agree by chance


@dataclass
class Passing:
    """What each mix was given, in order, by its public key."""

    seen: dict[bytes, list[bytes]] = field(default_factory=dict)


def watch(patch: pytest.MonkeyPatch) -> Passing:
    """From now on, write down what mixes unwrap."""
    passing, unwrap = Passing(), packet.unwrap

    def noted(secret: bytes, public: bytes, message: bytes) -> Relay | Delivery:
        passing.seen.setdefault(public, []).append(message)
        return unwrap(secret, public, message)

    patch.setattr(packet, "unwrap", noted)
    return passing


def linked(messages: Iterable[bytes]) -> int:
    """How many messages share 16 aligned bytes with an earlier one; 0 is chance."""
    known: set[tuple[int, bytes]] = set()
    found = 0
    for message in messages:
        assert len(message) == MESSAGE
        blocks = {(at, message[at : at + _BLOCK]) for at in range(1, MESSAGE - _BLOCK, _BLOCK)}
        found += bool(blocks & known)
        known |= blocks
    return found
