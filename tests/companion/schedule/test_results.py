"""The observer of the line, who sees when `run` asks, of what size question and answer are, and how long they take: not
whether its wearer was tested, nor how that came out."""

import asyncio
import os
import time as real_time
from itertools import combinations
from random import Random

import httpx
import pytest
from anontrace.backend.authority import routes
from anontrace.backend.authority.tokens import Origin, Result, Tokens
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import open_store
from anontrace.backend.web.app import install_error_handlers
from anontrace.backend.web.moments import Moments
from anontrace.backend.web.throttle import Throttle
from anontrace.companion.schedule import run
from anontrace.companion.store.tests import NEGATIVE, POSITIVE, WAITING
from anontrace.mixnet import keydays
from anontrace.wire import onetime, result
from anontrace.wire.result import NO_TOKEN, Answer, Question, State, Statement
from fastapi import FastAPI
from nacl.signing import SigningKey

from tests.adversary.figures import auc
from tests.companion import paper
from tests.companion.paper import START, Wearer
from tests.companion.schedule.test_shape import DAY, SMALLER, TINY, time

__all__ = ["time"]  # a fixture
DAYS = 4
AUTHORITY = 101  # its number on paper
EACH = int(os.environ.get("ANONTRACE_LINE_CONNECTIONS", "40"))  # questions of each kind
WRITE_SECONDS = 0.006
MOST = 0.55 + 4 * ((2 * EACH + 1) / (12 * EACH * EACH)) ** 0.5  # by chance, and four standard errors


@pytest.fixture
def every():
    """Of so many slots one has an address."""
    return SMALLER


def lived(folder, time, patch, kind, told=None, corrected=None):
    """Four days of a wearer who gave a token on the second one, whose result comes on the third, and on the fourth
    another one; all requests."""
    time.now = float(START)
    wearer = Wearer(folder / kind, time, patch, TINY, 1)
    wearer.network.transparent = True
    token = onetime.token_hash(onetime.new_token())
    wearer.until(START + DAY)
    if kind != "untested":
        wearer.state.tests.add(token, int(time.now))
    wearer.until(START + 2 * DAY)
    if told is not None:
        wearer.network.results[token] = told(token)
    wearer.until(START + 3 * DAY)
    if corrected is not None:
        wearer.network.results[token] = corrected(token)
    wearer.until(START + DAYS * DAY)
    states = [each.state for each in wearer.state.tests.all()]
    news = [event for event in wearer.events if event.task == run.RESULT]
    asked = {each == NO_TOKEN for each in wearer.network.results_asked}
    wearer.close()
    return wearer.network.requests, states, news, asked


def negative(token):
    statement = Statement(result.serial(token), "U07.1", keydays.day_at(START)).sign(paper._seed(AUTHORITY))
    return Answer(State.NEGATIVE, statement=statement)


def positive(_token):
    return Answer(State.POSITIVE, disease="U07.1", commitment=b"the code..")


def test_when_and_how_much_run_asks_is_the_same_whether_there_was_a_test_and_whatever_it_showed(
    tmp_path, time, monkeypatch
):
    lives = {
        "untested": lived(tmp_path, time, monkeypatch, "untested"),
        "waiting": lived(tmp_path, time, monkeypatch, "waiting"),
        "negative": lived(tmp_path, time, monkeypatch, "negative", negative),
        "positive": lived(tmp_path, time, monkeypatch, "positive", positive),
        "corrected": lived(tmp_path, time, monkeypatch, "corrected", positive, negative),
    }
    seen = {kind: requests for kind, (requests, *_) in lives.items()}
    own = [each for each in seen["untested"] if each.kind == "result"]
    assert len(own) >= DAYS and {(each.sent, each.received) for each in own} == {(result.QUESTION, result.ANSWER)}
    for kind, requests in seen.items():
        assert requests == seen["untested"], kind
    # Each was what it stands for, and was told so once.
    assert {kind: states for kind, (_, states, *_) in lives.items()} == {
        "untested": [], "waiting": [WAITING], "negative": [NEGATIVE], "positive": [POSITIVE],
        "corrected": [NEGATIVE],
    }  # fmt: skip
    assert {kind: asked for kind, (*_, asked) in lives.items()} == {
        "untested": {True}, "waiting": {True, False}, "negative": {True, False}, "positive": {True, False},
        "corrected": {True, False},
    }  # fmt: skip
    said = {kind: [(e.news, e.document["state"]) for e in news] for kind, (_, _, news, _) in lives.items()}
    assert said == {
        "untested": [], "waiting": [], "negative": [(True, NEGATIVE)], "positive": [(True, POSITIVE)],
        "corrected": [(True, POSITIVE), (True, NEGATIVE)],
    }  # fmt: skip
    (event,) = lives["negative"][2]
    assert "Negative: the test for COVID-19 (U07.1)" in event.lines[0] and len(event.document["statement"]) == 186


