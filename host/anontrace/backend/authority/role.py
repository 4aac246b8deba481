"""The health authority's role put together."""

from typing import Any

from fastapi import APIRouter

from anontrace.backend.background import Drain
from anontrace.backend.keys import keyfiles
from anontrace.backend.roles import Context
from anontrace.backend.staff import audit
from anontrace.backend.staff.accounts import Accounts
from anontrace.backend.staff.audit import Audit
from anontrace.backend.staff.entry import Entry
from anontrace.backend.staff.passkeys import Passkeys
from anontrace.backend.staff.sessions import Sessions
from anontrace.backend.staff.settings import StaffSettings
from anontrace.backend.web.moments import Moments
from anontrace.backend.web.signed import AUTHORITY, SignedRequests
from anontrace.backend.web.throttle import Throttle

from . import routes, staff_routes
from .contact_answers import ContactAnswers
from .desk import Desk
from .nymserver import Nymserver
from .office import Office
from .proposals import Proposals
from .register import Register
from .retractions import RetractionKeys
from .tokens import Tokens

_AUDIT_AT_ONCE = 64
_MINUTE, _HOUR = 60.0, 3600.0


class AuthorityRole:
    """One health authority."""

    def __init__(self, context: Context) -> None:
        config, folder, store = context.server.config, context.server.folder, context.store
        settings = config.authority
        signing_key = keyfiles.read(folder, keyfiles.SIGNING)
        chain = Audit(store)
        tokens = Tokens(store, context.counters, signing_key, settings.token_hours, settings.permit_hours)
        accounts, staff_settings = Accounts(store, chain), StaffSettings(store, chain)
        idle, longest = settings.session_idle_minutes * _MINUTE, settings.session_hours * _HOUR
        sessions = Sessions(store, accounts, idle, longest)
        entry = Entry(
            accounts, sessions, chain, keyfiles.read(folder, keyfiles.STAFF), context.server.network.network.name,
            Passkeys(config.portal_origin), context.counters,
        )  # fmt: skip
        nymserver = Nymserver(context.peers, signing_key)
        desk = Desk(
            tokens, Register(store, chain, tokens.token_seconds), nymserver, RetractionKeys(store),
            Proposals(store, chain), ContactAnswers(store, nymserver, signing_key, chain), accounts, staff_settings,
            chain,
        )  # fmt: skip
        self.office = Office(desk, accounts, entry, sessions, staff_settings, chain, Throttle(settings.bad_tries, 401))
        self.router: APIRouter = routes.router(tokens, Throttle(settings.bad_tries), Moments(config.mix.delay))
        operator = SignedRequests(store, keyfiles.verify_key(signing_key), AUTHORITY)
        self.staff_router: APIRouter = staff_routes.router(self.office, operator)
        self._context = context

    async def start(self) -> None:
        chain = self.office.audit
        drain = Drain(self._context.store, audit.QUEUE, chain.append, _AUDIT_AT_ONCE, lambda: False)
        chain.wake = drain.wake
        self._context.background.start(f"queue {audit.QUEUE}", drain.run)

    async def tick(self, held: float) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {}
