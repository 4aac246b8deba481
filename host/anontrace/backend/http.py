"""What both sides of the servers' HTTP say alike: content types, error reasons (docs/protocol.md section 8)."""

import json
from collections.abc import Mapping
from typing import Any

OCTETS = "application/octet-stream"
JSON = "application/json"
_LONGEST_REASON = 200


def reason_in(body: bytes) -> str:
    """The reason in an error answer of another server; "" if there is none."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("error", ""))[:_LONGEST_REASON] if isinstance(document, Mapping) else ""
