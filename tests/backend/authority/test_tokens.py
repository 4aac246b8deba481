"""One-time tokens and time: when they expire, and what is answered then."""

import asyncio
import os
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.backend.authority.tokens import Tokens
from anontrace.backend.errors import Refused
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import open_store
from anontrace.wire import permit
from nacl.signing import SigningKey

SEED = bytes(32)


def test_a_token_counts_for_its_hours_and_what_it_was_redeemed_for_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        store = await open_store(tmp_path / "db")
        try:
            tokens = Tokens(store, Counters(), SEED, token_hours=2, permit_hours=3)
            used, late = await tokens.issue("U07.1"), await tokens.issue("U07.1")
            start = clock.now()
            monkeypatch.setattr(clock, "now", lambda: start + 2 * 3600 - 2)
            made = await tokens.redeem(used.token, bytes(32))
            shown = permit.verify(made, SigningKey(SEED).verify_key.encode())
            assert (shown.expires - shown.issued, shown.log_hash, shown.disease) == (3 * 3600, bytes(32), "U07.1")
            monkeypatch.setattr(clock, "now", lambda: start + 2 * 3600)
            with pytest.raises(Refused) as refused:
                await tokens.redeem(late.token, bytes(32))
            assert refused.value.status == 410
            assert await tokens.redeem(used.token, bytes(32)) == made
            with pytest.raises(Refused) as refused:
                await tokens.redeem(used.token, os.urandom(32))
            assert refused.value.status == 409
        finally:
            await store.close()

    asyncio.run(body())


def test_a_token_that_is_redeemed_for_two_logs_at_once_is_for_one_of_them(tmp_path: Path) -> None:
    async def body() -> None:
        store = await open_store(tmp_path / "db")
        try:
            workers = [Tokens(store, Counters(), SEED, token_hours=2, permit_hours=3) for _ in range(3)]
            token = (await workers[0].issue("U07.1")).token
            logs = [os.urandom(32) for _ in range(4)]
            asked = [worker.redeem(token, log) for worker in workers for log in logs]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            permits = {each for each in answers if isinstance(each, bytes)}
            assert len(permits) == 1
            assert [each.status for each in answers if isinstance(each, Refused)] == [409] * 9
        finally:
            await store.close()

    asyncio.run(body())
