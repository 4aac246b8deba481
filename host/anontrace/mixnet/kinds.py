"""What a payload (239) asks of a nymserver: its last byte tells the kinds apart (docs/protocol.md section 7).

From outside all are alike, as is cover, which is none of them. Never looks at what a kind holds.
"""

import os
from enum import IntEnum

from anontrace_shared.errors import FormatError

from . import packet
from .header import RandomBytes
from .sizes import KIND, PAYLOAD


class Kind(IntEnum):
    """What a nymserver does with a payload."""

    SWAP = 0
    RECEIPT = 1
    RELAY = 2
    FRAGMENT = 3
    CONTACT_ANSWER = 4


_COVER = range(max(Kind) + 1, 256)


def of(payload: bytes) -> Kind | None:
    """The kind of a payload (239); None: cover. FormatError on another size."""
    packet.check_payload(payload)
    return None if payload[-1] in _COVER else Kind(payload[-1])


def mark(kind: Kind, body: bytes) -> bytes:
    """The payload (239) of a kind from all its other bytes (238). FormatError on another size."""
    payload = body + bytes((kind,))
    packet.check_payload(payload)
    return payload


def body(kind: Kind, payload: bytes) -> bytes:
    """The other bytes (238) of a payload that has to be of this kind. FormatError if it is not."""
    if of(payload) is not kind:
        raise FormatError(f"not a {kind.name.lower()}: its last byte is not {kind.value}")
    return payload[:-KIND]


def cover(random_bytes: RandomBytes = os.urandom) -> bytes:
    """A payload (239) of which a nymserver makes nothing. `random_bytes` is asked for 238, then for single bytes."""
    filling = random_bytes(PAYLOAD - KIND)
    while (last := random_bytes(KIND))[0] not in _COVER:
        pass
    return filling + last