async def asked_of_a_server(folder, kinds, moments):
    """Whole answers of a real authority's endpoint, in random order: by kind their bytes, and how long each took. What
    it writes takes some milliseconds, as in a store on another machine."""
    store = await open_store(folder / "db")
    write = store.compare_and_swap

    async def written_elsewhere(*change):
        await asyncio.sleep(WRITE_SECONDS)
        return await write(*change)

    store.compare_and_swap = written_elsewhere
    tokens = Tokens(store, Counters(), bytes(32), 72, 72)
    app = FastAPI()
    app.include_router(routes.router(tokens, Throttle(1 << 30), moments))
    sizes, seconds = {kind: set() for kind in kinds}, {kind: [] for kind in kinds}
    rounds = [kind for kind in kinds for _ in range(EACH)]
    Random(1).shuffle(rounds)
    log = b"l" * 32
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://authority") as http:
        for kind in rounds:
            known = {"negative": Result.NEGATIVE, "positive": Result.POSITIVE, "permit": Result.POSITIVE}.get(kind)
            issued = await tokens.issue("U07.1", Origin(result=known or Result.PENDING))
            asked = NO_TOKEN if kind == "untested" else onetime.token_hash(issued.token)
            body = Question(asked, log if kind == "permit" else result.NO_LOG).encode()
            began = real_time.perf_counter()
            answer = await http.post("/v2/result", content=body)
            seconds[kind].append(real_time.perf_counter() - began)
            sizes[kind].add(
                (answer.status_code, len(answer.content), len(answer.headers.raw), answer.headers.get("etag"))
            )
    await store.close()
    return sizes, seconds


def worst(seconds):
    """How well the best pair of kinds is told apart by how long the answer took."""
    areas = {pair: auc(seconds[pair[0]], seconds[pair[1]]) for pair in combinations(seconds, 2)}
    return max(max(area, 1 - area) for area in areas.values())


def test_an_answer_has_one_size_and_its_moment_says_nothing(tmp_path):
    assert SigningKey(bytes(32))
    kinds = ("untested", "waiting", "negative", "positive", "permit")
    sizes, seconds = asyncio.run(asked_of_a_server(tmp_path / "drawn", kinds, Moments(0.3)))
    assert len({each for some in sizes.values() for each in some}) == 1
    found = worst(seconds)
    _, seconds = asyncio.run(asked_of_a_server(tmp_path / "at once", kinds, Moments(0.0)))
    print(f"drawn moments: {found:.2f}, at once: {worst(seconds):.2f}, by chance up to {MOST:.2f}")
    assert found <= MOST
    assert worst(seconds) > 0.9  # what answers as soon as it can is told apart


async def asked_where_somebody_guesses(folder):
    """What a question without a token and one with a real one get, from where somebody has guessed too often."""
    store = await open_store(folder / "db")
    tokens = Tokens(store, Counters(), bytes(32), 72, 72)
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(routes.router(tokens, Throttle(3), Moments(0.0)))
    token = onetime.token_hash((await tokens.issue("U07.1")).token)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://authority") as http:
        guesses = [await http.post("/v2/result", content=Question(os.urandom(32)).encode()) for _ in range(3)]
        asked = [await http.post("/v2/result", content=Question(each).encode()) for each in (NO_TOKEN, token)]
    await store.close()
    return guesses, asked


def test_who_guesses_by_the_same_connection_does_not_see_who_has_a_token(tmp_path):
    guesses, asked = asyncio.run(asked_where_somebody_guesses(tmp_path))
    assert {each.status_code for each in guesses} == {200}
    assert {(each.status_code, each.content) for each in asked} == {(429, asked[0].content)}
