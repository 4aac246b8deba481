"""The directory: all key lists, signed and hash-chained by discovery (docs/protocol.md section 10).

A client that has seen one directory notices when it is later shown another history. Never fetches one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Self

from anontrace_shared.errors import AnontraceError, FormatError
from pydantic import BeforeValidator, Field, model_validator

from . import keylist, signed
from .fields import AS_TUPLE, Document, Hex32, UnixTime, Version1, parse
from .keylist import KeyList
from .network import PinnedMix
from .signed import Signed

LABEL = "anontrace/1 directory"
FIRST = 1  # the sequence number of the directory that has no previous one
_MOST_LISTS = 255


class ForkError(AnontraceError):
    """Discovery shows this client a history other than the one it showed before."""


class Directory(Document):
    """One edition of the directory."""

    version: Version1 = 1
    sequence: Annotated[int, Field(ge=FIRST, lt=1 << 53)]
    previous: Annotated[Hex32 | None, BeforeValidator(lambda value: None if value == "" else value)]
    issued: UnixTime
    lists: Annotated[
        tuple[Signed, ...],
        AS_TUPLE,
        Field(max_length=_MOST_LISTS),
    ]

    @model_validator(mode="after")
    def _starts_once(self) -> Self:
        if (self.sequence == FIRST) != (self.previous is None):
            raise ValueError("previous: empty in the first directory, and only there")
        return self

    def to_json(self) -> str:
        """The text that is signed."""
        fields = self.model_dump(mode="json")
        fields["previous"] = fields["previous"] or ""
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client remembers of the newest directory that it has believed."""

    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Usable:
    """The key lists of a directory that are in force by number, and a line for each that is not."""

    lists: dict[int, KeyList]
    refused: tuple[str, ...]


def digest(document: str) -> bytes:
    """What the next directory names as its previous one (32)."""
    return sha256(document.encode()).digest()


def sign(directory: Directory, signing_key: bytes) -> Signed:
    """The directory in its envelope, signed with discovery's Ed25519 seed (32)."""
    return signed.sign(LABEL, directory.to_json(), signing_key)


def verify(envelope: Signed, discovery_key: bytes) -> Directory:
    """The directory in an envelope, if discovery signed it.

    FormatError if it is malformed or names a mix twice, AuthenticationError if the signature does not hold. The lists
    in it are not checked yet: see `usable`.
    """
    signed.check(LABEL, envelope, discovery_key)
    directory = parse(Directory, envelope.document, "directory")
    numbers: set[int] = set()
    for each in directory.lists:
        number = keylist.number_of(each.document)
        if number in numbers:
            raise FormatError(f"directory: two key lists of mix {number}")
        if number is not None:
            numbers.add(number)
    return directory


def follow(seen: Seen | None, envelope: Signed, directory: Directory) -> Seen:
    """What to remember after a verified directory. ForkError if it contradicts what was seen before.

    Between directories that do not follow directly on each other nothing can be compared but the sequence number.
    """
    now = Seen(directory.sequence, digest(envelope.document))
    if seen is None or now == seen:
        return now
    if now.sequence < seen.sequence:
        raise ForkError(f"discovery went back from directory {seen.sequence} to {now.sequence}")
    if now.sequence == seen.sequence:
        raise ForkError(f"discovery shows two directories {now.sequence}")
    if now.sequence == seen.sequence + 1 and directory.previous != seen.digest:
        raise ForkError(f"directory {now.sequence} does not continue the directory {seen.sequence} seen before")
    return now


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
