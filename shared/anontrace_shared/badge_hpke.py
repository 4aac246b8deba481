"""The sender's half of `hpke`: all that a badge has, so that it need not hold code that it cannot use.

sender = Sender(public_key, info)               .enc goes to the recipient first
sealed = sender.seal(plaintext, aad)            TAG longer than the plaintext; sequence numbers 0, 1, 2 ...
"""

from anontrace_primitives import aead_seal, random_bytes, wipe, x25519, x25519_base

from . import hkdf
from .errors import FormatError

ENC = 32
TAG = 16
KEY = 32
NONCE = 12
MESSAGE_LIMIT = (1 << 8 * NONCE) - 1  # RFC 9180, 5.2: a nonce must never come twice

_KEM_SUITE = b"KEM\x00\x20"
_SUITE = b"HPKE\x00\x20\x00\x01\x00\x03"
_BASE_MODE = b"\x00"


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hkdf.extract(salt, b"HPKE-v1" + suite + label + ikm)


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return hkdf.expand(prk, bytes([length >> 8, length & 255]) + b"HPKE-v1" + suite + label + info, length)


# RFC 9180, 5.1: in base mode the pre-shared key and its name are empty, so this hash is the same for every context.
_PSK_ID_HASH = _labeled_extract(_SUITE, b"", b"psk_id_hash", b"")


def kem_secret(dh: bytes, enc: bytes, public_key: bytes) -> bytes:
    prk = _labeled_extract(_KEM_SUITE, b"", b"eae_prk", dh)
    return _labeled_expand(_KEM_SUITE, prk, b"shared_secret", enc + public_key, 32)


class Context:
    """Key, base nonce and sequence number of one direction: what RFC 9180 calls the encryption context."""

    def __init__(self, kem_secret: bytes, info: bytes) -> None:
        schedule = _BASE_MODE + _PSK_ID_HASH + _labeled_extract(_SUITE, b"", b"info_hash", info)
        secret = _labeled_extract(_SUITE, kem_secret, b"secret", b"")
        self._key = bytearray(_labeled_expand(_SUITE, secret, b"key", schedule, KEY))
        self._base_nonce = _labeled_expand(_SUITE, secret, b"base_nonce", schedule, NONCE)
        self._sequence = 0
        self._live = True

    def _nonce(self) -> bytes:
        if not self._live:
            raise RuntimeError("this HPKE context has been wiped")
        if self._sequence >= MESSAGE_LIMIT:
            raise RuntimeError("this HPKE context has no sequence number left")
        return (int.from_bytes(self._base_nonce, "big") ^ self._sequence).to_bytes(NONCE, "big")

    def wipe(self) -> None:
        """Overwrite the key; later calls are a RuntimeError."""
        wipe(self._key)
        self._live = False


class Sender(Context):
    """Seals messages to `public_key` (32). `info` binds them to their use; `ephemeral` (32) is for vectors only."""

    def __init__(self, public_key: bytes, info: bytes, ephemeral: bytes | None = None) -> None:
        """FormatError if the public key is not 32 bytes or of low order."""
        scalar = bytearray(random_bytes(32) if ephemeral is None else ephemeral)
        try:
            self.enc = x25519_base(scalar)
            dh = x25519(scalar, public_key)
        except ValueError as error:
            raise FormatError("not a public key to seal to: " + str(error)) from None
        finally:
            wipe(scalar)
        super().__init__(kem_secret(dh, self.enc, public_key), info)

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """The next message: ciphertext, as long as the plaintext, and 16 of tag."""
        sealed = aead_seal(self._key, self._nonce(), plaintext, aad)
        self._sequence += 1
        return sealed
