"""What the authority's server answers to commands of its staff, at the door for staff (docs/operations.md).

A session, begun by name, password and a code, in `Authorization: Bearer`. Whoever has the server's key files may make
accounts and read the audit without one, by signing each request (web/signed.py): so the first account comes to be.
"""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.nymserver.records import (
    Decided,
    Decision,
    LimitSettings,
    LimitStanding,
    Queued,
    Report,
    ReportList,
    Switch,
)
from anontrace.backend.staff.accounts import OPERATOR
from anontrace.backend.staff.records import Account, Settings
from anontrace.backend.staff.rights import Person, Right, Role
from anontrace.backend.web.app import json_body
from anontrace.backend.web.describing import STAFF, gives, takes
from anontrace.backend.web.signed import SignedRequests
from anontrace.mixnet import keydays

from .contact_answers import AnswerList
from .office import Office
from .proposals import Act, Proposal, Wanted
from .samples import Entered, Sample, read_result

_REPORT = Path(pattern="^[0-9a-f]{16}$")
_TOKEN = Path(pattern="^[0-9a-f]{32}$")
_ANSWER = Path(pattern="^[0-9a-f]{32}$")
_NAME = Path(pattern="^[a-z][a-z0-9._-]{1,31}$")
MAX_RESULTS = 500  # at once
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SignIn(BaseModel):
    """Who signs in: a code is one of an authenticator app, or a recovery code."""

    model_config = _STRICT

    name: str
    password: str = Field(repr=False)
    code: str = Field(repr=False)


class SignedIn(BaseModel):
    """A session, to be shown with each request, and whose it is."""

    session: str = Field(repr=False)
    name: str
    role: Role


class InvitationShown(BaseModel):
    """The code that the owner of an account was given to set it up."""

    model_config = _STRICT

    name: str
    invitation: str = Field(repr=False)


class SettingUp(BaseModel):
    """What an authenticator app is given, and the session in which the account is set up."""

    session: str = Field(repr=False)
    secret: str = Field(repr=False)
    address: str = Field(repr=False)


class Chosen(BaseModel):
    """The password that was chosen, and what the authenticator shows."""

    model_config = _STRICT

    session: str = Field(repr=False)
    password: str = Field(repr=False)
    code: str = Field(repr=False)


class SetUp(SignedIn):
    """An account that can be used, with recovery codes, which are shown this once."""

    recovery: list[str] = Field(repr=False)


class NewAccount(BaseModel):
    """An account to be made."""

    model_config = _STRICT

    name: str
    role: Role
    site: str = ""


class NewRole(BaseModel):
    """Another role for an account."""

    model_config = _STRICT

    role: Role


class Invited(BaseModel):
    """A code by which an account is set up, shown this once, and until when it counts."""

    name: str
    invitation: str = Field(repr=False)
    until: int


class AccountShown(BaseModel):
    """An account, without its secrets."""

    name: str
    role: Role
    site: str
    made: int
    state: str  # invited, in use, withdrawn


class AccountList(BaseModel):
    """All accounts."""

    accounts: list[AccountShown]


class AuditPart(BaseModel):
    """Entries of the audit, from the one that was asked for, and how many there are in all."""

    entries: list[dict[str, Any]]
    count: int


class IssueRequest(BaseModel):
    """For which disease a token is to be issued: a code of ICD-10. `reference`: what the site calls the test;
    `commitment`: the code of the log that was committed, as it was typed; `result`: positive or negative, if it is
    known already."""

    model_config = _STRICT

    disease: str
    reference: str = ""
    commitment: str = Field(default="", repr=False)
    result: str = ""


class IssueReply(BaseModel):
    """A fresh token: it cannot be shown again. Its id can."""

    token: str = Field(repr=False)
    disease: str
    expires: int
    id: str


class TokenShown(BaseModel):
    """What is known of a token that was issued. `committed`: whether a log was, at the test; `result`: "" before it is
    entered."""

    id: str
    disease: str
    issued: int
    expires: int
    by: str
    site: str
    reference: str
    state: str
    committed: bool
    result: str


