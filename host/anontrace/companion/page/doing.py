"""What a button does: the commands of the command line, with their own options, as tasks."""

from starlette.responses import Response

from anontrace.companion.commands import init
from anontrace.companion.commands.badge import badge
from anontrace.companion.commands.badge_care import PRESETS
from anontrace.companion.commands.poll import poll
from anontrace.companion.commands.protecting import KINDS
from anontrace.companion.commands.register import register
from anontrace.companion.context import Context
from anontrace.companion.errors import SetupError
from anontrace.companion.files import text as text_of
from anontrace.companion.keys.passphrase import MIN_CHARACTERS
from anontrace.companion.store import making
from anontrace.companion.words import spoken

from .tasks import command
from .visit import Visit, to

MAX_REGISTERED = 14  # days


def first(visit: Visit) -> Response:
    """The first step, where there is no state folder yet."""
    if making.traces(visit.context.folder):
        return to("/")
    return visit.page("first", kinds=KINDS, folder=str(visit.context.folder), least=MIN_CHARACTERS)


def take_network(visit: Visit) -> Response:
    """Belong to the network of a file that was chosen, or that lies at a path or an address."""
    uploaded: bytes = getattr(visit.request.state, "file", b"")
    named = visit.text("network")
    if not uploaded and not named:
        raise SetupError(spoken("choose the network file, or give its address"))
    kind, chosen = protection(visit)
    name = spoken("the network file") if uploaded else named

    def reading(proxy: str | None) -> str:
        return text_of(uploaded, name) if uploaded else init.read(named, proxy)

    def work(context: Context) -> None:
        init.take(context, name, reading, None, kind, lambda: (kind, chosen))

    return visit.begin(spoken("Choose a network"), work)


def protection(visit: Visit) -> tuple[str, str | None]:
    """What is to lock the secrets, and the passphrase if it is one. SetupError if the two differ, or are too short."""
    kind = visit.text("protect")
    if kind not in KINDS:
        raise SetupError(spoken("choose what locks your secrets"))
    return kind, passphrase(visit) if kind == "passphrase" else None


def passphrase(visit: Visit) -> str:
    """A new passphrase, typed twice."""
    typed = visit.verbatim("passphrase")
    if typed != visit.verbatim("again"):
        raise SetupError(spoken("the two passphrases are not the same; nothing was changed"))
    if len(typed) < MIN_CHARACTERS:
        raise SetupError(
            spoken("a passphrase needs %(count)s characters at least; a few random words do well", count=MIN_CHARACTERS)
        )
    return typed


def registering(visit: Visit) -> Response:
    """Addresses for the coming days."""
    days = visit.text("days") or "2"
    if not days.isdecimal() or not days.isascii() or len(days) > 2 or not 1 <= int(days) <= MAX_REGISTERED:
        raise SetupError(spoken("days: a whole number from 1 to %(most)s is needed", most=MAX_REGISTERED))
    return visit.begin(spoken("Register addresses"), command(register, "--days", days))


def polling(visit: Visit) -> Response:
    """Ask whether somebody wrote."""
    return visit.begin(spoken("Ask the mailboxes"), command(poll))


def _number(visit: Visit) -> list[str]:
    number = visit.text("badge")
    if number and not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise SetupError(spoken("there is no such badge"))
    return ["--badge", number] if number else []


def syncing(visit: Visit) -> Response:
    """Fetch a badge's log, set its clock."""
    return visit.begin(spoken("Fetch the log"), command(badge, "sync", *_number(visit)))


def provisioning(visit: Visit) -> Response:
    """Make a badge the wearer's own: by cable, new and without one, or again."""
    way, port = visit.text("way"), visit.text("port")
    if way == "cable" and not port:
        raise SetupError(spoken("give the port to which the badge is connected"))
    options = {"cable": ["--usb", port], "new": ["--new"], "again": []}.get(way)
    if options is None:
        raise SetupError(spoken("choose how the badge is reached"))
    if visit.text("more") == "yes" and way == "cable":
        options = [*options, "--new"]
    return visit.begin(spoken("Make a badge yours"), command(badge, "provision", *options, *_number(visit)))


def setting_badge(visit: Visit) -> Response:
    """How a badge listens, and how long its log is kept."""
    options: list[str] = []
    if preset := visit.text("preset"):
        if preset not in PRESETS:
            raise SetupError(spoken("there is no such preset"))
        options.append(preset)
    if keep := visit.text("keep"):
        options += ["--keep", keep]
    return visit.begin(spoken("Set the badge"), command(badge, "set", *options, *_number(visit)))


def working(visit: Visit) -> Response:
    """How far the task is, or how it ended."""
    return visit.page("working") if visit.site.tasks.last else to("/")
