"""What both sides of the servers' HTTP say alike: content types, error reasons (docs/protocol.md section 8)."""

import ssl
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from anontrace.foreign import exchange
from anontrace.foreign.lines import plain
from anontrace.wire import trust

OCTETS = "application/octet-stream"
JSON = "application/json"
_MAX_REASON = 200


def json_in(body: bytes) -> Any:
    """What a stranger's JSON says; None if it is none, or nested too deeply, or holds numbers that JSON has not."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return None


def reason_in(body: bytes) -> str:
    """The reason in an error answer of another server; "" if there is none."""
    document = json_in(body)
    return plain(str(document.get("error", "")), _MAX_REASON) if isinstance(document, Mapping) else ""


def silence_in(error: BaseException) -> str:
    """Why there was no answer, as far as an error tells, in words that lead somewhere. Fit for logs."""
    disbelief = trust.disbelief_in(error)
    if disbelief is not None:
        return f"its certificate is not believed: {disbelief.said}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        if isinstance(cause, (ConnectionRefusedError, FileNotFoundError)):
            return "nothing listens there"
        if isinstance(cause, PermissionError):
            return "only the server's own user may ask there"
        if isinstance(cause, (exchange.Overdue, exchange.TooLong)):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
