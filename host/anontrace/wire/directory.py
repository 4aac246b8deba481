"""The directory: all key lists under a head that discovery signs, each head naming the one before it.

docs/protocol.md section 10. Heads are small, so that a client that missed some can fetch those in between and check
that what it is shown now continues what it saw before. Pure: never fetches anything.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Self

from anontrace_shared.errors import AnontraceError, FormatError
from pydantic import BeforeValidator, Field, model_validator

from anontrace.mixnet import keydays

from . import keylist, signed
from .fields import AS_TUPLE, Document, Hex32, Hex64, UnixTime, Version1, parse
from .keylist import KeyList
from .network import PinnedMix
from .signed import Signed

LABEL = "anontrace/1 directory"
FIRST = 1  # the sequence number of the directory that has no previous one
MOST_SEQUENCE = (1 << 53) - 1
PAGE = 128  # page n of the chain holds the heads 128 n to 128 n + 127
KEPT_DAYS = 30  # for how long discovery shows a head
MOST_HEADS = 1 << 17  # that a client checks in one go
OLD_SECONDS = 86400  # every mix publishes every few hours, so no directory is current for so long
_MOST_LISTS = 255
_LONGEST_HEAD = 512  # characters; they have some 200, and a client may fetch MOST_HEADS


class ForkError(AnontraceError):
    """Discovery shows this client a history other than the one it showed before."""


class Head(Document):
    """What is signed: the place in the chain, and the digest (32) of the key lists."""

    version: Version1 = 1
    sequence: Annotated[int, Field(ge=FIRST, le=MOST_SEQUENCE)]
    previous: Annotated[Hex32 | None, BeforeValidator(lambda value: None if value == "" else value)]
    issued: UnixTime
    lists: Hex32

    @model_validator(mode="after")
    def _starts_once(self) -> Self:
        if (self.sequence == FIRST) != (self.previous is None):
            raise ValueError("previous: empty in the first directory, and only there")
        return self

    def to_json(self) -> str:
        """The text that is signed."""
        fields = self.model_dump(mode="json")
        fields["previous"] = fields["previous"] or ""
        return json.dumps(fields, separators=(",", ":"))


class Edition(Document):
    """A directory as it is sent and stored: the head's text, the signature (64) over it, the signed key lists."""

    document: str
    signature: Hex64
    lists: Annotated[tuple[Signed, ...], AS_TUPLE, Field(max_length=_MOST_LISTS)]

    def to_json(self) -> str:
        """As it is sent and stored."""
        return self.model_dump_json()


class Page(Document):
    """Some heads of the chain, as their texts stand, by rising sequence."""

    heads: Annotated[tuple[Annotated[str, Field(max_length=_LONGEST_HEAD)], ...], AS_TUPLE, Field(max_length=PAGE)]


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


@dataclass(frozen=True, slots=True)
class Directory:
    """An edition whose signature holds. Its lists are not checked yet: see `usable`."""

    head: Head
    head_text: str
    seen: Seen
    lists: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class Usable:
    """The key lists of a directory that are in force by number, and a line for each that is not."""

    lists: dict[int, KeyList]
    refused: tuple[str, ...]


def read(text: str | bytes) -> Edition:
    """The edition in a JSON text, its signature not yet checked. FormatError if it is none."""
    return parse(Edition, text, "directory")


def read_page(text: str | bytes) -> tuple[str, ...]:
    """The heads (texts) in a page of the chain. FormatError if it is none."""
    return parse(Page, text, "page of the directory's chain").heads


def digest(document: str) -> bytes:
    """What the next head names as its previous one (32)."""
    return sha256(document.encode()).digest()


def make(sequence: int, previous: bytes | None, issued: int, lists: Sequence[Signed], signing_key: bytes) -> Edition:
    """An edition of these lists, signed with discovery's Ed25519 seed (32)."""
    head = Head(sequence=sequence, previous=previous, issued=issued, lists=_digest_of(lists))
    envelope = signed.sign(LABEL, head.to_json(), signing_key)
    return Edition(document=envelope.document, signature=envelope.signature, lists=tuple(lists))


def verify(edition: Edition, discovery_key: bytes) -> Directory:
    """The directory in an edition, if discovery signed it.

    FormatError if it is malformed, names a mix twice or its lists are not those of the head, AuthenticationError if the
    signature does not hold.
    """
    signed.check(LABEL, Signed(document=edition.document, signature=edition.signature), discovery_key)
    head = parse(Head, edition.document, "directory")
    if _digest_of(edition.lists) != head.lists:
        raise FormatError("directory: its key lists are not those that were signed")
    numbers: set[int] = set()
    for each in edition.lists:
        number = keylist.number_of(each.document)
        if number in numbers:
            raise FormatError(f"directory: two key lists of mix {number}")
        if number is not None:
            numbers.add(number)
    seen = Seen(head.sequence, digest(edition.document), head.issued)
    return Directory(head, edition.document, seen, edition.lists)


def is_kept(seen: Seen, now: float) -> bool:
    """Whether discovery has to show all that followed on a directory. If not, only the sequence can be checked."""
    return keydays.day_at(now) - keydays.day_at(seen.issued) <= KEPT_DAYS


def pages(seen: Seen | None, directory: Directory, now: float) -> range:
    """The pages of the chain that `follow` needs: those that hold what lies between, if discovery has to show it."""
    first, last = (0, 0) if seen is None else (seen.sequence + 1, directory.head.sequence - 1)
    if seen is None or not 0 <= last - first < MOST_HEADS or not is_kept(seen, now):
        return range(0)
    return range(first // PAGE, last // PAGE + 1)


def follow(seen: Seen | None, directory: Directory, heads: Iterable[str], now: float) -> bool:
    """ForkError if a verified directory contradicts what was seen before. False: it is too long ago to tell.

    `heads`: the texts of what lies between, in any order, out of `pages`.
    """
    if seen is None or directory.seen == seen:
        return True
    sequence = directory.head.sequence
    if sequence < seen.sequence:
        raise ForkError(f"discovery went back from directory {seen.sequence} to {sequence}")
    if sequence == seen.sequence:
        raise ForkError(f"discovery shows two directories {sequence}")
    between = {digest(each): each for each in heads}
    previous = directory.head.previous
    for number in range(sequence - 1, seen.sequence, -1):
        document = between.get(previous) if previous is not None else None
        if document is None:
            if is_kept(seen, now):
                raise ForkError(f"discovery does not show how directory {sequence} follows {seen.sequence} seen before")
            return False
        head = parse(Head, document, "directory")
        if head.sequence != number:
            raise ForkError(f"directory {number + 1} continues a directory {head.sequence}")
        previous = head.previous
    if previous != seen.digest:
        raise ForkError(f"directory {sequence} does not continue the directory {seen.sequence} seen before")
    return True


def usable(directory: Directory, pins: Mapping[int, PinnedMix], now: float) -> Usable:
    """The lists of pinned mixes that hold now. One bad list costs only its own mix."""
    lists, refused = {}, []
    for envelope in directory.lists:
        try:
            key_list = keylist.verify(envelope, pins, now)
        except AnontraceError as error:
            refused.append(str(error))
        else:
            lists[key_list.number] = key_list
    return Usable(lists, tuple(refused))


def _digest_of(lists: Iterable[Signed]) -> bytes:
    return sha256(b"".join(digest(each.document) + each.signature for each in lists)).digest()
