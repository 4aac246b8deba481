"""What an upload may take of a nymserver: few at a time for each who is authorised, and one in memory."""

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from anontrace import clock
from anontrace.backend.nymserver.judging import KEEP_DAYS, Judge
from anontrace.backend.nymserver.kept import OPEN, Kept
from anontrace.backend.nymserver.nyms import Nyms
from anontrace.backend.nymserver.opening import Opener
from anontrace.backend.nymserver.records import Decision, Retraction, Tally
from anontrace.backend.nymserver.reports import Reports
from anontrace.backend.nymserver.uploads import Uploads
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import chain, keydays
from anontrace.wire import permit, upload
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reason, State, Upload
from anontrace_shared.schedule import nym_key
from nacl.signing import SigningKey

from tests.backend.places import Place, within

from .kinds import reports_in

SEED = bytes(32)
TOKEN_KEY = bytes(range(32))
LOG = os.urandom(40_000)
CHUNKS = "upload-chunks"
LIFE = 1000  # seconds, of a permit


def with_uploads(folder: Path, body: Callable[[Uploads, Store, Counters], Awaitable[None]]) -> None:
    async def around() -> None:
        store, counters = await open_store(folder), Counters()
        try:
            watched: Any = Watched(store)
            await body(of(watched, counters), watched, counters)
        finally:
            await store.close()

    asyncio.run(around())


def of(store: Any, counters: Counters) -> Uploads:
    """The uploads of one worker."""
    return Uploads(kept_in(store, counters), judge_of(store, counters), counters)


def judge_of(store: Any, counters: Counters) -> Judge:
    return Judge(store, counters, SigningKey(SEED).verify_key.encode(), TOKEN_KEY, 1 << 20)


def kept_in(store: Any, counters: Counters) -> Kept:
    return Kept(store, counters, judge_of(store, counters), lambda _: None)


def opening(store: Any, counters: Counters) -> tuple[Opener, Reports]:
    nyms = Nyms(store, counters, lambda _: True, 45)
    reports = reports_in(store, counters, TOKEN_KEY)
    key = SigningKey(SEED).verify_key.encode()
    return Opener(store, counters, kept_in(store, counters), nyms, reports, key, os.urandom(32), TOKEN_KEY), reports


def by_permit() -> Upload:
    now = int(clock.now())
    made = permit.Permit(os.urandom(16), "U07.1", sha256(LOG).digest(), now, now + LIFE)
    return Upload(PermitAuthorization(made.sign(SEED)), LOG)


def by_token(last_day: int) -> Upload:
    claim = chain.ChainClaim(os.urandom(16), os.urandom(32), 1, last_day)
    return Upload(ChainAuthorization(claim.case_id, os.urandom(20), 7, chain.seal(TOKEN_KEY, claim)), LOG)


def chunks(made: Upload) -> list[bytes]:
    return upload.chunks(made.encode(), os.urandom(16))