class TokenList(BaseModel):
    """Tokens of a day (number since 1970), or with a reference."""

    tokens: list[TokenShown]


class ResultEntered(BaseModel):
    """The result of a test."""

    model_config = _STRICT

    result: str


class OneOfMany(BaseModel):
    """The result of the test whose token has this id, or this reference."""

    model_config = _STRICT

    id: str = ""
    reference: str = Field(default="", repr=False)
    result: str
    line: int = 1  # where it stands in its file


class ManyResults(BaseModel):
    """The results of a laboratory."""

    model_config = _STRICT

    results: list[OneOfMany] = Field(max_length=MAX_RESULTS)


class Changed(BaseModel):
    """How many results were new, or other than before."""

    changed: int


class Nothing(BaseModel):
    """Done."""

    model_config = _STRICT


class LetterRequest(BaseModel):
    """What is written to a contact who has answered."""

    model_config = _STRICT

    message: str = Field(repr=False)


class RetractionRequest(BaseModel):
    """What the contacts are told beside that the report is taken back (at most 42 bytes)."""

    model_config = _STRICT

    message: str = ""


class ProposalRequest(BaseModel):
    """What is proposed for a report: an act, of `approve` with a decision, of `retract` with words."""

    model_config = _STRICT

    act: Act
    decision: Decision | None = None
    message: str = ""


class ApprovalRequest(BaseModel):
    """The id of the proposal that was seen."""

    model_config = _STRICT

    proposal: str


class SettingsShown(BaseModel):
    """What administrators have set; `waiting`: what a second one has to confirm."""

    four_eyes: bool
    waiting: bool = False


class SettingsWanted(BaseModel):
    """What is to be set."""

    model_config = ConfigDict(extra="forbid", strict=True)

    four_eyes: bool
    confirm: bool = False  # what another administrator proposed


def shown(account: Account) -> AccountShown:
    """What others may see of an account."""
    state = "withdrawn" if account.withdrawn else "in use" if account.is_set_up else "invited"
    return AccountShown(name=account.name, role=account.role, site=account.site, made=account.made, state=state)


def router(office: Office, operator: SignedRequests) -> APIRouter:
    """Everything that commands ask for."""
    routes = APIRouter(tags=["staff"])
    routes.include_router(_entry(office))
    routes.include_router(_accounts(office, operator))
    routes.include_router(_tokens(office))
    routes.include_router(_cases(office))
    return routes


def _bearer(request: Request) -> str:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


async def _person(office: Office, request: Request) -> Person:
    """Whose session it is. Refused (401) if there is none."""
    return (await office.sessions.find(_bearer(request)))[1].person


def _sender(request: Request) -> str:
    return request.client.host if request.client else ""


def _entry(office: Office) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/v1/staff/login", openapi_extra=takes(SignIn, {"name": "ada", "password": "four words", "code": "123456"})
    )
    async def login(request: Request) -> SignedIn:
        """Begin a session."""
        wanted = await json_body(request, SignIn)
        with office.throttle.trying(_sender(request)):
            session, account = await office.entry.sign_in(wanted.name, wanted.password, wanted.code)
        return SignedIn(session=session, name=account.name, role=account.role)

    @routes.post("/v1/staff/logout", dependencies=[Depends(STAFF)], openapi_extra=takes(Nothing, {}))
    async def logout(request: Request) -> Nothing:
        """End a session."""
        await json_body(request, Nothing)
        await office.sessions.end(_bearer(request))
        return Nothing()

    @routes.post(
        "/v1/staff/invitation", openapi_extra=takes(InvitationShown, {"name": "ada", "invitation": "aaaaa-bbbbb"})
    )
    async def invitation(request: Request) -> SettingUp:
        """Begin to set an account up."""
        wanted = await json_body(request, InvitationShown)
        with office.throttle.trying(_sender(request)):
            token = await office.entry.invitation(wanted.name, wanted.invitation)
        secret, address = await office.entry.to_set_up(token)
        return SettingUp(session=token, secret=secret, address=address)

    @routes.post(
        "/v1/staff/set-up",
        openapi_extra=takes(Chosen, {"session": "5a" * 32, "password": "four words", "code": "123456"}),
    )
    async def set_up(request: Request) -> SetUp:
        """Choose a password and show that the authenticator works; a session begins."""
        wanted = await json_body(request, Chosen)
        session, account, codes = await office.entry.set_up(wanted.session, wanted.password, wanted.code)
        return SetUp(session=session, name=account.name, role=account.role, recovery=codes)

    return routes


