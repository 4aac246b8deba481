"""The nymserver's endpoints (docs/protocol.md sections 8 and 9)."""

from fastapi import APIRouter, Depends, Path, Request, Response

from anontrace.backend.web import gone
from anontrace.backend.web.app import json_body, octets
from anontrace.backend.web.describing import AUTHORITY, gives_octets, takes, takes_octets
from anontrace.backend.web.http import OCTETS
from anontrace.backend.web.signed import SignedRequests
from anontrace.mixnet.sizes import REPORT_ID
from anontrace.wire.upload import CHUNK

from .contact_answers import ContactAnswers, Letters
from .limit import Limit
from .nyms import Nyms
from .records import (
    Answers,
    Decided,
    Decision,
    Keys,
    KeysWanted,
    Letter,
    LetterSent,
    LimitSettings,
    LimitStanding,
    Queued,
    ReportList,
    Retraction,
    Switch,
)
from .reports import Reports
from .sending import Sending
from .uploads import Uploads

_REPORT = Path(pattern=f"^[0-9a-f]{{{2 * REPORT_ID}}}$")


def router(
    uploads: Uploads,
    reports: Reports,
    requests: SignedRequests,
    sending: Sending,
    limit: Limit,
    nyms: Nyms,
    answers: ContactAnswers,
    letters: Letters,
) -> APIRouter:
    """What clients and the health authority ask of the nymserver."""
    routes = APIRouter(tags=["nymserver"])
    for_authority = [Depends(AUTHORITY)]

    @routes.post(
        "/v1/upload",
        response_class=Response,
        responses=gives_octets("What became of it, 32 bytes."),
        openapi_extra=takes_octets(f"One chunk, {CHUNK} bytes."),
    )
    async def upload(request: Request) -> Response:
        """Take one chunk of an upload."""
        body = await octets(request, at_least=CHUNK, at_most=CHUNK, unit=CHUNK)
        return Response((await uploads.receive(body)).encode(), media_type=OCTETS)

    @routes.get("/v1/reports", dependencies=for_authority)
    async def list_reports(request: Request) -> ReportList:
        """All reports, for the health authority."""
        await requests.check(request)
        return await reports.overview()

    @routes.post(
        "/v1/reports/{report}/decision",
        dependencies=for_authority,
        openapi_extra=takes(Decision, {"approve": True, "minutes": 15, "retraction_key": "5a" * 32}),
    )
    async def decide(request: Request, report: str = _REPORT) -> Queued:
        """Approve or refuse a report."""
        await requests.check(request)
        decision = await json_body(request, Decision)
        number = await reports.decide(bytes.fromhex(report), decision)
        return Queued(notifications=number, waiting=await limit.waiting())

    @routes.post("/v1/reports/{report}/keys", dependencies=for_authority, openapi_extra=takes(KeysWanted, {}))
    async def keys(request: Request, report: str = _REPORT) -> Keys:
        """The keys to which words for this report's contacts are sealed."""
        await requests.check(request)
        wanted = await json_body(request, KeysWanted)
        contacts = await reports.addresses(bytes.fromhex(report), wanted.key)
        found = await nyms.message_keys(bytes.fromhex(report), [(e.address, e.slot) for e in contacts.values()])
        return Keys(keys={name: key for name, key in zip(contacts, found, strict=True) if key is not None})

    @routes.post(
        "/v1/reports/{report}/retraction",
        dependencies=for_authority,
        openapi_extra=takes(Retraction, {"key": "5a" * 32, "words": {"0": "5a" * 58}}),
    )
    async def retract(request: Request, report: str = _REPORT) -> Decided:
        """Take an approved report back: who was notified of it is told so."""
        await requests.check(request)
        wanted = await json_body(request, Retraction)
        return Decided(notifications=await reports.retract(bytes.fromhex(report), wanted))

    @routes.get("/v1/reports/{report}/answers", dependencies=for_authority)
    async def list_answers(request: Request, report: str = _REPORT) -> Answers:
        """What contacts who were told of a report answered, sealed to the authority."""
        await requests.check(request)
        report_id = bytes.fromhex(report)
        return await answers.of(await reports.case_of(report_id), report_id)

    @routes.post(
        "/v1/letters",
        dependencies=for_authority,
        openapi_extra=takes(Letter, {"first_mix": 7, "header": "5a" * 141, "letter": "5a" * 239}),
    )
    async def send_letter(request: Request) -> LetterSent:
        """Write back to a contact who has answered, by the header that came with the answer."""
        await requests.check(request)
        await letters.send(await json_body(request, Letter))
        return LetterSent()

    @routes.post("/v1/sending", dependencies=for_authority, openapi_extra=takes(Switch, {"stopped": True}))
    async def switch(request: Request) -> Switch:
        """Stop all sending, or go on with it."""
        await requests.check(request)
        wanted = await json_body(request, Switch)
        await (sending.stop() if wanted.stopped else sending.resume())
        return wanted

    @routes.get("/v1/limit", dependencies=for_authority)
    async def show_limit(request: Request) -> LimitStanding:
        """The limit over all cases: how the day stands, what waits, how chains grow."""
        await requests.check(request)
        return await limit.standing()

    @routes.post(
        "/v1/limit", dependencies=for_authority, openapi_extra=takes(LimitSettings, {"a_day": 500, "growth": 2.0})
    )
    async def set_limit(request: Request) -> LimitStanding:
        """Set the limit over all cases, in place of what was set before."""
        await requests.check(request)
        await limit.set(await json_body(request, LimitSettings))
        await limit.let_through()
        return await limit.standing()

    gone.add(routes, ("/v1/buckets/{index}",))
    return routes
