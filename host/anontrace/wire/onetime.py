"""One-time tokens: what the health authority gives a patient on paper (docs/protocol.md section 8).

15 Crockford base32 symbols (75 bits) and a check symbol of the same 32, over GF(32): it finds every single mistyped
symbol, every swap of two symbols wherever they stand, and 31 of 32 other mistakes. The server stores only the hash.
"""

import os
import unicodedata
from hashlib import sha256

from anontrace_shared.errors import FormatError

from anontrace.mixnet.header import RandomBytes

SYMBOLS = 15
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {symbol: value for value, symbol in enumerate(_ALPHABET)}
_TYPED = str.maketrans("abcdefghijklmnopqrstuvwxyzOIL", "ABCDEFGH1JK1MN0PQRSTUVWXYZ011")  # ASCII only, unlike upper()
# Cyrillic and Greek letters that look like a symbol: a keyboard may have been left at another script.
_CYRILLIC = (
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425"
    "\u0430\u0435\u043e\u0440\u0441\u0445\u0406\u0456\u0405\u0455\u0408\u0458"
)
_GREEK = "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7\u03bf"
_LOOKALIKES = str.maketrans(_CYRILLIC + _GREEK, "ABEKMH0PCTXAE0PCX11SSJJ" + "ABEZH1KMN0PTX0")
# Dashes, quotes, brackets, spaces, controls, invisible marks; and what looks like one of these and has another kind.
_IGNORED_KINDS = frozenset(("Pd", "Pc", "Ps", "Pe", "Pi", "Pf", "Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Me"))
_IGNORED = frozenset(
    "'\".,:;`/\\|<>\u00b7\u2022\u2027\u30fb\u02d7\u2043\u2212\u2500\u2501\u2796\u30fc\u115f\u1160\u3164\u2800"
)
_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, primitive: the powers of x that weigh 16 symbols are all different


def new_token(random_bytes: RandomBytes = os.urandom) -> str:
    """A fresh token, as it is printed: XXXX-XXXX-XXXX-XXXX. `random_bytes` is asked for 10; 75 bits are used."""
    number = int.from_bytes(random_bytes(10), "big") >> 5
    symbols = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(SYMBOLS)))
    return _grouped(symbols + _ALPHABET[_remainder(symbols + _ALPHABET[0])])


def normalise(text: str) -> str:
    """The token that was meant, as it is printed: any case, with or without dashes, O for 0, I and L for 1.

    FormatError says what is wrong without repeating the token.
    """
    symbols = _symbols(text)
    for place, symbol in enumerate(symbols, 1):
        if symbol not in _VALUES:
            raise FormatError(f"symbol {place} of the token is none that tokens are made of")
    if _remainder(symbols):
        raise FormatError("the check symbol does not fit: one symbol is mistyped")
    return _grouped(symbols)


def token_hash(token: str) -> bytes:
    """What the health authority stores of a token (32), however it is typed. FormatError for what cannot be one.

    Whether the check symbol fits is not asked: a token that was made by an earlier rule counts until it expires.
    """
    symbols = _symbols(token)
    if not symbols.isascii():
        raise FormatError("a symbol of the token is none that tokens are made of")
    return sha256(b"anontrace/1 token" + _grouped(symbols).encode()).digest()


def _symbols(text: str) -> str:
    """The 16 symbols that were typed, without what stands between them; FormatError if it is another number."""
    shown = "".join(_plain(character) for character in unicodedata.normalize("NFKC", text))
    symbols = shown.translate(_LOOKALIKES).translate(_TYPED)
    if len(symbols) != SYMBOLS + 1:
        raise FormatError(f"a token has {SYMBOLS + 1} symbols, this has {len(symbols)}")
    return symbols


def _plain(character: str) -> str:
    """The character, in ASCII if it is a digit of any script; nothing for what only separates, or is not seen."""
    if unicodedata.category(character) in _IGNORED_KINDS or character in _IGNORED:
        return ""
    return str(unicodedata.decimal(character, character))


def _remainder(symbols: str) -> int:
    """The symbols as the coefficients of a polynomial over GF(32), highest first, evaluated at x; 0 if all fits."""
    value = 0
    for symbol in symbols:
        value = value << 1 ^ (_POLYNOMIAL if value & 16 else 0) ^ _VALUES[symbol]
    return value


def _grouped(symbols: str) -> str:
    return "-".join(symbols[at : at + 4] for at in range(0, len(symbols), 4))
