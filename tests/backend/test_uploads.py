"""What an upload may take of a nymserver: few at a time for each who is authorised, and one in memory."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.backend.counters import Counters
from anontrace.backend.nymserver.nyms import Nyms
from anontrace.backend.nymserver.opening import Opener
from anontrace.backend.nymserver.records import Decision, Tally
from anontrace.backend.nymserver.reports import Reports
from anontrace.backend.nymserver.uploads import KEEP_DAYS, OPEN, Uploads
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import chain, keydays
from anontrace.wire import permit, upload
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reason, State, Upload
from anontrace_shared.schedule import nym_key
from nacl.signing import SigningKey

SEED = bytes(32)
TOKEN_KEY = bytes(range(32))
LOG = os.urandom(40_000)
CHUNKS = "upload-chunks"
LIFE = 1000  # seconds, of a permit


def with_uploads(folder: Path, body: Callable[[Uploads, Store, Counters], Awaitable[None]]) -> None:
    async def around() -> None:
        store, counters = await open_store(folder), Counters()
        key = SigningKey(SEED).verify_key.encode()
        try:
            await body(Uploads(store, counters, key, TOKEN_KEY, 1 << 20, lambda _: None), store, counters)
        finally:
            await store.close()

    asyncio.run(around())


def by_permit() -> Upload:
    now = int(clock.now())
    made = permit.Permit(os.urandom(16), "U07.1", sha256(LOG).digest(), now, now + LIFE)
    return Upload(PermitAuthorization(made.sign(SEED)), LOG)


def by_token(last_day: int) -> Upload:
    claim = chain.ChainClaim(os.urandom(16), os.urandom(32), 1, last_day)
    return Upload(ChainAuthorization(claim.case_id, os.urandom(20), 7, chain.seal(TOKEN_KEY, claim)), LOG)


def chunks(made: Upload) -> list[bytes]:
    return upload.chunks(made.encode(), os.urandom(16))


async def kept(store: Store, begun: Sequence[bytes]) -> int:
    """How many of these first chunks are in the store."""
    return sum(each is not None for each in await store.get_many(CHUNKS, [c[:16] + bytes(4) for c in begun]))


def test_a_permit_begins_few_uploads(tmp_path: Path) -> None:
    async def body(uploads: Uploads, store: Store, _: Counters) -> None:
        made, other = by_permit(), by_permit()
        begun = [chunks(made)[0] for _ in range(8)]
        reasons = [(await uploads.receive(each)).reason for each in begun]
        assert reasons == [Reason.NONE] * 6 + [Reason.ALREADY_USED] * 2
        assert await kept(store, begun) == 6
        assert (await uploads.receive(begun[0])).next_offset == upload.CHUNK_DATA
        assert (await uploads.receive(chunks(other)[0])).reason is Reason.NONE

    with_uploads(tmp_path, body)


def test_a_permit_that_is_spent_begins_none(tmp_path: Path) -> None:
    async def body(uploads: Uploads, store: Store, _: Counters) -> None:
        made = by_permit()
        replies = [await uploads.receive(each) for each in chunks(made)]
        assert [each.state for each in replies] == [State.RECEIVING, State.RECEIVING, State.ACCEPTED]
        again = chunks(made)
        assert (await uploads.receive(again[0])).reason is Reason.ALREADY_USED
        assert await kept(store, again[:1]) == 0

    with_uploads(tmp_path, body)


def test_of_two_uploads_that_one_permit_began_one_is_accepted(tmp_path: Path) -> None:
    async def body(uploads: Uploads, store: Store, _: Counters) -> None:
        made = by_permit()
        both = [chunks(made), chunks(made)]
        for each in (*both[0][:-1], *both[1][:-1]):
            assert (await uploads.receive(each)).state is State.RECEIVING
        replies = await asyncio.gather(*(uploads.receive(each[-1]) for each in both for _ in range(3)))
        ends = [{reply.reason for reply in replies[at : at + 3]} for at in (0, 3)]
        assert sorted(ends, key=len) in ([{Reason.NONE}, {Reason.ALREADY_USED}], [{Reason.ALREADY_USED}, {Reason.NONE}])
        assert await store.backlog() == {OPEN: 1}

    with_uploads(tmp_path, body)


@pytest.mark.parametrize(("days", "followed"), [(KEEP_DAYS, True), (KEEP_DAYS + 1, False)])
def test_a_chain_token_that_expires_while_its_upload_is_under_way_counts_as_long_as_that_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, followed: bool
) -> None:
    async def body(uploads: Uploads, store: Store, counters: Counters) -> None:
        nyms = Nyms(store, counters, lambda _: True, 45, 8)
        reports = Reports(store, counters, TOKEN_KEY, 14, lambda _: None)
        opener = Opener(store, counters, uploads, nyms, reports, bytes(32), os.urandom(32), TOKEN_KEY)
        case, first, now = os.urandom(16), os.urandom(8), clock.now()
        await reports.add(first, case, 0, "U07.1", [], Tally())
        await reports.decide(first, Decision(approve=True, depth=2))
        shown = ChainAuthorization(case, os.urandom(20), 7, b"")
        claim = chain.ChainClaim(case, nym_key(shown.address, shown.slot), 1, keydays.day_at(now))
        made = Upload(replace(shown, chain_token=chain.seal(TOKEN_KEY, claim)), LOG)
        for each in chunks(made):
            await uploads.receive(each)
        (entry,) = (await store.take(OPEN, 1e12, 9, 1.0)).entries
        monkeypatch.setattr(clock, "now", lambda: now + days * 86400)
        await opener.open([entry.item])
        assert [each.generation for each in await reports.all()] == ([0, 1] if followed else [0])

    with_uploads(tmp_path, body)


@pytest.mark.parametrize(("seconds", "reason"), [(KEEP_DAYS * 86400, Reason.NONE), (31 * 86400, Reason.EXPIRED)])
def test_a_permit_that_expires_while_its_upload_is_under_way_counts_as_long_as_that_may_take_and_begins_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, reason: Reason
) -> None:
    async def body(uploads: Uploads, _: Store, counters: Counters) -> None:
        made, now = by_permit(), clock.now()
        *before, last = chunks(made)
        for each in before:
            assert (await uploads.receive(each)).state is State.RECEIVING
        monkeypatch.setattr(clock, "now", lambda: now + seconds)
        assert (await uploads.receive(chunks(made)[0])).reason is Reason.EXPIRED
        assert (await uploads.receive(last)).reason is reason

    with_uploads(tmp_path, body)


def test_an_upload_that_takes_weeks_is_kept_as_a_whole_and_goes_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(uploads: Uploads, store: Store, _: Counters) -> None:
        sent, start = chunks(by_permit()), clock.now()
        today = keydays.day_at(start)
        for days, each in ((0, sent[0]), (KEEP_DAYS - 1, sent[1])):
            monkeypatch.setattr(clock, "now", lambda days=days: start + days * 86400)
            await uploads.receive(each)
            await store.expire(today + days)
        keys = [sent[0][:16] + number.to_bytes(4, "big") for number in range(2)]
        await store.expire(today + KEEP_DAYS)
        assert None not in await store.get_many(CHUNKS, keys)
        assert (await uploads.receive(sent[1])).next_offset == 2 * upload.CHUNK_DATA
        await store.expire(today + KEEP_DAYS + 1)
        assert await store.get_many(CHUNKS, keys) == [None, None]
        assert (await uploads.receive(sent[2])).next_offset == 0

    with_uploads(tmp_path, body)


def test_of_a_chain_token_few_uploads_are_kept_of_one_that_expired_none_and_all_are_accepted(tmp_path: Path) -> None:
    async def body(uploads: Uploads, store: Store, counters: Counters) -> None:
        today = keydays.day_at(clock.now())
        for made, number in ((by_token(today), 6), (by_token(today - 1), 0)):
            begun = [chunks(made) for _ in range(8)]
            for each in begun:
                assert (await uploads.receive(each[0])).state is State.RECEIVING
            assert await kept(store, [each[0] for each in begun]) == number
            for each in begun:
                assert [(await uploads.receive(c)).state for c in each[1:]] == [State.RECEIVING, State.ACCEPTED]

    with_uploads(tmp_path, body)


def test_an_upload_that_is_completed_many_times_at_once_is_read_once(tmp_path: Path) -> None:
    """Each reading holds the whole of it in memory."""

    async def body(uploads: Uploads, store: Store, counters: Counters) -> None:
        *before, last = chunks(by_permit())
        for each in before:
            await uploads.receive(each)
        reads, real = 0, store.get_many

        async def counted(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
            nonlocal reads
            reads += table == CHUNKS
            return await real(table, keys)

        store.get_many = counted  # type: ignore[method-assign]
        replies = await asyncio.gather(*(uploads.receive(last) for _ in range(20)))
        assert {each.state for each in replies} == {State.ACCEPTED}
        assert reads == 1
        assert counters.snapshot()["uploads_accepted"] == 1

    with_uploads(tmp_path, body)


def test_an_upload_that_an_authority_permitted_before_it_was_replaced_is_dropped_and_others_are_opened(
    tmp_path: Path,
) -> None:
    async def body(uploads: Uploads, store: Store, counters: Counters) -> None:
        for each in chunks(by_permit()):
            await uploads.receive(each)
        nyms = Nyms(store, counters, lambda _: True, 45, 8)
        reports = Reports(store, counters, TOKEN_KEY, 14, lambda _: None)
        other = SigningKey(os.urandom(32)).verify_key.encode()
        opener = Opener(store, counters, uploads, nyms, reports, other, os.urandom(32), TOKEN_KEY)
        (entry,) = (await store.take(OPEN, 1e12, 9, 1.0)).entries
        await opener.open([entry.item])
        assert counters.snapshot()["uploads_not_followed"] == 1
        assert await store.get_many(CHUNKS, [entry.item[:16] + bytes(4)]) == [None]
        assert await reports.all() == []

    with_uploads(tmp_path, body)
