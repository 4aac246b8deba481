"""The health authority's words for one contact alone, as they lie in a notification (docs/protocol.md section 7).

Sealed by the authority to the message key of the contact's address, in a shape that the nymserver passes on and can
neither read nor make. The authority gets each key blinded for one report: two reports that hold one address show it two
keys. Deterministic, so that a decision that is asked for again says no more than once.
"""

from hashlib import blake2b

from anontrace_primitives import x25519
from anontrace_shared.errors import AuthenticationError
from anontrace_shared.slots import slot_bytes
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # RFC 5297: safe if one key seals two texts
from nacl import bindings

from . import notification, stream
from .notification import Kind
from .sizes import CONTACT_ADDRESS, KEY, NOTE, REPORT_ID, WORDS

_SIV_KEY = 64


def secret_of(signing_key: bytes) -> bytes:
    """The authority's X25519 secret (32) that goes with its Ed25519 key (a seed of 32)."""
    _, secret = bindings.crypto_sign_seed_keypair(signing_key)
    return bindings.crypto_sign_ed25519_sk_to_curve25519(secret)


def key_of(verify_key: bytes) -> bytes:
    """The public half (32), from the authority's public key (32) as the network file pins it. ValueError for one that
    is no point of the curve."""
    try:
        return bindings.crypto_sign_ed25519_pk_to_curve25519(verify_key)
    except RuntimeError:
        raise ValueError("the health authority's key is none") from None


def blinded(message_key: bytes, address: bytes, slot: int, report_id: bytes) -> bytes:
    """The message key (32) of a contact address (20) as the authority sees it for this report. ValueError for a message
    key of low order."""
    return x25519(_blind(address, slot, report_id), message_key)


def seal(secret: bytes, key: bytes, report_id: bytes, kind: Kind, text: str) -> bytes:
    """Words for the holder of a blinded key (32): 58 bytes, which look random. `secret`: the authority's, as of
    `secret_of`. FormatError if they do not fit, or hold what does not show."""
    return seal_content(secret, key, report_id, kind, notification.padded("message", text, "utf-8", WORDS))


def seal_content(secret: bytes, key: bytes, report_id: bytes, kind: Kind, content: bytes) -> bytes:
    """The same for what is in the words (42): a text, zero-padded, or a part of one (parts.py)."""
    assert len(content) == WORDS
    sealed = AESSIV(_key(x25519(secret, key))).encrypt(content, [_about(report_id, kind)])
    assert len(sealed) == NOTE
    return sealed


def open(
    message_secret: bytes, authority: bytes, address: bytes, slot: int, report_id: bytes, kind: Kind, sealed: bytes
) -> str:
    """The text in 58 bytes, as of `open_content`. FormatError if it is none, or a part of one."""
    content = open_content(message_secret, authority, address, slot, report_id, kind, sealed)
    return notification.unpadded("message", content)


def open_content(
    message_secret: bytes, authority: bytes, address: bytes, slot: int, report_id: bytes, kind: Kind, sealed: bytes
) -> bytes:
    """What is in the words (42) that were sealed (58), by the secret (32) of the address's message key. `authority`:
    its key as of `key_of`. AuthenticationError if it did not seal them, for this address, report and kind."""
    shared = x25519(message_secret, x25519(_blind(address, slot, report_id), authority))
    try:
        return AESSIV(_key(shared)).decrypt(sealed, [_about(report_id, kind)])
    except InvalidTag:
        raise AuthenticationError("these words are not the health authority's for this address") from None


def _blind(address: bytes, slot: int, report_id: bytes) -> bytes:
    assert (len(address), len(report_id)) == (CONTACT_ADDRESS, REPORT_ID)
    return blake2b(slot_bytes(slot) + report_id, digest_size=KEY, key=address, person=b"anontrace/2 hide").digest()


def _key(shared: bytes) -> bytes:
    return stream.expand(blake2b(digest_size=KEY, key=shared, person=b"anontrace/2words").digest(), _SIV_KEY)


def _about(report_id: bytes, kind: Kind) -> bytes:
    return report_id + bytes((kind,))
