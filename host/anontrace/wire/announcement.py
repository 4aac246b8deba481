"""A mix's announcement of one day: its key of that day, and which mixes lose its loops (docs/protocol.md section 10).

Signed by the mix's long-term key, together with the hash of its description. Never says which key to believe: that is
pinned in the network file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

from anontrace_shared.errors import AuthenticationError, FormatError
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from . import x25519_keys

LABEL = b"anontrace/2 announcement"
SIZE = 99
MAX_LOSSY = 2  # mixes that one announcement can accuse
_KEY, _SIGNATURE = 32, 64
_LOSSY_AT = 1 + _KEY
_SIGNATURE_AT = _LOSSY_AT + MAX_LOSSY


@dataclass(frozen=True, slots=True)
class Announcement:
    """The X25519 key (32) of one day (UTC, counted from 1970). `lossy`: up to two other mixes, by rising number, that
    lose more than a fifth of this one's loops."""

    number: int
    day: int
    key: bytes
    lossy: tuple[int, ...] = ()
    signature: bytes = field(default=bytes(_SIGNATURE), repr=False)

    def encode(self) -> bytes:
        """As it is sent, without the day (99)."""
        return _unsigned(self.number, self.key, self.lossy) + self.signature


def sign(
    number: int, day: int, key: bytes, lossy: Sequence[int], description: bytes, signing_key: bytes
) -> Announcement:
    """An announcement, signed with the mix's long-term Ed25519 seed (32). `description`: as encoded."""
    covered = _covered(_unsigned(number, key, lossy), day, description)
    return Announcement(number, day, key, tuple(lossy), SigningKey(signing_key).sign(covered).signature)


def parse(data: bytes, day: int) -> Announcement:
    """The announcement of a day in 99 bytes, its signature not yet checked. FormatError if it is none."""
    if len(data) != SIZE or not data[0]:
        raise FormatError("announcement: it has another length, or no mix's number")
    number, key, told = data[0], data[1:_LOSSY_AT], data[_LOSSY_AT:_SIGNATURE_AT]
    lossy = tuple(each for each in told if each)
    if any(one and one >= other for one, other in pairwise(told)) or number in lossy:
        raise FormatError(f"announcement of mix {number}: whom it accuses has to rise, and is not itself")
    try:
        x25519_keys.checked(key)
    except ValueError as error:
        raise FormatError(f"announcement of mix {number}: {error}") from None
    return Announcement(number, day, key, lossy, data[_SIGNATURE_AT:])


def check(announcement: Announcement, description: bytes, verify_key: bytes) -> None:
    """AuthenticationError unless the holder of this Ed25519 public key (32) announced this under this description."""
    covered = _covered(announcement.encode()[:_SIGNATURE_AT], announcement.day, description)
    try:
        VerifyKey(verify_key).verify(covered, announcement.signature)
    except BadSignatureError:
        what = f"announcement of mix {announcement.number} for day {announcement.day}"
        raise AuthenticationError(f"the signature of this {what} does not hold") from None


def _unsigned(number: int, key: bytes, lossy: Sequence[int]) -> bytes:
    return bytes((number,)) + key + _lossy(lossy)


def _lossy(lossy: Sequence[int]) -> bytes:
    return bytes(MAX_LOSSY - len(lossy)) + bytes(lossy)


def _covered(unsigned: bytes, day: int, description: bytes) -> bytes:
    place = 1
    dated = unsigned[:place] + day.to_bytes(4, "little") + unsigned[place:]
    return LABEL + dated + sha256(description).digest()
