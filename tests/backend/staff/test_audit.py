"""The audit: whole whatever crashes, one chain whoever writes it, and whoever changes it is found out."""

import asyncio
import json
from pathlib import Path

import pytest
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.staff import audit
from anontrace.backend.staff.accounts import Accounts
from anontrace.backend.staff.audit import Audit
from anontrace.backend.staff.rights import Role
from anontrace.backend.store import Store

from tests.backend.places import Place


async def drained(store: Store, *chains: Audit) -> list[dict[str, object]]:
    """Everything that waits in the queue given its place, by these workers at once; the chain."""
    taken = (await store.take(audit.QUEUE, 1e12, 1000, 60.0)).entries
    items = [entry.item for entry in taken]
    # All workers are given all of it, as happens when a lease runs out.
    await asyncio.gather(*(chain.append(items[at:] + items[:at]) for at, chain in enumerate(chains)))
    await store.done(audit.QUEUE, [entry.id for entry in taken])
    return await chains[0].read()


def test_every_act_is_in_the_chain_once_whichever_workers_put_it_there(place: Place) -> None:
    async def body() -> None:
        store = await place.open()
        try:
            workers = [Audit(store) for _ in range(3)]
            for number in range(20):
                await workers[number % 3].note("ada", "did", number=number)
            lines = await drained(store, *workers)
            assert sorted(line["about"]["number"] for line in lines) == list(range(20))  # type: ignore[index]
            assert await workers[1].count() == 20
            assert audit.fault(map(json.dumps, lines)) is None
        finally:
            await store.close()

    asyncio.run(body())


def test_an_act_and_its_entry_are_both_there_or_neither(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        store = await place.open()
        try:
            chain = Audit(store)
            accounts = Accounts(store, chain)
            await accounts.add("operator", "ada", Role.DECIDER)
            assert [line["what"] for line in await drained(store, chain)] == ["account added"]

            async def fails(*_: object) -> bool:
                raise StoreError("the disk is full")

            with monkeypatch.context() as patch:
                patch.setattr(type(store), "compare_and_swap", fails)
                with pytest.raises(StoreError):
                    await accounts.withdraw("operator", "ada")
            assert len(await drained(store, chain)) == 1
            assert not (await accounts.all())[0].withdrawn
            with pytest.raises(Refused):
                await accounts.add("operator", "ada", Role.AUDITOR)
            assert len(await drained(store, chain)) == 1
        finally:
            await store.close()

    asyncio.run(body())


@pytest.mark.parametrize("crash_at", range(3))
def test_a_worker_that_dies_while_it_gives_an_entry_its_place_leaves_no_gap_and_none_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """After each of its writes: where it means to go, the entry, the head."""

    async def body() -> None:
        store = await place.open()
        try:
            chain = Audit(store)
            await chain.note("ada", "first")
            await drained(store, chain)
            for what in ("second", "third"):
                await chain.note("ada", what)
            items = [entry.item for entry in (await store.take(audit.QUEUE, 1e12, 10, 60.0)).entries]
            names = ("compare_and_swap", "put_if_absent_many", "put_many")
            real = getattr(store, names[crash_at])

            async def dies(*arguments: object) -> None:
                await real(*arguments)
                raise StoreError("killed")

            with monkeypatch.context() as patch:
                patch.setattr(store, names[crash_at], dies)
                with pytest.raises(StoreError):
                    await chain.append(items)
            await Audit(store).append(list(reversed(items)))
            lines = await chain.read()
            assert sorted(str(line["what"]) for line in lines) == ["first", "second", "third"]
            assert audit.fault(map(json.dumps, lines)) is None
        finally:
            await store.close()

    asyncio.run(body())


def test_whatever_is_changed_left_out_or_turned_round_is_found(tmp_path: Path) -> None:
    lines, before = [], audit.FIRST
    for number in range(5):
        said = {"number": number, "when": 1, "who": "ada", "what": "did", "about": {}, "id": "00", "before": before}
        lines.append(json.dumps(audit.sealed(said)))
        before = json.loads(lines[-1])["hash"]
    assert audit.fault(lines) is None
    assert audit.fault(lines[:3]) is None  # only who noted the last hash can tell
    assert audit.fault([]) is None
    for changed in (
        lines[1:],
        [*lines[:2], *lines[3:]],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:2], lines[2].replace("ada", "eve"), *lines[3:]],
        [*lines[:4], lines[4].replace('"when": 1', '"when": 2')],
        [*lines, "{}"],
        [*lines, "nonsense"],
        [*lines, "[" * 100_000],
        [*lines, lines[-1]],
    ):
        assert audit.fault(changed) is not None
