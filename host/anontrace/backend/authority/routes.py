"""What patients' companions ask of the authority (docs/protocol.md section 8). What staff ask: staff_routes.py."""

from fastapi import APIRouter, Request

from anontrace.backend.web.app import json_octets
from anontrace.backend.web.describing import takes
from anontrace.backend.web.throttle import Throttle
from anontrace.wire import redeem
from anontrace.wire.redeem import RedeemReply, RedeemRequest

from .tokens import Tokens


def router(tokens: Tokens, throttle: Throttle) -> APIRouter:
    """What everybody may ask of the authority."""
    routes = APIRouter(tags=["health authority"])

    @routes.post(
        "/v1/redeem", openapi_extra=takes(RedeemRequest, {"token": "AAAA-BBBB-CCCC-DDDD", "log_hash": "5a" * 32})
    )
    async def redeem_token(request: Request) -> RedeemReply:
        """Exchange a one-time token for a permit to upload one log."""
        wanted = redeem.read_request(await json_octets(request))
        with throttle.trying(request.client.host if request.client else ""):
            return RedeemReply(permit=await tokens.redeem(wanted.token, wanted.log_hash))

    return routes
