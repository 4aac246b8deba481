"""Noise_NNpsk0_25519_ChaChaPoly_SHA256, Noise revision 34 (docs/protocol.md, section 4).

A handshake object is a state machine of two messages, `-> psk, e` and `<- e, ee`:

    Initiator:  WRITE --write()--> READ  --read()--> DONE
    Responder:  READ  --read()--> WRITE --write()--> DONE        any error --> FAILED, for good

DONE yields a `Transport` for each side. No other pattern, no rekey, no I/O; ephemeral keys are wiped once used. What a
responder needs is in `badge_noise` and `badge_transport` and stands here too.

    initiator = Initiator(psk32, prologue);  responder = Responder(psk32, prologue)
    responder.read(initiator.write());  initiator.read(responder.write())        48 bytes each with an empty payload
    transport = initiator.transport();  transport.encrypt(plaintext);  transport.decrypt(ciphertext)
"""

# ruff: noqa: F403, F405
from anontrace_primitives import x25519_base

from .badge_noise import *
from .badge_transport import *
from .errors import AuthenticationError


class Initiator(Handshake):
    """The side that writes first. `ephemeral` (32) is for vectors only; ValueError if the psk is not 32 bytes."""

    def __init__(self, psk: bytes, prologue: bytes, ephemeral: bytes | None = None) -> None:
        super().__init__(psk, prologue, ephemeral, WRITE)

    def write(self, payload: bytes = b"") -> bytes:
        """`-> psk, e`: 48 bytes and the payload's length."""
        self._expect(WRITE)
        public_key = x25519_base(self._ephemeral)
        self._mix_public(public_key)
        message = public_key + self._seal(payload)
        self.state = READ
        return message

    def read(self, message: bytes) -> bytes:
        """`<- e, ee`: its payload. FormatError if too short, AuthenticationError if the other side has another psk."""
        self._expect(READ)
        public_key, sealed = parts(message)
        self._mix_public(public_key)
        try:
            self._mix_shared(public_key)
        except ValueError:
            raise AuthenticationError("Noise ephemeral key is of low order") from None
        payload = self._open(sealed)
        self.state = DONE
        return payload

    def transport(self) -> Transport:
        """The session, once; RuntimeError before the handshake is done."""
        sending, receiving = self._split()
        return Transport(sending, receiving)
