"""The relay: has the nymserver send by a given header what looks like a notification (docs/protocol.md section 7).

So the dummy of an old SURB reaches the SURB's first mix from where its notification would come. The nymserver sends by
no header twice. One relay makes one message at most.
"""

import os
from dataclasses import dataclass, field

from anontrace_shared.errors import FormatError

from . import kinds, stream, surb
from .header import RandomBytes
from .kinds import Kind
from .sizes import HEADER, KEY, PAYLOAD, RELAY_PADDING, SURB


@dataclass(frozen=True, slots=True)
class Relay:
    """Send the payload that a seed (32, fresh) expands to by a header (141), to the mix with this number."""

    first_mix: int
    header: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    def encode(self, random_bytes: RandomBytes = os.urandom) -> bytes:
        """The payload (239) of the request. `random_bytes` is asked for 64."""
        if not 1 <= self.first_mix <= 255 or (len(self.header), len(self.seed)) != (HEADER, KEY):
            raise FormatError("a relay has a field of a wrong size")
        head = bytes((self.first_mix,)) + self.header + self.seed
        return kinds.mark(Kind.RELAY, head + random_bytes(RELAY_PADDING))

    @classmethod
    def decode(cls, payload: bytes) -> "Relay":
        """The relay in a payload (239). FormatError if it is none."""
        return cls(*surb.parse(kinds.body(Kind.RELAY, payload)[:SURB]))

    def payload(self) -> bytes:
        """What the nymserver sends by the header (239). `SurbSecrets.arrives` tells what of it arrives."""
        return stream.expand(self.seed, PAYLOAD)


def of(old: bytes, seed: bytes) -> Relay:
    """The dummy of a SURB (174), with a fresh seed (32)."""
    first_mix, header, _ = surb.parse(old)
    return Relay(first_mix, header, seed)
