"""What staff do, whether in the portal or by commands: each act with the right that it needs, and its audit.

An act in the authority's own store and its entry in the audit are one step. What the nymserver does for it cannot be:
it is noted as asked for before, and with what came of it after. Before asking, the account is looked at once more, so
that one that was withdrawn a moment ago decides nothing.
"""

import json
from collections.abc import Sequence
from typing import Any

from anontrace.backend.errors import PeerError, Refused
from anontrace.backend.nymserver.records import Decision, LimitSettings
from anontrace.backend.staff.accounts import Accounts
from anontrace.backend.staff.audit import Audit
from anontrace.backend.staff.rights import Person, Right
from anontrace.backend.staff.settings import StaffSettings
from anontrace.mixnet.notification import Kind

from . import numbers
from .contact_answers import AnswerList, ContactAnswers
from .numbers import Numbers
from .nymserver import Nymserver
from .proposals import Act, Proposal, Proposals, Wanted
from .register import Listed, Register
from .retractions import RetractionKeys
from .samples import Entered, Sample
from .tokens import Issued, Origin, Result, Tokens


def _origin(who: Person, sample: Sample) -> Origin:
    return Origin(who.name, who.site, sample.reference, sample.commitment, sample.result)


class Desk:
    """Everything that staff can do about tokens and cases."""

    def __init__(
        self,
        tokens: Tokens,
        register: Register,
        nymserver: Nymserver,
        retractions: RetractionKeys,
        proposals: Proposals,
        answers: ContactAnswers,
        accounts: Accounts,
        settings: StaffSettings,
        chain: Audit,
    ) -> None:
        self._tokens = tokens
        self._register = register
        self._nymserver = nymserver
        self._retractions = retractions
        self.proposals = proposals
        self._answers = answers
        self._accounts = accounts
        self._settings = settings
        self._audit = chain

    # -- tokens ------------------------------------------------------------------------------------------------------

    async def issue(self, who: Person, disease: str, sample: Sample) -> Issued:
        """A one-time token, shown this once."""
        who.need(Right.ISSUE)
        issued = await self._tokens.issue(disease, _origin(who, sample))
        self._audit.wake()
        return issued

    async def issue_many(self, who: Person, disease: str, samples: Sequence[Sample]) -> list[Issued]:
        """A token for each sample; all of them count, or none."""
        who.need(Right.ISSUE)
        origins = [_origin(who, each) for each in samples]
        issued = await self._tokens.issue_many(disease, origins)
        self._audit.wake()
        return issued

    async def tokens_of(self, who: Person, day: int) -> list[Listed]:
        """Those of a day that this person may see: a test site its own."""
        who.need(Right.SEE_TOKENS)
        return await self._register.of_day(day, who.site, await self._received())

    async def tokens_called(self, who: Person, reference: str) -> list[Listed]:
        """Those with a test site's own reference."""
        who.need(Right.SEE_TOKENS)
        return await self._register.find(reference, who.site, await self._received())

    async def token(self, who: Person, token_id: str) -> Listed:
        who.need(Right.SEE_TOKENS)
        return await self._register.get(token_id, who.site, await self._received())

    async def withdraw_token(self, who: Person, token_id: str) -> None:
        """It cannot be redeemed any more."""
        who.need(Right.ISSUE)
        await self._register.withdraw(token_id, who.name, who.site)

    async def complete(self, who: Person, token_id: str, result: Result) -> bool:
        """Enter the result of a test; whether that changed anything."""
        who.need(Right.ISSUE)
        return await self._register.complete(token_id, result, who.name, who.site)

    async def complete_many(self, who: Person, results: Sequence[Entered]) -> int:
        """Enter the results of a laboratory's file, of tokens by their ids or references. How many that changed: if it
        breaks off, the same file can be handed in once more. Refused (422), and nothing done, if one of them cannot be
        entered."""
        who.need(Right.ISSUE)
        ids = [each.token_id or await self._open_token(who, each) for each in results]
        for each, token_id in zip(results, ids, strict=True):
            found = await self._register.get(token_id, who.site)
            if not found.takes(each.result):
                stands = "told its result already" if found.told else found.state.value
                raise Refused(422, f"line {each.line}: this token is {stands}: this result cannot be entered")
        done = [await self.complete(who, token_id, e.result) for e, token_id in zip(results, ids, strict=True)]
        return sum(done)

    async def _open_token(self, who: Person, entered: Entered) -> str:
        """The id of the one token with a reference that a result can be entered for. Refused (422) unless it is one."""
        found = [
            each for each in await self._register.find(entered.reference, who.site)
            if each.takes(entered.result)
        ]  # fmt: skip
        if len(found) != 1:
            many = "no token" if not found else f"{len(found)} tokens"
            raise Refused(422, f"line {entered.line}: {many} with this reference; name it by its id")
        return found[0].id

    async def numbers(self, who: Person, first: int, last: int) -> Numbers:
        """What is told of the days from `first` to `last`."""
        who.need(Right.SEE_NUMBERS)
        overview = await self._nymserver.overview()
        tokens = [token for day in range(first, last + 1) for token in await self._register.of_day(day)]
        return numbers.of(tokens, overview["reports"], first, last)

    async def _received(self) -> dict[str, str]:
        """The state of the patient's own report of each case; nothing while the nymserver does not answer."""
        try:
            overview = await self._nymserver.overview()
        except PeerError:
            return {}
        return {str(e["case"]): str(e["state"]) for e in overview["reports"] if e["generation"] == 0}

    # -- cases -------------------------------------------------------------------------------------------------------

    async def overview(self, who: Person) -> dict[str, Any]:
        """All reports, the limits of their cases, whether sending is stopped."""
        who.need(Right.SEE_CASES)
        return await self._nymserver.overview()

    async def report(self, who: Person, report: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """One report, and the overview that it is in. 404 if there is none."""
        overview = await self.overview(who)
        for each in overview["reports"]:
            if each.get("report") == report:
                return each, overview
        raise Refused(404, "there is no such report")

    async def propose(self, who: Person, report: str, wanted: Wanted) -> Proposal:
        """Put it before somebody who decides."""
        who.need(Right.PROPOSE)
        await self.report(who, report)
        return await self.proposals.make(bytes.fromhex(report), wanted, who.name)

    async def approve_proposal(self, who: Person, report: str, proposal_id: str) -> dict[str, Any]:
        """Have done what was proposed, exactly as this person has seen it."""
        who.need(Right.DECIDE)
        proposal = await self.proposals.seen(bytes.fromhex(report), proposal_id)
        if (await self._settings.read()).settings.four_eyes and proposal.by == who.name:
            raise Refused(403, "four eyes: another one than who proposed it has to approve it")
        return await self._do(who, report, proposal.wanted, proposal=proposal.id, proposed_by=proposal.by)

    async def do(self, who: Person, report: str, wanted: Wanted) -> dict[str, Any]:
        """Decide alone. Refused (403) where four eyes are needed."""
        who.need(Right.DECIDE)
        if (await self._settings.read()).settings.four_eyes:
            raise Refused(403, "four eyes: propose it, and have somebody else approve it")
        return await self._do(who, report, wanted)

    async def _do(self, who: Person, report: str, wanted: Wanted, **about: str) -> dict[str, Any]:
        told = {"report": report, **wanted.told(), **about}
        await self._audit.note(who.name, f"{wanted.act} asked for", **told)
        try:
            await self._still(who, Right.DECIDE)
            answer = await self._ask(report, wanted)
        except Refused as refused:
            await self._audit.note(who.name, f"{wanted.act} not done", **told, status=refused.status)
            raise
        number = answer.get("notifications")
        await self._audit.note(who.name, f"{wanted.act} done", **told, notifications=number)
        await self.proposals.forget(bytes.fromhex(report))
        return answer

    async def _ask(self, report: str, wanted: Wanted) -> dict[str, Any]:
        key = bytes.fromhex(report)
        if wanted.act is Act.RETRACT:
            found = await self._retractions.find(key)
            words = await self._nymserver.words(report, Kind.RETRACTION, wanted.message, key=found)
            body = {"key": found.hex(), "words": words}
            answer = await self._nymserver.retract(report, json.dumps(body).encode())
            await self._retractions.forget(key)
            return answer
        decision = wanted.decision or Decision(approve=False)
        if wanted.act is Act.APPROVE:
            made = await self._retractions.make(key)
            some = None if isinstance(decision.exposures, str) else {str(each) for each in decision.exposures}
            # What the nymserver gets holds words for each contact alone, whether there are any or not.
            words = await self._nymserver.words(report, Kind.NOTIFICATION, decision.message, some)
            sealed = {name: bytes.fromhex(each) for name, each in words.items()}
            decision = decision.model_copy(
                update={"approve": True, "retraction_key": made, "message": "", "words": sealed}
            )
        return await self._nymserver.decide(report, decision.model_dump_json(exclude_none=True).encode())

    async def _still(self, who: Person, right: Right) -> None:
        """Refused unless the account is, at this moment, what it was when the request came."""
        account = await self._accounts.find(who.name)
        if account is None or account.withdrawn or not account.person.may(right):
            raise Refused(403, "your account was withdrawn or changed meanwhile")

    # -- contacts who have answered ----------------------------------------------------------------------------------

    async def answers(self, who: Person, report: str) -> AnswerList:
        """What contacts who were told of a report answered."""
        who.need(Right.READ_ANSWERS)
        found, _ = await self.report(who, report)
        return await self._answers.read(who.name, bytes.fromhex(found["case"]), report)

    async def write_back(self, who: Person, report: str, answer_id: str, message: str) -> None:
        """Write to who gave an answer: once."""
        who.need(Right.WRITE_BACK)
        found, _ = await self.report(who, report)
        await self._still(who, Right.WRITE_BACK)
        await self._answers.write_back(who.name, bytes.fromhex(found["case"]), report, answer_id, message)

    # -- all cases ---------------------------------------------------------------------------------------------------

    async def limit(self, who: Person) -> dict[str, Any]:
        """The limit over all cases: how the day stands, what waits, how chains grow."""
        who.need(Right.SEE_CASES)
        return await self._nymserver.limit()

    async def set_limit(self, who: Person, settings: LimitSettings) -> dict[str, Any]:
        """How many notifications a day of all cases, and when a chain that grows gives an alarm."""
        who.need(Right.DECIDE)
        told = settings.model_dump(exclude_none=True)
        await self._audit.note(who.name, "limit asked for", **told)
        await self._still(who, Right.DECIDE)
        answer = await self._nymserver.set_limit(settings.model_dump_json().encode())
        await self._audit.note(who.name, "limit set", **told)
        return answer

    async def switch_sending(self, who: Person, stopped: bool) -> None:
        """Stop all sending at once, or go on with it."""
        who.need(Right.STOP)
        what = "stop of all sending" if stopped else "going on with sending"
        await self._audit.note(who.name, f"{what} asked for")
        await self._still(who, Right.STOP)
        await self._nymserver.switch(stopped)
        await self._audit.note(who.name, f"{what} done")
