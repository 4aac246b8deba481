"""What an answer to the health authority says: made from what the wearer wants to say, and shown to them in full.

Pure but for looking into the state. Minutes go over all of the wearer's addresses in a report, in classes so broad that
they fit many: no address is in it, nor when it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from anontrace_shared import log
from anontrace_shared.errors import AnontraceError
from anontrace_shared.slots import slot_start

from anontrace.companion.errors import SetupError
from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Exposure
from anontrace.companion.store.state import State
from anontrace.companion.words import later, spoken
from anontrace.mixnet import keydays, phone
from anontrace.mixnet.contact_answer import MINUTES, NEAR_BINS, ContactAnswer, OwnLog, Said, minutes_class
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import NEARNESS

_OWN_LOG = {
    OwnLog.UNSAID: "",
    OwnLog.SOMEBODY: later("Your own log has somebody in each of these times."),
    OwnLog.PARTLY: later("Your own log has nobody in some of these times."),
    OwnLog.NOBODY: later("Your own log has nobody in any of these times."),
}


@dataclass(frozen=True)
class Wish:
    """What the wearer wants to say. `number`: as it was typed, for a call."""

    test: bool = False
    number: str = field(default="", repr=False)
    positive: bool = False
    negative: bool = False
    note: str = field(default="", repr=False)
    nearness: bool = False


def compose(state: State, exposure: Exposure, wish: Wish, now: float) -> ContactAnswer:
    """The answer, without a way back. SetupError if it cannot be given, or makes no sense."""
    if exposure.state != judging.TOLD:
        raise SetupError(f"this case cannot be answered, for its state is: {exposure.state}")
    said = Said.NOTHING
    for flag, wanted in (
        (Said.TEST, wish.test), (Said.CALL, bool(wish.number)), (Said.POSITIVE, wish.positive),
        (Said.NEGATIVE, wish.negative), (Said.NEARNESS, wish.nearness),
    ):  # fmt: skip
        said |= flag if wanted else Said.NOTHING
    if not said & ~Said.NEARNESS:
        raise SetupError(
            "say what to answer: ask for a test or a call, or tell how a test came out (--test, --call NUMBER,"
            " --positive, --negative)"
        )
    try:
        made = ContactAnswer(
            said,
            keydays.day_at(now),
            phone.normalise(wish.number) if wish.number else "",
            nearness(_received(state, exposure)) if wish.nearness else (0,) * NEARNESS,
            own_log(state, exposure) if wish.nearness else OwnLog.UNSAID,
            wish.note.strip(),
        )
        made.encode()
    except AnontraceError as error:
        raise SetupError(str(error)) from None
    return made


def _received(state: State, exposure: Exposure) -> list[tuple[int, Notification]]:
    """The notifications of the report that counts, each with its slot."""
    opened = [(each.slot, Notification.decode(each.content, kept=True)) for each in state.notifications.all()]
    return [
        (slot, found)
        for slot, found in opened
        if found.kind is Kind.NOTIFICATION and found.report_id == exposure.report_id
    ]


def nearness(received: Iterable[tuple[int, Notification]]) -> tuple[int, ...]:
    """A class of minutes for each of the four bins; of two badges that were heard in one slot, the nearer counts."""
    by_slot: dict[int, tuple[int, int]] = {}
    for slot, found in received:
        at = sum(found.attenuation > limit for limit in NEAR_BINS)
        nearest, longest = by_slot.get(slot, (at, 0))
        by_slot[slot] = min(at, nearest), max(found.present, longest)
    thirds = [0] * NEARNESS
    for at, present in by_slot.values():
        thirds[at] += present
    return tuple(minutes_class(each * judging.THIRD_SECONDS / 60) for each in thirds)


def own_log(state: State, exposure: Exposure) -> OwnLog:
    """Whether the sealed logs of the wearer's badges have anybody in the slots of an exposure, as far as they were
    fetched since. The companion can see that a slot has records, and not of whom."""
    synced = [badge.last_sync for badge in state.badges.all() if badge.provisioned is not None]
    until = min((each or 0 for each in synced), default=0)
    covered = [slot for slot in exposure.seconds if slot_start(slot + 1) <= until]
    if not covered:
        return OwnLog.UNSAID
    heard: set[int] = set()
    for segments in state.logs.segments():
        parsed = [item for segment in segments for item in log.blocks(segment)]
        heard |= {block.slot for block in log.resolve(parsed) if block.slot is not None and block.records}
    number = sum(slot in heard for slot in covered)
    return OwnLog.SOMEBODY if number == len(covered) else OwnLog.PARTLY if number else OwnLog.NOBODY


def document(answer: ContactAnswer, reachable: bool) -> dict[str, Any]:
    """What an answer says, for --json and to be kept."""
    said = answer.said
    return {
        "test": Said.TEST in said,
        "call": answer.number,
        "result": "positive" if Said.POSITIVE in said else "negative" if Said.NEGATIVE in said else "",
        "note": answer.note,
        "nearness": list(answer.nearness) if Said.NEARNESS in said else None,
        "own_log": answer.own_log.name.lower(),
        "reachable": reachable,
    }


def lines(said: dict[str, Any]) -> list[str]:
    """All that it says, as the wearer reads it."""
    found = [spoken("You ask for a test.")] if said["test"] else []
    found += [spoken("You ask for a call: %(number)s", number=said["call"])] if said["call"] else []
    if said["result"]:
        found.append(spoken(_RESULTS[said["result"]]))
    found += [spoken("You write: %(note)s", note=said["note"])] if said["note"] else []
    if said["nearness"] is not None:
        near = _near_text(said["nearness"])
        found.append(spoken("How near and how long, all your times together: %(near)s.", near=near))
        own = _OWN_LOG[OwnLog[said["own_log"].upper()]]
        found += [spoken(own)] if own else []
    if said["reachable"]:
        found.append(spoken("They may write back to you once."))
    else:
        found.append(spoken("They cannot write back to you."))
    return found


_RESULTS = {
    "positive": later("You say that you tested positive."),
    "negative": later("You say that you tested negative."),
}


def _near_text(classes: list[int]) -> str:
    edges = [
        *(spoken("up to %(db)s dB", db=limit) for limit in NEAR_BINS),
        spoken("more than %(db)s dB", db=NEAR_BINS[-1]),
    ]
    return "; ".join(
        spoken("%(minutes)s at %(near)s", minutes=_minutes_text(each), near=edge)
        for each, edge in zip(classes, edges, strict=True)
        if each
    )


def _minutes_text(number: int) -> str:
    if number < len(MINUTES):
        return spoken("up to %(minutes)s minutes", minutes=MINUTES[number])
    return spoken("more than %(minutes)s minutes", minutes=MINUTES[-1])
