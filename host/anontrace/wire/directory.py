"""The directory: what all mixes have published, under a head that discovery signs, each head naming the one before it.

docs/protocol.md section 10. Whoever knows nothing is given all of it; whoever knows it as it was on some day, only what
is new since, with the heads by which what they knew leads to what they are shown. Pure: never fetches anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from anontrace_shared.errors import AnontraceError, AuthenticationError, FormatError
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from anontrace.mixnet import keydays

from . import content
from .content import Content

LABEL = b"anontrace/2 directory"
FIRST = 1  # the sequence number of the directory that has no previous one
KEPT_DAYS = 30  # for how long discovery shows a head
MAX_HEADS = (1 << 16) - 1  # that an answer can show
OLD_SECONDS = 30 * 3600  # every mix announces a key every day, so no directory is current for so long
_NONE = bytes(32)  # the previous one of the first
_HEAD, _SIGNATURE, _LINK, _PRESENT = 80, 64, 40, 32
_FIXED = 42  # what stands before the links of a difference


class ForkError(AnontraceError):
    """Discovery shows this client a history other than the one it showed before."""


@dataclass(frozen=True)
class Head:
    """What is signed: the place in the chain, when it was made (unix seconds), and the digest (32) of the content."""

    sequence: int
    previous: bytes
    issued: int
    content: bytes

    def encode(self) -> bytes:
        """As it is signed and hashed (80)."""
        return self.sequence.to_bytes(8, "little") + self.previous + self.issued.to_bytes(8, "little") + self.content

    @cached_property
    def digest(self) -> bytes:
        """What the next head names as its previous one (32)."""
        return sha256(self.encode()).digest()

    @property
    def seen(self) -> "Seen":
        """What is remembered of it."""
        return Seen(self.sequence, self.digest, self.issued)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client remembers of the newest directory that it has believed: which, its digest (32), unix seconds."""

    sequence: int
    digest: bytes
    issued: int

    @property
    def shown(self) -> str:
        """Number and half the digest, for people to compare: one number with two digests is a fork."""
        half = self.digest[:16].hex()
        return f"{self.sequence}: {' '.join(half[at : at + 8] for at in range(0, len(half), 8))}"


@dataclass(frozen=True)
class Directory:
    """A whole directory: head, signature (64) over it, content. What mixes have signed in it is not checked yet."""

    head: Head
    signature: bytes
    content: Content

    def encode(self) -> bytes:
        """As it is sent and stored."""
        return self.head.encode() + self.signature + self.content.encode()

    @property
    def seen(self) -> Seen:
        """What is remembered of it."""
        return self.head.seen


@dataclass(frozen=True)
class Difference:
    """What is new since some edition: the heads from that one on by rising sequence, the signature (64) over the
    newest, the numbers of all mixes that are in it, and what has been described or announced since."""

    heads: Sequence[Head]
    signature: bytes
    present: frozenset[int]
    news: Content

    def encode(self) -> bytes:
        """As it is sent."""
        first = self.heads[0]
        present = sum(1 << number for number in self.present)
        return b"".join(
            [
                first.previous,
                first.sequence.to_bytes(8, "little"),
                len(self.heads).to_bytes(2, "little"),
                *(each.issued.to_bytes(8, "little") + each.content for each in self.heads),
                self.signature,
                present.to_bytes(_PRESENT, "little"),
                self.news.encode(),
            ]
        )

    def applied_to(self, known: Content) -> Directory | None:
        """The directory that this makes of one; None if that is not the one that was signed."""
        made = known.with_news(self.news, self.present)
        newest = self.heads[-1]
        return Directory(newest, self.signature, made) if made.digest == newest.content else None


def make(sequence: int, previous: bytes | None, issued: int, made: Content, signing_key: bytes) -> Directory:
    """A directory with this content, signed with discovery's Ed25519 seed (32)."""
    head = Head(sequence, previous or _NONE, issued, made.digest)
    return Directory(head, SigningKey(signing_key).sign(LABEL + head.encode()).signature, made)


