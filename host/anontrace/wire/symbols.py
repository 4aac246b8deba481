"""What people type: 16 symbols of Crockford base32, in fours, with the tolerance of docs/protocol.md section 8.

Tokens (onetime.py) and the codes of logs (commitment.py) are written so. What their symbols sum up to, over GF(32),
tells the two apart, and both from what is mistyped.
"""

import unicodedata

from anontrace_shared.errors import FormatError

SYMBOLS = 16
CODE_CHECK = 1  # what the symbols of a log's code sum up to; those of a token: 0
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
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


def read(text: str, what: str) -> str:
    """The 16 symbols that were typed. FormatError, which speaks of a `what`, for anything else; it repeats nothing."""
    symbols = plain_symbols(text, what)
    for place, symbol in enumerate(symbols, 1):
        if symbol not in _VALUES:
            raise FormatError(f"symbol {place} of the {what} is none that it can be made of")
    return symbols


def plain_symbols(text: str, what: str) -> str:
    """The 16 characters that were typed, without what stands between them; FormatError if it is another number."""
    shown = "".join(_plain(character) for character in unicodedata.normalize("NFKC", text))
    symbols = shown.translate(_LOOKALIKES).translate(_TYPED)
    if len(symbols) != SYMBOLS:
        raise FormatError(f"a {what} has {SYMBOLS} symbols, this has {len(symbols)}")
    return symbols


def remainder(symbols: str) -> int:
    """The symbols as the coefficients of a polynomial over GF(32), highest first, evaluated at x."""
    value = 0
    for symbol in symbols:
        value = value << 1 ^ (_POLYNOMIAL if value & 16 else 0) ^ _VALUES[symbol]
    return value


def encode(data: bytes) -> str:
    """The 16 symbols of 10 bytes, most significant first."""
    number = int.from_bytes(data, "big")
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(SYMBOLS)))


def decode(symbols: str) -> bytes:
    """The 10 bytes of 16 symbols."""
    number = 0
    for symbol in symbols:
        number = number << 5 | _VALUES[symbol]
    return number.to_bytes(SYMBOLS * 5 // 8, "big")


def grouped(symbols: str) -> str:
    """As they are printed: XXXX-XXXX-XXXX-XXXX."""
    return "-".join(symbols[at : at + 4] for at in range(0, len(symbols), 4))


def _plain(character: str) -> str:
    """The character, in ASCII if it is a digit of any script; nothing for what only separates, or is not seen."""
    if unicodedata.category(character) in _IGNORED_KINDS or character in _IGNORED:
        return ""
    return str(unicodedata.decimal(character, character))
