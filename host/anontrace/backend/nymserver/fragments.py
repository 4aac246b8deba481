"""Uploads in fragments: each a message like any other, in whatever order they come (docs/protocol.md section 7).

Nobody is answered here: what is missing and how an upload ended, receipts tell. Nothing is kept of an upload before its
opening has passed, and then no more than it says, for as long as an upload may take. Which fragments are here stands in
pages of bits, of a void upload too, whose data is not kept: its sender cannot tell. Whatever is done twice, or again
after a crash, changes nothing. Never opens a log.
"""

from collections.abc import Iterable, Sequence

from anontrace_shared.errors import FormatError

from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store
from anontrace.mixnet import fragment, keydays
from anontrace.mixnet.fragment import Fragment
from anontrace.mixnet.receipt import MAX_RANGES, UploadAnswer, UploadQuestion, UploadState
from anontrace.wire import upload
from anontrace.wire.upload import Reason, State

from .judging import KEEP_DAYS, Judge
from .kept import Kept, Progress

_PAGES = "upload-fragments-here"
_PAGE = 1024  # fragments, a bit each
_PAGES_AT_ONCE = 16
_MAX_ATTEMPTS = 64
_STATES = {
    State.RECEIVING: UploadState.RECEIVING,
    State.ACCEPTED: UploadState.ACCEPTED,
    State.REFUSED: UploadState.REFUSED,
}


