"""What contacts answer: kept once each, for reports that were approved, so many and no more; and one letter each way
back."""

import os

import pytest
from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.nymserver import contact_answers
from anontrace.backend.nymserver.records import Decision, Letter, Tally
from anontrace.backend.nymserver.sending import Sending
from anontrace.backend.store import Store
from anontrace.mixnet import contact_answer, keydays, kinds, relay, surb, words
from anontrace.mixnet.contact_answer import ContactAnswer, Said
from anontrace.mixnet.receipt import ContactAnswerQuestion, NymAnswer
from nacl.signing import SigningKey

from tests.backend.nymserver.kinds import OTHER, SEED, TO_FIRST, Worker, reply_block
from tests.backend.places import Place, within

CASE, REPORT = os.urandom(16), os.urandom(8)
AUTHORITY = words.key_of(bytes(SigningKey(SEED).verify_key))


def an_answer(case: bytes = CASE, report: bytes = REPORT) -> bytes:
    tag = contact_answer.told_tag(case, report)
    return contact_answer.seal(AUTHORITY, tag, ContactAnswer(Said.TEST, 20000))[0]


def question(payload: bytes) -> ContactAnswerQuestion:
    tag, sealed = contact_answer.split(payload)
    return ContactAnswerQuestion(tag, contact_answer.identity(sealed))


def a_letter(block: bytes) -> Letter:
    way = surb.parse(block)
    return Letter(first_mix=way.first_mix, header=way.header, letter=os.urandom(239))


def test_who_was_told_answers_and_nobody_else(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, first, second = Worker(store), an_answer(), an_answer()
        await worker.take(first)
        assert worker.counted() == {"answers_unknown": 1}
        await worker.answers.expect(CASE, REPORT)
        stranger, another = an_answer(os.urandom(16)), an_answer(CASE, os.urandom(8))
        await worker.take(first, stranger, second, another, first, kinds.mark(kinds.Kind.CONTACT_ANSWER, bytes(238)))
        found = await worker.answers.of(CASE, REPORT)
        assert [*found.answers] == [contact_answer.split(each)[1] for each in (first, second)]
        assert not found.overflowed
        assert (await worker.answers.of(CASE, os.urandom(8))).answers == []
        assert worker.counted() == {"answers_unknown": 4, "answers_taken": 3}
        assert await worker.answers.count([(CASE, REPORT), (CASE, bytes(8))]) == [2, 0]

    within(place, body)


def test_an_answer_that_is_replayed_counts_once_and_a_receipt_tells_that_it_is_kept(place: Place) -> None:
    async def body(store: Store) -> None:
        workers, payload = [Worker(store), Worker(store)], an_answer()
        await workers[0].answers.expect(CASE, REPORT)
        assert await workers[0].asked(question(payload)) == NymAnswer(False).encode()
        for worker in workers * 3:
            await worker.take(payload, payload)
        assert len((await workers[0].answers.of(CASE, REPORT)).answers) == 1
        assert await workers[1].asked(question(payload)) == NymAnswer(True).encode()
        assert await workers[1].asked(question(an_answer())) == NymAnswer(False).encode()

    within(place, body)


def test_a_flood_of_answers_ends_at_a_bound_harms_no_other_report_and_is_told_to_staff(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_answers, "MOST_ANSWERS", 5)

    async def body(store: Store) -> None:
        worker, other = Worker(store), os.urandom(8)
        for each in (REPORT, other):
            await worker.answers.expect(CASE, each)
        first = [an_answer() for _ in range(5)]
        await worker.take(*first)
        assert not (await worker.answers.of(CASE, REPORT)).overflowed
        await worker.take(*(an_answer() for _ in range(40)), an_answer(CASE, other))
        found = await worker.answers.of(CASE, REPORT)
        assert found.overflowed and found.answers == [contact_answer.split(each)[1] for each in first]
        assert len((await worker.answers.of(CASE, other)).answers) == 1
        assert worker.counted() == {"answers_taken": 6, "answers_full": 40}
        await worker.take(first[0])  # one that is there is no flood
        assert await worker.asked(question(first[0])) == NymAnswer(True).encode()

    within(place, body)


def test_a_letter_goes_out_once_by_a_header_that_nothing_has_used(place: Place) -> None:
    async def body(store: Store) -> None:
        workers = [Worker(store), Worker(store)]
        block, used = reply_block()[0], reply_block()[0]
        made = a_letter(block)
        await workers[0].letters.send(made)
        assert await workers[0].sent(TO_FIRST) == [made.header + made.letter]
        await workers[0].take(relay.of(used, os.urandom(32)).encode())
        await workers[0].sent(TO_FIRST)
        for again in (made, a_letter(block), a_letter(used), a_letter(bytes((OTHER,)) + block[1:])):
            for worker in workers:
                with pytest.raises(Refused) as refused:
                    await worker.letters.send(again)
                assert refused.value.status == 409
        await workers[1].take(relay.of(block, os.urandom(32)).encode())  # nor does anything else go by it
        dead = a_letter(reply_block(day=keydays.day_at(clock.now()) - 31)[0])
        nowhere = a_letter(bytes((99,)) + reply_block()[0][1:])
        for lost in (dead, nowhere):
            with pytest.raises(Refused) as refused:
                await workers[0].letters.send(lost)
            assert refused.value.status == 410
        assert await workers[0].sent(TO_FIRST) == await workers[0].sent(f"to-{OTHER}") == []

    within(place, body)


def test_while_all_sending_is_stopped_no_letter_goes_out_and_later_it_does(place: Place) -> None:
    async def body(store: Store) -> None:
        worker, made = Worker(store), a_letter(reply_block()[0])
        await Sending(store).stop()
        with pytest.raises(Refused, match="stopped"):
            await worker.letters.send(made)
        await Sending(store).resume()
        await worker.letters.send(made)
        assert len(await worker.sent(TO_FIRST)) == 1

    within(place, body)


def test_only_the_contacts_of_an_approved_report_answer(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        for report, approve in ((REPORT, True), (bytes(8), False)):
            await worker.reports.add(report, CASE, 0, "U07.1", [], Tally())
            await worker.take(an_answer(CASE, report))
            await worker.reports.decide(report, Decision(approve=approve))
            await worker.take(an_answer(CASE, report))
        assert {each.report: each.answers for each in await worker.reports.all()} == {REPORT: 1, bytes(8): 0}
        assert worker.counted()["answers_unknown"] == 3

    within(place, body)
