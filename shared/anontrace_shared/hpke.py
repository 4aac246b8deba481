"""HPKE, RFC 9180: base mode of DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305 (docs/protocol.md).

One context seals or opens many messages in order, so that the scalar multiplications are paid once. `wipe()` ends a
context: nothing in it opens a message any more. There is no other mode, suite or export here. The sender's half is in
`badge_hpke` and stands here too.

    sender = Sender(public_key, info)               .enc goes to the recipient first
    sealed = sender.seal(plaintext, aad)            TAG longer than the plaintext; sequence numbers 0, 1, 2 ...
    recipient = Recipient(secret_key, enc, info)
    plaintext = recipient.open(sealed, aad)         in the same order
"""

# ruff: noqa: F403, F405
from anontrace_primitives import aead_open, x25519, x25519_base

from .badge_hpke import *
from .errors import AuthenticationError, FormatError


class Recipient(Context):
    """Opens what the sender of `enc` (32) sealed to the public key of `secret_key` (32), in its order."""

    def __init__(self, secret_key: bytes, enc: bytes, info: bytes) -> None:
        """FormatError if `enc` is not 32 bytes or of low order."""
        try:
            dh = x25519(secret_key, enc)
        except ValueError as error:
            raise FormatError("not an HPKE encapsulation: " + str(error)) from None
        super().__init__(kem_secret(dh, enc, x25519_base(secret_key)), info)

    def open(self, sealed: bytes, aad: bytes = b"") -> bytes:
        """The plaintext of the next message; AuthenticationError if it is not that, and it can be tried again."""
        try:
            plaintext = aead_open(self._key, self._nonce(), sealed, aad)
        except ValueError:
            raise AuthenticationError("sealed message does not open") from None
        self._sequence += 1
        return plaintext

    def skip(self) -> None:
        """Give up on the next message: the one after it can still be opened."""
        self._sequence += 1
