"""Telephone numbers: as they are typed, shown, and packed into 8 bytes (docs/protocol.md section 7).

Up to 15 digits, as ITU-T E.164 has at most, and a plus sign before them. Knows no country.
"""

import re

from anontrace_shared.errors import FormatError

from .sizes import PHONE

LEAST, MOST = 5, 15
_SEPARATORS = re.compile(r"[\s\-./()\u2010-\u2015]")
_NUMBER = re.compile(rf"\+?[0-9]{{{LEAST},{MOST}}}", re.ASCII)
_PLUS, _NONE = 0xA, 0xF


def normalise(typed: str) -> str:
    """A number without what only makes it readable. FormatError if it is none."""
    number = _SEPARATORS.sub("", typed.replace("(0)", "") if "+" in typed else typed)
    if not _NUMBER.fullmatch(number):
        raise FormatError(f"a telephone number has {LEAST} to {MOST} digits, and perhaps a + before them")
    return number


def encode(number: str) -> bytes:
    """8 bytes: a half byte a digit, the high one first, A for the plus sign, F behind. Empty: none."""
    if number and not _NUMBER.fullmatch(number):
        raise FormatError(f"a telephone number has {LEAST} to {MOST} digits, and perhaps a + before them")
    return bytes.fromhex(number.replace("+", f"{_PLUS:x}").ljust(2 * PHONE, f"{_NONE:x}"))


def decode(packed: bytes) -> str:
    """The reverse of `encode`. FormatError if it cannot be that."""
    number = packed.hex().rstrip(f"{_NONE:x}").replace(f"{_PLUS:x}", "+")
    if len(packed) != PHONE or (number and not _NUMBER.fullmatch(number)):
        raise FormatError("the telephone number of an answer is none")
    return number
