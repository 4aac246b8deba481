"""One-time tokens: what the health authority gives a patient on paper (docs/protocol.md section 8).

15 Crockford base32 symbols (75 bits) and a check symbol, which finds every single mistyped symbol and every swap of
neighbours. The server stores only the hash.
"""

import os
from hashlib import sha256

from anontrace_shared.errors import FormatError

from anontrace.mixnet.header import RandomBytes

SYMBOLS = 15
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_ALPHABET = _ALPHABET + "*~$=U"
_VALUES = {symbol: value for value, symbol in enumerate(_ALPHABET)}
_TYPED = str.maketrans("abcdefghijklmnopqrstuvwxyzOIL", "ABCDEFGH1JK1MN0PQRSTUVWXYZ011")  # ASCII only, unlike upper()
_SEPARATORS = str.maketrans("", "", "- \t\r\n\u2010\u2011\u2012\u2013\u2014\u00a0")


def new_token(random_bytes: RandomBytes = os.urandom) -> str:
    """A fresh token, as it is printed: XXXX-XXXX-XXXX-XXXX. `random_bytes` is asked for 10; 75 bits are used."""
    number = int.from_bytes(random_bytes(10), "big") >> 5
    symbols = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(SYMBOLS)))
    return _grouped(symbols + _CHECK_ALPHABET[number % 37])


def normalise(text: str) -> str:
    """The token that was meant, as it is printed: any case, with or without dashes, O for 0, I and L for 1.

    FormatError says what is wrong without repeating the token.
    """
    symbols = text.translate(_SEPARATORS).translate(_TYPED)
    if len(symbols) != SYMBOLS + 1:
        raise FormatError(f"a token has {SYMBOLS + 1} symbols, this has {len(symbols)}")
    number = 0
    for place, symbol in enumerate(symbols[:SYMBOLS], 1):
        if symbol not in _VALUES:
            raise FormatError(f"symbol {place} of the token is none that tokens are made of")
        number = number << 5 | _VALUES[symbol]
    if symbols[SYMBOLS] not in _CHECK_ALPHABET:
        raise FormatError(f"symbol {SYMBOLS + 1} of the token is none that tokens are made of")
    if symbols[SYMBOLS] != _CHECK_ALPHABET[number % 37]:
        raise FormatError("the check symbol does not fit: one symbol is mistyped")
    return _grouped(symbols)


def token_hash(token: str) -> bytes:
    """What the health authority stores of a token (32). Normalises first."""
    return sha256(b"anontrace/1 token" + normalise(token).encode()).digest()


def _grouped(symbols: str) -> str:
    return "-".join(symbols[at : at + 4] for at in range(0, len(symbols), 4))