def parse(data: bytes, discovery_key: bytes) -> Directory:
    """The whole directory in these bytes, if discovery signed it.

    FormatError if it is malformed or its content is not the one that was signed, AuthenticationError if the signature
    does not hold.
    """
    if len(data) < _HEAD + _SIGNATURE:
        raise FormatError("directory: it is cut off")
    head, signature = parse_head(data[:_HEAD]), data[_HEAD : _HEAD + _SIGNATURE]
    _check(head, signature, discovery_key)
    found = content.parse(data[_HEAD + _SIGNATURE :])
    if sha256(data[_HEAD + _SIGNATURE :]).digest() != head.content:
        raise FormatError("directory: its content is not the one that was signed")
    if not found.is_whole:
        raise FormatError("directory: a mix is described and announces nothing, or the other way round")
    return Directory(head, signature, found)


def parse_difference(data: bytes, discovery_key: bytes) -> Difference:
    """What is new, by a discovery that signed the newest head. Errors as with `parse`."""
    count = int.from_bytes(data[40:_FIXED], "little")
    signed_at = _FIXED + count * _LINK
    present_at = signed_at + _SIGNATURE
    if not count or len(data) < present_at + _PRESENT:
        raise FormatError("directory: it is cut off")
    heads: list[Head] = []
    sequence, previous = int.from_bytes(data[32:40], "little"), data[:32]
    for at in range(_FIXED, signed_at, _LINK):
        heads.append(Head(sequence, previous, int.from_bytes(data[at : at + 8], "little"), data[at + 8 : at + _LINK]))
        sequence, previous = sequence + 1, heads[-1].digest if at + _LINK < signed_at else b""
    _check_place(heads[0])
    signature = data[signed_at:present_at]
    _check(heads[-1], signature, discovery_key)
    present = int.from_bytes(data[present_at : present_at + _PRESENT], "little")
    if present & 1:
        raise FormatError("directory: there is no mix 0")
    numbers = frozenset(number for number in range(1, 256) if present >> number & 1)
    return Difference(heads, signature, numbers, content.parse(data[present_at + _PRESENT :]))


def parse_head(data: bytes) -> Head:
    """The head in 80 bytes. FormatError if it is none."""
    head = Head(int.from_bytes(data[:8], "little"), data[8:40], int.from_bytes(data[40:48], "little"), data[48:])
    if len(data) != _HEAD:
        raise FormatError("directory: its head has another length")
    _check_place(head)
    return head


def _check_place(head: Head) -> None:
    if head.sequence < FIRST or (head.sequence == FIRST) != (head.previous == _NONE):
        raise FormatError("directory: the first, and only that, is number 1 and has no previous one")


def _check(head: Head, signature: bytes, discovery_key: bytes) -> None:
    try:
        VerifyKey(discovery_key).verify(LABEL + head.encode(), signature)
    except BadSignatureError:
        raise AuthenticationError("the signature of this directory does not hold") from None


def is_kept(seen: Seen, now: float) -> bool:
    """Whether discovery has to show all that followed on a directory. If not, only the sequence can be checked."""
    return keydays.day_at(now) - keydays.day_at(seen.issued) <= KEPT_DAYS


def follow(seen: Seen | None, heads: Sequence[Head], now: float) -> bool:
    """ForkError if what discovery signed contradicts what was seen before. False: it is too long ago to tell.

    `heads`: those that were shown, each following on the one before, the last one signed.
    """
    if seen is None:
        return True
    first, newest = heads[0], heads[-1]
    if newest.sequence < seen.sequence:
        raise ForkError(f"discovery went back from directory {seen.sequence} to {newest.sequence}")
    if seen.sequence < first.sequence - 1:
        if is_kept(seen, now):
            raise ForkError(
                f"discovery does not show how directory {newest.sequence} follows {seen.sequence} seen before"
            )
        return False
    is_before = seen.sequence < first.sequence
    same = first.previous if is_before else heads[seen.sequence - first.sequence].digest
    if same == seen.digest:
        return True
    if newest.sequence == seen.sequence:
        raise ForkError(f"discovery shows two directories {newest.sequence}")
    raise ForkError(f"directory {newest.sequence} does not continue the directory {seen.sequence} seen before")
