"""The two ways in which the packet format makes many bytes from one key (docs/protocol.md section 6).

Every key here has one use only, so there is no nonce to tell uses apart. Never takes a key that is not fresh.
"""

import ctypes
import threading
from collections.abc import Callable
from hashlib import shake_256
from importlib import util

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY = 32
_NONCE = bytes(12)
_TAG = 16
_ROOM = 512  # bytes; what is longer goes by the AEAD

Xor = Callable[[bytes, bytes], bytes]


def expand(key: bytes, length: int) -> bytes:
    """`length` bytes of further keys from a 32-byte key: SHAKE256 of it."""
    return shake_256(key).digest(length)


def by_aead(key: bytes, data: bytes) -> bytes:
    """`xor` by RFC 8439's AEAD, which starts with block 1 and whose one call is twice as fast here as a cipher object;
    its tag is of no use and is cut off."""
    return ChaCha20Poly1305(key).encrypt(_NONCE, data, None)[:-_TAG]


def of_libsodium() -> Xor | None:
    """`xor` by libsodium's `crypto_stream_chacha20_ietf_xor_ic`, which takes two thirds of the time. PyNaCl brings the
    library and has no call for it; None where its file does not show it."""
    found = util.find_spec("nacl._sodium")
    if found is None:
        return None
    try:
        # It holds the interpreter's lock: the call is shorter than giving that up would take.
        function = ctypes.PyDLL(found.origin).crypto_stream_chacha20_ietf_xor_ic
    except (OSError, AttributeError):
        return None
    size, text, pointer = ctypes.c_ulonglong, ctypes.c_char_p, ctypes.c_void_p
    function.argtypes, function.restype = [pointer, text, size, text, ctypes.c_uint32, text], ctypes.c_int

    class Room(threading.local):
        """Where a thread's results come to lie."""

        def __init__(self) -> None:
            self.buffer = ctypes.create_string_buffer(_ROOM)
            self.view = memoryview(self.buffer).cast("B")
            self.at = ctypes.addressof(self.buffer)

    room = Room()

    def xor(key: bytes, data: bytes) -> bytes:
        length = len(data)
        if length > _ROOM or len(key) != KEY:
            return by_aead(key, data)
        function(room.at, data, length, _NONCE, 1, key)
        return bytes(room.view[:length])

    return xor


# `data` XOR the ChaCha20 keystream of a 32-byte key, nonce 0, from block 1 on.
xor: Xor = of_libsodium() or by_aead
