"""Cases: a report's figures, what a rule would do before anybody is told, and what is decided of it."""

import time
from typing import Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.datastructures import FormData, QueryParams

from anontrace.backend.authority import rules
from anontrace.backend.authority.office import Office
from anontrace.backend.authority.proposals import Act, Wanted
from anontrace.backend.authority.rules import Rule
from anontrace.backend.errors import Refused
from anontrace.backend.nymserver.records import Decision, LimitSettings
from anontrace.backend.staff.rights import Right
from anontrace.mixnet import parts
from anontrace.pages import drawing

from .gate import Gate, text
from .pages import gettext_of, page
from .token_pages import day_of

_REPORT = Path(pattern="^[0-9a-f]{16}$")
_MAX_DB, _MAX_MINUTES, _MAX_DEPTH, _MAX_BUDGET, _MAX_WEIGHT = 255, 0xFFFF, 255, 1 << 31, 1000
_DEFAULT_ATTENUATION = 70  # dB
_MAX_A_DAY = 10**9
_DAY = 86400
_USUAL = Rule()


def _number(values: QueryParams | FormData, name: str, most: int, default: int | None) -> int | None:
    """A field that holds a number, or the default where it is left empty. Refused (422) if it is none, or too high."""
    given = values.get(name)
    if given is None:
        return default
    typed = given.strip() if isinstance(given, str) else "?"
    if not typed:
        return None
    if not typed.isascii() or not typed.isdecimal() or len(typed) > 10 or int(typed) > most:
        raise Refused(422, f"{name}: a whole number from 0 to {most} is needed")
    return int(typed)


def rule_of(values: QueryParams | FormData) -> Rule:
    """The rule that a form or an address names. Refused (422) if it is none."""
    onset = values.get("onset", "")
    weights = {
        int(name[len("weight-") :]): _number(values, name, _MAX_WEIGHT, rules.WHOLE)
        for name in values
        if name.startswith("weight-") and name[len("weight-") :].isdecimal() and len(name) < 16 and name.isascii()
    }
    return Rule(
        minutes=_number(values, "minutes", _MAX_MINUTES, _USUAL.minutes) or 0,
        attenuation=_number(values, "attenuation", _MAX_DB, _DEFAULT_ATTENUATION),
        onset=day_of(onset.strip() if isinstance(onset, str) else "?"),
        before=_number(values, "before", rules.MAX_WINDOW, _USUAL.before) or 0,
        after=_number(values, "after", rules.MAX_WINDOW, _USUAL.after) or 0,
        near=_number(values, "near", _MAX_DB, _USUAL.near) or 0,
        near_weight=_number(values, "near_weight", _MAX_WEIGHT, rules.WHOLE) or 0,
        far_weight=_number(values, "far_weight", _MAX_WEIGHT, rules.WHOLE) or 0,
        day_weights={day: value or 0 for day, value in weights.items() if value != rules.WHOLE},
        least=float(_number(values, "least", 60, 0) or 0),
        later=values.get("later") == "yes",
    )


def decision_of(form: FormData, report: dict[str, Any]) -> Decision:
    """The decision that a form makes of a report. Refused (422) if it takes nobody, or a part of it is not right."""
    rule = rule_of(form)
    exposures: Any = "all" if rule.later else "committed"
    if not rule.is_plain:
        exposures = rules.effect(rule, report["exposures"]).ids
        if not exposures:
            raise Refused(422, "this rule takes none of the exposures: refuse the report, or change the rule")
    place = {"place": True, "person": False}.get(text(form, "told_as"))
    try:
        return Decision(
            approve=True, exposures=exposures, minutes=rule.minutes, attenuation=rule.attenuation,
            depth=_number(form, "depth", _MAX_DEPTH, None), budget=_number(form, "budget", _MAX_BUDGET, None),
            case_budget=_number(form, "case_budget", _MAX_BUDGET, None),
            day_budget=_number(form, "day_budget", _MAX_BUDGET, None), message=text(form, "message"), place=place,
        )  # fmt: skip
    except ValidationError:
        raise Refused(422, "a part of the rule is not what it has to be") from None


