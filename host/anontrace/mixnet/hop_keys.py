"""What client and mix derive alike from the secret they share at one hop (docs/protocol.md section 6).

Pure; keeps nothing.
"""

from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from . import stream
from .sizes import KEY, LIONESS_KEYS, PAD, STREAM, TAG

_LAYOUT = Struct(f"{KEY}s{PAD}s{KEY}s{LIONESS_KEYS}s")
assert _LAYOUT.size == STREAM
_ONCE = blake2b(digest_size=TAG, person=b"anontrace/1 once")


class HopKeys(NamedTuple):
    """What one hop's seed expands to."""

    tag_key: bytes  # 32
    pad: bytes  # 110, XORed onto the routing
    blinding: bytes  # 32, a scalar
    lioness_keys: bytes  # 128


def seed_of(shared: bytes, public_key: bytes) -> bytes:
    """The seed (32) of a hop from the X25519 result and the mix's public key (32 each)."""
    return blake2b(public_key, digest_size=KEY, key=shared, person=b"anontrace/1 hop").digest()


def expand(seed: bytes) -> HopKeys:
    """The keys of a hop from its seed."""
    return HopKeys._make(_LAYOUT.unpack(stream.expand(seed, STREAM)))


def lioness_keys(seed: bytes) -> bytes:
    """Only the LIONESS keys (128) of a hop: what the maker of a SURB needs later."""
    return stream.expand(seed, STREAM)[-LIONESS_KEYS:]


def tag(tag_key: bytes, routing: bytes) -> bytes:
    """The tag (16) that a mix checks before it believes the routing."""
    return blake2b(routing, digest_size=TAG, key=tag_key, person=b"anontrace/1 tag").digest()


def replay_tag(address: bytes) -> bytes:
    """What a mix remembers of an address (108) for as long as the key lives: 16 bytes."""
    tag = _ONCE.copy()  # quicker than to give size and person anew
    tag.update(address)
    return tag.digest()
