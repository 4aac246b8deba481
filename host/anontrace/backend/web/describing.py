"""What OpenAPI (`GET /openapi.json`) says beyond what FastAPI finds out by itself.

That is bodies that endpoints read themselves, binary ones, errors, and who may ask. Only describes: nothing here reads
a request or checks one.
"""

from typing import Any

from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from .http import JSON, OCTETS

Responses = dict[int | str, dict[str, Any]]


class ErrorReply(BaseModel):
    """Why a request is refused, or not answered now."""

    error: str = Field(examples=["there is no such report"])


ERRORS: Responses = {
    "4XX": {"model": ErrorReply, "description": "Refused, and why. 429: when to come again, in Retry-After."},
    "5XX": {"model": ErrorReply, "description": "Not now, and why. 503: when to come again, in Retry-After."},
}

STAFF = HTTPBearer(
    scheme_name="staff",
    description="A session of `POST /v1/staff/login`. For accounts and the audit also a JWT that the server's own "
    "signing key signed for this request alone.",
    auto_error=False,
)
AUTHORITY = HTTPBearer(
    scheme_name="authority",
    bearerFormat="JWT",
    description="Signed by the health authority for this request alone: docs/protocol.md section 8.",
    auto_error=False,
)


def takes(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """An endpoint's `openapi_extra`: the JSON body that it reads."""
    content = {JSON: {"schema": model.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def takes_octets(description: str) -> dict[str, Any]:
    """An endpoint's `openapi_extra`: the binary body that it reads."""
    return {"requestBody": {"required": True, "description": description, "content": {OCTETS: {}}}}


def gives(model: type[BaseModel], description: str, status: int = 200) -> Responses:
    """An endpoint's `responses`: JSON that is not made out of the model, but fits it."""
    return {status: {"model": model, "description": description}}


def gives_octets(description: str, kind: str = OCTETS) -> Responses:
    """An endpoint's `responses`: a body that is not JSON."""
    return {200: {"description": description, "content": {kind: {}}}}


def gives_nothing(description: str, status: int) -> Responses:
    """An endpoint's `responses`: no body."""
    return {status: {"description": description}}
