"""The authority's endpoints: for patients' companions (docs/protocol.md section 8), and for its own staff.

Staff endpoints are answered at the server's door for staff, and want `Authorization: Bearer` with the staff token of
its folder besides.
"""

import hmac
import json

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict

from anontrace.backend.errors import Refused
from anontrace.backend.nymserver.records import Decided, Decision, Report, ReportList
from anontrace.backend.web.app import json_body, json_octets
from anontrace.backend.web.describing import STAFF, gives, takes
from anontrace.backend.web.http import json_in
from anontrace.wire import redeem
from anontrace.wire.redeem import RedeemReply, RedeemRequest

from .nymserver import Nymserver
from .retractions import RetractionKeys
from .throttle import Throttle
from .tokens import Tokens

_REPORT = Path(pattern="^[0-9a-f]{16}$")


class IssueRequest(BaseModel):
    """For which disease a token is to be issued: a code of ICD-10."""

    model_config = ConfigDict(extra="forbid")

    disease: str


class IssueReply(BaseModel):
    """A fresh token: it cannot be shown again."""

    token: str
    disease: str
    expires: int


class RetractionRequest(BaseModel):
    """What the contacts are told beside that the report is taken back (at most 58 bytes)."""

    model_config = ConfigDict(extra="forbid")

    message: str = ""


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


def staff_router(tokens: Tokens, nymserver: Nymserver, retractions: RetractionKeys, staff_token: bytes) -> APIRouter:
    """What the authority's staff ask of its server."""
    routes = APIRouter(tags=["health authority"])
    expected = staff_token.hex()

    async def staff(request: Request) -> None:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), expected.encode()):
            raise Refused(401, "the staff token is needed")

    for_staff = [Depends(STAFF), Depends(staff)]

    @routes.post("/v1/staff/tokens", dependencies=for_staff, openapi_extra=takes(IssueRequest, {"disease": "U07.1"}))
    async def issue(request: Request) -> IssueReply:
        """Issue a one-time token."""
        wanted = await json_body(request, IssueRequest)
        issued = await tokens.issue(wanted.disease)
        return IssueReply(token=issued.token, disease=wanted.disease, expires=issued.expires)

    @routes.get("/v1/staff/reports", dependencies=for_staff, responses=gives(ReportList, "All reports."))
    async def reports() -> dict[str, object]:
        """All reports at the nymserver."""
        return {"reports": await nymserver.reports()}

    @routes.get("/v1/staff/reports/{report}", dependencies=for_staff, responses=gives(Report, "The report."))
    async def report(report: str = _REPORT) -> dict[str, object]:
        """One report."""
        for each in await nymserver.reports():
            if each.get("report") == report:
                return each
        raise Refused(404, "there is no such report")

    @routes.post(
        "/v1/staff/reports/{report}/decision",
        dependencies=for_staff,
        responses=gives(Decided, "Decided."),
        openapi_extra=takes(Decision, {"approve": True, "minutes": 15, "depth": 2, "message": "Call 555 0100"}),
    )
    async def decide(request: Request, report: str = _REPORT) -> dict[str, object]:
        """Approve or refuse a report: the body is a decision of docs/protocol.md section 9, without the retraction key,
        which the server adds."""
        decision = json_in(await json_octets(request))
        if not isinstance(decision, dict):
            raise Refused(422, "body: this is not a decision in JSON")
        if decision.get("approve") is True:
            decision["retraction_key"] = (await retractions.make(bytes.fromhex(report))).hex()
        return await nymserver.decide(report, json.dumps(decision).encode())

    @routes.post(
        "/v1/staff/reports/{report}/retraction",
        dependencies=for_staff,
        responses=gives(Decided, "Retracted."),
        openapi_extra=takes(RetractionRequest, {"message": "False alarm"}),
    )
    async def retract(request: Request, report: str = _REPORT) -> dict[str, object]:
        """Take an approved report back: everybody who was notified of it is told so."""
        wanted = await json_body(request, RetractionRequest)
        key = await retractions.find(bytes.fromhex(report))
        body = json.dumps({"key": key.hex(), "message": wanted.message}).encode()
        answer = await nymserver.retract(report, body)
        await retractions.forget(bytes.fromhex(report))
        return answer

    return routes
