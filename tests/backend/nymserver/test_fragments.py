"""Uploads in fragments: in any order, twice, or never finished; nothing is kept for whom nobody has authorised."""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.nymserver.judging import KEEP_DAYS
from anontrace.backend.nymserver.kept import OPEN
from anontrace.backend.nymserver.records import Decision, Tally
from anontrace.backend.store import Store
from anontrace.mixnet import chain, keydays
from anontrace.mixnet.fragment import Fragment
from anontrace.mixnet.receipt import MAX_RANGES, Receipt, UploadAnswer, UploadQuestion, UploadState
from anontrace.mixnet.sizes import FRAGMENT_DATA
from anontrace.wire import upload
from anontrace.wire.upload import ChainAuthorization, Reason, State, Upload
from anontrace_shared.schedule import nym_key

from tests.backend.nymserver.kinds import LIMIT, TOKEN_KEY, Worker, by_permit, reply_block
from tests.backend.places import Place, within

LOG = os.urandom(40 * FRAGMENT_DATA - 5)
PARTS = 41
ACCEPTED = UploadAnswer(UploadState.ACCEPTED)
UNKNOWN = UploadAnswer(UploadState.UNKNOWN)
RECEIVING = UploadState.RECEIVING


def cut(made: Upload) -> tuple[bytes, list[bytes]]:
    """An upload-ID, and the payloads of the upload."""
    upload_id = os.urandom(16)
    return upload_id, upload.fragments(made, upload_id)


def refused(reason: Reason) -> UploadAnswer:
    return UploadAnswer(UploadState.REFUSED, reason)


async def kept_parts(store: Store, upload_id: bytes, most: int = PARTS) -> int:
    """How many fragments of an upload the store holds."""
    keys = [upload_id + number.to_bytes(4, "big") for number in range(most)]
    return sum(value is not None for value in await store.get_many("upload-chunks", keys))


async def open_all(worker: Worker) -> int:
    """Open what was accepted; how many uploads that were."""
    entries = (await worker.store.take(OPEN, 1e12, 99, 1.0)).entries
    for entry in entries:
        await worker.opener.open([entry.item])
        await worker.store.done(OPEN, [entry.id])
    return len(entries)


ORDERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "in order": lambda rest: rest,
    "backwards": lambda rest: rest[::-1],
    "at random": lambda rest: random.sample(rest, len(rest)),
    "twice": lambda rest: [*rest, *rest],
    "each twice": lambda rest: [each for each in rest for _ in range(2)],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("together", [1, 7, 256])
def test_a_log_arrives_whole_in_whatever_order_its_fragments_come(place: Place, order: str, together: int) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(LOG)
        upload_id, (opening, *rest) = cut(made)
        sent = ORDERS[order](rest)
        await worker.take(opening)
        for start in range(0, len(sent), together):
            await worker.take(*sent[start : start + together])
        assert await worker.stands(upload_id) == ACCEPTED
        assert await worker.kept.complete(upload_id) == made
        assert await open_all(worker) == 1
        assert len(await worker.reports.all()) == 1
        assert await kept_parts(store, upload_id) == 0
        await worker.take(opening, *rest)
        assert await worker.stands(upload_id) == ACCEPTED
        assert (await kept_parts(store, upload_id), await open_all(worker)) == (0, 0)
        counted = worker.counted()
        assert counted["fragments_taken"] == PARTS
        assert counted.get("fragments_repeated", 0) + counted["fragments_late"] == len(sent) - (PARTS - 1) + PARTS

    within(place, body)


