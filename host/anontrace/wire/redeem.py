"""Redeeming a one-time token at the health authority: the two JSON bodies (docs/protocol.md section 8)."""

from pydantic import Field

from .fields import Document, Hex32, Hex129, parse


class RedeemRequest(Document):
    """The token as typed, and the SHA-256 (32) of the log that is to be uploaded."""

    token: str = Field(max_length=64, repr=False)
    log_hash: Hex32 = Field(repr=False)


class RedeemReply(Document):
    """The permit (129) for that log."""

    permit: Hex129 = Field(repr=False)


def read_request(body: bytes) -> RedeemRequest:
    """FormatError if the body is no such request."""
    return parse(RedeemRequest, body, "request")


def read_reply(body: bytes) -> RedeemReply:
    """FormatError if the body is no such reply."""
    return parse(RedeemReply, body, "reply of the health authority")
