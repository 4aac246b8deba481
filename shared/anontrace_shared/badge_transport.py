"""What of Noise goes on after the handshake: a cipher for each direction (Noise revision 34, CipherState)."""

from anontrace_primitives import aead_open, aead_seal, wipe

from .errors import AuthenticationError

KEY = 32
TAG = 16
HANDSHAKE = KEY + TAG  # bytes of either handshake message without a payload
MESSAGE_LIMIT = (1 << 64) - 1  # revision 34, 5.1: this nonce is reserved


class Cipher:
    """CipherState of revision 34: a key and the nonce counter that goes with it."""

    def __init__(self, key: bytes) -> None:
        self._key = bytearray(key)
        self._counter = 0
        self._live = True

    def _nonce(self) -> bytes:
        if not self._live:
            raise RuntimeError("this Noise key has been wiped")
        if self._counter >= MESSAGE_LIMIT:
            raise RuntimeError("this Noise key has no nonce left")
        return bytes(4) + self._counter.to_bytes(8, "little")

    def encrypt(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        sealed = aead_seal(self._key, self._nonce(), plaintext, aad)
        self._counter += 1
        return sealed

    def decrypt(self, sealed: bytes, aad: bytes = b"") -> bytes:
        try:
            plaintext = aead_open(self._key, self._nonce(), sealed, aad)
        except ValueError:
            raise AuthenticationError("Noise message does not authenticate") from None
        self._counter += 1
        return plaintext

    def wipe(self) -> None:
        wipe(self._key)
        self._live = False


class Transport:
    """One side of an established session: a cipher for each direction, messages in order."""

    def __init__(self, sending: Cipher, receiving: Cipher) -> None:
        self._sending = sending
        self._receiving = receiving

    def encrypt(self, plaintext: bytes) -> bytes:
        """The next message to the other side, TAG (16) longer than the plaintext."""
        return self._sending.encrypt(plaintext)

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The next message from the other side; AuthenticationError if it is forged, repeated or out of order."""
        return self._receiving.decrypt(ciphertext)

    def wipe(self) -> None:
        """Overwrite both keys; later calls are a RuntimeError."""
        self._sending.wipe()
        self._receiving.wipe()
