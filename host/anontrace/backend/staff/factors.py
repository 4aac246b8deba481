"""Second factors that are typed: codes of an authenticator app (RFC 6238) and recovery codes. Passkeys: passkeys.py.

By real time, whatever clock the server's data has: people and their phones live in it.
"""

import hmac
import os
import re
import secrets
import time
from hashlib import sha256

import pyotp
from anontrace_primitives import aead_open, aead_seal

from anontrace.backend.errors import ConfigError

RECOVERY_CODES = 10
_STEP = 30  # seconds
_DRIFT = 1  # steps by which a phone's clock may be off
_NONCE = 12
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # none that looks like another


def new_secret() -> str:
    """For an authenticator app, in base32."""
    return pyotp.random_base32()


def address(secret: str, account: str, network: str) -> str:
    """What an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=f"Anontrace {network}")


def seal(key: bytes, account: str, secret: str) -> str:
    """What is stored of a secret: nonce (12) and what is sealed under the staff key (32), in hex."""
    nonce = os.urandom(_NONCE)
    return (nonce + aead_seal(key, nonce, secret.encode("ascii"), account.encode())).hex()


def unseal(key: bytes, account: str, sealed: str) -> str:
    """The secret again. ConfigError if it was sealed under another key."""
    data = bytes.fromhex(sealed)
    try:
        return aead_open(key, data[:_NONCE], data[_NONCE:], account.encode()).decode("ascii")
    except ValueError:
        raise ConfigError("staff.key: it is not the one by which second factors were stored") from None


def step_of(secret: str, code: str, after: int) -> int | None:
    """The step in time (number of 30 s) whose code this is, if it is a later one than `after`: a code counts once."""
    typed = re.sub(r"\s", "", code)
    now = int(time.time()) // _STEP
    found = None
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if hmac.compare_digest(pyotp.TOTP(secret).generate_otp(step).encode(), typed.encode(errors="replace")):
            found = step
    return found if found is not None and found > after else None


def new_codes(count: int, groups: int = 3) -> list[str]:
    """Codes to be written down, such as `k7pd9-x2mqa-8fhwt`: 25 bits a group. Only hashes of them are kept, without a
    salt: whoever has read the store must not come by one by trying all."""
    return ["-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(groups)) for _ in range(count)]


def hash_of(code: str) -> str:
    """What is stored of a code that is typed, however it is typed (hex 32)."""
    return sha256(b"anontrace/1 staff code" + re.sub(r"[\s-]", "", code).lower().encode(errors="replace")).hexdigest()
