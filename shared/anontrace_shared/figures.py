"""Exposure figures: what is kept of one contact in one slot, in 32 bits (docs/protocol.md, section 3).

Knows the quantisation and nothing of keys or blocks. The badge's half is in `badge_figures` and stands here too.
"""

# ruff: noqa: F403, F405
from collections import namedtuple

from .badge_figures import *
from .errors import FormatError

Figures = namedtuple("Figures", "verified first last present strongest mean tx_power sightings")
"""verified: bool; first, last: third of the slot, 0-14; present: number of thirds, 1-15; strongest, mean, tx_power: in
dBm; sightings: at least this many."""


def unpack(data: bytes) -> "Figures":
    """Figures from their 4 bytes; FormatError if they are not 4, or contradict themselves: anybody can seal."""
    if len(data) != SIZE:
        raise FormatError("figures are 4 bytes")
    bits = int.from_bytes(data, "little")
    figures = Figures(
        bool(bits & 1),
        bits >> 1 & 15,
        bits >> 5 & 15,
        bits >> 9 & 15,
        (bits >> 13 & 31) * 2 - 100,
        (bits >> 18 & 31) * 2 - 100,
        (bits >> 23 & 7) * 3 - 12,
        sightings_of(bits >> 26),
    )
    check(figures.first, figures.last, figures.present, figures.strongest, figures.mean)
    return figures


def sightings_of(code: int) -> int:
    """The least number of sightings that this code (0-63) stands for."""
    if code < EXACT:
        return code
    return (4 + (code - EXACT) % 4) << ((code - EXACT) // 4 + 3)
