"""The shape of the traffic over a fortnight: the same whether the wearer is idle, is notified, answers, or uploads a
log, and whatever receipts say of swaps and fragments.

First to the moment and the byte, with the same random numbers; then as an observer sees it, who watches many wearers
and lets a classifier learn to tell one kind from another. Scheduler, store and requests are the shipped ones; packets
are transparent ones of the same size, and fewer addresses and requests a day stand for all.

Each wearer of the classifier lives the same fortnight three times, so that whatever differs comes from what happened to
them, and not by chance. ANONTRACE_SHAPE_CLIENTS=420 draws so many of each kind anew instead, as an observer would have
them: a classifier that draws lots then has a standard error of 0.02.
"""

import os
import secrets
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations, pairwise
from math import log10
from random import Random
from statistics import fmean, pstdev

import pytest
from anontrace import clock
from anontrace.companion.addresses import registration
from anontrace.companion.exposures.cases import assess
from anontrace.companion.schedule import run, scheduled_polls
from anontrace.companion.store.states import ACCEPTED
from anontrace.companion.store.uploads import PASS_ON
from anontrace.mixnet import keydays
from anontrace.mixnet.receipt import NymQuestion, UploadQuestion
from anontrace.mixnet.sizes import FRAGMENT_DATA
from anontrace.wire.levels import Level
from anontrace.wire.upload import ChainAuthorization, Upload
from anontrace_shared import schedule
from anontrace_shared.slots import slot_of

from tests.companion.paper import START, Time, Wearer, exposure, make_transparent

DAY = 86400
DAYS = 14
EVERY = 12  # a twelfth of the addresses, and of the traffic, shows the same
DRAWN = int(os.environ.get("ANONTRACE_SHAPE_CLIENTS", "0"))  # of each kind, each another
CLIENTS = DRAWN or 8
STATES = ("idle", "notified", "uploading")
ANSWERS = ("answering",)  # the wearer is notified and answers, which is lost once, and the authority writes back
IN_DOUBT = ("missing", "lossy")  # receipts say that swaps, or fragments of an upload, are missing: they are sent again
PIECES = {"uploading": 300, "lossy": 120}  # in which a log goes, beside its opening
SMALLER = 96  # where there are many wearers
TINY = Level(
    "tiny", messages=2, batch=5, looks=4, digests=6, sums=4, window_days=5, receipts=2, renewals=1,
    new=3,
)  # fmt: skip
SMALL = Level(
    "small", messages=12, batch=8, looks=8, digests=20, sums=4, window_days=5, receipts=8, renewals=10,
    new=24,
)  # fmt: skip


@pytest.fixture
def every():
    """Of so many slots one has an address."""
    return EVERY


@pytest.fixture
def time(monkeypatch, every):
    found = Time()
    monkeypatch.setattr(clock, "now", lambda: found.now)
    make_transparent(monkeypatch)
    make = registration.make

    def some(opened, servers, badge, first, end, progress, leaves):
        slots = range(first + -first % every, end, every)
        return sum(make(opened, servers, badge, slot, slot + 1, progress, leaves) for slot in slots)

    monkeypatch.setattr(registration, "make", some)
    monkeypatch.setattr(run, "MIN_SLOTS", 0)  # with gaps there is no horizon
    return found


def hand_in(wearer, fragments):
    """A log that goes in so many fragments is to be handed in hidden."""
    log, now = secrets.token_bytes(fragments * FRAGMENT_DATA), int(wearer.time.now)
    stored = wearer.state.uploads.add(PASS_ON, b"case", secrets.token_bytes(16), log, now)
    payload = Upload(ChainAuthorization(b"c" * 16, b"K" * 20, 7, b"t" * 96), log).encode()
    wearer.state.uploads.set_ready(stored, secrets.token_bytes(16), payload)


def fortnight(folder, time, patch, seed, state):
    """All requests of one wearer, and the wearer."""
    time.now = float(START)
    wearer = Wearer(folder / f"{state}-{seed}", time, patch, SMALL, seed)
    wearer.network.transparent = True
    moments = Random(seed)
    wearer.until(START + 3 * DAY)
    if state in ("uploading", "lossy"):
        hand_in(wearer, PIECES[state])
    wearer.network.lose_fragments = 40 if state == "lossy" else 0
    wearer.network.lose_first = 3 if state == "missing" else 0
    wearer.network.lose_answers = int(state == "answering")
    if state in ("notified", "answering"):
        case, report = secrets.token_bytes(16), secrets.token_bytes(8)
        made = wearer.addresses(slot_of(START), slot_of(time.now) - slot_of(START))
        registered = [each for each in made.items() if schedule.nym_key(each[1], each[0]) in wearer.network.nyms]
        for slot, contact_address in moments.sample(registered, 4):
            wearer.network.notify(contact_address, slot, exposure(case, report))
    if state == "answering":
        wearer.until(START + 6 * DAY)
        wearer.answer()
        wearer.until(START + 9 * DAY)
        wearer.network.write_back("Come at nine")
    wearer.until(START + DAYS * DAY)
    return wearer


