"""From an uploaded log to exposures: open, check, look up, add up (docs/protocol.md sections 3 and 9).

A log comes from a stranger: what is broken, misdated or not registered is left out and counted, never an error. Holds
contact addresses only while it works and writes none of them anywhere.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from anontrace_shared import log as logs
from anontrace_shared import slots
from anontrace_shared.figures import THIRDS, Figures
from anontrace_shared.schedule import nym_key

from anontrace.mixnet import keydays

from .records import Contact, Tally

OLDEST_DAYS = keydays.TELLABLE_DAYS
_MAX_RECORDS = 500_000
_MAX_READ = 200_000  # blocks and anchors, empty ones too
_MAX_BLOCKS = 60_000  # that are opened, at two scalar multiplications each; 30 days of one badge have 8,640
_MAX_IN_LOOKUP = 2_000
_random = random.SystemRandom()

Registered = Callable[[list[bytes]], Awaitable[list[bool]]]


@dataclass(frozen=True, slots=True)
class Heard:
    """One opened record: a contact address, the slot of the badge that heard it, and how it heard it."""

    address: bytes = field(repr=False)
    slot: int = field(repr=False)
    figures: Figures = field(repr=False)
    committed: bool | None = None  # whether its block was bound at the test; None: no log was


def dated(now: float) -> tuple[int, int]:
    """The first and last slot of which something in a log is believed."""
    oldest = (keydays.day_at(now) - OLDEST_DAYS) * slots.SLOTS_PER_DAY
    return oldest, slots.slot_of(now) + 1  # a badge's clock may be ahead by a little


def framed(log: bytes) -> tuple[list[Any], int]:
    """The blocks and anchors of a log that are looked at, and how many parts of it are not."""
    found = list(islice(logs.blocks(log), _MAX_READ + 1))
    damaged = sum(isinstance(item, logs.Damage) for item in found)
    if len(found) > _MAX_READ:
        del found[_MAX_READ:]
        damaged += 1
    return found, damaged


def read(log_secret: bytes, log: bytes, now: float, bound: int | None = None) -> tuple[list[Heard], Tally]:
    """Open every record that can be opened. CPU-bound: two scalar multiplications a block. `bound`: up to which slot
    the log was committed at the test, if it was and has been found to be that one. A block that comes again is passed
    over: a commitment binds which blocks there are, and not how often, and minutes are added up."""
    tally = Tally()
    heard: list[Heard] = []
    seen: set[bytes] = set()
    found, tally.damaged = framed(log)
    oldest, newest = dated(now)
    opened_blocks = 0
    for block in logs.resolve(item for item in found if not isinstance(item, logs.Damage)):
        if tally.records + len(block.records) > _MAX_RECORDS or opened_blocks >= _MAX_BLOCKS:
            tally.damaged += 1
            break
        if block.records:
            if block.raw in seen:
                continue
            seen.add(block.raw)
        tally.blocks += 1
        tally.records += len(block.records)
        if block.slot is None or not oldest <= block.slot <= newest:
            tally.misdated += len(block.records)
            continue
        if not block.records:
            continue
        opened_blocks += 1
        opened = logs.open_block(log_secret, block)
        tally.broken += len(block.records) - len(opened)
        committed = None if bound is None else block.slot <= bound
        heard += (Heard(contact.address, block.slot, contact.figures, committed) for contact in opened)
    return heard, tally


async def match(heard: Sequence[Heard], registered: Registered, tally: Tally, tx_correction: int = 0) -> list[Contact]:
    """The registered contact addresses among what was heard, shuffled and numbered.

    An address counts in the slot in which it was heard, else in the one before or after: clocks drift. What was heard
    of one address on both sides of a slot boundary is one exposure. `tx_correction`: dB by which badges send more than
    their adverts say, in the mean (docs/design.md, "What attenuation allows for").
    """
    contacts: dict[bytes, Contact] = {}
    for start in range(0, len(heard), _MAX_IN_LOOKUP):
        part = heard[start : start + _MAX_IN_LOOKUP]
        wanted = [[(nym_key(each.address, slot), slot) for slot in slots_for(each.slot)] for each in part]
        keys = list({key for choices in wanted for key, _ in choices})
        known = {key for key, there in zip(keys, await registered(keys), strict=True) if there}
        for each, choices in zip(part, wanted, strict=True):
            hit = next(((key, slot) for key, slot in choices if key in known), None)
            if hit is None:
                tally.unregistered += 1
                continue
            key, slot = hit
            contacts[key] = _merged(contacts.get(key), each, slot, tx_correction)
    shuffled = list(contacts.values())
    _random.shuffle(shuffled)
    return [contact.model_copy(update={"id": number}) for number, contact in enumerate(shuffled, 1)]


def slots_for(heard_in: int) -> list[int]:
    """The slots whose address may be heard in this one, the likeliest first: clocks drift."""
    return [slot for slot in (heard_in, heard_in - 1, heard_in + 1) if 0 <= slot < slots.SLOT_LIMIT]


def attenuation_of(tx_power: int, strongest: int, tx_correction: int = 0) -> int:
    """What was lost on the way at the best moment, 0 to 255 dB; all in dBm or dB."""
    return min(255, max(0, tx_power + tx_correction - strongest))


def _merged(before: Contact | None, heard: Heard, slot: int, tx_correction: int) -> Contact:
    figures = heard.figures
    attenuation = attenuation_of(figures.tx_power, figures.strongest, tx_correction)
    if before is None:
        return Contact(
            id=0,
            address=heard.address,
            slot=slot,
            present=figures.present,
            attenuation=attenuation,
            verified=figures.verified,
            committed=heard.committed,
        )
    return before.model_copy(
        update={
            "present": min(THIRDS, before.present + figures.present),
            "attenuation": min(before.attenuation, attenuation),
            "verified": before.verified or figures.verified,
            "committed": before.committed and heard.committed,  # all of it, or it is not
        }
    )
