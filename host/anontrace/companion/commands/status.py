"""`anontrace status`: one screen of where things stand, and what to do next.

What is found, the document and the lines are a function each; what to do next is in all of them.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.words import spoken

if TYPE_CHECKING:
    from anontrace.companion.exposures.judging import Exposure
    from anontrace.companion.reports.contact_log import Summary
    from anontrace.companion.schedule.waiting_uploads import Waiting
    from anontrace.companion.store.badges import Badge
    from anontrace.companion.store.state import State
    from anontrace.companion.store.tests import StoredTest

LOW_SLOTS = 72  # six hours: from then on, registering is due
SYNC_SECONDS = 86400
ASK_SECONDS = 86400
LATE_SECONDS = 300  # by which a clock may be behind without a word
BAR = 40  # characters of the longest bar
REFUSED_SECONDS = 14 * 86400  # for so long one is reminded of an upload that was refused


@dataclass(frozen=True)
class Found:
    """What the state folder tells; times are unix seconds, `until` is a slot."""

    now: float
    slot: int
    network: str | None
    proxy: str | None  # as it may be shown
    badges: "list[Badge]"
    until: int  # of every badge's confirmed addresses
    pending: int  # addresses not confirmed yet
    mailboxes: int
    asked: int | None
    was_asked: bool
    doubt: str | None  # what speaks against this computer's clock
    log: "Summary"
    told: "list[Exposure]"
    waiting: "list[Waiting]"
    level: str
    running: bool
    tests: "list[StoredTest]"
    to_report: int  # positive tests with which no log was handed in
    refused: str | None  # the kind of the last upload, if it was refused


@click.command()
@pass_context
def status(context: Context) -> None:
    """Where things stand, and what to do next.

    Looks only at what is on this computer, asks nobody.

    \b
    Examples:
      anontrace status
      anontrace --json status
    """
    found = look(context)
    context.output.show(_document(found), lambda: _lines(found))


def look(context: Context) -> Found:
    """All that `status` tells, from the state folder alone. SetupError without one."""
    from anontrace_shared.slots import slot_of

    from anontrace import clock
    from anontrace.companion.exposures import judging
    from anontrace.companion.exposures.cases import assess
    from anontrace.companion.network.proxy import shown_proxy
    from anontrace.companion.reports import results
    from anontrace.companion.reports.contact_log import gather, summarise
    from anontrace.companion.schedule import waiting_uploads
    from anontrace.companion.store.lock import RUN_FILE, is_held

    with context.reading() as state:
        now = clock.now()
        slot = slot_of(now)
        network = state.network.get()
        badges = state.badges.all()
        return Found(
            now=now,
            slot=slot,
            network=network.name if network else None,
            proxy=shown_proxy(network.proxy) if network and network.proxy else None,
            badges=badges,
            until=min((state.addresses.confirmed_until(badge.number, slot) for badge in badges), default=slot),
            pending=state.addresses.pending_count(),
            mailboxes=state.addresses.live_mailbox_count(int(now)),
            asked=state.timetable.asked(now),
            was_asked=state.timetable.was_asked(),
            doubt=_doubt(state, int(now)),
            log=summarise(gather(state.logs.segments(), now)),
            told=[exposure for exposure in assess(state) if exposure.state == judging.TOLD],
            waiting=waiting_uploads.waiting(state),
            level=waiting_uploads.run_level(state).name,
            running=is_held(context.folder, RUN_FILE),
            tests=state.tests.all(),
            to_report=len(results.to_report(state)),
            refused=_refused(state, int(now) - REFUSED_SECONDS),
        )


def _refused(state: "State", since: int) -> str | None:
    """The kind of what was handed in last, if it was refused since then: a log, or the token for one."""
    from anontrace.companion.store.tests import ENDED
    from anontrace.companion.store.uploads import REPORT

    tests = state.tests.all()
    if tests and tests[-1].state == ENDED and tests[-1].changed >= since:
        return REPORT
    return state.uploads.last_refused(since)


def _doubt(state: "State", now: int) -> str | None:
    from anontrace.companion.days import moment_text

    directory = state.network.directory()
    if directory is None:
        return None
    if now < directory.fetched - LATE_SECONDS:
        return f"it says {moment_text(now)}, and said {moment_text(directory.fetched)} before"
    if not state.is_plausible(now) and state.addresses.has_dead_mailboxes(now):
        return f"it says {moment_text(now)}, when addresses that are kept are over"
    return None


def _document(found: Found) -> dict[str, Any]:
    from anontrace.companion.exposures.presentation import badge_document
    from anontrace.companion.reports import presenting

    badges = [badge_document(badge) for badge in found.badges]
    return {
        "network": found.network,
        "proxy": found.proxy,
        "now": int(found.now),
        "slot": found.slot,
        "registered_until": found.until,
        "pending": found.pending,
        "badge": badges[0] if badges else None,
        "badges": badges,
        "log": {
            "bytes": found.log.bytes,
            "records": found.log.records,
            "days": found.log.days,
            "by_day": found.log.by_day,
        },
        "mailboxes": found.mailboxes,
        "asked": found.asked,
        "clock": found.doubt,
        "running": found.running,
        "exposures": len(found.told),
        "tests": [presenting.document(each) for each in found.tests],
        "uploads": [
            {
                "kind": each.upload.kind,
                "fragments": each.fragments,
                "sent": each.sent,
                "seconds": each.seconds,
                "ends": each.ends,
                "in_time": each.in_time,
            }
            for each in found.waiting
        ],
        "next": [command for command, _ in todo(found)],
    }


def _lines(found: Found) -> list[str]:
    from anontrace.clock import duration_text
    from anontrace.companion.days import moment_text, slot_text
    from anontrace.companion.exposures.presentation import badge_lines

    registered = "none for now" if found.until == found.slot else f"registered until {slot_text(found.until)}"
    asked = "asked last at a time that is still to come" if found.was_asked else "never asked"
    asked = asked if found.asked is None else f"asked last {moment_text(found.asked)}"
    said = [
        f"Network     {found.network or 'none'}" + (f", through the proxy {found.proxy}" if found.proxy else ""),
        f"Addresses   {registered}" + (f", {found.pending} not confirmed yet" if found.pending else ""),
    ]
    for badge in found.badges:
        which = f"Badge {badge.number}" if len(found.badges) > 1 else "Badge"
        for line in badge_lines(badge):
            said.append(f"{which:<11} {line.partition(': ')[2]}")
            which = ""
    said += [] if found.badges else ["Badge       none"]
    said += [
        f"Log         {found.log.records} sealed records, {found.log.bytes} bytes"
        + (f", {found.log.days[0]} to {found.log.days[-1]}" if found.log.days else ""),
        *_bars(found.log.by_day),
        f"Mailboxes   {found.mailboxes}, {asked}",
        f"Exposures   {len(found.told) or 'none'}" + (" (anontrace exposures list)" if found.told else ""),
        f"Running     {f'yes, at level {found.level}' if found.running else 'no'}",
    ]
    if found.tests:
        count = Counter(each.state for each in found.tests)
        said.append(
            f"Tests       {', '.join(f'{many} {each}' for each, many in count.items())} (anontrace result list)"
        )
    for each in found.waiting:
        said.append(
            f"Upload      {each.upload.kind}: {each.sent} of {each.fragments} fragments sent, the rest within about"
            f" {duration_text(each.seconds)} ({found.level})"
        )
    steps = todo(found)
    if steps:
        width = max(len(command) for command, _ in steps)
        said += ["", spoken("Next:"), *(f"  {command:<{width}}   {why}" for command, why in steps)]
    return said


def _bars(by_day: dict[str, int]) -> list[str]:
    """A bar for each day of which something is in the log: how much was heard, of whom nobody can read here."""
    from anontrace import streams

    bar, most = "█" if streams.is_unicode() else "#", max(by_day.values(), default=0)
    return [f"            {day}  {bar * -(-BAR * number // most)} {number}" for day, number in by_day.items() if number]


def todo(found: Found) -> list[tuple[str, str]]:
    """What to do next, in this order: the command, and why."""
    from anontrace.companion.exposures.presentation import SHORT_CASE

    is_recent = found.asked is not None and 0 <= found.now - found.asked <= ASK_SECONDS
    unasked = found.mailboxes > 0 and not (found.running or is_recent)
    steps: list[tuple[str, str]] = []
    if found.doubt is not None:
        steps.append(("anontrace doctor", spoken("is this computer's clock right? %(doubt)s", doubt=found.doubt)))
    if found.until - found.slot < LOW_SLOTS or found.pending:
        why = spoken("addresses not confirmed") if found.pending else spoken("addresses for the next hours")
        steps.append(("anontrace register", why))
    if not found.badges:
        steps.append(("anontrace badge provision --usb PORT", spoken("make a badge yours; without a cable: --new")))
    for badge in found.badges:
        which = f" --badge {badge.number}" if len(found.badges) > 1 else ""
        if badge.provisioned is None:
            why = spoken("make it yours; without a cable: --new")
            steps.append((f"anontrace badge provision --usb PORT{which}", why))
        elif badge.last_sync is None or not 0 <= found.now - badge.last_sync <= SYNC_SECONDS:
            steps.append((f"anontrace badge sync{which}", spoken("fetch its log, set its clock")))
        elif badge.horizon < found.until:
            steps.append((f"anontrace badge sync{which}", spoken("let it broadcast the new addresses")))
    if unasked:
        steps.append(("anontrace poll", spoken("did you meet somebody? (anontrace run asks by itself)")))
    for exposure in found.told:
        if not exposure.passed_on:
            case = exposure.case_id.hex()[:SHORT_CASE]
            steps.append((f"anontrace pass-on {case}", spoken("let those whom you met be told")))
    if found.to_report:
        steps.append(("anontrace report", spoken("your test is positive: hand in your log")))
    return steps + _uploads_todo(found.waiting, found.refused)


def _uploads_todo(waiting: "list[Waiting]", refused: str | None) -> list[tuple[str, str]]:
    """What to do for a report that is late, or was refused while nobody looked."""
    from anontrace.companion.store.uploads import REPORT

    todo = []
    if any(not each.in_time for each in waiting):
        todo.append(("anontrace run --level high", spoken("the upload may be too late; or repeat it without --hidden")))
    if refused == REPORT:
        todo.append(("anontrace report --token TOKEN", spoken("your report was refused; ask for a new token")))
    return todo
