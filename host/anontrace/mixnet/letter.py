"""What the health authority writes back to a contact who has answered: one letter, by the answer's reply header
(docs/protocol.md section 7).

Sealed by the authority, handed on by the nymserver; from outside it is what a notification is. Deterministic, so that
asking again sends no second text under one key.
"""

from anontrace_shared.errors import AuthenticationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from . import notification
from .sizes import LETTER
from .surb import SurbSecrets


def seal(reply_key: bytes, tag: bytes, text: str) -> bytes:
    """The payload (239). `reply_key` (64) and `tag` (8): those of the answer. FormatError if the text does not fit into
    223 bytes, or holds what does not show."""
    return AESSIV(reply_key).encrypt(notification.padded("text", text, "utf-8", LETTER, of="a letter"), [tag])


def open(secrets: SurbSecrets, reply_key: bytes, tag: bytes, payload: bytes) -> str:
    """The text of a letter as its payload (239) lies in the mailbox. AuthenticationError if it is none to this answer,
    FormatError if the text makes no sense."""
    try:
        content = AESSIV(reply_key).decrypt(secrets.undo(payload), [tag])
    except InvalidTag:
        raise AuthenticationError("this is no letter to this answer") from None
    return notification.unpadded("text", content, of="a letter")
