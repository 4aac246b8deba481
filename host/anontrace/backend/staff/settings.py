"""What administrators set, in the store. With four eyes, another administrator confirms each change."""

from collections.abc import Callable

from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.store import Store

from . import audit
from .audit import Audit
from .records import Kept, Pending, Settings

_TABLE, _KEY = "staff-settings", b"settings"
_MAX_ATTEMPTS = 64
_Change = Callable[[Kept], tuple[Kept, str]]  # what holds then, and what the audit calls it


class StaffSettings:
    """The settings of one health authority."""

    def __init__(self, store: Store, chain: Audit) -> None:
        self._store = store
        self._audit = chain

    async def read(self) -> Kept:
        """As they hold now, and what waits."""
        (value,) = await self._store.get_many(_TABLE, [_KEY])
        return Kept() if value is None else Kept.model_validate_json(value)

    async def propose(self, by: str, wanted: Settings) -> Kept:
        """Set them, or have it wait for another administrator."""

        def change(now: Kept) -> tuple[Kept, str]:
            if now.settings == wanted:
                return now.model_copy(update={"pending": None}), "settings left as they are"
            if now.settings.four_eyes:
                return now.model_copy(update={"pending": Pending(settings=wanted, by=by)}), "settings proposed"
            return Kept(settings=wanted), "settings changed"

        return await self._change(by, change)

    async def confirm(self, by: str, wanted: Settings) -> Kept:
        """Have hold what another administrator proposed. 409 if that is something else, 403 for who proposed it."""

        def change(now: Kept) -> tuple[Kept, str]:
            if now.pending is None or now.pending.settings != wanted:
                raise Refused(409, "no such change waits any more")
            if now.pending.by == by:
                raise Refused(403, "four eyes: another administrator has to confirm it")
            return Kept(settings=wanted), "settings confirmed"

        return await self._change(by, change)

    async def _change(self, by: str, change: _Change) -> Kept:
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [_KEY])
            new, what = change(Kept() if value is None else Kept.model_validate_json(value))
            wanted = new.settings if new.pending is None else new.pending.settings
            then = [audit.entry(by, what, **wanted.model_dump())]
            if await self._store.compare_and_swap(_TABLE, _KEY, value, new.model_dump_json().encode(), None, then):
                self._audit.wake()
                return new
        raise StoreError("the settings changed under every attempt to change them")
