"""`anontrace status`: one screen of where things stand, and what to do next."""

import click

from anontrace.companion.context import Context, pass_context

LOW_SLOTS = 72  # six hours: from then on, registering is due
SYNC_SECONDS = 86400


@click.command()
@pass_context
def status(context: Context) -> None:
    """Where things stand, and what to do next."""
    from anontrace_shared.slots import slot_of

    from anontrace import clock
    from anontrace.companion import exposures, presentation
    from anontrace.companion.cases import assess
    from anontrace.companion.contact_log import gather, summarise
    from anontrace.companion.days import slot_text

    with context.reading() as state:
        now = clock.now()
        slot = slot_of(now)
        network = state.network.get()
        badge = state.badges.get()
        until = slot if badge is None else state.addresses.confirmed_until(badge.number, slot)
        pending = state.addresses.pending_count()
        mailboxes = state.addresses.live_mailbox_count(int(now))
        log = summarise(gather(state.logs.segments(), now))
        told = [exposure for exposure in assess(state) if exposure.state == exposures.TOLD]
    todo = []
    if until - slot < LOW_SLOTS or pending:
        todo.append("anontrace register")
    if badge is None or badge.provisioned is None:
        todo.append("anontrace badge provision --usb PORT")
    elif badge.horizon < until or badge.last_sync is None or now - badge.last_sync > SYNC_SECONDS:
        todo.append("anontrace badge sync")
    todo += [
        f"anontrace pass-on {exposure.case_id.hex()[: presentation.SHORT_CASE]}"
        for exposure in told
        if not exposure.passed_on
    ]
    name = network.name if network else None
    document = {
        "network": name,
        "now": int(now),
        "slot": slot,
        "registered_until": until,
        "pending": pending,
        "badge": None if badge is None else presentation.badge_document(badge),
        "log": {"bytes": log.bytes, "records": log.records, "days": log.days},
        "mailboxes": mailboxes,
        "exposures": len(told),
        "next": todo,
    }

    def lines() -> list[str]:
        shown = [
            f"Network     {name or 'none'}",
            f"Addresses   {'none for now' if until == slot else 'registered until ' + slot_text(until)}"
            + (f", {pending} not confirmed yet" if pending else ""),
            f"Badge       {'none' if badge is None else presentation.badge_lines(badge)[0].partition(': ')[2]}",
            f"Log         {log.records} sealed records, {log.bytes} bytes"
            + (f", {log.days[0]} to {log.days[-1]}" if log.days else ""),
            f"Mailboxes   {mailboxes}",
            f"Exposures   {len(told) or 'none'}" + (" (anontrace exposures list)" if told else ""),
        ]
        if todo:
            shown += ["", "Next:", *(f"  {command}" for command in todo)]
        return shown

    context.output.show(document, lines)
