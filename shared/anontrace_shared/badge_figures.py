"""The badge's half of `figures`: packs what is kept of one contact in one slot (docs/protocol.md, section 3).

Apart from `figures`, which has the reader's half too, so that a badge need not hold code that it cannot use. Knows the
quantisation and nothing of keys or blocks.
"""

from .errors import FormatError

SIZE = 4
THIRDS = 15  # thirds of a minute (20 s) in a slot
LAST_CODE = 63
EXACT = 32  # sightings below this are stored as they are


def pack(
    verified: bool, first: int, last: int, present: int, strongest: int, mean: int, tx_power: int, sightings: int
) -> bytes:
    """The 4 bytes of one contact's figures. dBm and sightings are clamped to what the code can say and rounded down.

    FormatError if the thirds contradict each other, or the mean is above the strongest.
    """
    check(first, last, present, strongest, mean)
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


def sightings_code(sightings: int) -> int:
    """The largest of the 64 codes that does not say more than this many sightings."""
    if sightings < EXACT:
        return max(sightings, 0)
    exponent = 0
    while sightings >> (exponent + 3) >= 8:
        exponent += 1
    return min(EXACT + exponent * 4 + (sightings >> (exponent + 3)) - 4, LAST_CODE)


def _clamp(value: int, most: int) -> int:
    return min(max(value, 0), most)


def check(first: int, last: int, present: int, strongest: int, mean: int) -> None:
    """FormatError if these contradict each other."""
    if not 0 <= first <= last < THIRDS or not 1 <= present <= last - first + 1:
        raise FormatError("first, last and present contradict each other")
    if mean > strongest:
        raise FormatError("the mean is above the strongest signal")
