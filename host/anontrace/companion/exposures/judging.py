"""From notifications to what the wearer is told: minutes added up within one report, compared with the rule.

Pure. Neither the order of notifications nor repeats make a difference (docs/protocol.md section 7).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from anontrace_shared.errors import FormatError
from anontrace_shared.slots import SLOT_SECONDS

from anontrace.mixnet import parts
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import WORDS

THIRD_SECONDS = 20
MAX_PRESENT = SLOT_SECONDS // THIRD_SECONDS

TOLD = "told"
WITHDRAWN = "withdrawn"
BELOW = "below"  # met, but for less time than the authority's rule
OWN = "own"  # the wearer's own case comes back from those he met


class Received(NamedTuple):
    """A notification or retraction, the slot of the address that it came to, and when it was found (unix seconds)."""

    slot: int
    received: int
    notification: Notification


@dataclass(frozen=True)
class Exposure:
    """One case as it concerns the wearer."""

    case_id: bytes = field(repr=False)
    report_id: bytes = field(repr=False)  # the report that counts for it
    state: str
    disease: str
    seconds: dict[int, int] = field(repr=False)  # by slot
    rule_minutes: int
    attenuation: int  # of the closest contact, in dB
    message: str
    received: int
    passed_on: bool
    of_place: bool = False  # the report is a place's, by what the authority says

    @property
    def minutes(self) -> float:
        return sum(self.seconds.values()) / 60


def assess(received: Iterable[Received], own: set[bytes], passed_on: set[bytes]) -> list[Exposure]:
    """One Exposure per case, in the order in which the cases were first heard of.

    `own`: cases that this wearer reported. `passed_on`: cases whose chain this wearer authorised.
    """
    by_case: dict[bytes, dict[bytes, list[Received]]] = {}
    for item in sorted(received, key=lambda item: item.received):
        reports = by_case.setdefault(item.notification.case_id, {})
        reports.setdefault(item.notification.report_id, []).append(item)
    exposures = []
    for case_id, reports in by_case.items():
        judged = [
            _judge(case_id, report_id, items, case_id in own, case_id in passed_on)
            for report_id, items in reports.items()
            if any(item.notification.kind is Kind.NOTIFICATION for item in items)
        ]
        if judged:
            order = (TOLD, OWN, WITHDRAWN, BELOW)
            exposures.append(
                min(
                    judged, key=lambda each: (order.index(each.state), -each.minutes, each.rule_minutes, each.report_id)
                )
            )
    return exposures


def _judge(case_id: bytes, report_id: bytes, items: list[Received], own: bool, passed_on: bool) -> Exposure:
    notifications = [item for item in items if item.notification.kind is Kind.NOTIFICATION]
    seconds: dict[int, int] = {}
    for item in notifications:
        heard = item.notification.present * THIRD_SECONDS
        seconds[item.slot] = max(heard, seconds.get(item.slot, 0))
    rule = max(item.notification.rule_minutes for item in notifications)
    retractions = [item for item in items if item.notification.kind is Kind.RETRACTION]
    if own:
        state = OWN
    elif sum(seconds.values()) < rule * 60:
        state = BELOW
    else:
        state = WITHDRAWN if retractions else TOLD
    first = notifications[0]
    said = retractions if state == WITHDRAWN else notifications  # what was said before holds no more
    return Exposure(
        case_id=case_id,
        report_id=report_id,
        state=state,
        disease=first.notification.disease,
        seconds=dict(sorted(seconds.items())),
        rule_minutes=rule,
        attenuation=min(item.notification.attenuation for item in notifications),
        message=_message(said),
        received=first.received,
        passed_on=passed_on,
        of_place=any(item.notification.of_place for item in notifications),
    )


def _message(said: list[Received]) -> str:
    """What the health authority says in all of these together: a text, or one in parts, and then what is missing."""
    text = next((item.notification.message for item in said if item.notification.message), "")
    found = [item.notification.words[:WORDS] for item in said if item.notification.words]
    if text or not found:
        return text
    try:
        joined = parts.join(found)
    except FormatError:
        return "(what it says makes no sense: its parts do not fit together)"
    if joined.text is None:
        return f"(of what it says {joined.has} of {joined.needs} parts have come; the rest is missing)"
    return joined.text
