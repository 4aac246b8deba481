"""The challenge: a badge proves that the slot whose address it broadcasts is its own (docs/protocol.md, section 5).

Deniable: whoever can check the answer could have made it. Never decides whom to challenge, or how often.
"""

from anontrace_primitives import equal, hmac_sha256, x25519, x25519_base

from . import hkdf
from .badge_schedule import contact_address
from .errors import AuthenticationError, FormatError
from .slots import SLOT_LIMIT, slot_bytes

QUESTION = 32
PUBLIC_KEY = 32
MAC = 16
ANSWER = PUBLIC_KEY + MAC

_SALT = b"anontrace/1 challenge"


def question(secret: bytes) -> bytes:
    """N (32) of an ephemeral secret n (32), drawn afresh for each challenge and never used again."""
    return x25519_base(secret)


def answer(slot_secret: bytes, slot_public_key: bytes, asked: bytes, slot: int) -> bytes:
    """The 48 bytes that answer the question N. FormatError if N is not 32 bytes or of low order."""
    if len(asked) != QUESTION:
        raise FormatError("a question is 32 bytes")
    return slot_public_key + _mac(_key(slot_secret, asked), asked, slot_public_key, slot)


def verify(secret: bytes, asked: bytes, answered: bytes, address: bytes, slot: int) -> None:
    """Returns if `answered` proves that `address` is its sender's own in `slot` (the verifier's) or one beside it.

    `secret` is n, `asked` the N made of it. FormatError if it is no answer, AuthenticationError if it proves nothing;
    one scalar multiplication, and only when the answer belongs to the address.
    """
    if len(answered) != ANSWER:
        raise FormatError("an answer is 48 bytes")
    slot_public_key = bytes(answered[:PUBLIC_KEY])
    if contact_address(slot_public_key) != bytes(address):
        raise AuthenticationError("the answer belongs to another address")
    key = _key(secret, slot_public_key)
    mac = bytes(answered[PUBLIC_KEY:])
    for near in (slot, slot - 1, slot + 1):
        if 0 <= near < SLOT_LIMIT and equal(_mac(key, asked, slot_public_key, near), mac):
            return
    raise AuthenticationError("the answer proves nothing")


def _key(secret: bytes, public_key: bytes) -> bytes:
    try:
        shared = x25519(secret, public_key)
    except ValueError:
        raise FormatError("a public key of low order") from None
    return hkdf.extract(_SALT, shared)


def _mac(key: bytes, asked: bytes, slot_public_key: bytes, slot: int) -> bytes:
    return hmac_sha256(key, asked + slot_public_key + slot_bytes(slot))[:MAC]
