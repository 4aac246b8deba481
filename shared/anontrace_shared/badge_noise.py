"""The responder's half of `noise`: the handshake of a badge, which forgets this module once it is through.

What the session goes on with is in `badge_transport`.
"""

from anontrace_primitives import random_bytes, sha256, wipe, x25519, x25519_base

from . import hkdf
from .badge_transport import HANDSHAKE, KEY, Cipher, Transport
from .errors import AuthenticationError, FormatError

NAME = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"
PSK = 32
WRITE, READ, DONE, FAILED = "write", "read", "done", "failed"


class Handshake:
    """What both sides share: chaining key, handshake hash and the one key of the message in hand."""

    def __init__(self, psk: bytes, prologue: bytes, ephemeral: bytes | None, state: str) -> None:
        if len(psk) != PSK:
            raise ValueError("the pre-shared key is 32 bytes")
        self.state = state
        self._ephemeral = bytearray(random_bytes(KEY) if ephemeral is None else ephemeral)
        self._chaining_key = sha256(NAME)
        self.handshake_hash = self._chaining_key
        self._mix_hash(prologue)
        # The token psk stands first in the first message: both sides can mix it in before there is a message.
        self._chaining_key, psk_hash, key = self._derive(psk, 3)
        self._mix_hash(psk_hash)
        self._cipher = Cipher(key)

    def _derive(self, ikm: bytes, count: int) -> list[bytes]:
        okm = hkdf.expand(hkdf.extract(self._chaining_key, ikm), b"", KEY * count)
        return [okm[i : i + KEY] for i in range(0, len(okm), KEY)]

    def _mix_hash(self, data: bytes) -> None:
        self.handshake_hash = sha256(self.handshake_hash + data)

    def _mix_key(self, ikm: bytes) -> None:
        self._chaining_key, key = self._derive(ikm, 2)
        self._cipher.wipe()
        self._cipher = Cipher(key)

    def _mix_public(self, public_key: bytes) -> None:
        """Token e: revision 34, 9.2, mixes it into the key as well once a pre-shared key is in use."""
        self._mix_hash(public_key)
        self._mix_key(public_key)

    def _mix_shared(self, public_key: bytes) -> None:
        """Token ee; the ephemeral secret is not needed after it."""
        try:
            shared = x25519(self._ephemeral, public_key)
        finally:
            wipe(self._ephemeral)
        self._mix_key(shared)

    def _expect(self, state: str) -> None:
        if self.state != state:
            raise RuntimeError("Noise handshake: asked to " + state + " in state " + self.state)
        self.state = FAILED  # until the message has gone through

    def _seal(self, payload: bytes) -> bytes:
        sealed = self._cipher.encrypt(payload, self.handshake_hash)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        payload = self._cipher.decrypt(sealed, self.handshake_hash)
        self._mix_hash(sealed)
        return payload

    def _split(self) -> list[Cipher]:
        """The ciphers initiator to responder and back, once."""
        self._expect(DONE)
        ciphers = [Cipher(key) for key in self._derive(b"", 2)]
        self._cipher.wipe()
        self._chaining_key = b""
        return ciphers


def parts(message: bytes) -> tuple[bytes, bytes]:
    if len(message) < HANDSHAKE:
        raise FormatError("Noise handshake message of " + str(len(message)) + " bytes, at least 48 needed")
    return bytes(message[:KEY]), bytes(message[KEY:])


class Responder(Handshake):
    """The side that reads first. `ephemeral` (32) is for vectors only; ValueError if the psk is not 32 bytes."""

    def __init__(self, psk: bytes, prologue: bytes, ephemeral: bytes | None = None) -> None:
        super().__init__(psk, prologue, ephemeral, READ)
        self._peer = b""

    def read(self, message: bytes) -> bytes:
        """`-> psk, e`: its payload. FormatError if too short, AuthenticationError if the other side has another psk.

        Costs no scalar multiplication, so a stranger's first message is cheap to refuse.
        """
        self._expect(READ)
        self._peer, sealed = parts(message)
        self._mix_public(self._peer)
        payload = self._open(sealed)
        self.state = WRITE
        return payload

    def write(self, payload: bytes = b"") -> bytes:
        """`<- e, ee`: 48 bytes and the payload's length. AuthenticationError if the other key is of low order."""
        self._expect(WRITE)
        public_key = x25519_base(self._ephemeral)
        self._mix_public(public_key)
        try:
            self._mix_shared(self._peer)
        except ValueError:
            raise AuthenticationError("Noise ephemeral key is of low order") from None
        message = public_key + self._seal(payload)
        self.state = DONE
        return message

    def transport(self) -> Transport:
        """The session, once; RuntimeError before the handshake is done."""
        receiving, sending = self._split()
        return Transport(sending, receiving)
