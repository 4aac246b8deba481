"""Bodies and documents are what the second implementation makes, byte for byte."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from anontrace.wire import (
    announcement,
    commitment,
    content,
    description,
    directory,
    look,
    mixes,
    onetime,
    permit,
    places,
    result,
    upload,
)  # fmt: skip
from anontrace.wire.look import Answer, Group, Look
from anontrace.wire.network import PinnedMix
from anontrace.wire.permit import Permit
from anontrace.wire.places import Note, Places
from anontrace.wire.result import Question, Statement
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reason, Reply, State, Upload
from anontrace_shared import log as logs

from tests.shared.make_vectors import FOLDER
from tests.wire import make_vectors


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def h(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("name", make_vectors.ALL)
def test_the_vector_file_is_what_the_reference_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == make_vectors.text(name)


def test_look() -> None:
    v = load("look.json")
    groups = [Group(h(each["address"]), each["from"], each["known"]) for each in v["groups"]]
    old = [(h(each["address"]), each["skip"]) for each in v["old"]]
    asked = Look(v["digests"], v["sums"], v["plain"], h(v["seed"]), groups, old)
    assert asked.encode() == h(v["request"])
    assert Look.parse(h(v["request"])) == asked
    held = [[h(row) for row in rows] for rows in v["held"]]
    told = [[look.digest(row) for row in rows[each.known :]] for rows, each in zip(held, groups, strict=True)]
    added = look.add_up(asked, [rows[g.start :] for rows, g in zip(held, groups, strict=True)])
    plain = [(1, bytes(4) + h(payload)) for payload in v["alone"]] + [(0x200, row) for row in held[0][1:3]]
    made = Answer(told, added, plain)
    assert made.encode(asked) == h(v["answer"])
    assert Answer.parse(asked, h(v["answer"])) == made


def test_upload_with_a_permit() -> None:
    v = load("upload.json")
    made = Upload(PermitAuthorization(h(v["by_permit"]["permit"])), h(v["log"]))
    assert made.encode() == h(v["by_permit"]["upload"])
    assert upload.parse(h(v["by_permit"]["upload"])) == made
    (chunk,) = upload.chunks(made.encode(), h(v["upload_id"]))
    assert chunk == h(v["by_permit"]["chunk_without_padding"]).ljust(16384, b"\0")
    assert upload.fragments(made, h(v["upload_id"])) == [h(each) for each in v["by_permit"]["fragments"]]


def test_upload_of_a_chain_in_several_chunks() -> None:
    v = load("upload.json")
    c = v["by_chain"]
    log = bytes(i * i % 251 for i in range(20000))
    made = Upload(ChainAuthorization(h(c["case_id"]), h(c["address"]), c["slot"], h(c["chain_token"])), log)
    assert sha256(made.encode()).hexdigest() == c["upload_sha256"]
    chunks = upload.chunks(made.encode(), h(v["upload_id"]))
    assert [sha256(chunk).hexdigest() for chunk in chunks] == c["chunk_sha256"]
    assert upload.parse(b"".join(upload.parse_chunk(chunk).data for chunk in chunks)) == made
    fragments = upload.fragments(made, h(v["upload_id"]))
    assert sha256(b"".join(fragments)).hexdigest() == c["fragments_sha256"]


@pytest.mark.parametrize("case", load("places.json")["cases"])
def test_what_a_log_says_of_places(case: dict[str, Any]) -> None:
    v = load("places.json")
    made = Places(case["name"], places.KINDS[case["kind"]], tuple(Note(*each) for each in case["notes"]))
    assert made.encode() == h(case["plain"])
    assert places.seal(h(v["log_key"]), made.encode(), h(v["ephemeral"])) == h(case["block"])
    assert places.unseal(h(v["log_secret"]), h(case["block"])) == made


@pytest.mark.parametrize("case", load("upload.json")["replies"])
def test_answers_to_chunks(case: dict[str, Any]) -> None:
    answer = Reply(State(case["state"]), case["next_offset"], Reason(case["reason"]))
    assert answer.encode() == h(case["reply"])
    assert upload.parse_reply(h(case["reply"])) == answer


@pytest.mark.parametrize("case", load("tokens.json")["tokens"])
def test_tokens(case: dict[str, str]) -> None:
    assert onetime.new_token(lambda size: h(case["random"])) == case["token"]
    assert onetime.normalise(case["token"]) == case["token"]
    assert onetime.token_hash(case["token"]) == h(case["hash"])


def test_permit() -> None:
    v = load("tokens.json")["permit"]
    made = Permit(h(v["case_id"]), v["disease"], h(v["log_hash"]), v["issued"], v["expires"], h(v["commitment"]))
    assert made.sign(h(v["signing_key"])) == h(v["permit"])
    assert permit.verify(h(v["permit"]), h(v["verify_key"])) == made
    old = permit.verify(h(load("tokens.json")["permit_up_to_0.2"]), h(v["verify_key"]))
    assert old == replace(made, commitment=commitment.NONE)


def test_commitment() -> None:
    v = load("commitment.json")
    made = commitment.commit(h(v["log"]), v["slot"], h(v["seed"]))
    assert (made.tries, made.code, commitment.text(made.code)) == (v["tries"], h(v["code"]), v["text"])
    assert commitment.read(v["text"]) == h(v["code"])
    log = h(v["handed_in"])
    assert made.bound(log + h(v["made_up"])) == log
    assert made.prove(log) == h(v["proof"])
    assert commitment.split(h(v["proof"]) + log) == (h(v["proof"]), log)
    proof = commitment.parse(h(v["proof"]))
    assert proof.holds(h(v["code"]), logs.blocks(log))
    assert not proof.holds(h(v["code"]), logs.blocks(log + h(v["made_up"])))


def test_results() -> None:
    v = load("result.json")
    assert Question(h(v["token_hash"]), h(v["log_hash"])).encode() == h(v["question"])
    assert Question.parse(h(v["question"])) == Question(h(v["token_hash"]), h(v["log_hash"]))
    answers = [result.Answer.parse(h(each)) for each in v["answers"]]
    assert [each.encode().hex() for each in answers] == v["answers"]
    assert [each.state for each in answers] == list(result.State)
    told = v["statement"]
    found = result.verify(answers[1].statement, h(v["verify_key"]))
    assert found == Statement(result.serial(h(v["token_hash"])), told["disease"], told["day"])
    assert found.sign(h(load("tokens.json")["permit"]["signing_key"])) == h(told["statement"]) == answers[1].statement


def test_directories_and_what_is_new_in_them() -> None:
    v = load("directory.json")
    key, now, today = h(v["discovery"]["key"]), v["now"], v["day"]
    pins = {mix["number"]: PinnedMix(number=mix["number"], key=h(mix["key"]), roles=mix["roles"]) for mix in v["mixes"]}
    editions = [directory.parse(h(each), key) for each in v["directories"]]
    assert [each.encode().hex() for each in editions] == v["directories"]
    first, _, last = editions
    seen = None
    for each in editions:
        assert directory.follow(seen, [each.head], now)
        seen = each.seen
    news = directory.parse_difference(h(v["since_the_first"]), key)
    assert news.encode().hex() == v["since_the_first"]
    assert directory.follow(first.seen, news.heads, now)
    assert news.applied_to(first.content) == last
    assert [each.content.day for each in editions] == [today, today, today + 1]

    found = mixes.known(last.content, pins, now)
    assert found.refused == ()
    assert sorted(mixes.in_force(found.mixes.values(), now)) == [1, 2, 255]  # the last one retires
    assert found.mixes[2].log_key == h(v["log_key"])
    assert (found.mixes[1].lossy, found.mixes[2].lossy) == ((2, 255), (1,))
    assert (found.mixes[1].name, found.mixes[2].name) == ("Mix No. 1", "Mix № 2")
    assert description.parse(h(v["description"])).encode() == h(v["description"])
    mine = content.parse(h(v["published"]))
    assert mine.encode() == h(v["published"])
    text, seed = mine.descriptions[1], h(v["mixes"][0]["signing_key"])
    made = announcement.parse(h(v["announcement"]), today + 1)
    assert announcement.sign(1, today + 1, made.key, made.lossy, text, seed) == made
    assert mine.announcements[1][today + 1] == h(v["announcement"])
