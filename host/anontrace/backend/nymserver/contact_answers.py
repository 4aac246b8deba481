"""What contacts answer: kept for the health authority, unread (docs/protocol.md sections 7 and 9).

An answer shows by which report its sender was told, and nothing else; what shows no report that was approved is
dropped. Each is kept once, so many of a report and no more. By the header in one, which the authority alone can read,
it has a letter sent: once, like all that goes out by a header. Never knows who answered, or what.
"""

from collections.abc import Callable, Sequence

from anontrace_primitives import equal

from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Put, Store
from anontrace.mixnet import contact_answer, keydays
from anontrace.mixnet.receipt import ContactAnswerQuestion, NymAnswer

from .headers import Headers
from .records import MOST_ANSWERS, Answers, Letter
from .sending import Sending

KEEP_DAYS = 30
TOLD_DAYS = 60  # after its approval, for which a report is answered
_TOLD, _ANSWERS, _OVER = "answers-told", "answers", "answers-over"


class ContactAnswers:
    """The answers of all reports of one store."""

    def __init__(self, store: Store, counters: Counters) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("answers_taken", "answers_full")

    async def expect(self, case_id: bytes, report_id: bytes) -> None:
        """From now on, who is told of this report may answer."""
        tag = contact_answer.told_tag(case_id, report_id)
        await self._store.put_many(_TOLD, [(tag, report_id)], keydays.day_at(clock.now()) + TOLD_DAYS)

    async def receive(self, payloads: Sequence[bytes]) -> None:
        """Take what the mix network brought (239 each). What returns is durable."""
        came = [contact_answer.split(payload) for payload in payloads]
        told = await self._store.get_many(_TOLD, [tag for tag, _ in came])
        items = [each for each, report in zip(came, told, strict=True) if report is not None]
        self._counters.add("answers_unknown", len(came) - len(items))
        if not items:
            return
        today = keydays.day_at(clock.now())
        kept = await self._store.append_many(_ANSWERS, items, MOST_ANSWERS, today + KEEP_DAYS)
        over = {tag for (tag, _), was in zip(items, kept, strict=True) if not was}
        if over:
            puts = [Put(tag, b"") for tag in over]
            await self._store.put_if_absent_many(_OVER, puts, today + KEEP_DAYS)
        self._counters.add("answers_taken", sum(kept))
        self._counters.add("answers_full", len(kept) - sum(kept))

    async def of(self, case_id: bytes, report_id: bytes) -> Answers:
        """Those to a report, in the order in which they came."""
        tag = contact_answer.told_tag(case_id, report_id)
        (found,) = await self._store.get_lists(_ANSWERS, [tag])
        (over,) = await self._store.get_many(_OVER, [tag])
        return Answers(answers=found, overflowed=over is not None)

    async def count(self, reports: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """How many there are to each of these (case-ID, report-ID)."""
        tags = [contact_answer.told_tag(*each) for each in reports]
        return [len(each) for each in await self._store.get_lists(_ANSWERS, tags)]

    async def answer(self, question: ContactAnswerQuestion) -> NymAnswer:
        """Whether the answer that a receipt names is kept."""
        (found,) = await self._store.get_lists(_ANSWERS, [question.tag])
        return NymAnswer(any(equal(contact_answer.identity(each), question.identity) for each in found))


class Letters:
    """What the authority writes back."""

    def __init__(self, store: Store, counters: Counters, headers: Headers, wake_mix: Callable[[str], None]) -> None:
        self._counters = counters
        self._headers = headers
        self._wake_mix = wake_mix
        self._sending = Sending(store)

    async def send(self, wanted: Letter) -> None:
        """Hand a letter to its first mix. Refused (423) while all sending is stopped; 409 if anything went out by this
        header before; 410 if it leads nowhere any more."""
        if await self._sending.is_stopped():
            raise Refused(423, "all sending is stopped")
        entry = self._headers.entry(wanted.first_mix, wanted.header, wanted.letter)
        if entry is None:
            raise Refused(410, "the way back of this answer has had its time")
        if not await self._headers.send(wanted.header, entry):
            raise Refused(409, "by the way back of this answer a letter has gone already")
        self._counters.add("letters_sent")
        self._wake_mix(entry.queue)