def test_an_opening_that_comes_together_with_its_fragments_is_taken_first(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        upload_id, sent = cut(by_permit(LOG))
        await worker.take(*sent[::-1])
        assert await worker.stands(upload_id) == ACCEPTED

    within(place, body)


@pytest.mark.parametrize("size", [0, 1, FRAGMENT_DATA, FRAGMENT_DATA + 1, 3 * FRAGMENT_DATA])
def test_a_log_of_any_length_is_put_together_without_what_fills_it_up(place: Place, size: int) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(bytes(size))
        upload_id, sent = cut(made)
        await worker.take(*sent)
        assert await worker.stands(upload_id) == ACCEPTED
        assert await worker.kept.complete(upload_id) == made

    within(place, body)


def test_a_log_of_many_pages_arrives_and_a_receipt_tells_what_is_missing(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(os.urandom(2500 * FRAGMENT_DATA))
        upload_id, (opening, *rest) = cut(made)
        assert await worker.stands(upload_id) == UNKNOWN
        await worker.take(opening)
        assert await worker.stands(upload_id) == UploadAnswer(RECEIVING, 0, ((1, 2500),))
        assert await worker.stands(upload_id, 2000) == UploadAnswer(RECEIVING, 0, ((2000, 501),))
        gaps = [1, 2, 700, 1023, 1024, 1025, 2047, 2048, 2500]
        held = [rest[number - 1] for number in gaps]
        await worker.take(*(each for number, each in enumerate(rest, 1) if number not in gaps))
        told = ((1, 2), (700, 1), (1023, 3), (2047, 2), (2500, 1))
        assert await worker.stands(upload_id) == UploadAnswer(RECEIVING, 0, told)
        assert await worker.stands(upload_id, 1024) == UploadAnswer(RECEIVING, 0, ((1024, 2), *told[3:]))
        assert await worker.stands(upload_id, 2501) == UploadAnswer(RECEIVING)
        assert await worker.stands(upload_id, (1 << 32) - 1) == UploadAnswer(RECEIVING)
        for each in held:
            assert (await worker.stands(upload_id)).state is RECEIVING
            await worker.take(each)
        assert await worker.stands(upload_id) == ACCEPTED
        assert await worker.kept.complete(upload_id) == made

    within(place, body)


def test_more_gaps_than_an_answer_has_room_for_are_asked_for_from_the_last_one_on(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        upload_id, (opening, *rest) = cut(by_permit(os.urandom(100 * FRAGMENT_DATA)))
        await worker.take(opening, *rest[1::2])
        asked, found = 0, []
        while True:
            told = (await worker.stands(upload_id, asked)).missing
            found += told
            if len(told) < MAX_RANGES:
                break
            asked = sum(told[-1])
        assert found == [(number, 1) for number in range(1, 101, 2)]

    within(place, body)


def test_fragments_of_an_upload_that_nobody_has_opened_are_dropped(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(LOG)
        upload_id, (opening, *rest) = cut(made)
        await worker.take(*rest)
        assert (await worker.stands(upload_id), await kept_parts(store, upload_id)) == (UNKNOWN, 0)
        assert worker.counted()["fragments_unknown"] == len(rest)
        wrong = replace(Fragment.decode(opening), data=b"\3" + bytes(217)).encode()
        padded = replace(Fragment.decode(opening), data=Fragment.decode(opening).data[:-1] + b"\1").encode()
        await worker.take(wrong, padded)
        assert (await worker.stands(upload_id), worker.counted()["fragments_malformed"]) == (UNKNOWN, 2)
        assert await store.backlog() == {"to-7": 2}  # the answers, and nothing that a stranger would see

    within(place, body)


def test_a_fragment_beyond_the_length_is_dropped(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        upload_id, (opening, *rest) = cut(by_permit(LOG))
        await worker.take(opening)
        for number in (PARTS, PARTS + 1, 1024, (1 << 32) - 1):
            await worker.take(Fragment(upload_id, number, bytes(218)).encode())
        assert await kept_parts(store, upload_id, 2000) == 1
        assert worker.counted()["fragments_beyond"] == 4
        await worker.take(*rest)
        assert await worker.stands(upload_id) == ACCEPTED

    within(place, body)


def test_of_two_fragments_with_one_number_the_first_counts(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(LOG)
        upload_id, (opening, *rest) = cut(made)
        forged = [replace(Fragment.decode(each), data=os.urandom(218)).encode() for each in rest]
        other_opening = replace(Fragment.decode(upload.fragments(by_permit(b""), upload_id)[0])).encode()
        await worker.take(opening, other_opening)
        for right, wrong in zip(rest[:-1], forged[:-1], strict=True):
            await worker.take(right, wrong)
            await worker.take(wrong)
        await worker.take(rest[-1], forged[-1])
        assert await worker.stands(upload_id) == ACCEPTED
        assert await worker.kept.complete(upload_id) == made

    within(place, body)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: by_permit(LOG, signed_for=b"another log"), Reason.LOG_DOES_NOT_MATCH),
        (lambda: by_permit(LOG, age=5000), Reason.EXPIRED),
        (lambda: by_permit(LOG, code=b"the code.."), Reason.NOT_COMMITTED),
        (lambda: Upload(upload.PermitAuthorization(b"\1" + os.urandom(128)), LOG), Reason.PERMIT_INVALID),
        (lambda: by_permit(bytes(LIMIT)), Reason.TOO_LARGE),
        (lambda: Upload(by_token(1, 1).authorization, bytes(LIMIT)), Reason.TOO_LARGE),
    ],
    ids=["another log", "expired", "not committed", "invalid", "too large", "too large, chain"],
)
def test_an_upload_that_is_refused_is_told_why_and_leaves_nothing(
    place: Place, make: Callable[[], Upload], reason: Reason
) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        upload_id, (opening, *rest) = cut(make())
        await worker.take(opening)
        for start in range(0, len(rest), 256):
            await worker.take(*rest[start : start + 256])
        assert await worker.stands(upload_id) == refused(reason)
        assert (await kept_parts(store, upload_id), await open_all(worker)) == (0, 0)
        assert worker.counted()["uploads_refused"] == 1

    within(place, body)


def test_a_permit_begins_few_uploads_in_fragments_and_chunks_together_and_one_is_accepted(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(LOG)
        begun = [cut(made) for _ in range(5)]
        for _, sent in begun:
            await worker.take(*sent[:-1])
        assert (await worker.uploads.receive(upload.chunks(made.encode(), os.urandom(16))[0])).state is State.ACCEPTED
        for upload_id, sent in begun:
            assert await kept_parts(store, upload_id) == PARTS - 1
            await worker.take(sent[-1])
            assert await worker.stands(upload_id) == refused(Reason.ALREADY_USED)
            assert await kept_parts(store, upload_id) == 0
        late, sent = cut(made)
        await worker.take(*sent)
        assert await worker.stands(late) == refused(Reason.ALREADY_USED)
        assert await open_all(worker) == 1

    within(place, body)


def test_a_seventh_upload_by_one_permit_is_not_begun(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(LOG)
        begun = [cut(made) for _ in range(7)]
        for _, sent in begun:
            await worker.take(*sent[:-1])
        assert [await kept_parts(store, upload_id) for upload_id, _ in begun] == [PARTS - 1] * 6 + [0]
        assert await worker.stands(begun[6][0]) == refused(Reason.ALREADY_USED)

    within(place, body)


def test_an_upload_goes_on_in_the_way_in_which_it_began(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), by_permit(os.urandom(40_000))
        upload_id, (opening, *rest) = cut(made)
        await worker.take(opening)
        for each in upload.chunks(made.encode(), upload_id):
            assert (await worker.uploads.receive(each)).reason is Reason.MALFORMED
        other_id = os.urandom(16)
        *chunks, last = upload.chunks(made.encode(), other_id)
        for each in chunks:
            assert (await worker.uploads.receive(each)).state is State.RECEIVING
        await worker.take(*upload.fragments(made, other_id))
        assert await worker.stands(other_id) == UNKNOWN
        assert (await worker.uploads.receive(last)).state is State.ACCEPTED
        await worker.take(*rest)
        assert await worker.stands(upload_id) == refused(Reason.ALREADY_USED)

    within(place, body)


def test_a_chunk_that_carries_nothing_is_refused(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        reply = await worker.uploads.receive(bytes(upload.CHUNK))
        assert (reply.state, reply.reason) == (State.REFUSED, Reason.MALFORMED)
        assert worker.counted() == {"chunks_refused": 1}

    within(place, body)


def test_an_upload_that_is_never_finished_is_gone_after_the_days_that_it_may_take(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(store: Store) -> None:
        worker, start = Worker(store), clock.now()
        today = keydays.day_at(start)
        upload_id, sent = cut(by_permit(LOG))
        for days, some in ((0, sent[:20]), (KEEP_DAYS - 1, sent[20:-1]), (KEEP_DAYS, ())):
            monkeypatch.setattr(clock, "now", lambda days=days: start + days * 86400)
            await store.expire(today + days)
            await worker.take(*some)
        assert await kept_parts(store, upload_id) == PARTS - 1
        await store.expire(today + KEEP_DAYS + 1)
        assert (await worker.stands(upload_id), await kept_parts(store, upload_id)) == (UNKNOWN, 0)
        page = upload_id + bytes(4)
        assert await store.get_many("upload-fragments-here", [page]) == [None]
        await worker.take(sent[-1])
        assert worker.counted()["fragments_unknown"] == 1

    within(place, body)


def by_token(generation: int, last_day: int, case: bytes | None = None) -> Upload:
    address, slot = os.urandom(20), 7
    claim = chain.ChainClaim(os.urandom(16) if case is None else case, nym_key(address, slot), generation, last_day)
    return Upload(ChainAuthorization(claim.case_id, address, slot, chain.seal(TOKEN_KEY, claim)), LOG)


def test_a_chain_upload_is_told_to_be_accepted_whatever_its_token_is_worth_and_only_a_live_one_is_kept(
    place: Place,
) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        case, report = os.urandom(16), os.urandom(8)
        await worker.reports.add(report, case, 0, "U07.1", [], Tally())
        await worker.reports.decide(report, Decision(approve=True, depth=2))
        today = keydays.day_at(clock.now())
        live, expired = by_token(1, today, case), by_token(1, today - 1, case)
        assert isinstance(live.authorization, ChainAuthorization)
        made_up = replace(live, authorization=replace(live.authorization, chain_token=os.urandom(96)))
        stages = []
        for number, made in enumerate((live, expired, made_up)):
            upload_id, (opening, *rest) = cut(made)
            states = []
            for some in ((), (opening,), rest[::2], rest[1:-1], rest[-1:], (opening, *rest)):
                await worker.take(*some)
                states.append(await worker.stands(upload_id))
                if number and states[-1] != UNKNOWN:
                    assert await kept_parts(store, upload_id) == 0
            stages.append(states)
        assert stages[0] == stages[1] == stages[2]
        assert stages[0][-1] == ACCEPTED
        assert worker.counted()["uploads_void"] == 2
        assert await open_all(worker) == 1
        assert [each.generation for each in await worker.reports.all()] == [0, 1]

    within(place, body)


def test_of_workers_that_finish_an_upload_at_the_same_moment_one_does(place: Place) -> None:
    async def body(store: Store) -> None:
        workers = [Worker(store) for _ in range(3)]
        for _ in range(5):
            upload_id, (opening, *rest) = cut(by_permit(os.urandom(1500 * FRAGMENT_DATA)))
            await asyncio.gather(*(worker.take(opening) for worker in workers))
            await asyncio.gather(*(worker.take(*rest[n::3]) for n, worker in enumerate(workers)))
            assert await workers[0].stands(upload_id) == ACCEPTED
            assert await open_all(workers[0]) == 1

    within(place, body)


class Dying:
    """A store whose process is killed after a number of writes."""

    WRITES = ("put_many", "put_if_absent_many", "compare_and_swap", "append_many", "delete_many")

    def __init__(self, store: Store, writes: int) -> None:
        self._store = store
        self.left = writes

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in self.WRITES:
            return real

        async def counted(*arguments: Any, **named: Any) -> Any:
            if self.left == 0:
                raise StoreError("killed")
            self.left -= 1
            return await real(*arguments, **named)

        return counted


@pytest.mark.parametrize("end", ["permit", "chain", "another log"])
def test_a_worker_that_dies_after_any_of_its_writes_leaves_nothing_lost_and_nothing_twice(
    place: Place, end: str
) -> None:
    """What it had in hand comes again, as a queue's entries do."""

    async def body(store: Store) -> None:
        today = keydays.day_at(clock.now())
        deaths, opened = 0, 0
        while True:
            log = os.urandom(5 * FRAGMENT_DATA)
            if end == "chain":
                made = replace(by_token(1, today), log=log)
            else:
                made = by_permit(log, log if end == "permit" else b"another")
            upload_id, sent = cut(made)
            asked = [Receipt(UploadQuestion(upload_id), reply_block()[0]).encode() for _ in range(2)]
            batches: Sequence[Sequence[bytes]] = ([sent[0], *sent[2:], asked[0]], [sent[1], asked[1]])
            dying, died = Dying(store, deaths), False
            worker = Worker(dying)
            for batch in batches:
                try:
                    await worker.take(*batch)
                except StoreError:
                    died = True
                    worker = Worker(store)
                    await worker.take(*batch)
                    await worker.take(*batch)
            worker = Worker(store)
            messages = await worker.sent()
            assert len(messages) == len({each[:141] for each in messages}) == 2
            expected = refused(Reason.LOG_DOES_NOT_MATCH) if end == "another log" else ACCEPTED
            assert await worker.stands(upload_id) == expected
            entries = (await store.take(OPEN, 1e12, 9, 1.0)).entries
            await store.done(OPEN, [entry.id for entry in entries])
            opened += len(entries)
            if expected == ACCEPTED:
                assert (await worker.kept.complete(upload_id)) == made
            deaths += 1
            if not died:
                break
        assert deaths > 6
        assert opened == (0 if end == "another log" else deaths)

    within(place, body)
