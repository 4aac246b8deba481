"""The keys under which the nymserver keeps who was notified: one per report, known to the authority only.

docs/protocol.md section 9. Without its key nobody can tell whom a report reached, so only the authority can retract.
"""

import os

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays
from anontrace.mixnet.sizes import KEY

KEEP_DAYS = 61  # no chain token counts longer
_TABLE = "retractions"


class RetractionKeys:
    """The keys of the reports that this authority has decided."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make(self, report: bytes) -> bytes:
        """The key (32) of a report, made at first use: a decision that is made again has the same one."""
        expires = keydays.day_at(clock.now()) + KEEP_DAYS
        await self._store.put_if_absent_many(_TABLE, [Put(report, os.urandom(KEY))], expires)
        (key,) = await self._store.get_many(_TABLE, [report])
        if key is None:
            raise StoreError("a retraction key that was just stored is not there")
        return key

    async def find(self, report: bytes) -> bytes:
        """The key of a report that was decided here. Refused (404) if there is none."""
        (key,) = await self._store.get_many(_TABLE, [report])
        if key is None:
            raise Refused(404, "this report was not decided here, or too long ago")
        return key

    async def forget(self, report: bytes) -> None:
        """Delete the key of a report that was retracted."""
        await self._store.delete_many(_TABLE, [report])
