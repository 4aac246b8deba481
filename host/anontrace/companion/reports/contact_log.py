"""The wearer's sealed log as a whole: what is handed in, and what can be said of it without opening it.

Only framing and slots are in the clear (docs/protocol.md, section 3); the companion cannot know whom the wearer met.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anontrace_shared import log
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from anontrace.companion.days import day_text, hour_of
from anontrace.companion.reports.periods import Period
from anontrace.mixnet.keydays import DECIDING_DAYS, TELLABLE_DAYS

HANDED_IN_DAYS = TELLABLE_DAYS - DECIDING_DAYS  # nobody met before that could still be told in time


@dataclass(frozen=True)
class Summary:
    """What will be sent, for the wearer to judge."""

    bytes: int
    blocks: int
    records: int
    by_day: dict[str, int]  # records of each local day that has blocks, the oldest first
    undated: int  # blocks whose time nobody knows

    @property
    def days(self) -> list[str]:
        """The local days that it has blocks of, the oldest first."""
        return list(self.by_day)


def gather(logs: list[list[bytes]], now: float, without: Sequence[Period] = ()) -> bytes:
    """One log of all segments' whole blocks, each once, without those of more than 11 days ago and those of some
    periods.

    `logs`: the segments of each badge, whose anchors date no other badge's blocks. Where a period is left out, blocks
    whose time nobody knows are left out with it: they may be of that period.
    """
    oldest = slot_of(now) - HANDED_IN_DAYS * SLOTS_PER_DAY
    kept: dict[bytes, None] = {}  # a dict keeps the order
    for segments in logs:
        parsed = [item for segment in segments for item in log.blocks(segment)]
        dated = {block.enc: block.slot for block in log.resolve(parsed)}
        for item in parsed:
            if isinstance(item, log.Anchor):
                kept[item.raw] = None
            elif isinstance(item, log.Block):
                slot = dated[item.enc]
                if item.records and _is_wanted(slot, oldest, without):
                    kept[item.raw] = None
    return b"".join(kept)


def _is_wanted(slot: int | None, oldest: int, without: Sequence[Period]) -> bool:
    if slot is None:
        return not without
    return slot >= oldest and not any(period.touches(slot) for period in without)


def summarise(data: bytes) -> Summary:
    blocks = log.resolve(log.blocks(data))
    by_day: dict[str, int] = {}
    for slot, records in sorted((block.slot, len(block.records)) for block in blocks if block.slot is not None):
        day = day_text(slot)
        by_day[day] = by_day.get(day, 0) + records
    return Summary(
        bytes=len(data),
        blocks=len(blocks),
        records=sum(len(block.records) for block in blocks),
        by_day=by_day,
        undated=sum(block.slot is None for block in blocks),
    )


def by_hour(data: bytes) -> dict[str, dict[int, int]]:
    """Records of each local day and hour, the oldest first; without those whose time nobody knows."""
    found: dict[str, dict[int, int]] = {}
    blocks = log.resolve(log.blocks(data))
    for slot, records in sorted((block.slot, len(block.records)) for block in blocks if block.slot is not None):
        hours = found.setdefault(day_text(slot), {})
        hours[hour_of(slot)] = hours.get(hour_of(slot), 0) + records
    return found


def count(segment: bytes) -> tuple[int, int]:
    """Blocks and records in a segment."""
    blocks = [item for item in log.blocks(segment) if isinstance(item, log.Block)]
    return len(blocks), sum(len(block.records) for block in blocks)
