"""Exposures and badges as the wearer reads them, and as --json shows them.

An exposure is shown as a day, what it means and what to do; the exact slot only on request.
"""

from typing import Any

from anontrace_shared.slots import slot_of

from anontrace import clock
from anontrace.clock import duration_text
from anontrace.companion.days import day_text, moment_text, slot_text
from anontrace.companion.exposures import answers, judging
from anontrace.companion.exposures.diseases import english_name_of, name_of
from anontrace.companion.exposures.judging import Exposure
from anontrace.companion.store.badges import MODES, Badge
from anontrace.companion.store.contact_answers import StoredAnswer
from anontrace.companion.store.states import ACCEPTED, READY, REFUSED, SENT
from anontrace.companion.words import later, spoken

SHORT_CASE = 8  # hex digits shown of a case-ID
LOW_MV = 3500  # of a lithium cell

LOG_WAS_FULL = later("its log was full before the last sync, and the oldest days are gone; sync it more often")

WITHDRAWN = later("A message that you were told of was withdrawn; see: anontrace exposures list")

_AT_PLACE = later("you were at a place with which an infection is connected")
_MEANING = {
    judging.TOLD: later("you were near somebody who tested positive"),
    judging.WITHDRAWN: later("the health authority has withdrawn this"),
    judging.BELOW: later("shorter than the authority's rule: nothing to do"),
    judging.OWN: later("your own report, coming back from those you met"),
}


def meaning(exposure: Exposure) -> str:
    """What the state of an exposure means."""
    return spoken(_AT_PLACE if exposure.state == judging.TOLD and exposure.of_place else _MEANING[exposure.state])


def days(exposure: Exposure) -> list[str]:
    return list(dict.fromkeys(day_text(slot) for slot in exposure.seconds))


def minutes_text(exposure: Exposure) -> str:
    """The minutes of an exposure, rounded, but not up to a rule that they do not reach: they go by thirds."""
    rounded = round(exposure.minutes)
    return f"{exposure.minutes:.1f}" if exposure.minutes < exposure.rule_minutes <= rounded else str(rounded)


def document(exposure: Exposure, exact: bool = False) -> dict[str, Any]:
    """An exposure for --json; times within the day only if `exact`."""
    fields: dict[str, Any] = {
        "case": exposure.case_id.hex(),
        "state": exposure.state,
        "disease": exposure.disease,
        "disease_name": english_name_of(exposure.disease),
        "days": days(exposure),
        "minutes": round(exposure.minutes, 1),
        "rule_minutes": exposure.rule_minutes,
        "attenuation": exposure.attenuation,
        "message": exposure.message,
        "place": exposure.of_place,
        "passed_on": exposure.passed_on,
        "received": exposure.received,
    }
    if exact:
        fields["slots"] = [
            {"slot": slot, "minutes": round(seconds / 60, 2)} for slot, seconds in exposure.seconds.items()
        ]
    return fields


def told_lines(exposure: Exposure) -> list[str]:
    """What a wearer who is told needs to know."""
    case = exposure.case_id.hex()[:SHORT_CASE]
    lines = [told_sentence(exposure)]
    if exposure.message:
        lines.append(spoken("The health authority says: %(words)s", words=exposure.message))
    lines += what_it_means()
    if exposure.passed_on:
        lines.append(spoken("You have passed this on to those you met."))
    else:
        lines.append(spoken("To let those whom you met be told: anontrace pass-on %(case)s", case=case))
    lines.append(
        spoken(
            "To ask for a test or a call, or tell how a test came out: anontrace exposures answer %(case)s", case=case
        )
    )
    return lines


def letter_lines(stored: StoredAnswer) -> list[str]:
    """What the health authority wrote back to an answer."""
    case = stored.case_id.hex()[:SHORT_CASE]
    return [
        spoken(
            "The health authority writes back to your answer about case %(case)s: %(words)s",
            case=case,
            words=stored.letter,
        )
    ]


def answer_document(stored: StoredAnswer) -> dict[str, Any]:
    """An answer of the wearer's, for --json."""
    return {
        **stored.said,
        "state": stored.state,
        "made": stored.made,
        "letter": stored.letter,
        "written": stored.written,
    }


def answer_lines(stored: StoredAnswer) -> list[str]:
    """An answer of the wearer's, and what became of it."""
    became = {
        READY: later("Your answer of %(when)s is to be sent:"),
        SENT: later("Your answer of %(when)s is on its way:"),
        ACCEPTED: later("Your answer of %(when)s is kept for the health authority:"),
        REFUSED: later("Your answer of %(when)s was not taken: the nymserver takes no more to this report:"),
    }[stored.state]
    lines = [
        spoken(became, when=moment_text(stored.made)),
        *(f"  {each}" for each in answers.lines(stored.said)),
    ]
    if stored.letter is not None and stored.written is not None:
        when = moment_text(stored.written)
        lines.append("  " + spoken("They wrote back, found %(when)s: %(words)s", when=when, words=stored.letter))
    return lines


