"""`anontrace result`: what became of the wearer's tests, and the statements on negative ones."""

import click

from anontrace.companion.context import Context, pass_context


@click.group()
def result() -> None:
    """What became of your tests."""


@result.command("list", short_help="Your tests, and how they stand as far as is known here.")
@pass_context
def list_(context: Context) -> None:
    """Your tests of the last 30 days, and how they stand as far as is known here; asks nobody.

    \b
    Examples:
      anontrace result list
      anontrace --json result list
    """
    from anontrace.companion.reports import presenting

    with context.reading() as state:
        tests = state.tests.all()
    context.output.show(
        {"tests": [presenting.document(each) for each in tests]},
        lambda: [said for each in tests for said in presenting.lines(each)] or ["None: no token was given here."],
    )


@result.command(short_help="Check somebody's signed statement of a negative test.")
@click.argument("statement")
@click.option("--token", metavar="TOKEN", help="The token on the slip that goes with it; with -, from standard input.")
@pass_context
def check(context: Context, statement: str, token: str | None) -> None:
    """Check a STATEMENT of a negative test: whether the health authority has signed it.

    With --token also whether it is of that token's test. It names nobody: a copy is as good as the first. Only who has
    the slip of the test has the token.

    \b
    Example:
      anontrace result check 01a5...
    """
    from anontrace_shared.errors import AnontraceError

    from anontrace.companion.errors import RefusedError, SetupError
    from anontrace.companion.exposures.diseases import name_of
    from anontrace.companion.files import read_line
    from anontrace.companion.reports import presenting
    from anontrace.wire import onetime
    from anontrace.wire import result as results

    try:
        data = bytes.fromhex(statement)
    except ValueError:
        raise SetupError("a statement is 186 hexadecimal digits, as `anontrace report` shows it") from None
    try:
        typed = read_line("the token") if token == "-" else token  # noqa: S105 - not a password
        wanted = None if typed is None else onetime.normalise(typed)
    except AnontraceError as error:
        raise SetupError(str(error)) from None
    with context.reading() as state, context.servers(state) as servers:
        try:
            found = servers.statement(data)
        except AnontraceError as error:
            raise RefusedError(str(error)) from None
    if wanted is not None and found.serial != results.serial(onetime.token_hash(wanted)):
        raise RefusedError("this statement is signed, but of another token's test")
    context.output.show(
        {**presenting.statement_document(found), "signed": True, "of_this_token": True if wanted else None},
        lambda: [
            f"Signed by the health authority: a test for {name_of(found.disease)} of {presenting.day_text(found.day)}"
            " was negative" + (", and this token is its." if wanted else ". It names nobody."),
        ],
    )
