"""The desk in the worst moments: an account withdrawn in the midst of an act, a store that fails between two writes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from anontrace.backend.authority.contact_answers import ContactAnswers
from anontrace.backend.authority.desk import Desk
from anontrace.backend.authority.proposals import Proposals, Wanted
from anontrace.backend.authority.register import Register
from anontrace.backend.authority.retractions import RetractionKeys
from anontrace.backend.authority.samples import Sample
from anontrace.backend.authority.tokens import Result, Tokens
from anontrace.backend.errors import PeerError, Refused, StoreError
from anontrace.backend.nymserver.records import Decision
from anontrace.backend.observing.counters import Counters
from anontrace.backend.staff import audit
from anontrace.backend.staff.accounts import Accounts
from anontrace.backend.staff.audit import Audit
from anontrace.backend.staff.rights import Person, Role
from anontrace.backend.staff.settings import StaffSettings
from anontrace.backend.store import Store, open_store
from anontrace.mixnet.notification import Kind
from anontrace.wire import onetime
from anontrace.wire.result import Question, State

REPORT = "5a" * 8
DORA, TESS = Person("dora", Role.DECIDER), Person("tess", Role.TEST_SITE, "City")
APPROVE = Wanted.deciding(Decision(approve=True, minutes=15, message="Call Ms Smith"))


class Elsewhere:
    """The nymserver, of which only what it is asked for matters here."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.silent = False

    async def overview(self) -> dict[str, Any]:
        return {"reports": [], "cases": {}, "stopped": False}

    async def words(self, report: str, kind: Kind, message: str, exposures: Any = None) -> dict[str, str]:
        return {}

    async def decide(self, report: str, decision: bytes) -> dict[str, Any]:
        if self.silent:
            raise PeerError("nymserver: does not answer")
        self.asked.append(json.loads(decision)["approve"])
        return {"notifications": 3}


class Scene:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.chain = Audit(store)
        self.accounts = Accounts(store, self.chain)
        self.elsewhere = Elsewhere()
        self.tokens = Tokens(store, Counters(), bytes(32), 72, 72)
        self.register = Register(store, self.chain, self.tokens.token_seconds)
        self.desk = Desk(
            self.tokens, self.register, self.elsewhere, RetractionKeys(store),  # type: ignore[arg-type]
            Proposals(store, self.chain), ContactAnswers(store, self.elsewhere, bytes(32), self.chain),  # type: ignore[arg-type]
            self.accounts, StaffSettings(store, self.chain), self.chain,
        )  # fmt: skip

    async def audited(self) -> list[dict[str, Any]]:
        taken = (await self.store.take(audit.QUEUE, 1e12, 1000, 60.0)).entries
        await self.chain.append([entry.item for entry in taken])
        await self.store.done(audit.QUEUE, [entry.id for entry in taken])
        return await self.chain.read()


def played(tmp_path: Path, play: Callable[[Scene], Awaitable[None]]) -> None:
    async def body() -> None:
        store = await open_store(tmp_path / "db")
        try:
            scene = Scene(store)
            await scene.accounts.add("operator", "dora", Role.DECIDER)
            await scene.accounts.add("operator", "tess", Role.TEST_SITE, "City")
            await play(scene)
        finally:
            await store.close()

    asyncio.run(body())


@pytest.mark.parametrize("change", ["withdrawn", "role"])
def test_a_decider_who_is_withdrawn_while_approving_has_nobody_told_and_the_audit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    async def play(scene: Scene) -> None:
        real = scene.chain.note

        async def note(who: str, what: str, **about: Any) -> None:
            await real(who, what, **about)
            if what == "approve asked for":  # right after the request was let in
                if change == "role":
                    await scene.accounts.set_role("ada", "dora", Role.CASE_WORKER)
                else:
                    await scene.accounts.withdraw("ada", "dora")

        monkeypatch.setattr(scene.chain, "note", note)
        with pytest.raises(Refused) as refused:
            await scene.desk.do(DORA, REPORT, APPROVE)
        assert (refused.value.status, scene.elsewhere.asked) == (403, [])
        assert [each["what"] for each in await scene.audited()][-1] == "approve not done"

    played(tmp_path, play)


