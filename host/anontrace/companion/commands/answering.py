"""`anontrace exposures answer`: say something to the health authority, never without consent."""

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import confirm, say
from anontrace.companion.words import later, spoken

if TYPE_CHECKING:
    from anontrace.companion.exposures.answers import Wish
    from anontrace.companion.exposures.judging import Exposure
    from anontrace.companion.store.contact_answers import StoredAnswer


@click.command(short_help="Ask for a test or a call, or tell how a test came out.")
@click.argument("case")
@click.option("--test", is_flag=True, help="Ask for a test.")
@click.option("--call", "number", metavar="NUMBER", default="",
              help="Ask to be called at this telephone number; with -, it is read from standard input, which keeps it "
                   "from other users of this computer and out of the shell's history.")  # fmt: skip
@click.option("--positive", is_flag=True, help="You tested positive.")
@click.option("--negative", is_flag=True, help="You tested negative.")
@click.option("--note", metavar="TEXT", default="",
              help="Your name, or a few words, up to 24 bytes; with -, likewise, in the line after the "
                   "number's.")  # fmt: skip
@click.option("--nearness", is_flag=True,
              help="Also hand over for about how long you were how near, all your times together, and whether your own "
                   "log has anybody in these times. Without it nobody learns that.")  # fmt: skip
@click.option("--no-reply", is_flag=True, help="Leave no way to write back to you.")
@click.option("--hidden", is_flag=True,
              help="Let `anontrace run` send it among its ordinary traffic: nobody sees it, and it takes "
                   "longer.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Consent without being asked.")
@pass_context
def answer(context: Context, case: str, no_reply: bool, hidden: bool, yes: bool, **wish: Any) -> None:
    """Answer the health authority, after you were told. CASE is its case-ID, or the beginning of it.

    It goes through the mixes, sealed to the health authority: who passes it on cannot read it, and learns neither who
    you are nor which address of yours was told. So does the authority, unless you say who you are: by a number or a
    name. All that it says is shown before it leaves.

    \b
    Examples:
      anontrace exposures answer 3fa94c12 --test
      anontrace exposures answer 3fa94c12 --call '+49 30 123456' --note 'Ada, after 17:00'
      anontrace exposures answer 3fa94c12 --call - --note -
      anontrace exposures answer 3fa94c12 --negative --no-reply
    """
    from anontrace.companion.exposures.answers import Wish
    from anontrace.companion.files import read_line

    for name, what in (("number", "the telephone number"), ("note", "the note")):
        if wish[name] == "-":
            wish[name] = read_line(what).rstrip("\r\n")
    shown = look(context, case, Wish(**wish), not no_reply)
    _consent(context, shown, yes, hidden)
    hand_over(context, shown, hidden)


@dataclass(frozen=True)
class Shown:
    """An answer as it was shown: it is given as it is, or not at all."""

    exposure: "Exposure" = field(repr=False)
    wish: "Wish" = field(repr=False)
    said: dict[str, Any] = field(repr=False)  # as of `answers.document`


def look(context: Context, case: str, wish: "Wish", reachable: bool) -> Shown:
    """What this would answer; SetupError if it cannot be given, or makes no sense."""
    from anontrace import clock
    from anontrace.companion.exposures import answering, answers
    from anontrace.companion.exposures.cases import find

    with context.reading() as state:
        exposure = find(state, case)
        said = answers.document(answers.compose(state, exposure, wish, clock.now()), reachable)
        if answering.unfinished(state, exposure, said) is None:
            answering.check_room(state, exposure)
    return Shown(exposure, wish, said)


def hand_over(context: Context, shown: Shown, hidden: bool) -> None:
    """Give the answer that was shown; SetupError if it would say something else by now."""
    from anontrace import clock
    from anontrace.companion.errors import SetupError
    from anontrace.companion.exposures import answering, answers
    from anontrace.companion.exposures.cases import find

    reachable = shown.said["reachable"]
    with context.changing() as state:
        exposure = find(state, shown.exposure.case_id.hex())
        made = answers.compose(state, exposure, shown.wish, clock.now())  # it may have been withdrawn meanwhile
        if answers.document(made, reachable) != shown.said:
            raise SetupError("what this answer would say has changed meanwhile; look at it again")
        with context.servers(state) as servers:
            stored = answering.unfinished(state, exposure, shown.said)
            if stored is None:
                stored = answering.prepare(state, servers, exposure, made, reachable)
            if not hidden:
                with context.output.progress("answering") as progress:
                    stored = answering.send(state, servers, stored, progress)
    _show(context, stored, hidden)


def intended(shown: Shown) -> list[str]:
    """All that is to be sent, and to whom."""
    from anontrace.companion.exposures import answers
    from anontrace.companion.exposures.diseases import name_of
    from anontrace.companion.exposures.presentation import SHORT_CASE

    case, disease = shown.exposure.case_id.hex()[:SHORT_CASE], name_of(shown.exposure.disease)
    head = spoken("To be sent to the health authority about case %(case)s, %(disease)s:", case=case, disease=disease)
    return [head, *(f"  {each}" for each in answers.lines(shown.said))]


def _consent(context: Context, shown: Shown, yes: bool, hidden: bool) -> None:
    """Show all that will be sent, and to whom; SetupError or DeclinedError without a yes."""
    from anontrace.companion.errors import SetupError

    if not yes and (context.output.as_json or not sys.stdin.isatty()):
        raise SetupError("this tells the health authority something, and nobody is here to be asked; to consent: --yes")
    for each in intended(shown):
        say(each, err=yes)
    if yes:
        return
    say(spoken(SEALED))
    if hidden:
        say("It is hidden in the traffic of `anontrace run`.")
    else:
        say("It goes at once: who watches your connection sees that you send something; --hidden avoids that.")
    confirm("Send it?", "nothing is sent")


SEALED = later(
    "It is sealed: nobody on the way reads it. It says that somebody who was told of this case writes; not who you are,"
    " unless you say so above, and neither where nor when you were."
)


def _show(context: Context, stored: "StoredAnswer", hidden: bool) -> None:
    from anontrace.companion.exposures import presentation

    document = {"case": stored.case_id.hex(), **presentation.answer_document(stored)}
    if hidden:
        done = spoken("Kept for `anontrace run`, which sends it.")
    else:
        done = spoken("Answered: it is kept for the health authority.")
    context.output.show(document, lambda: [done])
