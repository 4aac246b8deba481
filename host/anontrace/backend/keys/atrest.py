"""Key files sealed by the operator's secret: a copy of a server's disk or backup yields none of its keys.

The secret is a file that is kept elsewhere: systemd's credential `operator-secret`, or the file that the environment
variable ANONTRACE_OPERATOR_SECRET names. It is stretched by scrypt with a salt for each file. Without a secret, key
files are not sealed.
"""

import codecs
import hashlib
import os
from pathlib import Path

from anontrace_primitives import aead_open, aead_seal

from anontrace.backend import files
from anontrace.backend.errors import ConfigError

from . import private

ENVIRONMENT = "ANONTRACE_OPERATOR_SECRET"
CREDENTIAL = "operator-secret"
_PREFIX = "sealed "
_SALT, _NONCE = 16, 12
_MIN_BYTES = 16  # bytes of a secret
_MARKS = {codecs.BOM_UTF8: "UTF-8 with a byte order mark", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def operator_secret() -> bytes | None:
    """The operator's secret, if there is one. ConfigError if its file cannot be used."""
    named = os.environ.get(ENVIRONMENT)
    path = _file()
    if named is None and not path.exists():
        return None
    try:
        # What systemd hands over lies where only it can put it, with the owner and mode that it chooses.
        secret = (files.read(path)[0] if named is None else private.read(path)).strip()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; the operator's secret has to be there") from None
    if len(secret) < _MIN_BYTES:
        raise ConfigError(f"{path}: the operator's secret has at least {_MIN_BYTES} characters")
    return secret


def _file() -> Path:
    """Where the operator's secret is, if there is one."""
    named = os.environ.get(ENVIRONMENT)
    if named is not None:
        return Path(named)
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / CREDENTIAL


def origin(secret: bytes) -> str:
    """Where the operator's secret came from, for what is said when it opens nothing. It is used as it is, since it may
    be anything; but an editor or a shell may have saved it in another encoding than the one it was used in."""
    way = next((way for mark, way in _MARKS.items() if secret.startswith(mark)), "UTF-16" if b"\0" in secret else None)
    return f"it is in {_file()}" + (f", which looks saved as {way}: save it as plain UTF-8" if way else "")


def is_sealed(text: str) -> bool:
    """Whether a key file's text is sealed."""
    return text.startswith(_PREFIX)


def seal(name: str, key: bytes, secret: bytes) -> str:
    """The text of a key file called `name`."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return _PREFIX + (salt + nonce + aead_seal(_stretched(secret, salt), nonce, key, name.encode())).hex()


def unseal(name: str, text: str, secret: bytes) -> bytes:
    """The key again. ValueError if the secret is another one, or the text was changed or is another file's."""
    data = bytes.fromhex(text.removeprefix(_PREFIX).strip())
    salt, nonce, sealed = data[:_SALT], data[_SALT : _SALT + _NONCE], data[_SALT + _NONCE :]
    return aead_open(_stretched(secret, salt), nonce, sealed, name.encode())


def _stretched(secret: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=1 << 14, r=8, p=1, dklen=32)