def _accounts(office: Office, operator: SignedRequests) -> APIRouter:
    routes = APIRouter(dependencies=[Depends(STAFF)])

    async def who(request: Request, right: Right) -> str:
        """The account, or the operator, if either may."""
        if _bearer(request).count(".") == 2:  # a signed request; a session's token has no dots
            await operator.check(request)
            return OPERATOR
        person = await _person(office, request)
        person.need(right)
        return person.name

    @routes.get("/v1/staff/accounts")
    async def accounts(request: Request) -> AccountList:
        """All accounts."""
        await who(request, Right.SEE_ACCOUNTS)
        return AccountList(accounts=[shown(each) for each in await office.accounts.all()])

    @routes.post("/v1/staff/accounts", openapi_extra=takes(NewAccount, {"name": "ada", "role": "decider"}))
    async def add(request: Request) -> Invited:
        """Make an account; its owner sets it up by the invitation."""
        by = await who(request, Right.CHANGE_ACCOUNTS)
        wanted = await json_body(request, NewAccount)
        made = await office.accounts.add(by, wanted.name, wanted.role, wanted.site)
        return Invited(name=wanted.name, invitation=made.code, until=made.until)

    @routes.post("/v1/staff/accounts/{name}/invitation", openapi_extra=takes(Nothing, {}))
    async def invite(request: Request, name: str = _NAME) -> Invited:
        """After a lost factor: end all sessions, forget password and factors, and invite anew."""
        by = await who(request, Right.CHANGE_ACCOUNTS)
        await json_body(request, Nothing)
        made = await office.accounts.invite_anew(by, name)
        return Invited(name=name, invitation=made.code, until=made.until)

    @routes.post("/v1/staff/accounts/{name}/withdrawal", openapi_extra=takes(Nothing, {}))
    async def withdraw(request: Request, name: str = _NAME) -> Nothing:
        """Nobody signs in with it any more, and its sessions are over."""
        by = await who(request, Right.CHANGE_ACCOUNTS)
        await json_body(request, Nothing)
        await office.accounts.withdraw(by, name)
        return Nothing()

    @routes.post("/v1/staff/accounts/{name}/role", openapi_extra=takes(NewRole, {"role": "auditor"}))
    async def change_role(request: Request, name: str = _NAME) -> Nothing:
        """Another role; its sessions are over."""
        by = await who(request, Right.CHANGE_ACCOUNTS)
        wanted = await json_body(request, NewRole)
        await office.accounts.set_role(by, name, wanted.role)
        return Nothing()

    @routes.get("/v1/staff/settings")
    async def settings(request: Request) -> SettingsShown:
        """What administrators have set."""
        (await _person(office, request)).need(Right.SEE_SETTINGS)
        kept = await office.settings.read()
        return SettingsShown(four_eyes=kept.settings.four_eyes, waiting=kept.pending is not None)

    @routes.post("/v1/staff/settings", openapi_extra=takes(SettingsWanted, {"four_eyes": True}))
    async def change_settings(request: Request) -> SettingsShown:
        """Set them; with four eyes, propose that, or confirm what another administrator proposed."""
        person = await _person(office, request)
        person.need(Right.CHANGE_SETTINGS)
        wanted = await json_body(request, SettingsWanted)
        new = Settings(four_eyes=wanted.four_eyes)
        change = office.settings.confirm if wanted.confirm else office.settings.propose
        kept = await change(person.name, new)
        return SettingsShown(four_eyes=kept.settings.four_eyes, waiting=kept.pending is not None)

    @routes.get("/v1/staff/audit")
    async def audit(request: Request, start: int = Query(0, ge=0, le=1 << 40)) -> AuditPart:
        """Up to 256 entries of the audit."""
        await who(request, Right.SEE_AUDIT)
        return AuditPart(entries=await office.audit.read(start), count=await office.audit.count())

    return routes


