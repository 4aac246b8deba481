"""Where things stand, as `anontrace status` tells it: what to do next, the badges, the days, what one was told."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from anontrace_shared.slots import SLOTS_PER_DAY, slot_of
from starlette.responses import Response

from anontrace import clock
from anontrace.companion.commands import status
from anontrace.companion.commands.badge_care import PRESETS
from anontrace.companion.commands.status import Found
from anontrace.companion.days import KEPT_DAYS, day_text
from anontrace.companion.exposures import cases, judging, presentation
from anontrace.companion.exposures.diseases import name_of
from anontrace.companion.exposures.presentation import SHORT_CASE
from anontrace.companion.reports.contact_log import gather, summarise
from anontrace.companion.schedule.waiting_uploads import run_level
from anontrace.companion.store.badges import Badge
from anontrace.companion.store.state import State
from anontrace.companion.words import spoken

from . import figures
from .visit import FIRST, Visit

AHEAD_DAYS = 6  # of addresses, as far as `run` registers them
_PLACES = {
    "anontrace register": "/badges#addresses", "anontrace badge": "/badges", "anontrace poll": "/exposures",
    "anontrace pass-on": "/exposures", "anontrace report": "/report", "anontrace run": "/settings",
    "anontrace doctor": "/settings#around",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One of the first steps."""

    name: str
    why: str
    place: str
    is_done: bool


def steps(found: Found) -> list[Step]:
    """The way from nothing to a badge that works by itself."""
    own = [badge for badge in found.badges if badge.provisioned is not None]
    return [
        Step(
            spoken("Choose a network"), spoken("by the file of whoever runs the servers; its keys are pinned"),
            FIRST, found.network is not None,
        ),
        Step(
            spoken("Register addresses"), spoken("which the badge broadcasts, a new one every five minutes"),
            "/badges#addresses", found.until > found.slot,
        ),
        Step(
            spoken("Make a badge yours"), spoken("by cable, or without one in service mode"),
            "/badges#new", bool(own),
        ),
        Step(
            spoken("Fetch its log"), spoken("now and then; whom it met nobody can read there"),
            "/badges", any(badge.last_sync is not None for badge in own),
        ),
        Step(
            spoken("Let it go by itself"), spoken("your system then does all that is due"),
            "/settings#by-itself", found.running,
        ),
    ]  # fmt: skip


def overview(visit: Visit) -> Response:
    """The first page."""
    found = status.look(visit.context)
    todo = [
        {"why": why, "place": next(place for begin, place in _PLACES.items() if command.startswith(begin))}
        for command, why in status.todo(found)
    ]
    with visit.context.reading() as state:
        days, handed_in = heard_days(state)
    guide = steps(found)
    return visit.page(
        "overview", found=found, todo=todo, steps=None if all(each.is_done for each in guide) else guide,
        badges=[badge_view(badge) for badge in found.badges], told=[exposure_view(each) for each in found.told],
        plot=figures.heard(days, handed_in), days=days, handed_in=handed_in,
        until=None if found.until == found.slot else found.until,
    )  # fmt: skip


