"""What a decision of the health authority makes of a case, and whom of a report it tells. Pure; stores nothing."""

from collections.abc import Sequence

from anontrace.backend.errors import Refused

from .records import Case, Contact, Decision, Report


def approve(case: Case, report: Report, decision: Decision, today: int) -> int | None:
    """Change a case as a decision says; how many notifications the report may cause. Refused if it may not go on."""
    if decision.message:
        raise Refused(422, "message: it can be read here; its words are to be sealed to each exposure")
    if case.retracted:
        raise Refused(409, "the patient's own report of this case was retracted")
    for name in ("depth", "case_budget", "day_budget"):
        given = getattr(decision, name)
        if given is not None:
            setattr(case, name, given)
    if not case.goes_on(report.generation):
        raise Refused(422, f"depth: the contacts of this report are generation {report.generation + 1}")
    return min((limit for limit in (decision.budget, case.room(today)) if limit is not None), default=None)


def chosen(contacts: Sequence[Contact], decision: Decision) -> list[Contact]:
    """Who is to be told, who was near longest first. Refused if the report has no such contacts."""
    found = list(contacts)
    if decision.exposures == "committed":
        found = [contact for contact in found if contact.committed is not False]
    elif decision.exposures != "all":
        wanted = set(decision.exposures)
        if not wanted <= {contact.id for contact in found}:
            raise Refused(422, "exposures: this report has no such exposure")
        found = [contact for contact in found if contact.id in wanted]
    if decision.attenuation is not None:
        found = [contact for contact in found if contact.attenuation <= decision.attenuation]
    return sorted(found, key=lambda contact: order(contact.present, contact.attenuation))


def order(present: int, attenuation: int) -> tuple[int, int]:
    """Lower for whoever comes first where a budget does not take all: who was near longest, then who was nearest."""
    return -present, attenuation
