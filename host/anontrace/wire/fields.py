"""Field types that the JSON and TOML documents share, and one line out of what pydantic finds wrong.

docs/protocol.md sections 8 to 10. Documents take no unknown field and convert nothing silently.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
from anontrace_shared.errors import FormatError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from anontrace.foreign.lines import plain

MAX_NAME = 64  # characters; of a server's name bytes too


class Document(BaseModel):
    """Base of every document here: frozen, strict, nothing unknown, and no input repeated in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


def _hex(size: int) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, bytes) and len(value) == size:
            return value
        try:
            data = bytes.fromhex(value) if isinstance(value, str) and len(value) == 2 * size else b""
        except ValueError:
            data = b""
        if len(data) != size:  # fromhex skips spaces, so the length tells
            raise ValueError(f"must be {2 * size} hex digits")
        return data

    return read


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        whole = whole and bool(httpx.URL(value).host)  # what asks servers has ideas of its own of host names
    except (ValueError, httpx.InvalidURL):
        whole = False
    if not whole or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be an http:// or https:// URL")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a URL without user, query or fragment")
    return value.rstrip("/")


def _printable(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("must be printable text on one line")
    return value


def _of_few_bytes(value: str) -> str:
    if len(value.encode()) > MAX_NAME:
        raise ValueError(f"must have at most {MAX_NAME} bytes in UTF-8")
    return value


def _described(size: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^[0-9a-fA-F]{{{2 * size}}}$"})


_AS_HEX = PlainSerializer(bytes.hex, return_type=str)
Hex32 = Annotated[bytes, BeforeValidator(_hex(32)), _AS_HEX, _described(32)]
Url = Annotated[str, Field(max_length=200), AfterValidator(_url)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_printable)]
ServerName = Annotated[Name, AfterValidator(_of_few_bytes)]
MixNumber = Annotated[int, Field(ge=1, le=255)]
UnixTime = Annotated[int, Field(ge=0, lt=1 << 32)]
Role = Literal["mix", "nymserver", "mailbox"]


def _roles(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    if len(set(roles)) != len(roles) or "mix" not in roles:
        raise ValueError('must hold "mix", and nothing twice')
    if len(roles) > 2:
        raise ValueError("a server is a nymserver or a mailbox server, not both: both are the last hop of messages")
    return roles


AS_TUPLE = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)  # what TOML gives
Roles = Annotated[tuple[Role, ...], AS_TUPLE, AfterValidator(_roles)]
D = TypeVar("D", bound=Document)


def parse(kind: type[D], text: str | bytes, name: str) -> D:
    """The document in a JSON text. FormatError in one line: which document, and the first thing wrong in it."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise FormatError(f"{name}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as one line: where, and what. Never the value itself."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = plain(".".join(str(part) for part in first["loc"] if part != "[key]"))
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
