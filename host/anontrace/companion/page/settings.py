"""Settings: the level of traffic, who keeps it going, what locks the secrets, the language, a backup, the end."""

import re
from pathlib import Path

from starlette.responses import Response

from anontrace import clock
from anontrace.companion.commands import backup, doctor
from anontrace.companion.commands.passphrase import lock_with
from anontrace.companion.commands.protecting import KINDS
from anontrace.companion.commands.service import service
from anontrace.companion.context import Context
from anontrace.companion.days import moment_text
from anontrace.companion.doctor import Check
from anontrace.companion.errors import CompanionError, SetupError
from anontrace.companion.keys import keyfile
from anontrace.companion.schedule.waiting_uploads import run_level
from anontrace.companion.store import lock
from anontrace.companion.system import service_managers
from anontrace.companion.words import later, spoken
from anontrace.pages import catalogue
from anontrace.wire.levels import LEVELS

from .doing import passphrase, protection
from .tasks import command
from .visit import LANGUAGE_COOKIE, Visit, to

_BACK = re.compile(r"/[a-z0-9/-]*")
_YEAR = 365 * 86400
LEVEL_NAMES = (later("low"), later("normal"), later("high"))  # as templates say them


def settings(visit: Visit) -> Response:
    """All of them."""
    context = visit.context
    with context.reading() as state:
        network, level, count = state.network.get(), run_level(state), state.badges.count()
    levels = [(each.name, round(each.for_badges(count).bytes_a_day / 1000)) for each in LEVELS.values()]
    day = moment_text(clock.now()).partition(" ")[0]
    return visit.page(
        "settings", network=None if network is None else network.name, level=level.name, levels=levels, kinds=KINDS,
        protected=keyfile.protection(context.folder), folder=str(context.folder), service=_standing(),
        running=lock.is_held(context.folder, lock.RUN_FILE), file=str(Path.home() / f"anontrace-{day}.backup"),
    )  # fmt: skip


def _standing() -> str | None:
    """How the service stands; None where the system has none that could be asked."""
    try:
        return str(service_managers.manager(service_managers.this_system()).standing().state)
    except CompanionError:
        return None


def look_around(visit: Visit) -> Response:
    """What is wrong around the wearer, as `anontrace doctor` finds it."""

    def work(context: Context) -> None:
        with context.output.progress(later("looking at everything around you")) as progress:
            found: list[Check] = []
            for check in doctor.checks(context, no_bluetooth=False):
                found.append(check)
                progress(len(found), 0)
        lines = [
            f"{spoken('well') if each.ok else spoken('WRONG')}, {each.name}: {each.said}"
            + (f" → {each.mend}" if each.mend else "")
            for each in found
        ]
        context.output.show({}, lambda: lines)

    return visit.begin(spoken("What is wrong around me"), work)


def set_level(visit: Visit) -> Response:
    """Another level; `run` takes it up."""
    level = visit.text("level")
    if level not in LEVELS:
        raise SetupError(spoken("there is no such level"))
    with visit.context.changing() as state:
        state.timetable.set_level(level)
    return to("/settings")


def by_itself(visit: Visit) -> Response:
    """The system's service: there, or not."""
    wanted = visit.text("service")
    if wanted not in ("install", "remove"):
        raise SetupError(spoken("choose whether your system is to do it"))
    return visit.begin(spoken("Let it go by itself"), command(service, wanted))


def lock_secrets(visit: Visit) -> Response:
    """Something else locks the secrets from now on."""
    kind, chosen = protection(visit)
    return visit.begin(spoken("What locks your secrets"), lambda context: lock_with(context, kind, chosen))


def back_up(visit: Visit) -> Response:
    """Everything in one encrypted file."""
    named, chosen = visit.text("file"), passphrase(visit)
    if not named:
        raise SetupError(spoken("give the backup a name"))
    file = Path(named).expanduser()
    if not file.is_absolute():
        raise SetupError(spoken("give the whole path of the backup"))
    return visit.begin(spoken("Backup"), lambda context: backup.write(context, file, chosen))


def erase(visit: Visit) -> Response:
    """Everything is erased from this computer, if that was confirmed by a word."""
    if visit.text("sure") != spoken("erase"):
        raise SetupError(spoken("nothing was erased: to erase everything, type the word"))
    return visit.begin(spoken("Erase everything"), backup.erase)


def language(visit: Visit) -> Response:
    """Another language, for a year."""
    back = visit.text("back")
    answer = to(back if _BACK.fullmatch(back) else "/")
    wanted = visit.text("language")
    if wanted in catalogue.NAMES:
        answer.set_cookie(LANGUAGE_COOKIE, wanted, max_age=_YEAR, path="/", httponly=True, samesite="strict")
    return answer