class Watched:
    """A store that keeps the keys of the chunks that were put into it. `before_swap` and `after_put` are awaited, once
    each, at the moments at which another worker could come between."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.keys: list[bytes] = []
        self.before_swap: Callable[[], Awaitable[None]] | None = None
        self.after_put: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put_many(self, table: str, items: Sequence[tuple[bytes, bytes]], expires: int | None = None) -> None:
        await self._store.put_many(table, items, expires)
        if table == CHUNKS:
            self.keys += [key for key, _ in items]
            happens, self.after_put = self.after_put, None
            if happens is not None:
                await happens()

    async def compare_and_swap(self, *what: Any) -> bool:
        happens, self.before_swap = self.before_swap, None
        if happens is not None:
            await happens()
        return await self._store.compare_and_swap(*what)

    async def there(self, upload_id: bytes = b"") -> list[bytes]:
        """The keys of those chunks (of an upload) that are still there."""
        keys = [key for key in self.keys if key.startswith(upload_id)]
        found = await self._store.get_many(CHUNKS, keys)
        return [key for key, value in zip(keys, found, strict=True) if value is not None]


async def kept(store: Store, begun: Sequence[bytes]) -> int:
    """How many of these first chunks are in the store."""
    assert isinstance(store, Watched)
    return len([key for each in begun for key in await store.there(each[:16])])


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
        nyms = Nyms(store, counters, lambda _: True, 45)
        reports = reports_in(store, counters, TOKEN_KEY)
        opener = Opener(store, counters, kept_in(store, counters), nyms, reports, bytes(32), os.urandom(32), TOKEN_KEY)
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
        assert isinstance(store, Watched)
        keys = list(store.keys)
        assert len(keys) == 2
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
        nyms = Nyms(store, counters, lambda _: True, 45)
        reports = reports_in(store, counters, TOKEN_KEY)
        other = SigningKey(os.urandom(32)).verify_key.encode()
        opener = Opener(store, counters, kept_in(store, counters), nyms, reports, other, os.urandom(32), TOKEN_KEY)
        (entry,) = (await store.take(OPEN, 1e12, 9, 1.0)).entries
        await opener.open([entry.item])
        assert counters.snapshot()["uploads_not_followed"] == 1
        assert isinstance(store, Watched)
        assert (len(store.keys), await store.there()) == (3, [])
        assert await reports.all() == []

    with_uploads(tmp_path, body)


def test_two_workers_that_take_different_logs_at_once_keep_and_open_the_one_that_was_judged(place: Place) -> None:
    """Each part of the other log is written at the worst moment: after this one's was, or after it was judged."""

    async def body(store: Store) -> None:
        counters = Counters()
        mine, others = Watched(store), Watched(store)
        one, another = of(mine, counters), of(others, counters)
        right = by_permit()
        upload_id = os.urandom(16)
        wrong = replace(right, log=os.urandom(len(LOG)))
        pairs = zip(upload.chunks(right.encode(), upload_id), upload.chunks(wrong.encode(), upload_id), strict=True)
        replies = []
        for this, that in pairs:
            written, settled = asyncio.Event(), asyncio.Event()

            async def put(written: asyncio.Event = written, settled: asyncio.Event = settled) -> None:
                written.set()
                await settled.wait()

            others.after_put = put
            tasks: list[asyncio.Task[upload.Reply]] = []

            async def between(that: bytes = that, written: asyncio.Event = written, tasks: Any = tasks) -> None:
                tasks.append(asyncio.create_task(another.receive(that)))
                await written.wait()

            mine.before_swap = between
            replies.append((await one.receive(this)).state)
            settled.set()
            await tasks[0]
        assert replies == [State.RECEIVING, State.RECEIVING, State.ACCEPTED]
        assert (len(mine.keys), len(await mine.there()), len(others.keys), await others.there()) == (3, 3, 3, [])
        found = await kept_in(store, counters).complete(upload_id)
        assert found is not None and found.log == LOG
        assert await store.backlog() == {OPEN: 1}
        opener, reports = opening(store, counters)
        (entry,) = (await store.take(OPEN, 1e12, 9, 1.0)).entries
        await opener.open([entry.item])
        assert len(await reports.all()) == 1
        assert await mine.there() == []

    within(place, body)


def test_a_log_that_is_not_the_one_of_its_permit_any_more_is_not_opened(place: Place) -> None:
    async def body(store: Store) -> None:
        counters, watched = Counters(), Watched(store)
        uploads = of(watched, counters)
        for each in chunks(by_permit()):
            reply = await uploads.receive(each)
        assert reply.state is State.ACCEPTED
        last = watched.keys[-1]
        (part,) = await store.get_many(CHUNKS, [last])
        assert part is not None
        await store.put_many(CHUNKS, [(last, part[:-1] + bytes((part[-1] ^ 1,)))], keydays.day_at(clock.now()) + 1)
        opener, reports = opening(store, counters)
        (entry,) = (await store.take(OPEN, 1e12, 9, 1.0)).entries
        await opener.open([entry.item])
        assert await reports.all() == []
        assert counters.snapshot()["uploads_not_followed"] == 1
        assert await watched.there() == []

    within(place, body)


