"""What became of a report's messages, as numbers: nothing that tells to whom they went.

A message that went out in the moment of a crash may be missing; none is counted twice.
"""

from collections.abc import Mapping

from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Store
from anontrace.mixnet import keydays

from .records import Progress

KEEP_DAYS = 60
_TABLE = "report-progress"
_MAX_ATTEMPTS = 64


class Tallies:
    """The progress of every report."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, report_id: bytes, **more: int) -> None:
        """Count on: numbers by the names of `Progress`, which may be below 0."""
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [report_id])
            now = Progress() if value is None else Progress.model_validate_json(value)
            new = now.model_copy(update={name: max(0, getattr(now, name) + number) for name, number in more.items()})
            expires = keydays.day_at(clock.now()) + KEEP_DAYS
            if await self._store.compare_and_swap(_TABLE, report_id, value, new.model_dump_json().encode(), expires):
                return
        raise StoreError("a report's progress changed under every attempt to count it")

    async def of(self, report_ids: list[bytes]) -> Mapping[bytes, Progress]:
        """By report-ID, those of which something was sent."""
        values = await self._store.get_many(_TABLE, report_ids)
        found = zip(report_ids, values, strict=True)
        return {each: Progress.model_validate_json(value) for each, value in found if value is not None}
