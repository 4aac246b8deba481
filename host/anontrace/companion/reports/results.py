"""Results of tests: asked of the health authority by token, kept, and told (docs/protocol.md section 8).

`run` asks at times of its own, whether there is a test or not; a command asks at once.
"""

import secrets
from typing import TYPE_CHECKING

from anontrace import clock
from anontrace.companion.errors import RefusedError
from anontrace.companion.store.state import State
from anontrace.companion.store.states import ACCEPTED
from anontrace.companion.store.tests import ENDED, NEGATIVE, POSITIVE, WAITING, StoredTest
from anontrace.companion.store.uploads import REPORT
from anontrace.wire import commitment
from anontrace.wire.result import NO_TOKEN, Answer, Question, Reason
from anontrace.wire.result import State as Answered

if TYPE_CHECKING:
    from anontrace.companion.network.servers import Servers

_REASONS = {
    Reason.UNKNOWN: "there is no such token",
    Reason.EXPIRED: "this token has expired",
    Reason.WITHDRAWN: "this token was withdrawn",
    Reason.ANOTHER_LOG: "this token was redeemed for another log",
}


def refusal(answer: Answer) -> str:
    """Why there is no permit, in a sentence."""
    if answer.reason is not None:
        return f"the health authority refuses: {_REASONS[answer.reason]}; check the token, or ask for a new one"
    if answer.state is Answered.NEGATIVE:
        return "the test is negative; nothing is to be handed in"
    return "there is no result of this test yet"


def standing(state: State, servers: "Servers", token_hash: bytes) -> StoredTest:
    """How a test stands; the authority is asked unless that is known, or its upload has begun. RefusedError if nothing
    can come of it."""
    known = state.tests.find(token_hash)
    if known is not None and known.state in (POSITIVE, NEGATIVE):
        return known
    if state.uploads.find(REPORT, token_hash) is not None:  # of a companion that kept no tests
        return StoredTest(token_hash, POSITIVE, commitment.NONE, b"", 0, 0)
    known = state.tests.add(token_hash, int(clock.now()))
    answer = servers.result(Question(token_hash))
    now = _taken(state, known, answer)
    if now.state == ENDED:
        raise RefusedError(refusal(answer))
    return now


def to_report(state: State) -> list[bytes]:
    """The tokens' hashes of the positive tests with which no log was handed in yet, the latest first."""
    done = {each.subject for each in state.uploads.all() if each.kind == REPORT and each.state == ACCEPTED}
    tests = reversed(state.tests.all())
    return [each.token_hash for each in tests if each.state == POSITIVE and each.token_hash not in done]


def open_tests(state: State) -> list[bytes]:
    """Those, and then of the tests that wait for their result, the latest first."""
    waiting = [each.token_hash for each in reversed(state.tests.all()) if each.state == WAITING]
    return to_report(state) + waiting


def question(state: State) -> Question:
    """What `run` asks for next: a test that waits for its result, or is positive and may still be corrected; else
    nothing."""
    hashes = open_tests(state)
    return Question(secrets.choice(hashes) if hashes else NO_TOKEN)


def take(state: State, asked: Question, answer: Answer) -> StoredTest | None:
    """Keep what was answered to that. The test, if there is news of it."""
    known = None if asked.token_hash == NO_TOKEN else state.tests.find(asked.token_hash)
    if known is None or known.state not in (WAITING, POSITIVE):
        return None
    now = _taken(state, known, answer)
    return None if now.state == known.state else now


def correct(state: State, token_hash: bytes, answer: Answer) -> None:
    """Keep what was answered in place of a permit: a result may have been corrected since it was told here, and a
    wearer who is negative after all is not to read that they are positive."""
    known = state.tests.find(token_hash)
    if known is not None:
        _taken(state, known, answer)


def _taken(state: State, known: StoredTest, answer: Answer) -> StoredTest:
    now, token_hash = int(clock.now()), known.token_hash
    if answer.state is Answered.POSITIVE and known.state == POSITIVE:
        return known
    if answer.state is Answered.POSITIVE:
        state.tests.set_state(token_hash, POSITIVE, now, code=answer.commitment)
    elif answer.state is Answered.NEGATIVE:
        state.tests.set_state(token_hash, NEGATIVE, now, statement=answer.statement)
    elif answer.state is Answered.REFUSED:
        state.tests.set_state(token_hash, ENDED, now)
    elif known.state == ENDED:
        state.tests.set_state(token_hash, WAITING, now)
    found = state.tests.find(token_hash)
    assert found is not None  # it was added
    return found
