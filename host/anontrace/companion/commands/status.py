"""`anontrace status`: one screen of where things stand, and what to do next."""

from typing import TYPE_CHECKING

import click

from anontrace.companion.context import Context, pass_context

if TYPE_CHECKING:
    from anontrace.companion.exposures import Exposure
    from anontrace.companion.reporting import Waiting
    from anontrace.companion.store.badges import Badge

LOW_SLOTS = 72  # six hours: from then on, registering is due
SYNC_SECONDS = 86400
ASK_SECONDS = 86400
REFUSED_SECONDS = 14 * 86400  # for so long one is reminded of an upload that was refused


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
    from anontrace_shared.slots import slot_of

    from anontrace import clock
    from anontrace.companion import exposures, presentation, reporting
    from anontrace.companion.cases import assess
    from anontrace.companion.client import shown_proxy
    from anontrace.companion.contact_log import gather, summarise
    from anontrace.companion.days import duration_text, moment_text, slot_text
    from anontrace.companion.lock import RUN_FILE, is_held

    with context.reading() as state:
        now = clock.now()
        slot = slot_of(now)
        network = state.network.get()
        badges = state.badges.all()
        until = min((state.addresses.confirmed_until(badge.number, slot) for badge in badges), default=slot)
        pending = state.addresses.pending_count()
        mailboxes = state.addresses.live_mailbox_count(int(now))
        log = summarise(gather(state.logs.segments(), now))
        told = [exposure for exposure in assess(state) if exposure.state == exposures.TOLD]
        waiting = reporting.waiting(state)
        level = reporting.run_level(state).name
        asked = state.timetable.asked()
        going = is_held(context.folder, RUN_FILE)
        refused = state.uploads.last_refused(int(now) - REFUSED_SECONDS)
    unasked = not going and mailboxes > 0 and (asked is None or now - asked > ASK_SECONDS)
    todo = _todo(badges, told, now, slot, until, pending, unasked) + _uploads_todo(waiting, refused)
    name = network.name if network else None
    proxy = shown_proxy(network.proxy) if network and network.proxy else None
    shown = [presentation.badge_document(badge) for badge in badges]
    document = {
        "network": name,
        "proxy": proxy,
        "now": int(now),
        "slot": slot,
        "registered_until": until,
        "pending": pending,
        "badge": shown[0] if shown else None,
        "badges": shown,
        "log": {"bytes": log.bytes, "records": log.records, "days": log.days},
        "mailboxes": mailboxes,
        "asked": asked,
        "running": going,
        "exposures": len(told),
        "uploads": [
            {
                "kind": each.upload.kind,
                "chunks": each.chunks,
                "sent": each.sent,
                "seconds": each.seconds,
                "ends": each.ends,
                "in_time": each.in_time,
            }
            for each in waiting
        ],
        "next": [command for command, _ in todo],
    }

    def lines() -> list[str]:
        said = [
            f"Network     {name or 'none'}" + (f", through the proxy {proxy}" if proxy else ""),
            f"Addresses   {'none for now' if until == slot else 'registered until ' + slot_text(until)}"
            + (f", {pending} not confirmed yet" if pending else ""),
        ]
        for badge in badges:
            which = f"Badge {badge.number}" if len(badges) > 1 else "Badge"
            for line in presentation.badge_lines(badge):
                said.append(f"{which:<11} {line.partition(': ')[2]}")
                which = ""
        said += [] if badges else ["Badge       none"]
        said += [
            f"Log         {log.records} sealed records, {log.bytes} bytes"
            + (f", {log.days[0]} to {log.days[-1]}" if log.days else ""),
            f"Mailboxes   {mailboxes}, {'never asked' if asked is None else 'asked last ' + moment_text(asked)}",
            f"Exposures   {len(told) or 'none'}" + (" (anontrace exposures list)" if told else ""),
            f"Running     {f'yes, at level {level}' if going else 'no'}",
        ]
        for each in waiting:
            takes = duration_text(each.seconds)
            said.append(
                f"Upload      {each.upload.kind}: {each.sent} of {each.chunks} chunks sent, the rest within about"
                f" {takes} ({level})"
            )
        if todo:
            width = max(len(command) for command, _ in todo)
            said += ["", "Next:", *(f"  {command:<{width}}   {why}" for command, why in todo)]
        return said

    context.output.show(document, lines)


def _todo(
    badges: "list[Badge]", told: "list[Exposure]", now: float, slot: int, until: int, pending: int, unasked: bool
) -> list[tuple[str, str]]:
    """What to do next, in this order: the command, and why."""
    from anontrace.companion.presentation import SHORT_CASE

    todo: list[tuple[str, str]] = []
    if until - slot < LOW_SLOTS or pending:
        todo.append(("anontrace register", "addresses not confirmed" if pending else "addresses for the next hours"))
    if not badges:
        todo.append(("anontrace badge provision --usb PORT", "make a badge yours"))
    for badge in badges:
        which = f" --badge {badge.number}" if len(badges) > 1 else ""
        if badge.provisioned is None:
            todo.append((f"anontrace badge provision --usb PORT{which}", "make the badge yours"))
        elif badge.last_sync is None or now - badge.last_sync > SYNC_SECONDS:
            todo.append((f"anontrace badge sync{which}", "fetch its log, set its clock"))
        elif badge.horizon < until:
            todo.append((f"anontrace badge sync{which}", "let it broadcast the new addresses"))
    if unasked:
        todo.append(("anontrace poll", "did you meet somebody? (anontrace run asks by itself)"))
    for exposure in told:
        if not exposure.passed_on:
            case = exposure.case_id.hex()[:SHORT_CASE]
            todo.append((f"anontrace pass-on {case}", "let those whom you met be told"))
    return todo


def _uploads_todo(waiting: "list[Waiting]", refused: str | None) -> list[tuple[str, str]]:
    """What to do for a report that is late, or was refused while nobody looked."""
    from anontrace.companion.store.uploads import REPORT

    todo = []
    if any(not each.in_time for each in waiting):
        todo.append(("anontrace run --level high", "the upload may be too late; or repeat it without --hidden"))
    if refused == REPORT:
        todo.append(("anontrace report --token TOKEN", "your report was refused; ask for a new token"))
    return todo
