# ruff: noqa: F821 - ptr8, ptr16, ptr32 and uint are words of the viper compiler
"""ChaCha20-Poly1305, RFC 8439, on MicroPython: ChaCha20 in viper, Poly1305 on big integers.

Right on machines of 32 and 64 bits, little-endian both (ESP32, and the Unix port). Every call works in its own buffers,
and wipes those that held the key.

    aead_seal(key, nonce, plaintext, aad=b"") -> ciphertext + 16 of tag
    aead_open(key, nonce, sealed, aad=b"") -> plaintext; ValueError if it does not authenticate

Keys are 32 bytes and nonces 12; any other size is a ValueError.
"""

import micropython

from .memory import equal, wipe

TAG = 16

_P1305 = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_TOP = 1 << 128
_MASK128 = (1 << 128) - 1


def aead_seal(key, nonce, plaintext, aad=b""):
    """Ciphertext, as long as the plaintext, and 16 of tag."""
    state, tag_key = _start(key, nonce)
    sealed = bytearray(len(plaintext) + TAG)
    size = len(plaintext)
    sealed[:size] = plaintext
    _xor_stream(state, sealed, size)
    sealed[size:] = _tag(tag_key, aad, memoryview(sealed)[:size])
    wipe(state)
    wipe(tag_key)
    return bytes(sealed)


def aead_open(key, nonce, sealed, aad=b""):
    """The plaintext of what `aead_seal` made; ValueError if key, nonce, aad or any byte of it differs."""
    state, tag_key = _start(key, nonce)
    size = len(sealed) - TAG
    view = memoryview(sealed)
    try:
        if size < 0 or not equal(_tag(tag_key, aad, view[:size]), view[size:]):
            raise ValueError("sealed bytes do not authenticate")
        plaintext = bytearray(view[:size])
        _xor_stream(state, plaintext, size)
    finally:
        wipe(state)
        wipe(tag_key)
    return bytes(plaintext)


def _start(key, nonce):
    """State for the data, which begins at block 1, and the key of the tag: the first half of block 0.

    Sixteen words of state, then as many to work in.
    """
    if len(key) != 32 or len(nonce) != 12:
        raise ValueError("ChaCha20-Poly1305 takes a key of 32 bytes and a nonce of 12")
    state = bytearray(128)
    state[:16] = b"expand 32-byte k"
    state[16:48] = key
    state[52:64] = nonce
    tag_key = bytearray(32)
    _xor_stream(state, tag_key, 32)
    return state, tag_key


def _tag(tag_key, aad, ciphertext):
    """Poly1305 of aad and ciphertext, each padded to whole blocks, and their lengths (RFC 8439, 2.8)."""
    view = memoryview(tag_key)
    r = int.from_bytes(view[:16], "little") & _CLAMP
    total = _poly1305(0, r, memoryview(aad))
    total = _poly1305(total, r, ciphertext)
    total = (total + (len(ciphertext) << 64 | len(aad) | _TOP)) * r % _P1305
    return (total + int.from_bytes(view[16:], "little") & _MASK128).to_bytes(16, "little")


def _poly1305(total, r, view):
    from_bytes = int.from_bytes
    top = _TOP
    p = _P1305
    for start in range(0, len(view), 16):
        total = (total + from_bytes(view[start : start + 16], "little") + top) * r % p
    return total


@micropython.viper
def _xor_stream(state: ptr32, data: ptr8, size: int):
    """XOR size bytes of key stream onto data and leave the block counter after them.

    Words are kept under 2**32 where a register has 64 bits; where it has 32, the mask is all ones.
    """
    m = uint(0xFFFF)
    m = (m << 16) | m
    stream = ptr8(uint(state) + 64)
    done = 0
    while done < size:
        for i in range(16):
            state[16 + i] = state[i]
        for half in range(20):
            odd = half & 1
            for a in range(4):
                ia = 16 + a
                ib = 20 + ((a + odd) & 3)
                ic = 24 + ((a + 2 * odd) & 3)
                id = 28 + ((a + 3 * odd) & 3)
                wa = uint(state[ia])
                wb = uint(state[ib])
                wc = uint(state[ic])
                wd = uint(state[id])
                wa = (wa + wb) & m
                wd ^= wa
                wd = ((wd << 16) | (wd >> 16)) & m
                wc = (wc + wd) & m
                wb ^= wc
                wb = ((wb << 12) | (wb >> 20)) & m
                wa = (wa + wb) & m
                wd ^= wa
                wd = ((wd << 8) | (wd >> 24)) & m
                wc = (wc + wd) & m
                wb ^= wc
                wb = ((wb << 7) | (wb >> 25)) & m
                state[ia] = wa
                state[ib] = wb
                state[ic] = wc
                state[id] = wd
        for i in range(16):
            state[16 + i] = uint(state[16 + i]) + uint(state[i])
        state[12] = uint(state[12]) + uint(1)
        n = size - done
        if n > 64:
            n = 64
        for i in range(n):
            data[done + i] ^= stream[i]
        done += n