def test_a_decision_of_which_nobody_knows_what_became_stands_as_asked_for(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.elsewhere.silent = True
        with pytest.raises(PeerError):
            await scene.desk.do(DORA, REPORT, APPROVE)
        assert [each["what"] for each in await scene.audited()][-1] == "approve asked for"
        scene.elsewhere.silent = False
        assert await scene.desk.do(DORA, REPORT, APPROVE) == {"notifications": 3}
        last = (await scene.audited())[-1]
        assert (last["what"], last["about"]["notifications"]) == ("approve done", 3)
        assert "Smith" not in json.dumps(await scene.audited())

    played(tmp_path, play)


@pytest.mark.parametrize("fails_at", range(4))
def test_a_file_whose_tokens_are_half_stored_leaves_none_that_counts_and_none_in_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """The store fails at one of the writes: the list of the day, the tokens, the second part of them, the batch."""

    async def play(scene: Scene) -> None:
        monkeypatch.setattr("anontrace.backend.authority.tokens._AT_ONCE", 2)
        real, writes = scene.store.put_if_absent_many, 0
        made: list[bytes] = []

        async def put(table: str, puts: Any, expires: int | None = None) -> list[bool]:
            nonlocal writes
            writes += 1
            if writes > (0, 1, 3, 4)[fails_at]:
                raise StoreError("the disk is full")
            made.extend(each.key for each in puts if table == "tokens")
            return await real(table, puts, expires)

        before = len(await scene.audited())
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "put_if_absent_many", put)
            with pytest.raises(StoreError):
                await scene.desk.issue_many(TESS, "U07.1", [Sample(each, result=Result.POSITIVE) for each in "abc"])
        assert len(made) == (0, 0, 2, 3)[fails_at]
        assert len(await scene.audited()) == before
        for reference in ("a", "b", "c"):
            assert await scene.desk.tokens_called(TESS, reference) == []

        issued = await scene.desk.issue_many(TESS, "U07.1", [Sample(each, result=Result.POSITIVE) for each in "abc"])
        assert [len(await scene.desk.tokens_called(TESS, each)) for each in ("A", " b", "c")] == [1, 1, 1]
        last = (await scene.audited())[-1]
        assert (last["what"], last["about"]["number"]) == ("tokens issued", 3)
        text = json.dumps(await scene.audited())
        assert not any(each.token in text for each in issued)
        asked = Question(onetime.token_hash(issued[0].token), bytes(32))
        assert (await scene.tokens.answer(asked)).state is State.POSITIVE

    played(tmp_path, play)


def test_a_token_that_is_not_stored_is_not_in_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(scene: Scene) -> None:
        real = scene.store.put_if_absent_many

        async def put(table: str, puts: Any, expires: int | None = None) -> list[bool]:
            if table == "tokens":
                raise StoreError("the disk is full")
            return await real(table, puts, expires)

        before = len(await scene.audited())
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "put_if_absent_many", put)
            with pytest.raises(StoreError):
                await scene.desk.issue(TESS, "U07.1", Sample("L 17"))
        assert (len(await scene.audited()), await scene.desk.tokens_called(TESS, "L 17")) == (before, [])
        issued = await scene.desk.issue(TESS, "U07.1", Sample("L 17"))
        (found,) = await scene.desk.tokens_called(TESS, "l  17")
        assert (found.id, found.state.value) == (issued.id, "open")
        last = (await scene.audited())[-1]
        assert (last["what"], last["about"]["token"]) == ("token issued", issued.id)
        assert "L 17" not in json.dumps(last)

    played(tmp_path, play)
