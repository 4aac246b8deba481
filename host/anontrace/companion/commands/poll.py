"""`anontrace poll`: look into the mailboxes."""

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.words import later

NO_MAILBOXES = later("No address of yours is alive, so nobody could write to you; to have some: anontrace register")


@click.command(short_help="Have you met somebody who tested positive? Ask.")
@pass_context
def poll(context: Context) -> None:
    """Ask the mailboxes whether somebody you met has tested positive.

    Addresses that were written to are armed again, so that a later message (or its withdrawal) reaches you too.

    \b
    Example:
      anontrace poll
    """
    from anontrace import clock
    from anontrace.companion.exposures import polling
    from anontrace.companion.exposures.presentation import WITHDRAWN, letter_lines, told_lines
    from anontrace.companion.system.notify import there_is_news
    from anontrace.companion.words import spoken

    with (
        context.changing() as state,
        context.servers(state) as servers,
        context.output.progress(later("asking mailboxes")) as progress,
    ):
        polled = polling.poll(state, servers, progress)
        if polled.failure is None and polled.requests:
            state.timetable.set_asked(int(clock.now()))
    if polled.told or polled.withdrawn or polled.letters:
        there_is_news()
    document = {
        "mailboxes": polled.mailboxes,
        "requests": polled.requests,
        "messages": polled.messages,
        "notifications": polled.notifications,
        "retractions": polled.retractions,
        "dummies": polled.dummies,
        "ignored": polled.ignored,
        "rearmed": polled.rearmed,
        "told": [exposure.case_id.hex() for exposure in polled.told],
        "withdrawn": [exposure.case_id.hex() for exposure in polled.withdrawn],
        "letters": [{"case": each.case_id.hex(), "letter": each.letter} for each in polled.letters],
    }

    def lines() -> list[str]:
        news = [line for exposure in polled.told for line in told_lines(exposure)]
        news += [spoken(WITHDRAWN)] if polled.withdrawn else []
        news += [line for each in polled.letters for line in letter_lines(each)]
        if news or polled.failure is not None:
            return news
        return [
            spoken("Nothing new in %(count)s mailboxes.", count=polled.mailboxes)
            if polled.mailboxes
            else spoken(NO_MAILBOXES)
        ]

    if polled.failure is not None:
        context.output.show_part(document, lines, polled.failure)
    context.output.show(document, lines)
