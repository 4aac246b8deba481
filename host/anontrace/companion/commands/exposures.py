"""`anontrace exposures`: what the wearer was told."""

import click

from anontrace.companion.commands.answering import answer
from anontrace.companion.context import Context, pass_context


@click.group()
def exposures() -> None:
    """What you were told."""


@exposures.command("list", short_help="The cases that concern you, by day.")
@click.option("--all", "everything", is_flag=True, help="Also what was too short to matter, and your own reports.")
@pass_context
def list_(context: Context, everything: bool) -> None:
    """The cases that concern you, by day, with what they mean and what to do.

    \b
    Examples:
      anontrace exposures list
      anontrace exposures list --all
    """
    from anontrace.companion.exposures import judging as judged
    from anontrace.companion.exposures import presentation
    from anontrace.companion.exposures.cases import assess
    from anontrace.companion.exposures.diseases import name_of
    from anontrace.companion.words import spoken

    with context.reading() as state:
        found = assess(state)
    shown = [e for e in found if everything or e.state in (judged.TOLD, judged.WITHDRAWN)]

    def lines() -> list[str]:
        if not shown:
            return [spoken("Nothing: you were not told of any contact.")]
        advice = [
            line
            for exposure in shown
            if exposure.state == judged.TOLD
            for line in ["", *presentation.told_lines(exposure)]
        ]
        rows = [
            [
                exposure.case_id.hex()[: presentation.SHORT_CASE],
                ", ".join(presentation.days(exposure)),
                name_of(exposure.disease),
                f"{presentation.minutes_text(exposure)} min",
                presentation.meaning(exposure) + (spoken(" (passed on)") if exposure.passed_on else ""),
            ]
            for exposure in shown
        ]
        return context.output.table("Exposures", ["case", "day", "disease", "time", "meaning"], rows) + advice

    context.output.show({"exposures": [presentation.document(exposure) for exposure in shown]}, lines)


@exposures.command()
@click.argument("case")
@click.option("--exact", is_flag=True,
              help="Also the times of day. They may tell you who it was, who trusts that you do not know.")  # fmt: skip
@pass_context
def show(context: Context, case: str, exact: bool) -> None:
    """One case in full. CASE is its case-ID or the beginning of it.

    \b
    Example:
      anontrace exposures show 3fa94c12
    """
    from anontrace.companion.exposures import presentation
    from anontrace.companion.exposures.cases import find

    with context.reading() as state:
        exposure = find(state, case)
        given = state.contact_answers.of_case(exposure.case_id)
    document = presentation.document(exposure, exact)
    document["answers"] = [presentation.answer_document(each) for each in given]

    def lines() -> list[str]:
        said = [line for each in given for line in ["", *presentation.answer_lines(each)]]
        return presentation.detail_lines(exposure, exact) + said

    context.output.show(document, lines)


exposures.add_command(answer)
