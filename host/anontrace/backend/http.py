"""What both sides of the servers' HTTP say alike: content types, error reasons (docs/protocol.md section 8)."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

OCTETS = "application/octet-stream"
JSON = "application/json"
_LONGEST_REASON = 200


def json_in(body: bytes) -> Any:
    """What a stranger's JSON says; None if it is none, or nested too deeply, or holds numbers that JSON has not."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return None


def reason_in(body: bytes) -> str:
    """The reason in an error answer of another server; "" if there is none."""
    document = json_in(body)
    return str(document.get("error", ""))[:_LONGEST_REASON] if isinstance(document, Mapping) else ""
