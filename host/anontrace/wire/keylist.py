"""The key list: what a mix publishes of itself each day, signed by its long-term key (docs/protocol.md section 10).

Never looks up which long-term key to believe: that is pinned in the network file.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Self

from anontrace_shared.errors import FormatError
from pydantic import BaseModel, Field, ValidationError, model_validator

from anontrace.mixnet.keydays import LIFE_DAYS

from . import signed
from .fields import AS_TUPLE, Day, Document, Hex32, MixNumber, Name, Roles, UnixTime, Url, Version1, parse
from .network import PinnedMix
from .signed import Signed

LABEL = "anontrace/1 key list"
CLOCK_TOLERANCE = 600  # seconds by which a list may seem to come from the future

_P = (1 << 255) - 19
LOW_ORDER = {  # u-coordinates of the points of order 1, 2, 4 and 8 on the curve and its twist
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    _P - 1,
}


class MixKey(Document):
    """The X25519 public key (32) of one day."""

    day: Day
    key: Hex32

    @model_validator(mode="after")
    def _is_a_key(self) -> Self:
        u = int.from_bytes(self.key, "little")
        if u >= _P or u in LOW_ORDER:
            raise ValueError("this is not an X25519 public key that a mix can have")
        return self


class _Numbered(BaseModel):
    number: MixNumber


class KeyList(Document):
    """One mix: where it is, what it does, and its keys of the live days and the next."""

    version: Version1 = 1
    number: MixNumber
    name: Name
    roles: Roles
    url: Url
    issued: UnixTime
    expires: UnixTime
    keys: Annotated[
        tuple[MixKey, ...],
        AS_TUPLE,
        Field(min_length=1, max_length=LIFE_DAYS + 1),
    ]
    log_key: Hex32 | None = None
    bucket_bits: Annotated[int, Field(ge=0, le=32)] | None = None
    losses: dict[MixNumber, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        days = [key.day for key in self.keys]
        if any(a >= b for a, b in pairwise(days)):
            raise ValueError("keys: days must rise, none twice")
        if days[-1] - days[0] > LIFE_DAYS:
            raise ValueError(f"keys: days must lie within {LIFE_DAYS + 1} days")
        if len({key.key for key in self.keys}) != len(days):
            raise ValueError("keys: a key stands for two days")
        if self.expires <= self.issued:
            raise ValueError("expires: must be later than issued")
        given = (self.log_key is not None, self.bucket_bits is not None)
        if given != ((True, True) if "nymserver" in self.roles else (False, False)):
            raise ValueError("log_key, bucket_bits: a nymserver has both, and no other mix has any")
        return self

    def to_json(self) -> str:
        """The text that is signed."""
        return self.model_dump_json(exclude_none=True)


def read(text: str | bytes) -> KeyList:
    """The key list in a JSON text. FormatError if it is none."""
    return parse(KeyList, text, "key list")


def number_of(text: str) -> int | None:
    """The number that a list claims, without reading the rest of it; None if it cannot be told."""
    try:
        return _Numbered.model_validate_json(text).number
    except ValidationError:
        return None


def sign(key_list: KeyList, signing_key: bytes) -> Signed:
    """The list in its envelope, signed with the mix's long-term Ed25519 seed (32)."""
    return signed.sign(LABEL, key_list.to_json(), signing_key)


def verify(envelope: Signed, pins: Mapping[int, PinnedMix], now: float) -> KeyList:
    """The list in an envelope, if the mix that it names is pinned, signed it, and it is in force.

    FormatError names the mix and says what is wrong; AuthenticationError if the signature does not hold.
    """
    key_list = read(envelope.document)
    pin = pins.get(key_list.number)
    if pin is None:
        raise FormatError(f"key list of mix {key_list.number}: this number is not pinned in the network file")
    signed.check(LABEL, envelope, pin.key)
    if set(key_list.roles) != set(pin.roles):
        raise FormatError(f"key list of mix {pin.number}: its roles are not those of the network file")
    if key_list.expires <= now:
        raise FormatError(f"key list of mix {pin.number}: it has expired")
    if key_list.issued > now + CLOCK_TOLERANCE:
        raise FormatError(f"key list of mix {pin.number}: it is from the future; check the clock")
    return key_list
