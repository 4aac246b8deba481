"""Answers about a hidden upload that lie, are garbled, or are for another receipt: they cost the upload time, and the
companion nothing else."""

import secrets

import pytest
from anontrace.companion.reports.journey import count, unsent
from anontrace.companion.store.states import ACCEPTED, READY
from anontrace.mixnet.receipt import UploadAnswer, UploadQuestion, UploadState
from anontrace.mixnet.sizes import PAYLOAD
from anontrace.wire.levels import Level

from tests.companion.paper import START, Wearer
from tests.companion.schedule.test_shape import DAY, every, hand_in, time  # noqa: F401

MUCH = 1 << 17  # fragments, of an upload that has some
PIECES = 20
LEVEL = Level(
    "quick", messages=40, batch=8, looks=24, digests=32, sums=16, window_days=2, receipts=24, renewals=10, new=24
)
RECEIVING = UploadState.RECEIVING
LIES = {
    "all of it is missing, and much more": UploadAnswer(RECEIVING, 0, ((0, MUCH),)),
    "what is behind its end is missing": UploadAnswer(RECEIVING, 0, ((1 + PIECES, MUCH), (MUCH * 2, MUCH))),
    "it is not whole, and nothing is missing": UploadAnswer(RECEIVING),
    "it was never begun": UploadAnswer(UploadState.UNKNOWN),
    "garbled": None,
    "an answer to another receipt": None,
}


@pytest.fixture
def wearer(tmp_path, time, monkeypatch):  # noqa: F811
    made = Wearer(tmp_path / "state", time, monkeypatch, LEVEL)
    made.network.transparent = True
    yield made
    made.close()


def test_whatever_is_answered_an_upload_is_sent_within_its_bounds_until_it_is_accepted(wearer):
    network, told, sent = wearer.network, [], []
    real_answer, real_send = network._told, network._send

    def answer(question):
        if not isinstance(question, UploadQuestion) or len(told) == len(LIES):
            return real_answer(question)
        told.append(list(LIES)[len(told)])
        return LIES[told[-1]] or real_answer(question)

    def send(first_mix, header, payload):
        if told and told[-1] == "garbled" and len(sent) < 1:
            sent.append(payload)
            payload = secrets.token_bytes(PAYLOAD)
        elif told and told[-1] == "an answer to another receipt" and len(sent) < 2:
            sent.append(payload)
            payload = sent[0]
        real_send(first_mix, header, payload)

    network._told, network._send = answer, send
    wearer.until(START + DAY)
    hand_in(wearer, PIECES)
    (upload,) = wearer.state.uploads.all()
    before = len(network.requests)
    for hours in range(1, 15 * 24):
        wearer.until(START + DAY + hours * 3600)
        (upload,) = wearer.state.uploads.all()
        if upload.state != READY:
            break
        assert unsent(upload) <= set(range(count(upload)))
    assert (told, len(sent)) == (list(LIES), 2)
    assert upload.state == ACCEPTED
    assert {each.sent for each in network.requests[before:] if each.kind == "messages"} == {LEVEL.batch * 380}
