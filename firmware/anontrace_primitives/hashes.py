# ruff: noqa: F821 - ptr8, ptr16, ptr32 and uint are words of the viper compiler
"""SHA-256 from the port's hashlib, and HMAC-SHA256 (RFC 2104), which the port lacks."""

from hashlib import sha256 as _sha256

import micropython

from .memory import wipe

_BLOCK = 64


def sha256(data):
    """SHA-256 of data, 32."""
    return _sha256(data).digest()


def hmac_sha256(key, data):
    """HMAC-SHA256 of data under a key of any length, 32."""
    pad = bytearray(_BLOCK)
    if len(key) > _BLOCK:
        key = sha256(key)
    pad[: len(key)] = key
    _xor(pad, 0x36)
    inner = _sha256(pad)
    inner.update(data)
    _xor(pad, 0x36 ^ 0x5C)
    outer = _sha256(pad)
    outer.update(inner.digest())
    wipe(pad)
    return outer.digest()


@micropython.viper
def _xor(block: ptr8, value: int):
    for i in range(64):
        block[i] ^= value
