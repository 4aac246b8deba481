"""The records of cases: reading them, and finding those in which something was decided lately.

Never changes a case: each change is a step of reports.py.
"""

from collections.abc import Iterable
from itertools import chain as joined

from anontrace.backend.store import Store

from .records import Case

TABLE = "cases"
KEEP_DAYS = 120
_BY_DAY = "cases-by-day"
_MAX_A_DAY = 1 << 16


class Cases:
    """All cases of this nymserver."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, case_ids: Iterable[bytes]) -> dict[bytes, Case]:
        """Those of these of which something was decided."""
        wanted = list(case_ids)
        values = await self._store.get_many(TABLE, wanted)
        found = zip(wanted, values, strict=True)
        return {case_id: Case.model_validate_json(value) for case_id, value in found if value is not None}

    async def note(self, case_id: bytes, day: int) -> None:
        """Something of this case is about to be decided on this day."""
        await self._store.append_many(_BY_DAY, [(_key(day), case_id)], _MAX_A_DAY, expires=day + KEEP_DAYS)

    async def since(self, day: int, today: int) -> list[Case]:
        """Those of which something was decided from one day to the other."""
        lists = await self._store.get_lists(_BY_DAY, [_key(each) for each in range(day, today + 1)])
        return list((await self.read(dict.fromkeys(joined.from_iterable(lists)))).values())


def _key(day: int) -> bytes:
    return day.to_bytes(4, "big")