def told_sentence(exposure: Exposure) -> str:
    """When, for how long, and near whom or where."""
    values = {
        "days": spoken(" and ").join(days(exposure)), "disease": name_of(exposure.disease),
        "minutes": f"{exposure.minutes:.0f}",
    }  # fmt: skip
    if exposure.of_place:
        return spoken(
            "On %(days)s you were at a place that the health authority connects with an infection, %(disease)s, for"
            " about %(minutes)s minutes.",
            **values,
        )
    return spoken(
        "On %(days)s you were near somebody who tested positive for %(disease)s, for about %(minutes)s minutes.",
        **values,
    )


def what_it_means() -> list[str]:
    """What to think of it, and what to do."""
    return [
        spoken("What it means: you may have been infected, without feeling it yet."),
        spoken("What to do: keep away from others and get tested, as your health authority advises."),
    ]


def detail_lines(exposure: Exposure, exact: bool) -> list[str]:
    """One exposure in full."""
    lines = [
        f"Case      {exposure.case_id.hex()}",
        f"State     {exposure.state}: {meaning(exposure)}",
        f"Disease   {name_of(exposure.disease)}",
        f"Days      {', '.join(days(exposure))}",
        f"Time      about {minutes_text(exposure)} minutes (the rule is {exposure.rule_minutes})",
        f"Received  {moment_text(exposure.received)}",
    ]
    if exposure.message:
        lines.append(f"Message   {exposure.message}")
    if exact:
        lines.append("")
        lines.append("Times of day, which may tell you who it was. Keep them to yourself:")
        lines += [f"  {slot_text(slot)}  {seconds / 60:.1f} minutes" for slot, seconds in exposure.seconds.items()]
    if exposure.state == judging.TOLD:
        lines += ["", *told_lines(exposure)[-4:]]
    return lines


def badge_document(badge: Badge) -> dict[str, Any]:
    """What is known of a badge without asking it."""
    return {
        "badge": badge.number,
        "provisioned": badge.provisioned is not None,
        "mode": None if badge.mode is None else MODES[badge.mode],
        "horizon": badge.horizon,
        "last_sync": badge.last_sync,
        "firmware": badge.info.get("firmware"),
        "battery_mv": badge.info.get("battery_mv"),
        "log_was_full": bool(badge.info.get("log_was_full")),
    }


def badge_lines(badge: Badge) -> list[str]:
    """A line for each thing to know of it, which begins with its name."""
    name = spoken("Badge %(number)s", number=badge.number)
    if badge.provisioned is None:
        return [f"{name}: {spoken('not provisioned yet')}"]
    synced = spoken("never") if badge.last_sync is None else moment_text(badge.last_sync)
    millivolts = badge.info.get("battery_mv")
    said = [
        spoken("broadcasts %(until)s", until=until_text(badge.horizon)),
        spoken("last sync %(when)s", when=synced),
        *([spoken("battery %(state)s", state=battery_text(millivolts))] if millivolts else []),
    ]
    lines = [f"{name}: {', '.join(said)}"]
    return [*lines, f"{name}: {spoken(LOG_WAS_FULL)}"] if badge.info.get("log_was_full") else lines


def until_text(horizon: int) -> str:
    """Until when a badge broadcasts that has addresses up to this slot."""
    if horizon > slot_of(clock.now()):
        return spoken("until %(when)s", when=slot_text(horizon))
    if horizon:
        return spoken("nothing since %(when)s", when=slot_text(horizon))
    return spoken("nothing, it has no confirmed address")


def battery_text(millivolts: int) -> str:
    """A battery's voltage as the wearer reads it; 0 is unknown."""
    if not millivolts:
        return spoken("not measured")
    volts = f"{millivolts / 1000:.2f} V"
    return spoken("%(volts)s (low: charge it)", volts=volts) if millivolts < LOW_MV else volts


def info_lines(info: dict[str, Any]) -> list[str]:
    """What a badge says of itself; `info` is as `badge info --json` shows it. Times are local."""
    flags = info["flags"]
    shown = {
        "Badge": str(info["badge"]),
        "Firmware": f"{info['firmware']} (build {info['build']})",
        "State": ", ".join(flags) or "new",
        "Clock": moment_text(info["time"]) if info["time"] else "not set",
        "Running for": duration_text(info["uptime"]),
        "Starts so far": str(info["boot"]),
        "Broadcasts": until_text(info["horizon"]),
        "Log": f"{info['log_bytes']} bytes, segments {info['first_segment']} to {info['open_segment']}",
        "Records dropped": str(info["records_dropped"]),
        "Battery": battery_text(info["battery_mv"]),
    }
    return [f"{name:<17} {value}" for name, value in shown.items()]