def _tokens(office: Office) -> APIRouter:
    routes = APIRouter(dependencies=[Depends(STAFF)])
    desk = office.desk

    @routes.post("/v1/staff/tokens", openapi_extra=takes(IssueRequest, {"disease": "U07.1"}))
    async def issue(request: Request) -> IssueReply:
        """Issue a one-time token."""
        person = await _person(office, request)
        wanted = await json_body(request, IssueRequest)
        sample = Sample.typed(wanted.reference, wanted.commitment, wanted.result)
        issued = await desk.issue(person, wanted.disease, sample)
        return IssueReply(token=issued.token, disease=wanted.disease, expires=issued.expires, id=issued.id)

    @routes.get("/v1/staff/tokens")
    async def tokens(
        request: Request,
        day: int | None = Query(None, ge=0, le=(1 << 32) - 1),
        reference: str = Query("", max_length=200),
    ) -> TokenList:
        """Those of a day, today if none is named, or those with a reference."""
        person = await _person(office, request)
        if reference:
            found = await desk.tokens_called(person, reference)
        else:
            found = await desk.tokens_of(person, keydays.day_at(clock.now()) if day is None else day)
        return TokenList(tokens=[TokenShown(**{k: v for k, v in asdict(e).items() if k != "case"}) for e in found])

    @routes.post("/v1/staff/tokens/{token}/result", openapi_extra=takes(ResultEntered, {"result": "negative"}))
    async def complete(request: Request, token: str = _TOKEN) -> Changed:
        """Enter the result of a test."""
        person = await _person(office, request)
        wanted = await json_body(request, ResultEntered)
        return Changed(changed=await desk.complete(person, token, read_result(wanted.result)))

    @routes.post("/v1/staff/tokens/results", openapi_extra=takes(ManyResults, {"results": []}))
    async def complete_many(request: Request) -> Changed:
        """Enter the results of a laboratory, of tokens by id or reference."""
        person = await _person(office, request)
        wanted = await json_body(request, ManyResults)
        results = [Entered(read_result(each.result), each.id, each.reference, each.line) for each in wanted.results]
        return Changed(changed=await desk.complete_many(person, results))

    @routes.post("/v1/staff/tokens/{token}/withdrawal", openapi_extra=takes(Nothing, {}))
    async def withdraw(request: Request, token: str = _TOKEN) -> Nothing:
        """It cannot be redeemed any more."""
        person = await _person(office, request)
        await json_body(request, Nothing)
        await desk.withdraw_token(person, token)
        return Nothing()

    return routes


