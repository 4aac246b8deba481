"""An outsider who heard addresses: were their owners notified? They may ask what anybody may ask: receipts about them.

The nymserver is the real one, over a store. It is brought, at the same moments, what the wearers' companions have sent
it, and sends the same notifications. Up to 0.2 it told everybody the fingerprints of what it holds; who knew one saw it
go.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from anontrace import clock
from anontrace.backend.nymserver.nyms import Nyms, Outcome, Outgoing
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import open_store
from anontrace.mixnet import swap
from anontrace.mixnet.receipt import NymQuestion

from tests.adversary.crowd import DAY, DAYS, Life, Swapped
from tests.adversary.figures import auc
from tests.companion.paper import START

FINGERPRINT = 8
KEEP_DAYS = 45
_EVERY = DAY / 4  # between two questions about an address
_MIXES = range(1, 8)


async def ask(nyms: Nyms, key: bytes, fingerprint: bytes | None = None) -> bool:
    """What a receipt says about a nym key, to somebody who knows no fingerprint unless it is given."""
    return (await nyms.answer(NymQuestion(key, fingerprint or os.urandom(FINGERPRINT)))).held


@dataclass(frozen=True)
class Heard:
    """Addresses by their slots, and when the outsider learns that somebody who met their owner fell ill."""

    slots: frozenset[int]
    since: float


def told_apart(notified: Sequence[Life], idle: Sequence[Life]) -> tuple[float, float]:
    """How well those who were notified are told by what is asked about the addresses of theirs that were, from those
    who were not, asked about theirs of the same slots (AUC); and by one who is told the fingerprints at each question.
    """
    heard = [Heard(frozenset(life.slots[key] for key, _ in life.told), life.told[0][1]) for life in notified]
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        found, others = (asyncio.run(_all(lives, heard, Path(folder), patch)) for lives in (notified, idle))
    areas = (auc([one[by] for one in found], [other[by] for other in others]) for by in (0, 1))
    blind, knowing = (max(area, 1 - area) for area in areas)
    return blind, knowing


async def _all(
    lives: Sequence[Life], heard: Sequence[Heard], folder: Path, patch: pytest.MonkeyPatch
) -> list[tuple[int, int]]:
    store = await open_store(folder / os.urandom(8).hex())
    nyms = Nyms(store, Counters(), _MIXES.__contains__, KEEP_DAYS)
    found = [await _listen(nyms, life, each, patch) for life, each in zip(lives, heard, strict=True)]
    await store.close()
    return found


async def _listen(nyms: Nyms, life: Life, heard: Heard, patch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How often the answer about these slots' addresses was yes to who knows nothing; and how often it was no, from
    `since` on, to who knew the fingerprint at the question before."""
    keys = [key for key, slot in life.slots.items() if slot in heard.slots]
    assert len(keys) == len(heard.slots)
    happened: list[tuple[float, Swapped | Outgoing | None]] = [
        (START + at * _EVERY, None) for at in range(int(DAYS * DAY / _EVERY))
    ]
    happened += [(each.time, each) for each in life.network.swaps if each.key in keys]
    happened += [(moment, each) for (_, moment), each in zip(life.told, life.sent, strict=True)]
    held: dict[bytes, bytes] = {}  # fingerprints
    known: dict[bytes, bytes] = {}
    yes = changed = 0
    for moment, each in sorted(happened, key=lambda one: one[0]):
        patch.setattr(clock, "now", lambda moment=moment: moment)
        if isinstance(each, Swapped):
            await nyms.swap(each.swap)
            held[each.key] = swap.fingerprint(each.key, each.swap.blob)
        elif isinstance(each, Outgoing):
            outcome, _ = await nyms.send(each)
            assert outcome is Outcome.SENT
        else:
            for key in keys:
                yes += await ask(nyms, key)
            for key, fingerprint in known.items():
                changed += not await ask(nyms, key, fingerprint) and moment > heard.since
            known = dict(held)
    return yes, changed