def test_all_that_is_sent_is_the_same_to_the_moment_and_the_byte(tmp_path, time, monkeypatch):
    wearers = {state: fortnight(tmp_path, time, monkeypatch, 1, state) for state in STATES + ANSWERS + IN_DOUBT}
    # Each was in the state that it stands for.
    assert [each.state for each in assess(wearers["notified"].state)] == ["told"]
    (answer,) = wearers["answering"].state.contact_answers.all()
    assert (answer.state, answer.tries, answer.letter) == (ACCEPTED, 2, "Come at nine")
    for state in ("uploading", "lossy"):
        assert [each.state for each in wearers[state].state.uploads.all()] == [ACCEPTED]
        (pieces,) = wearers[state].network.fragments.values()
        assert len(pieces) == 1 + PIECES[state]
    questions = {state: Counter(map(type, wearer.network.asked)) for state, wearer in wearers.items()}
    assert min(each[NymQuestion] for each in questions.values()) > 50
    assert questions["idle"][UploadQuestion] == 0 < questions["uploading"][UploadQuestion]
    assert questions["lossy"][UploadQuestion] > questions["uploading"][UploadQuestion]
    assert len(wearers["missing"].network.lost) > 10
    assert assess(wearers["idle"].state) == []

    seen = {state: wearer.network.requests for state, wearer in wearers.items()}
    assert len(seen["idle"]) > DAYS * 20
    for state in wearers:
        assert seen[state] == seen["idle"], state

    # To the mailbox server too: there is one message a mailbox in any case.
    for state, wearer in wearers.items():
        assert {len(payloads) for payloads in wearer.network.mailboxes.values()} == {1}, state
    for wearer in wearers.values():
        wearer.close()


class Client(Wearer):
    """A wearer of whom there can be many: what is quick on a disk of its own, and reads the directory of a day once."""

    keep_house_seconds = DAY
    _day, _opened = None, None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state._db.row("PRAGMA journal_mode = MEMORY")

    def _servers(self, opened):
        if self._day != keydays.day_at(self.time.now):
            self._day, self._opened = keydays.day_at(self.time.now), super()._servers(opened)
        return nullcontext(self._opened)


def simulated(folder, time, patch, kind, number):
    """All requests of one client of a kind."""
    time.now = float(START)
    moments = Random(number)
    client = Client(folder / f"{kind}-{number}", time, patch, TINY, moments.getrandbits(32))
    client.network.transparent = True
    if kind == "leaky":
        poll = client.run._tasks[run.POLL]

        def and_again(state, servers):
            poll(state, servers)
            if client.events and client.events.pop().news:
                scheduled_polls.poll(state, servers, TINY, moments)

        client.run._tasks[run.POLL] = and_again
    client.until(START + moments.uniform(2, 10) * DAY)
    if kind == "uploading":
        hand_in(client, 5)
    if kind in ("notified", "leaky"):
        slot, contact_address = moments.choice([
            each for each in client.addresses(slot_of(START), slot_of(time.now) - slot_of(START)).items()
            if schedule.nym_key(each[1], each[0]) in client.network.nyms
        ])  # fmt: skip
        told = replace(exposure(secrets.token_bytes(16), secrets.token_bytes(8)), rule_minutes=5)
        client.network.notify(contact_address, slot, told)
    client.until(START + DAYS * DAY)
    assert len(assess(client.state)) == (kind in ("notified", "leaky"))
    assert len(client.state.uploads.all()) == (kind == "uploading")
    client.close()
    return client.network.requests


def features(requests):
    """What a classifier is told of one client: numbers, sizes and times, of each kind of request and over the days."""
    found = []
    for kind in ("messages", "look", "result"):
        own = [request for request in requests if request.kind == kind]
        gaps = [later.time - earlier.time for earlier, later in pairwise(own)] or [DAYS * DAY]
        days = Counter(int((request.time - START) // DAY) for request in own)
        quarters = Counter(int(request.time % DAY // (DAY / 4)) for request in own)
        for values in ([r.sent for r in own] or [0], [r.received for r in own] or [0], gaps):
            found += [fmean(values), pstdev(values), min(values), max(values)]
        found += [len(own), log10(1 + min(gaps)), sum(gap < 60 for gap in gaps)]
        found += [pstdev([days[day] for day in range(DAYS)]), *(quarters[quarter] for quarter in range(4))]
    received = Counter()
    for request in requests:
        received[int((request.time - START) // DAY)] += request.received
    found += [
        fmean(request.time % 1 for request in requests),
        log10(0.001 + min(b.time - a.time for a, b in pairwise(requests))),
    ]
    return [*found, *(received[day] for day in range(DAYS))]


def told_apart(some, others):
    """The area under the ROC curve of a logistic regression that tells clients from each other it has not seen."""
    # Loaded here: it takes seconds, which every worker would spend that only collects this test.
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = [*some, *others], [0] * len(some) + [1] * len(others)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=1000))
    people = list(range(len(some))) * 2  # who lives twice is learnt from twice, or asked about twice
    folds = GroupKFold(5, shuffle=True, random_state=1)
    scores = cross_val_predict(model, rows, labels, groups=people, cv=folds, method="decision_function")
    return roc_auc_score(labels, scores)


@pytest.mark.parametrize("every", [SMALLER])
def test_a_classifier_finds_a_client_that_leaks_and_nobody_else(tmp_path, time, monkeypatch):
    monkeypatch.setattr(run, "BADGE_SYNCS", 1)  # nobody has one
    kinds = (*STATES, "leaky")
    first = {kind: at * DRAWN for at, kind in enumerate(kinds)}  # all 0 where each lives several times
    seen = {
        kind: [simulated(tmp_path, time, monkeypatch, kind, first[kind] + number) for number in range(CLIENTS)]
        for kind in kinds
    }
    if not DRAWN:
        assert seen["idle"] == seen["notified"] == seen["uploading"]
    told = {kind: [features(requests) for requests in clients] for kind, clients in seen.items()}
    found = {pair: round(told_apart(told[pair[0]], told[pair[1]]), 3) for pair in combinations(kinds, 2)}
    print(found)
    for pair, area in found.items():
        assert area > 0.9 if "leaky" in pair else area <= 0.55, found
