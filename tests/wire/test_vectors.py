"""Bodies and documents are what the second implementation makes, byte for byte."""

import json
from hashlib import sha256
from typing import Any

import pytest
from anontrace.wire import directory, onetime, permit, poll, upload
from anontrace.wire.network import PinnedMix
from anontrace.wire.permit import Permit
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reason, Reply, State, Upload

from tests.shared.make_vectors import FOLDER
from tests.wire import make_vectors


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def h(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("name", make_vectors.ALL)
def test_the_vector_file_is_what_the_reference_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == make_vectors.text(name)


def test_poll() -> None:
    v = load("poll.json")
    mailboxes = [(h(each["address"]), each["skip"]) for each in v["mailboxes"]]
    found = {each["index"]: [h(payload) for payload in each["payloads"]] for each in v["found"]}
    for room, name in ((poll.OPEN, ""), (v["room"], "_with_room")):
        request, reply = h(v["request" + name]), h(v["reply" + name])
        assert poll.encode_request(mailboxes, room) == request
        assert poll.parse_request(request) == (mailboxes, room)
        assert poll.encode_reply(found, room) == reply
        assert poll.parse_reply(reply, len(mailboxes), room) == found


def test_upload_with_a_permit() -> None:
    v = load("upload.json")
    made = Upload(PermitAuthorization(h(v["by_permit"]["permit"])), h(v["log"]))
    assert made.encode() == h(v["by_permit"]["upload"])
    assert upload.parse(h(v["by_permit"]["upload"])) == made
    (chunk,) = upload.chunks(made.encode(), h(v["upload_id"]))
    assert chunk == h(v["by_permit"]["chunk_without_padding"]).ljust(16384, b"\0")


def test_upload_of_a_chain_in_several_chunks() -> None:
    v = load("upload.json")
    c = v["by_chain"]
    log = bytes(i * i % 251 for i in range(20000))
    made = Upload(ChainAuthorization(h(c["case_id"]), h(c["address"]), c["slot"], h(c["chain_token"])), log)
    assert sha256(made.encode()).hexdigest() == c["upload_sha256"]
    chunks = upload.chunks(made.encode(), h(v["upload_id"]))
    assert [sha256(chunk).hexdigest() for chunk in chunks] == c["chunk_sha256"]
    assert upload.parse(b"".join(upload.parse_chunk(chunk).data for chunk in chunks)) == made


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
    made = Permit(h(v["case_id"]), v["disease"], h(v["log_hash"]), v["issued"], v["expires"])
    assert made.sign(h(v["signing_key"])) == h(v["permit"])
    assert permit.verify(h(v["permit"]), h(v["verify_key"])) == made


def test_directories_and_key_lists() -> None:
    v = load("keylist.json")
    pins = {mix["number"]: PinnedMix(number=mix["number"], key=h(mix["key"]), roles=mix["roles"]) for mix in v["mixes"]}
    first, *_, last = editions = [directory.read(json.dumps(each)) for each in v["directories"]]
    seen = None
    for edition in editions:
        verified = directory.verify(edition, h(v["discovery"]["key"]))
        assert directory.follow(seen, verified, [], v["now"])
        seen = verified.seen
        usable = directory.usable(verified, pins, v["now"])
        assert usable.refused == ()
    assert (verified.head.sequence, verified.head_text) == (3, last.document)
    missed = directory.verify(first, h(v["discovery"]["key"])).seen
    assert directory.pages(missed, verified, v["now"]) == range(1)
    assert directory.follow(missed, verified, directory.read_page(json.dumps(v["page_0"])), v["now"])
    assert sorted(usable.lists) == [1, 2, 255]
    assert usable.lists[2].log_key == h(v["log_key"])
    assert usable.lists[1].losses == {255: 0.25}
    assert usable.lists[255].name == "Mix № 255"
