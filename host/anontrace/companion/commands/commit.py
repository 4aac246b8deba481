"""`anontrace commit`: the code that binds the log as it is, for the test site."""

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import warn

LATE_SECONDS = 3600


@click.command(short_help="A code for the test site: it binds your sealed log as it is.")
@pass_context
def commit(context: Context) -> None:
    """Make a code of 16 symbols for the test site, just before a test. It binds your sealed log as it is now.

    Fetch the log first: `anontrace badge sync`. The site enters the code with your sample. If the test is positive,
    only your log counts for its token, and nobody can use that with a log that they made up. The code says nothing of
    you or of whom you met; what you leave out of the log later does not show. Make a new code for each test.

    \b
    Examples:
      anontrace badge sync && anontrace commit
      anontrace --json commit
    """
    from anontrace import clock
    from anontrace.companion.days import moment_text
    from anontrace.companion.reports import committing
    from anontrace.wire import commitment

    with context.changing() as state:
        made = committing.commit(state)
    code = commitment.text(made.code)
    context.output.show(
        {"code": code, "until": made.until, "records": made.summary.records, "left_behind": made.left_behind},
        lambda: [
            code,
            f"Give it to the test site. It binds your log up to {moment_text(made.until)}: {made.summary.records}"
            " sealed records. Keep this computer's state: without it no log counts for that test.",
        ],
    )
    if clock.now() - made.fetched > LATE_SECONDS:
        warn(
            f"the log was fetched on {moment_text(made.fetched)}: what came since is not bound. Better: anontrace badge"
            " sync, and then commit again"
        )
    for number in made.left_behind:
        warn(f"badge {number} was not synced for a day more: what it recorded since then will not count for this test")
