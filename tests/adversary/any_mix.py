"""Any mix behind the first: which of the messages that it saw earlier, or that a client sent, is the one it sees now?

It sees each message's 380 bytes, from which neighbour they come and to which they go; with real packets. Two messages
that have anything in common would be the same one, or made of the same reply header.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anontrace.mixnet import packet
from anontrace.mixnet.packet import Delivery, Relay
from anontrace.mixnet.sizes import MESSAGE, PAYLOAD

from tests.adversary import crowd
from tests.adversary.crowd import DAY, WEARERS, Companion
from tests.companion.paper import START

_BLOCK = 16  # bytes that do not agree by chance
_DAYS = 2


@dataclass
class Passing:
    """What each mix was given, in order, by its public key; and the headers by which the nymserver has sent."""

    seen: dict[bytes, list[bytes]] = field(default_factory=dict)
    used: list[bytes] = field(default_factory=list)

    @property
    def messages(self) -> list[bytes]:
        """All that any of them saw."""
        return [message for seen in self.seen.values() for message in seen]

    @property
    def leak(self) -> bytes:
        """What somebody would send who sent once more by a header that was used."""
        return self.used[0] + os.urandom(PAYLOAD)


def gather(folder: Path, patch: pytest.MonkeyPatch) -> Passing:
    """Let everybody live for some days, with real packets."""
    time, passing = crowd.scale_down(patch), watch(patch)
    for number in range(WEARERS):
        time.now = float(START)
        wearer = Companion(folder / f"real-{number}", time, patch, number, transparent=False)
        wearer.until(START + _DAYS * DAY)
        wearer.close()
        passing.used += [message.header for message in wearer.network.from_nymserver]
    return passing


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