def router(office: Office, gate: Gate) -> APIRouter:
    """These pages."""
    routes = APIRouter()
    desk = office.desk

    @routes.get("/cases")
    async def cases(request: Request) -> Response:
        """All reports, those that wait first."""
        visitor = await gate.visitor(request)
        overview = await desk.overview(visitor.person)
        reports = sorted(overview["reports"], key=lambda each: (each["state"] != "pending", -each["received"]))
        proposed = await desk.proposals.of_many([bytes.fromhex(each["report"]) for each in reports])
        ids = {each.hex() for each in proposed}
        return page(request, "cases", visitor, reports=reports, proposed=ids, stopped=overview["stopped"])

    @routes.get("/limit")
    async def limit(request: Request) -> Response:
        """The limit over all cases, and what waits for a day with room."""
        visitor = await gate.visitor(request)
        return page(request, "limit", visitor, found=await desk.limit(visitor.person))

    @routes.post("/limit")
    async def set_limit(request: Request) -> Response:
        """Another limit, in place of the one before."""
        visitor, form = await gate.posted(request, Right.DECIDE)
        await desk.set_limit(visitor.person, _limit_of(form))
        return RedirectResponse("/limit", 303)

    @routes.get("/cases/{report}")
    async def case(request: Request, report: str = _REPORT) -> Response:
        """A report's figures, and what the rule in the address would do."""
        visitor = await gate.visitor(request)
        found, overview = await desk.report(visitor.person, report)
        rule = rule_of(request.query_params)
        exposures = found["exposures"]
        kept = await office.settings.read()
        proposal = await desk.proposals.of(bytes.fromhex(report))
        decision = None if proposal is None else proposal.wanted.decision
        hidden = {"approve", "exposures", "retraction_key"}
        return page(
            request, "case", visitor, report=found, stopped=overview["stopped"], rule=rule,
            effect=rules.effect(rule, exposures), limits=overview["cases"].get(found["case"]),
            proposal=proposal, four_eyes=kept.settings.four_eyes,
            proposed_rule={} if decision is None else decision.model_dump(exclude_none=True, exclude=hidden),
            days=sorted({each["day"] for each in exposures}), most_bytes=parts.most(rule.minutes),
            shares=_share(exposures), by_day=_by_day(exposures), figures=_figures(request, rule, exposures),
        )  # fmt: skip

    async def wanted(form: FormData, visitor: Any, report: str, act: Act) -> Wanted:
        if act is Act.REFUSE:
            return Wanted.deciding(Decision(approve=False))
        if act is Act.RETRACT:
            return Wanted.retracting(text(form, "message"))
        found, _ = await desk.report(visitor.person, report)
        return Wanted.deciding(decision_of(form, found))

    @routes.post("/cases/{report}/proposal")
    async def propose(request: Request, report: str = _REPORT) -> Response:
        """Put before somebody who decides."""
        visitor, form = await gate.posted(request, Right.PROPOSE)
        await desk.propose(visitor.person, report, await wanted(form, visitor, report, _act(form)))
        return RedirectResponse(f"/cases/{report}", 303)

    @routes.post("/cases/{report}/decision")
    async def decide(request: Request, report: str = _REPORT) -> Response:
        """Decided alone."""
        visitor, form = await gate.posted(request, Right.DECIDE)
        await desk.do(visitor.person, report, await wanted(form, visitor, report, _act(form)))
        return RedirectResponse(f"/cases/{report}", 303)

    @routes.post("/cases/{report}/approval")
    async def approve(request: Request, report: str = _REPORT) -> Response:
        """What was proposed is done."""
        visitor, form = await gate.posted(request, Right.DECIDE)
        await desk.approve_proposal(visitor.person, report, text(form, "proposal"))
        return RedirectResponse(f"/cases/{report}", 303)

    @routes.post("/sending")
    async def switch(request: Request) -> Response:
        """All sending stopped, or resumed."""
        visitor, form = await gate.posted(request, Right.STOP)
        wanted = text(form, "sending")
        if wanted not in ("stop", "resume"):
            raise Refused(422, "sending: stop or resume is needed")
        await desk.switch_sending(visitor.person, wanted == "stop")
        return RedirectResponse("/cases", 303)

    return routes


def _limit_of(form: FormData) -> LimitSettings:
    """The limit that a form names; what is left empty is as if it were not set. Refused (422) if it is none."""
    growth = text(form, "growth", 10)
    try:
        factor = float(growth) if growth else None
        return LimitSettings(a_day=_number(form, "a_day", _MAX_A_DAY, None), growth=factor)
    except (ValueError, ValidationError):
        raise Refused(422, "growth: a number above 0, such as 2 or 1.5, is needed") from None


def _act(form: FormData) -> Act:
    try:
        return Act(text(form, "act"))
    except ValueError:
        raise Refused(422, "act: approve, refuse or retract is needed") from None


def _share(exposures: list[dict[str, Any]]) -> dict[str, int]:
    verified = sum(bool(each["verified"]) for each in exposures)
    committed = sum(bool(each.get("committed")) for each in exposures)
    return {"verified": verified, "committed": committed, "all": len(exposures)}


def _by_day(exposures: list[dict[str, Any]]) -> list[tuple[int, float]]:
    minutes: dict[int, float] = {}
    for each in exposures:
        minutes[each["day"]] = minutes.get(each["day"], 0.0) + float(each["minutes"])
    if not minutes:
        return []
    return [(day, minutes.get(day, 0.0)) for day in range(min(minutes), max(minutes) + 1)][: rules.MAX_WINDOW * 2]


def _figures(request: Request, rule: Rule, exposures: list[dict[str, Any]]) -> dict[str, Any]:
    say = gettext_of(request)
    days = _by_day(exposures)
    shares = _share(exposures)
    return {
        "minutes": drawing.bars(
            say("Minutes by day"), say("day of the month (UTC)"), [(_day_label(day), value) for day, value in days],
            [rule.is_infectious(day) and rule.day_weights.get(day, rules.WHOLE) > 0 for day, _ in days],
        ),
        "attenuation": drawing.dots(
            say("Minutes in a slot, by attenuation"), say("attenuation in dB"),
            [(float(each["attenuation"]), float(each["minutes"]), rule.takes(each)) for each in exposures],
        ),
        "verified": drawing.bars(
            say("Exposures marked as verified"), say("by the word of the log"),
            [(say("verified"), shares["verified"]), (say("not verified"), shares["all"] - shares["verified"])],
        ),
        "by_minutes": drawing.curve(
            say("People who can meet the rule, at most"), say("minutes that the rule asks for"),
            rules.by_minutes(rule, exposures, max(60, min(rule.minutes, 600))), float(rule.minutes),
        ),
        "by_attenuation": drawing.curve(
            say("Exposures that are told of"), say("limit of attenuation in dB"),
            rules.by_attenuation(rule, exposures),
            float(_MAX_DB if rule.attenuation is None else rule.attenuation),
        ),
    }  # fmt: skip


def _day_label(day: int) -> str:
    return time.strftime("%d", time.gmtime(day * _DAY))
