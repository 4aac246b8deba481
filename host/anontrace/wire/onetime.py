"""One-time tokens: what the health authority gives whoever is tested, on paper (docs/protocol.md section 8).

15 Crockford base32 symbols (75 bits) and a check symbol of the same 32, over GF(32): it finds every single mistyped
symbol, every swap of two symbols wherever they stand, and 31 of 32 other mistakes. The server stores only the hash.
"""

import os
from hashlib import sha256

from anontrace_shared.errors import FormatError

from anontrace.mixnet.header import RandomBytes

from . import symbols as typed
from .symbols import ALPHABET, CODE_CHECK, SYMBOLS

_RANDOM_SYMBOLS = SYMBOLS - 1
HASH = 32
CHECK = 0  # what a token's symbols sum up to; the code of a log: 1 (commitment.py)


def new_token(random_bytes: RandomBytes = os.urandom) -> str:
    """A fresh token, as it is printed: XXXX-XXXX-XXXX-XXXX. `random_bytes` is asked for 10; 75 bits are used."""
    number = int.from_bytes(random_bytes(10), "big") >> 5
    symbols = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(_RANDOM_SYMBOLS)))
    return typed.grouped(symbols + ALPHABET[typed.remainder(symbols + ALPHABET[0])])


def normalise(text: str) -> str:
    """The token that was meant, as it is printed: any case, with or without dashes, O for 0, I and L for 1.

    FormatError says what is wrong without repeating the token.
    """
    symbols = typed.read(text, "token")
    left = typed.remainder(symbols)
    if left == CODE_CHECK:
        raise FormatError(
            "the check symbol does not fit: one symbol is mistyped, or this is the code of a log, no token"
        )
    if left != CHECK:
        raise FormatError("the check symbol does not fit: one symbol is mistyped")
    return typed.grouped(symbols)


def token_hash(token: str) -> bytes:
    """What the health authority knows of a token (32), however it is typed. FormatError for what cannot be one."""
    return sha256(b"anontrace/1 token" + typed.grouped(typed.read(token, "token")).encode()).digest()
