"""The envelope of a signed document: its text, and an Ed25519 signature over label, newline, text.

docs/protocol.md section 10. What is signed is the text as it stands: it is never parsed and written again on the way.
"""

from anontrace_shared.errors import AuthenticationError
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from .fields import Document, Hex64, parse


class Signed(Document):
    """A document's JSON text and the signature (64) over it."""

    document: str
    signature: Hex64

    def to_json(self) -> str:
        """As it is sent and stored."""
        return self.model_dump_json()


def read(text: str | bytes) -> Signed:
    """The envelope in a JSON text, its signature not yet checked. FormatError if it is none."""
    return parse(Signed, text, "signed document")


def sign(label: str, document: str, signing_key: bytes) -> Signed:
    """Sign the text under a label with an Ed25519 seed (32)."""
    return Signed(document=document, signature=SigningKey(signing_key).sign(_covered(label, document)).signature)


def check(label: str, signed: Signed, verify_key: bytes) -> None:
    """AuthenticationError unless the holder of this Ed25519 public key (32) signed this text under this label."""
    try:
        VerifyKey(verify_key).verify(_covered(label, signed.document), signed.signature)
    except BadSignatureError:
        raise AuthenticationError(f"the signature of this {label.split(' ', 1)[1]} does not hold") from None


def _covered(label: str, document: str) -> bytes:
    return f"{label}\n{document}".encode()