def _cases(office: Office) -> APIRouter:
    routes = APIRouter(dependencies=[Depends(STAFF)])
    desk = office.desk

    @routes.get("/v1/staff/reports", responses=gives(ReportList, "All reports."))
    async def reports(request: Request) -> dict[str, object]:
        """All reports at the nymserver."""
        return await desk.overview(await _person(office, request))

    @routes.get("/v1/staff/reports/{report}", responses=gives(Report, "The report."))
    async def report(request: Request, report: str = _REPORT) -> dict[str, object]:
        """One report."""
        found, _ = await desk.report(await _person(office, request), report)
        return found

    @routes.get("/v1/staff/reports/{report}/answers")
    async def answers(request: Request, report: str = _REPORT) -> AnswerList:
        """What contacts who were told of a report answered."""
        return await desk.answers(await _person(office, request), report)

    @routes.post(
        "/v1/staff/reports/{report}/answers/{answer}/letter",
        openapi_extra=takes(LetterRequest, {"message": "Please come tomorrow at nine."}),
    )
    async def write_back(request: Request, report: str = _REPORT, answer: str = _ANSWER) -> Nothing:
        """Write to who gave an answer: once."""
        person = await _person(office, request)
        wanted = await json_body(request, LetterRequest)
        await desk.write_back(person, report, answer, wanted.message)
        return Nothing()

    @routes.post(
        "/v1/staff/reports/{report}/decision",
        responses=gives(Queued, "Decided."),
        openapi_extra=takes(Decision, {"approve": True, "minutes": 15, "depth": 2, "message": "Call 555 0100"}),
    )
    async def decide(request: Request, report: str = _REPORT) -> dict[str, object]:
        """Approve or refuse a report: the body is a decision of docs/protocol.md section 9, without the retraction key,
        which the server adds."""
        person = await _person(office, request)
        decision = await json_body(request, Decision)
        return await desk.do(person, report, Wanted.deciding(decision))

    @routes.post(
        "/v1/staff/reports/{report}/retraction",
        responses=gives(Decided, "Retracted."),
        openapi_extra=takes(RetractionRequest, {"message": "False alarm"}),
    )
    async def retract(request: Request, report: str = _REPORT) -> dict[str, object]:
        """Take an approved report back: everybody who was notified of it is told so."""
        person = await _person(office, request)
        wanted = await json_body(request, RetractionRequest)
        return await desk.do(person, report, Wanted.retracting(wanted.message))

    @routes.post("/v1/staff/reports/{report}/proposal", openapi_extra=takes(ProposalRequest, {"act": "refuse"}))
    async def propose(request: Request, report: str = _REPORT) -> Proposal:
        """Put an act before somebody who decides."""
        person = await _person(office, request)
        wanted = await json_body(request, ProposalRequest)
        return await desk.propose(person, report, wanted_of(wanted.act, wanted.decision, wanted.message))

    @routes.post(
        "/v1/staff/reports/{report}/approval",
        responses=gives(Decided, "Done."),
        openapi_extra=takes(ApprovalRequest, {"proposal": "5a" * 8}),
    )
    async def approve(request: Request, report: str = _REPORT) -> dict[str, object]:
        """Have done what was proposed."""
        person = await _person(office, request)
        wanted = await json_body(request, ApprovalRequest)
        return await desk.approve_proposal(person, report, wanted.proposal)

    @routes.post("/v1/staff/sending", openapi_extra=takes(Switch, {"stopped": True}))
    async def switch(request: Request) -> Switch:
        """Stop all sending at once, or go on with it."""
        person = await _person(office, request)
        wanted = await json_body(request, Switch)
        await desk.switch_sending(person, wanted.stopped)
        return wanted

    @routes.get("/v1/staff/limit", responses=gives(LimitStanding, "How the day stands."))
    async def show_limit(request: Request) -> dict[str, object]:
        """The limit over all cases, what waits for a day with room, and how chains grow."""
        return await desk.limit(await _person(office, request))

    @routes.post(
        "/v1/staff/limit",
        responses=gives(LimitStanding, "Set."),
        openapi_extra=takes(LimitSettings, {"a_day": 500, "growth": 2.0}),
    )
    async def set_limit(request: Request) -> dict[str, object]:
        """Set the limit over all cases, in place of what was set before."""
        person = await _person(office, request)
        return await desk.set_limit(person, await json_body(request, LimitSettings))

    return routes


def wanted_of(act: Act, decision: Decision | None, message: str) -> Wanted:
    """An act, checked. Refused (422) if it lacks what it takes, or its words do not fit."""
    if act is Act.RETRACT:
        return Wanted.retracting(message)
    if act is Act.APPROVE and decision is None:
        raise Refused(422, "decision: what is to be approved is missing")
    decision = Decision(approve=False) if act is Act.REFUSE or decision is None else decision
    return Wanted.deciding(decision.model_copy(update={"approve": act is Act.APPROVE}))
