"""What hardly changes of a mix: where it is, what it does, what it is called (docs/protocol.md section 10).

Not signed by itself: each announcement of the mix names it by its hash. Never looks up what is pinned.
"""

from typing import Annotated, Self

from anontrace_shared.errors import FormatError
from pydantic import AfterValidator, Field, ValidationError, model_validator

from . import x25519_keys
from .fields import Document, Hex32, MixNumber, Role, Roles, ServerName, UnixTime, Url, first_problem

_NYMSERVER, _MAILBOX, _RETIRING = 1, 2, 4
_FIXED = 7  # number, flags, issued, length of the name
MAX_DESCRIPTION = _FIXED + 64 + 1 + 200 + 33


class Description(Document):
    """One mix. `issued`: when it was described like this, in unix seconds: of two descriptions the later one holds.
    `retiring`: it makes no more keys, and is used by those that it has. `log_key`, `bucket_bits`: of a nymserver."""

    number: MixNumber
    roles: Roles
    issued: UnixTime
    name: ServerName
    url: Url
    retiring: bool = False
    log_key: Annotated[Hex32, AfterValidator(x25519_keys.checked)] | None = None
    bucket_bits: Annotated[int, Field(ge=0, le=32)] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.log_key is not None) != ("nymserver" in self.roles):
            raise ValueError("log_key: a nymserver has one, and no other mix does")
        if self.bucket_bits is not None and self.log_key is None:
            raise ValueError("bucket_bits: only a nymserver may have them")
        return self

    def encode(self) -> bytes:
        """As it is hashed, sent and stored: 9 to MAX_DESCRIPTION bytes."""
        flags = _NYMSERVER * ("nymserver" in self.roles) | _MAILBOX * ("mailbox" in self.roles)
        name, url = self.name.encode(), self.url.encode()
        parts = [bytes((self.number, flags | _RETIRING * self.retiring)), self.issued.to_bytes(4, "little")]
        parts += [bytes((len(name),)), name, bytes((len(url),)), url, self.log_key or b""]
        return b"".join(parts) + (b"" if self.bucket_bits is None else bytes((self.bucket_bits,)))


def parse(data: bytes) -> Description:
    """The description in these bytes, all of them. FormatError in one line if there is none."""
    if len(data) < _FIXED:
        raise FormatError("description of a mix: it is too short")
    name, rest = _text(data, _FIXED - 1)
    url, rest = _text(data, rest)
    number, flags, issued = data[0], data[1], int.from_bytes(data[2:6], "little")
    if flags & ~(_NYMSERVER | _MAILBOX | _RETIRING):
        raise FormatError(f"description of mix {number}: flags that this version does not know")
    ends: list[tuple[int, Role]] = [(_NYMSERVER, "nymserver"), (_MAILBOX, "mailbox")]
    key = data[rest : rest + 32] if flags & _NYMSERVER else b""
    bits = data[rest + len(key) :]
    if len(key) not in (0, 32) or len(bits) > 1:
        raise FormatError(f"description of mix {number}: its length is wrong")
    try:
        return Description(
            number=number,
            roles=("mix", *(role for flag, role in ends if flags & flag)),
            issued=issued,
            name=name,
            url=url,
            retiring=bool(flags & _RETIRING),
            log_key=key if flags & _NYMSERVER else None,
            bucket_bits=bits[0] if bits else None,
        )
    except ValidationError as error:
        raise FormatError(f"description of mix {number}: {first_problem(error)}") from None


def _text(data: bytes, at: int) -> tuple[str, int]:
    """The text whose length (1) is at that place, and where it ends."""
    size = data[at] if at < len(data) else len(data)
    end = at + 1 + size
    if end > len(data):
        raise FormatError("description of a mix: it is too short")
    try:
        return data[at + 1 : end].decode(), end
    except UnicodeDecodeError:
        raise FormatError("description of a mix: a text in it is not UTF-8") from None