def test_an_upload_of_which_a_part_was_kept_before_parts_had_attempts_goes_on(place: Place) -> None:
    async def body(store: Store) -> None:
        sent, counters = chunks(by_permit()), Counters()
        last_day = keydays.day_at(clock.now()) + KEEP_DAYS
        first = upload.parse_chunk(sent[0])
        old = struct.pack("<IIIBB?H", first.total, len(first.data), 1, State.RECEIVING, Reason.NONE, False, last_day)
        await store.put_many(CHUNKS, [(first.upload_id + bytes(4), first.data)], last_day)
        await store.put_many("uploads", [(first.upload_id, old)], last_day)
        uploads = of(store, counters)
        assert [(await uploads.receive(each)).state for each in sent[1:]] == [State.RECEIVING, State.ACCEPTED]
        found = await kept_in(store, counters).complete(first.upload_id)
        assert found is not None and found.log == LOG
        await kept_in(store, counters).forget(first.upload_id)
        assert await store.get_many(CHUNKS, [first.upload_id + bytes(4)]) == [None]

    within(place, body)


KEY = bytes(range(32))
DEPTH = 3


@pytest.mark.parametrize(
    ("wrong", "followed"),
    [
        ({}, True),
        ({"generation": DEPTH - 1}, True),
        ({"generation": DEPTH}, False),
        ({"generation": DEPTH + 1}, False),
        ({"address": bytes(20)}, False),
        ({"slot": 8}, False),
        ({"case": "other"}, False),
        ({"claimed": "other"}, False),
        ({"case": "none", "claimed": "none"}, False),
        ({"case": "retracted", "claimed": "retracted"}, False),
        ({"case": "other", "claimed": "other"}, True),
        ({"spent": True}, False),
    ],
    ids=str,
)
def test_a_chain_goes_on_for_who_was_told_of_a_case_that_goes_on_so_deep_once(
    place: Place, wrong: dict[str, Any], followed: bool
) -> None:
    """Each upload has a token of its own, genuine and in time, and is wrong in nothing but what is named."""

    async def body(store: Store) -> None:
        counters = Counters()
        uploads = of(store, counters)
        opener, reports = opening(store, counters)
        cases = {name: os.urandom(16) for name in ("this", "other", "retracted", "none")}
        for name in ("this", "other", "retracted"):
            first = os.urandom(8)
            await reports.add(first, cases[name], 0, "U07.1", [], Tally())
            await reports.decide(first, Decision(approve=True, depth=DEPTH, retraction_key=KEY))
            if name == "retracted":
                await reports.retract(first, Retraction(key=KEY))
        address, slot = os.urandom(20), 7
        generation = wrong.get("generation", 1)
        claimed = cases[wrong.get("claimed", "this")]
        claim = chain.ChainClaim(claimed, nym_key(address, slot), generation, keydays.day_at(clock.now()))
        shown = ChainAuthorization(
            cases[wrong.get("case", "this")],
            wrong.get("address", address),
            wrong.get("slot", slot),
            chain.seal(TOKEN_KEY, claim),
        )
        for _ in range(2 if "spent" in wrong else 1):
            for each in chunks(Upload(shown, LOG)):
                reply = await uploads.receive(each)
            assert reply.state is State.ACCEPTED
        before = len(await reports.all())
        for entry in (await store.take(OPEN, 1e12, 9, 1.0)).entries:
            await opener.open([entry.item])
        made = [each for each in await reports.all() if each.generation > 0]
        spent = 1 if "spent" in wrong else 0  # the first one counts
        assert len(await reports.all()) == before + followed + spent
        assert [(each.case, each.generation) for each in made] == [(claimed, generation)] * (followed + spent)
        assert counters.snapshot().get("uploads_not_followed", 0) == (not followed)

    within(place, body)