class Fragments:
    """The uploads that come in fragments."""

    def __init__(self, store: Store, counters: Counters, kept: Kept, judge: Judge) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("fragments_taken", "fragments_unknown")
        self._kept = kept
        self._judge = judge

    async def receive(self, fragments: Iterable[Fragment]) -> None:
        """Take what came together, openings first. What returns is durable."""
        by_upload: dict[bytes, list[Fragment]] = {}
        for each in fragments:
            by_upload.setdefault(each.upload_id, []).append(each)
        for upload_id, some in by_upload.items():
            for each in some:
                if each.number == fragment.OPENING:
                    await self._open(each)
            pieces = [each for each in some if each.number != fragment.OPENING]
            if pieces:
                await self._add(upload_id, pieces)

    async def _open(self, first: Fragment) -> None:
        """Judge an opening, and begin its upload. One that is refused is remembered, so that a receipt can say why."""
        try:
            opening = upload.opening_in(first)
        except FormatError:
            self._counters.add("fragments_malformed")
            return
        _, found = await self._kept.find(first.upload_id)
        if found is not None:
            self._counters.add("fragments_repeated")
            return
        verdict = await self._judge.opening(opening, first.upload_id)
        is_refused = verdict.reason is not Reason.NONE
        begun = Progress(
            opening.total,
            keydays.day_at(clock.now()) + KEEP_DAYS,
            parts=0 if is_refused else 1 + fragment.count(opening.log_length),
            state=State.REFUSED if is_refused else State.RECEIVING,
            reason=verdict.reason,
            void=verdict.void,
            in_fragments=True,
        )
        if not is_refused and not begun.void:
            await self._kept.put_fragments(first.upload_id, begun.last_day, [(fragment.OPENING, opening.encode())])
        async with self._kept.judging:
            await self._kept.change(first.upload_id, None, begun, begun.parts == 1)
        self._counters.add("fragments_taken")

    async def _add(self, upload_id: bytes, pieces: Sequence[Fragment]) -> None:
        _, progress = await self._kept.find(upload_id)
        if progress is None or not progress.in_fragments:
            self._counters.add("fragments_unknown", len(pieces))
            return
        if progress.state is not State.RECEIVING:
            self._counters.add("fragments_late", len(pieces))
            return
        fitting = {each.number: each.data for each in reversed(pieces) if each.number < progress.parts}
        self._counters.add("fragments_beyond", sum(each.number >= progress.parts for each in pieces))
        if not progress.void:
            await self._kept.put_fragments(upload_id, progress.last_day, fitting.items())
        taken, may_be_whole = 0, False
        for number in sorted({each // _PAGE for each in fitting}):
            new, is_full = await self._mark(upload_id, number, fitting, progress)
            taken += new
            may_be_whole |= is_full
        self._counters.add("fragments_taken", taken)
        self._counters.add("fragments_repeated", sum(each.number < progress.parts for each in pieces) - taken)
        if may_be_whole:
            await self._end(upload_id)

    async def _mark(self, upload_id: bytes, page: int, numbers: Iterable[int], progress: Progress) -> tuple[int, bool]:
        """Note which of these fragments are here; how many of them were not before, and whether their page is full."""
        adding = sum(1 << number % _PAGE for number in numbers if number // _PAGE == page)
        key = _page_key(upload_id, page)
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(_PAGES, [key])
            before = _bits(value)
            after = before | adding
            is_full = after == _full(page, progress.parts)
            if after == before:
                return 0, is_full
            encoded = after.to_bytes(_PAGE // 8, "little")
            if await self._store.compare_and_swap(_PAGES, key, value, encoded, progress.last_day):
                return (after ^ before).bit_count(), is_full
        raise StoreError("what is here of an upload changed under every attempt to note more")

    async def _end(self, upload_id: bytes) -> None:
        """Judge an upload if all of it is here. It may be that another worker does: both mark before they look."""
        async with self._kept.judging:
            value, progress = await self._kept.find(upload_id)
            if progress is None or progress.state is not State.RECEIVING:
                return
            if await self._missing(upload_id, progress, fragment.OPENING, 1):
                return
            ended = await self._kept.change(upload_id, value, progress, is_whole=True)
        if ended is not None:
            pages = range(-(-progress.parts // _PAGE))
            await self._store.delete_many(_PAGES, [_page_key(upload_id, page) for page in pages])

    async def answer(self, question: UploadQuestion) -> UploadAnswer:
        """How an upload stands. One that came in chunks, and was answered there, is not known here."""
        _, progress = await self._kept.find(question.upload_id)
        if progress is None or not progress.in_fragments:
            return UploadAnswer(UploadState.UNKNOWN)
        if progress.state is not State.RECEIVING:
            return UploadAnswer(_STATES[progress.state], progress.reason)
        missing = await self._missing(question.upload_id, progress, question.first, MAX_RANGES)
        return UploadAnswer(UploadState.RECEIVING, 0, tuple(missing))

    async def _missing(self, upload_id: bytes, progress: Progress, first: int, most: int) -> list[tuple[int, int]]:
        """The first ranges (first one, how many) of fragments that are not here, from one number on."""
        ranges: list[tuple[int, int]] = []
        begin: int | None = None
        last_page = -(-progress.parts // _PAGE)
        for start in range(first // _PAGE, last_page, _PAGES_AT_ONCE):
            pages = range(start, min(start + _PAGES_AT_ONCE, last_page))
            values = await self._store.get_many(_PAGES, [_page_key(upload_id, page) for page in pages])
            for page, value in zip(pages, values, strict=True):
                here = _bits(value)
                if here == _full(page, progress.parts) and begin is None:
                    continue
                for number in range(max(first, page * _PAGE), min((page + 1) * _PAGE, progress.parts)):
                    is_here = here >> number % _PAGE & 1
                    if is_here and begin is not None:
                        ranges.append((begin, number - begin))
                        begin = None
                        if len(ranges) == most:
                            return ranges
                    elif not is_here and begin is None and number != fragment.OPENING:
                        begin = number
        if begin is not None:
            ranges.append((begin, progress.parts - begin))
        return ranges


def _page_key(upload_id: bytes, page: int) -> bytes:
    return upload_id + page.to_bytes(4, "big")


def _bits(value: bytes | None) -> int:
    return 0 if value is None else int.from_bytes(value, "little")


def _full(page: int, parts: int) -> int:
    """The bits of a page when all its fragments are here. The opening's is left out."""
    everything = (1 << min(_PAGE, parts - page * _PAGE)) - 1
    return everything & ~1 if page == 0 else everything
