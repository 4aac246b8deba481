"""The chain token: what a contact carries from its notification to its own upload, sealed by the nymserver to itself.

docs/protocol.md section 7. Opaque to its carrier, so that the depth of the chain stays unknown. Never decides whether a
token is spent or expired.
"""

import os
from dataclasses import dataclass, field

from anontrace_shared.errors import AuthenticationError, FormatError
from nacl import bindings
from nacl.exceptions import CryptoError

from .header import RandomBytes
from .sizes import CASE_ID, CHAIN_TOKEN, KEY, NYM_KEY

_NONCE = 24
_AAD = b"anontrace/1 chain"
_ZERO = bytes(3)


@dataclass(frozen=True, slots=True)
class ChainClaim:
    """Who was notified: in which case, under which nym key, how far from the patient, and until which day it counts."""

    case_id: bytes = field(repr=False)
    nym_key: bytes = field(repr=False)
    generation: int = field(repr=False)
    expiry_day: int = field(repr=False)


def seal(key: bytes, claim: ChainClaim, random_bytes: RandomBytes = os.urandom) -> bytes:
    """The token (96) under the nymserver's own key (32)."""
    _check_key(key)
    if (len(claim.case_id), len(claim.nym_key)) != (CASE_ID, NYM_KEY):
        raise FormatError(f"a chain token names a case-ID of {CASE_ID} bytes and a nym key of {NYM_KEY}")
    if not 0 <= claim.generation <= 255 or not 0 <= claim.expiry_day < 1 << 32:
        raise FormatError("generation or day of expiry of a chain token is out of range")
    nonce = random_bytes(_NONCE)
    plain = claim.case_id + claim.nym_key + bytes((claim.generation,)) + claim.expiry_day.to_bytes(4, "little") + _ZERO
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, _AAD, nonce, key)


def open(key: bytes, token: bytes) -> ChainClaim:
    """What a token (96) claims. FormatError on another size, AuthenticationError if this key did not seal it."""
    _check_key(key)
    if len(token) != CHAIN_TOKEN:
        raise FormatError(f"a chain token has {len(token)} bytes instead of {CHAIN_TOKEN}")
    try:
        plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(token[_NONCE:], _AAD, token[:_NONCE], key)
    except CryptoError:
        raise AuthenticationError("this chain token is not one of this nymserver") from None
    at = CASE_ID + NYM_KEY
    return ChainClaim(plain[:CASE_ID], plain[CASE_ID:at], plain[at], int.from_bytes(plain[at + 1 : at + 5], "little"))


def _check_key(key: bytes) -> None:
    if len(key) != KEY:
        raise FormatError(f"the nymserver's chain key has {len(key)} bytes instead of {KEY}")
