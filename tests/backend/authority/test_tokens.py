"""One-time tokens and time: when they expire, and what is answered then; and results, whenever they are entered."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.backend.authority.register import Register
from anontrace.backend.authority.register import State as Shown
from anontrace.backend.authority.tokens import WAIT_DAYS, Origin, Result, Tokens
from anontrace.backend.errors import Refused
from anontrace.backend.observing.counters import Counters
from anontrace.backend.staff.audit import Audit
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import keydays
from anontrace.wire import onetime, permit, result
from anontrace.wire.result import NO_LOG, Answer, Question, Reason, State, Statement
from nacl.signing import SigningKey

SEED = bytes(32)
KEY = SigningKey(SEED).verify_key.encode()
POSITIVE = Origin(result=Result.POSITIVE)
SITE = Origin("tess", "City", commitment=b"code" * 2 + b"of")
HOUR, DAY = 3600, 86400


def played(folder: Path, play: Callable[[Store, Tokens, Register], Awaitable[None]]) -> None:
    async def body() -> None:
        store = await open_store(folder / "db")
        try:
            tokens = Tokens(store, Counters(), SEED, token_hours=2, permit_hours=3)
            await play(store, tokens, Register(store, Audit(store), tokens.token_seconds))
        finally:
            await store.close()

    asyncio.run(body())


async def asked(tokens: Tokens, token: str, log_hash: bytes = NO_LOG) -> Answer:
    """What is answered; of one size, whatever it is."""
    answer = await tokens.answer(Question(onetime.token_hash(token), log_hash))
    assert len(answer.encode()) == result.ANSWER
    return answer


def test_the_store_is_asked_as_often_whether_there_is_a_token_and_whatever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who has a token would show while the store is slow, and by another try when it takes nothing."""

    async def play(store: Store, tokens: Tokens, _register: Register) -> None:
        alone = await tokens.issue("U07.1")
        of_many, *_ = await tokens.issue_many("U07.1", [SITE, SITE])
        tables: list[str] = []
        get_many = store.get_many

        async def noted(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
            tables.append(table)
            return await get_many(table, keys)

        monkeypatch.setattr(store, "get_many", noted)
        seen = []
        for key in (result.NO_TOKEN, *(onetime.token_hash(each.token) for each in (alone, of_many)), os.urandom(32)):
            tables.clear()
            await tokens.answer(Question(key))
            seen.append(list(tables))
        assert seen == [seen[0]] * 4 and seen[0]

    played(tmp_path, play)


def test_a_token_counts_for_its_hours_and_what_it_was_redeemed_for_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(_store: Store, tokens: Tokens, _register: Register) -> None:
        used, late = await tokens.issue("U07.1", POSITIVE), await tokens.issue("U07.1", POSITIVE)
        start = clock.now()
        monkeypatch.setattr(clock, "now", lambda: start + 2 * HOUR - 2)
        assert await asked(tokens, used.token) == Answer(State.POSITIVE, disease="U07.1")
        made = await asked(tokens, used.token, b"l" * 32)
        shown = permit.verify(made.permit, KEY)
        assert (shown.expires - shown.issued, shown.log_hash, shown.disease) == (3 * HOUR, b"l" * 32, "U07.1")
        monkeypatch.setattr(clock, "now", lambda: start + 2 * HOUR)
        assert (await asked(tokens, late.token, b"l" * 32)).reason is Reason.EXPIRED
        assert await asked(tokens, used.token, b"l" * 32) == made
        assert (await asked(tokens, used.token, os.urandom(32))).reason is Reason.ANOTHER_LOG
        assert (await asked(tokens, onetime.new_token())).reason is Reason.UNKNOWN

    played(tmp_path, play)


def test_a_token_that_is_redeemed_for_two_logs_at_once_is_for_one_of_them(tmp_path: Path) -> None:
    async def play(store: Store, tokens: Tokens, _register: Register) -> None:
        workers = [tokens, *(Tokens(store, Counters(), SEED, token_hours=2, permit_hours=3) for _ in range(2))]
        token = (await tokens.issue("U07.1", POSITIVE)).token
        logs = [os.urandom(32) for _ in range(4)]
        answers = await asyncio.gather(*(asked(worker, token, log) for worker in workers for log in logs))
        assert len({each.permit for each in answers if each.state is State.PERMIT}) == 1
        assert [each.reason for each in answers if each.state is State.REFUSED] == [Reason.ANOTHER_LOG] * 9

    played(tmp_path, play)


def test_a_result_is_told_from_when_it_is_entered_for_the_tokens_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(_store: Store, tokens: Tokens, register: Register) -> None:
        start = clock.now()
        ill, well, none = [await tokens.issue("U07.1", SITE) for _ in range(3)]
        for each in (ill, well, none):
            assert await asked(tokens, each.token, b"l" * 32) == Answer(State.NOT_YET)
            assert (await register.get(each.id)).state is Shown.OPEN
        monkeypatch.setattr(clock, "now", lambda: start + 10 * DAY)  # long after a token's hours
        assert await register.complete(ill.id, Result.POSITIVE, "tess", "City")
        assert await register.complete(well.id, Result.POSITIVE, "tess", "City")  # a slip, put right before it is told
        assert await register.complete(well.id, Result.NEGATIVE, "tess", "City")
        assert not await register.complete(well.id, Result.NEGATIVE, "tess", "City")
        assert [(await register.get(each.id)).state for each in (ill, well)] == [Shown.POSITIVE, Shown.NEGATIVE]
        with pytest.raises(Refused) as refused:
            await register.complete(ill.id, Result.NEGATIVE, "ann", "Elsewhere")
        assert refused.value.status == 404

        assert await asked(tokens, ill.token) == Answer(State.POSITIVE, disease="U07.1", commitment=SITE.commitment)
        assert permit.verify((await asked(tokens, ill.token, b"l" * 32)).permit, KEY).commitment == SITE.commitment
        told = await asked(tokens, well.token, b"l" * 32)
        serial = result.serial(onetime.token_hash(well.token))
        assert result.verify(told.statement, KEY) == Statement(serial, "U07.1", keydays.day_at(start))
        assert await asked(tokens, well.token) == told
        for each, other in ((ill, Result.NEGATIVE), (well, Result.POSITIVE)):
            with pytest.raises(Refused) as refused:
                await register.complete(each.id, other, "tess", "City")
            assert refused.value.status == 409
            with pytest.raises(Refused):
                await register.withdraw(each.id, "tess", "City")

        monkeypatch.setattr(clock, "now", lambda: start + WAIT_DAYS * DAY)
        assert (await asked(tokens, none.token)).reason is Reason.EXPIRED
        with pytest.raises(Refused):
            await register.complete(none.id, Result.POSITIVE, "tess", "City")
        assert await asked(tokens, well.token) == told  # what was told once is told again

    played(tmp_path, play)


def test_a_token_of_an_earlier_server_was_given_for_a_positive_test(tmp_path: Path) -> None:
    async def play(store: Store, tokens: Tokens, register: Register) -> None:
        issued = await tokens.issue("U07.1", Origin("tess"))
        key = onetime.token_hash(issued.token)
        (value,) = await store.get_many("tokens", [key])
        assert value is not None
        old = value.replace(b'"result":"pending","told":false,"commitment":"' + b"00" * 10 + b'",', b"")
        assert old != value
        assert await store.compare_and_swap("tokens", key, value, old)
        assert (await asked(tokens, issued.token)).state is State.POSITIVE
        assert (await register.get(issued.id)).state is Shown.POSITIVE

    played(tmp_path, play)