def heard_days(state: State) -> tuple[dict[str, int], dict[str, int]]:
    """Records of each local day from the first to today, and how many of them were handed in."""
    now = clock.now()
    found, handed_in = summarise(gather(state.logs.segments(), now)).by_day, state.uploads.handed_in()
    first = min([*found, *handed_in], default=None)
    if first is None:
        return {}, {}
    names = dict.fromkeys(day_text(slot_of(now) - back * SLOTS_PER_DAY // 2) for back in range(2 * KEPT_DAYS, -1, -1))
    return {day: max(found.get(day, 0), handed_in.get(day, 0)) for day in names if day >= first}, handed_in


def badge_view(badge: Badge) -> dict[str, Any]:
    """A badge as the page shows it: as of the last sync, nobody is asked."""
    flags = badge.info.get("flags", [])
    return {
        "number": badge.number, "is_own": badge.provisioned is not None, "keyed": badge.keyed,
        "last_sync": badge.last_sync, "until": presentation.until_text(badge.horizon),
        "battery": presentation.battery_text(badge.info.get("battery_mv") or 0),
        "is_low": 0 < (badge.info.get("battery_mv") or 0) < presentation.LOW_MV,
        "firmware": badge.info.get("firmware"), "keep_days": badge.keep_days,
        "said": spoken(presentation.LOG_WAS_FULL) if badge.info.get("log_was_full") else None,
        "is_place": "place badge" in flags,
    }  # fmt: skip


def badges(visit: Visit) -> Response:
    """Each badge, what its light says, and the coming days' addresses."""
    slot = slot_of(clock.now())
    with visit.context.reading() as state:
        found = state.badges.all()
        ahead = {badge.number: _coming(state, badge, slot) for badge in found}
        pending = state.addresses.pending_count()
    lights = [(figures.light(flashes, every), spoken(meaning)) for flashes, every, meaning in figures.LIGHTS]
    return visit.page(
        "badges", badges=[badge_view(badge) for badge in found], ahead=ahead, pending=pending, lights=lights,
        presets=list(PRESETS),
    )  # fmt: skip


def _coming(state: State, badge: Badge, slot: int) -> list[dict[str, Any]]:
    """The addresses of the coming local days: how many slots there are, have one, and have one that is confirmed."""
    registered = state.addresses.registered(badge.number, slot, slot + AHEAD_DAYS * SLOTS_PER_DAY)
    rows: dict[str, dict[str, Any]] = {}
    for each in range(slot, slot + AHEAD_DAYS * SLOTS_PER_DAY):
        row = rows.setdefault(day_text(each), {"day": day_text(each), "slots": 0, "made": 0, "confirmed": 0})
        row["slots"] += 1
        row["made"] += each in registered
        row["confirmed"] += registered.get(each, False)
    return [row for row in rows.values() if row["made"]]


def days(visit: Visit) -> Response:
    """Past days: what was heard and handed in, and what the traffic cost."""
    with visit.context.reading() as state:
        heard, handed_in = heard_days(state)
        carried = {
            datetime.fromtimestamp(day * 86400, UTC).date().isoformat(): each
            for day, each in state.carried.by_day().items()
        }
        level = run_level(state)
    return visit.page(
        "days", heard=heard, handed_in=handed_in, plot=figures.heard(heard, handed_in), carried=carried,
        traffic=figures.traffic({day: each.bytes for day, each in carried.items()}, level.bytes_a_day),
        level=level.name, level_kb=round(level.bytes_a_day / 1000),
    )  # fmt: skip


def exposure_view(exposure: judging.Exposure) -> dict[str, Any]:
    """A case as the page shows it."""
    is_told = exposure.state == judging.TOLD
    return {
        "case": exposure.case_id.hex(), "short": exposure.case_id.hex()[:SHORT_CASE], "is_told": is_told,
        "sentence": presentation.told_sentence(exposure), "meaning": presentation.meaning(exposure),
        "advice": presentation.what_it_means() if is_told else [], "message": exposure.message,
        "days": presentation.days(exposure), "minutes": presentation.minutes_text(exposure),
        "rule": exposure.rule_minutes, "passed_on": exposure.passed_on, "received": exposure.received,
        "disease": name_of(exposure.disease),
    }  # fmt: skip


def exposures(visit: Visit) -> Response:
    """All cases, those that the wearer is told of first."""
    with visit.context.reading() as state:
        found = cases.assess(state)
        given = state.contact_answers.all()
    found.sort(key=lambda each: (each.state != judging.TOLD, -each.received))
    answers = {
        each.case_id.hex(): [presentation.answer_lines(one) for one in given if one.case_id == each.case_id]
        for each in found
    }
    return visit.page("exposures", exposures=[exposure_view(each) for each in found], answers=answers)
