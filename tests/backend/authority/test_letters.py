"""A letter in the worst moments: a nymserver that says nothing, a repeat, another text, a stop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from anontrace.backend.authority.contact_answers import ContactAnswers
from anontrace.backend.errors import PeerError, Refused
from anontrace.backend.nymserver.contact_answers import Letters
from anontrace.backend.nymserver.headers import Headers
from anontrace.backend.nymserver.records import Answers, Letter
from anontrace.backend.nymserver.sending import Sending
from anontrace.backend.observing.counters import Counters
from anontrace.backend.staff import audit
from anontrace.backend.staff.audit import Audit
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import contact_answer, surb, words
from anontrace.mixnet.contact_answer import ContactAnswer, Said
from anontrace_primitives import x25519_base

from tests.backend.nymserver.kinds import FIRST, TO_FIRST, reply_block

CASE, REPORT, SEED = os.urandom(16), os.urandom(8), os.urandom(32)
TAG = contact_answer.told_tag(CASE, REPORT)


class Elsewhere:
    """The nymserver's part of it, for real; what it answers may get lost on the way, before or after it was asked."""

    def __init__(self, store: Store) -> None:
        self.kept = Answers(answers=[], overflowed=False)
        self.letters = Letters(store, Counters(), Headers(store, {FIRST}.__contains__), lambda _: None)
        self.lost = ""

    async def answers(self, _: str) -> Answers:
        return self.kept

    async def letter(self, made: Letter) -> None:
        if self.lost != "before":
            await self.letters.send(made)
        if self.lost:
            raise PeerError("nymserver: does not answer")


class Scene:
    def __init__(self, store: Store) -> None:
        self.store, self.chain, self.elsewhere = store, Audit(store), Elsewhere(store)
        self.answers = ContactAnswers(store, self.elsewhere, SEED, self.chain)  # type: ignore[arg-type]

    def answer(self, block: bytes) -> str:
        """One that came, with this way back; its id."""
        way, authority = surb.parse(block), x25519_base(words.secret_of(SEED))
        made = ContactAnswer(Said.TEST, 20000, first_mix=way.first_mix, header=way.header)
        _, sealed = contact_answer.split(contact_answer.seal(authority, TAG, made)[0])
        self.elsewhere.kept.answers.append(sealed)
        return contact_answer.identity(sealed).hex()

    async def write(self, answer: str, text: str, by: str = "dora") -> None:
        await self.answers.write_back(by, CASE, REPORT.hex(), answer, text)

    async def letter(self) -> object:
        return (await self.answers.read("dora", CASE, REPORT.hex())).answers[0].letter

    async def sent(self) -> int:
        return len((await self.store.take(TO_FIRST, 1e12, 100, 1e12)).entries)

    async def audited(self) -> list[str]:
        taken = (await self.store.take(audit.QUEUE, 1e12, 1000, 60.0)).entries
        await self.chain.append([entry.item for entry in taken])
        await self.store.done(audit.QUEUE, [entry.id for entry in taken])
        return [str(each["what"]) for each in await self.chain.read() if each["what"] != "answers read"]


def played(tmp_path: Path, play: Callable[[Scene], Awaitable[None]]) -> None:
    async def body() -> None:
        store = await open_store(tmp_path / "db")
        try:
            await play(Scene(store))
        finally:
            await store.close()

    asyncio.run(body())


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("again", ["Come at nine", "Come at ten"])
def test_after_a_letter_of_which_nobody_knows_whether_it_went_one_goes_and_no_two(
    tmp_path: Path, lost: str, again: str
) -> None:
    async def play(scene: Scene) -> None:
        answer = scene.answer(reply_block()[0])
        scene.elsewhere.lost = lost
        with pytest.raises(PeerError):
            await scene.write(answer, "Come at nine")
        assert not (await scene.letter()).sent  # type: ignore[attr-defined]
        scene.elsewhere.lost = ""
        if lost == "after" and again != "Come at nine":
            with pytest.raises(Refused, match="gone already"):
                await scene.write(answer, again, "bob")
        else:
            await scene.write(answer, again, "bob")
        assert (await scene.letter()).sent  # type: ignore[attr-defined]
        assert await scene.sent() == 1
        with pytest.raises(Refused, match="has written to this answer already"):
            await scene.write(answer, "Come at nine")
        assert await scene.audited() == ["letter asked for", "letter asked for", "letter sent"]

    played(tmp_path, play)


def test_a_letter_that_is_refused_leaves_the_answer_as_it_was(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        answer = scene.answer(reply_block()[0])
        await Sending(scene.store).stop()
        with pytest.raises(Refused, match="stopped"):
            await scene.write(answer, "Come")
        assert await scene.letter() is None
        await Sending(scene.store).resume()
        await scene.write(answer, "Come")
        assert await scene.audited() == ["letter asked for", "letter not sent", "letter asked for", "letter sent"]
        assert await scene.sent() == 1

    played(tmp_path, play)


def test_a_header_that_comes_with_two_answers_is_written_to_once(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        block = reply_block()[0]
        first, second = scene.answer(block), scene.answer(block)
        await scene.write(first, "Come")
        with pytest.raises(Refused) as refused:
            await scene.write(second, "Come")
        assert refused.value.status == 409
        assert await scene.sent() == 1

    played(tmp_path, play)
