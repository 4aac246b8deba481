"""Exposure figures: what is kept of one contact in one slot, in 32 bits (docs/protocol.md, section 3).

Knows the quantisation and nothing of keys or blocks.
"""

from collections import namedtuple

from .errors import FormatError

SIZE = 4
THIRDS = 15  # thirds of a minute (20 s) in a slot
_LAST_CODE = 63
_EXACT = 32  # sightings below this are stored as they are

Figures = namedtuple("Figures", "verified first last present strongest mean tx_power sightings")
"""verified: bool; first, last: third of the slot, 0-14; present: number of thirds, 1-15; strongest, mean, tx_power: in
dBm; sightings: at least this many."""


def pack(
    verified: bool, first: int, last: int, present: int, strongest: int, mean: int, tx_power: int, sightings: int
) -> bytes:
    """The 4 bytes of one contact's figures. dBm and sightings are clamped to what the code can say and rounded down.

    FormatError if the thirds contradict each other, or the mean is above the strongest.
    """
    _check(first, last, present, strongest, mean)
    return (
        (1 if verified else 0)
        | first << 1
        | last << 5
        | present << 9
        | _clamp((strongest + 100) // 2, 31) << 13
        | _clamp((mean + 100) // 2, 31) << 18
        | _clamp((tx_power + 12) // 3, 7) << 23
        | sightings_code(sightings) << 26
    ).to_bytes(4, "little")


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
    _check(figures.first, figures.last, figures.present, figures.strongest, figures.mean)
    return figures


def sightings_code(sightings: int) -> int:
    """The largest of the 64 codes that does not say more than this many sightings."""
    if sightings < _EXACT:
        return max(sightings, 0)
    exponent = 0
    while sightings >> (exponent + 3) >= 8:
        exponent += 1
    return min(_EXACT + exponent * 4 + (sightings >> (exponent + 3)) - 4, _LAST_CODE)


def sightings_of(code: int) -> int:
    """The least number of sightings that this code (0-63) stands for."""
    if code < _EXACT:
        return code
    return (4 + (code - _EXACT) % 4) << ((code - _EXACT) // 4 + 3)


def _clamp(value: int, most: int) -> int:
    return min(max(value, 0), most)


def _check(first: int, last: int, present: int, strongest: int, mean: int) -> None:
    if not 0 <= first <= last < THIRDS or not 1 <= present <= last - first + 1:
        raise FormatError("first, last and present contradict each other")
    if mean > strongest:
        raise FormatError("the mean is above the strongest signal")
