"""The nymserver's endpoints (docs/protocol.md sections 8 and 9)."""

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from anontrace.backend.errors import Refused
from anontrace.backend.http import OCTETS
from anontrace.backend.web import json_body, octets
from anontrace.mixnet.sizes import REPORT_ID
from anontrace.wire.upload import CHUNK

from .nyms import Nyms
from .records import Decision, Report, Retraction
from .reports import Reports
from .requests import AuthorityRequests
from .uploads import Uploads

_REPORT = Path(pattern=f"^[0-9a-f]{{{2 * REPORT_ID}}}$")


class ReportList(BaseModel):
    """All reports that the nymserver holds."""

    reports: list[Report]


class Decided(BaseModel):
    """How many notifications a decision caused."""

    notifications: int


def router(nyms: Nyms, uploads: Uploads, reports: Reports, requests: AuthorityRequests, bucket_bits: int) -> APIRouter:
    """What clients and the health authority ask of the nymserver."""
    routes = APIRouter(tags=["nymserver"])

    @routes.get("/v1/buckets/{index}")
    async def bucket(index: int) -> Response:
        """The sorted fingerprints of all swaps in a bucket."""
        if not 0 <= index < 1 << bucket_bits:
            raise Refused(404, f"buckets are numbered 0 to {(1 << bucket_bits) - 1}")
        return Response(await nyms.bucket(index), media_type=OCTETS)

    @routes.post("/v1/upload")
    async def upload(request: Request) -> Response:
        """Take one chunk of an upload, or a dummy."""
        body = await octets(request, at_least=CHUNK, at_most=CHUNK, unit=CHUNK)
        return Response((await uploads.receive(body)).encode(), media_type=OCTETS)

    @routes.get("/v1/reports")
    async def list_reports(request: Request) -> ReportList:
        """All reports, for the health authority."""
        await requests.check(request)
        return ReportList(reports=await reports.all())

    @routes.post("/v1/reports/{report}/decision")
    async def decide(request: Request, report: str = _REPORT) -> Decided:
        """Approve or refuse a report."""
        await requests.check(request)
        decision = await json_body(request, Decision)
        return Decided(notifications=await reports.decide(bytes.fromhex(report), decision))

    @routes.post("/v1/reports/{report}/retraction")
    async def retract(request: Request, report: str = _REPORT) -> Decided:
        """Take an approved report back: who was notified of it is told so."""
        await requests.check(request)
        wanted = await json_body(request, Retraction)
        return Decided(notifications=await reports.retract(bytes.fromhex(report), wanted))

    return routes
