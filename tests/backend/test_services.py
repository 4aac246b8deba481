"""What servers refuse, and that they go on: sizes, types, signatures, tokens."""

import hmac
import json
import os
import time
from collections.abc import Iterator

import httpx
import jwt
import pytest
from anontrace.backend.keys import keyfiles
from anontrace.mixnet import packet, surb
from anontrace.mixnet.header import GROUPED
from anontrace.wire import announcement, description, look, onetime, result, upload
from anontrace.wire.content import Content
from anontrace.wire.description import Description
from anontrace.wire.look import Group, Look
from anontrace.wire.upload import Chunk, Reason, State
from anontrace_primitives import x25519_base
from anontrace_shared.slots import slot_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode
from nacl.signing import SigningKey

from tests.patience import eventually

from .client import Client, signed_by

OCTETS, JSON = "application/octet-stream", "application/json"


def mix_url(client: Client) -> str:
    return client.servers.url("mix-1") + "/v1/messages"


@pytest.mark.parametrize("size", [0, 1, 379, 381, 256 * 380 + 1, 257 * 380, 5_000_000])
def test_a_mix_refuses_a_body_that_is_not_whole_messages_and_goes_on(client: Client, size: int) -> None:
    answer = client.http.post(mix_url(client), content=bytes(size), headers={"Content-Type": OCTETS})
    assert answer.status_code in (400, 413)
    assert set(answer.json()) == {"error"}
    assert client.http.post(mix_url(client), content=bytes(380), headers={"Content-Type": OCTETS}).status_code == 202


def test_a_body_without_a_length_is_cut_off_at_the_limit(client: Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield bytes(10_000)

    answer = client.http.post(mix_url(client), content=endless(), headers={"Content-Type": OCTETS})
    assert answer.status_code == 413


def test_a_body_of_another_type_is_refused(client: Client) -> None:
    answer = client.http.post(mix_url(client), content=bytes(380), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (415, {"error": f"the body has to be {OCTETS}"})
    url = client.network.authority.url + "/v2/result"
    for body, kind in ((bytes(63), OCTETS), (bytes(65), OCTETS), (b"", OCTETS), (bytes(64), JSON)):
        answer = client.http.post(url, content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 413, 415)
        assert set(answer.json()) == {"error"}
    gone = client.http.post(client.network.authority.url + "/v1/redeem", json={"token": "", "log_hash": "00" * 32})
    assert (gone.status_code, "protocol 2" in gone.json()["error"]) == (410, True)


@pytest.mark.parametrize("size", [0, 20, 22, 22 + 33, 10_241])
def test_a_mailbox_server_refuses_a_malformed_look(client: Client, size: int) -> None:
    url = client.servers.url("mailbox") + "/v2/look"
    answer = client.http.post(url, content=bytes(size), headers={"Content-Type": OCTETS})
    assert answer.status_code in (400, 413, 422) and set(answer.json()) == {"error"}
    for head in (b"\xff\xff\0\0", b"\0\0\x41\0", b"\0\0\0\x41"):  # room for more than there may be
        assert client.http.post(url, content=head + bytes(17), headers={"Content-Type": OCTETS}).status_code == 422
    assert client.poll(bytes(32)) == []


def test_who_polls_as_by_protocol_1_is_told_so(client: Client) -> None:
    answer = client.http.post(client.servers.url("mailbox") + "/v1/poll", content=bytes(35))
    assert (answer.status_code, answer.json()) == (
        410, {"error": "this network speaks protocol 2; a companion from 0.3 on is needed"}
    )  # fmt: skip


def test_mailboxes_of_their_own_are_answered_in_plain_as_many_messages_as_there_is_room_for(client: Client) -> None:
    boxes = [os.urandom(32) for _ in range(5)]
    sent = {1: {os.urandom(239) for _ in range(2)}, 3: {os.urandom(239)}, 4: {os.urandom(239)}}
    way = client.hops(client.mailbox)
    assert client.post(client.mailbox, *(packet.forward(way, boxes[i], p) for i in sent for p in sent[i])) == 202
    eventually("all are there", lambda: sum(len(client.poll(box)) for box in boxes) == 4)
    found = client.look(Look(0, 0, 6, bytes(16), [], [(box, 0) for box in boxes])).plain
    assert {place for place, _ in found} == sent.keys() and {row[:4] for _, row in found} == {bytes(4)}
    skips, payloads = [0] * 5, []
    for _ in range(2):  # three, then the last one
        for place, row in client.look(Look(0, 0, 3, bytes(16), [], list(zip(boxes, skips, strict=True)))).plain:
            skips[place] += 1
            payloads.append(row[4:])
        assert skips in ([0, 2, 0, 1, 0], [0, 2, 0, 1, 1])
    assert sorted(payloads) == sorted(set().union(*sent.values()))


def test_what_arrives_in_mailboxes_of_a_group_is_told_by_digests_sums_and_in_plain(client: Client) -> None:
    """Through the mixes, to addresses whose routing says that they are of a group; its other mailboxes are empty."""
    group, other = os.urandom(16), os.urandom(16)
    boxes, way = [os.urandom(16) for _ in range(3)], client.path(client.mailbox)
    rows = []
    for box in boxes:
        made, kept = surb.make(way, group + box, version=GROUPED)
        payload = os.urandom(239)
        rows.append(box[:4] + kept.arrives(payload))
        opened = surb.parse(made)
        assert client.post(opened.first_mix, surb.use(opened, payload)) == 202
    asked = Look(5, 4, 3, os.urandom(16), [Group(other, 0, 0), Group(group, 0, 0)])
    eventually("all are there", lambda: len(client.look(asked).told[1]) == 3)
    answer = client.look(asked)
    assert answer.told[0] == [] and set(answer.told[1]) == {look.digest(row) for row in rows}
    held = sorted(rows, key=lambda row: answer.told[1].index(look.digest(row)))
    assert answer.plain == [(look.FIRST_GROUP + 1, row) for row in held]
    assert answer.sums == look.add_up(asked, [[], held])
    assert client.poll(group + boxes[0]) == []  # it has no list of its own


def test_unknown_paths_methods_and_what_is_gone_are_told_in_json(client: Client) -> None:
    nymserver = client.servers.url("nymserver")
    for path, status in (
        ("/", 404),
        ("/v1/messages", 405),
        ("/v1/buckets/256", 410),
        ("/v1/buckets/x", 410),
        ("/healthz/", 404),
    ):
        answer = client.http.get(nymserver + path)
        assert (answer.status_code, set(answer.json())) == (status, {"error"})
        assert answer.headers.get("allow") == ("POST" if status == 405 else None)


def test_a_token_is_redeemed_once_and_for_one_log(client: Client) -> None:
    token = client.token()
    first = client.redeem(token.lower().replace("-", " "), b"my log")
    assert first.state is result.State.PERMIT
    assert client.redeem(token, b"my log") == first
    assert client.redeem(token, b"another log").reason is result.Reason.ANOTHER_LOG


def test_unknown_tokens_are_limited_and_then_all_questions_are_refused_alike(client: Client) -> None:
    nothing = result.Question(result.NO_TOKEN).encode()

    def ask_nothing() -> httpx.Response:
        return client.http.post(client.network.authority.url + "/v2/result", content=nothing)

    assert client.redeem(onetime.new_token(), b"log").reason is result.Reason.UNKNOWN
    assert result.Answer.parse(ask_nothing().content) == result.Answer(result.State.NOT_YET)
    try:
        statuses = {client.ask(onetime.new_token(), b"log").status_code for _ in range(12)}
        assert statuses == {200, 429}
        refused = [ask_nothing(), client.ask(onetime.new_token(), b"log")]
        assert {each.status_code for each in refused} == {429} and refused[0].content == refused[1].content
        assert int(refused[0].headers["retry-after"]) > 0
    finally:
        client.servers.kill("discovery", "mix-1", "mix-2", "nymserver", "mailbox", "authority")
        client.servers.start("discovery", "mix-1", "mix-2", "nymserver", "mailbox", "authority")


def test_an_upload_is_taken_up_again_where_it_stopped(client: Client) -> None:
    slot = slot_of(time.time())
    contact_log = client.make_log(slot, []) * 1000
    chunks = upload.chunks(upload.Upload(client.permit(contact_log), contact_log).encode(), os.urandom(16))
    assert len(chunks) == 3
    assert client.chunk(chunks[1]) == upload.Reply(State.RECEIVING, 0)
    assert client.chunk(chunks[0]) == upload.Reply(State.RECEIVING, upload.CHUNK_DATA)
    assert client.chunk(chunks[2]) == upload.Reply(State.RECEIVING, upload.CHUNK_DATA)
    assert client.chunk(chunks[0]) == upload.Reply(State.RECEIVING, upload.CHUNK_DATA)
    client.chunk(chunks[1])
    assert client.chunk(chunks[2]).state is State.ACCEPTED
    assert client.chunk(chunks[2]).state is State.ACCEPTED
    client.refuse(client.report_with(None, 0)["report"])


def test_an_upload_that_nobody_permitted_is_refused_at_its_first_chunk(client: Client) -> None:
    def first(kind: int, size: int, length: int = 100_000, version: int = 2) -> Reason:
        authorization = bytes((kind, version)) + os.urandom(size - 1)
        data = authorization + length.to_bytes(4, "little") + bytes(100)
        return client.chunk(Chunk(os.urandom(16), len(authorization) + 4 + length, 0, data).encode()).reason

    assert first(1, 139) is Reason.PERMIT_INVALID
    assert first(1, 129, version=1) is Reason.PERMIT_INVALID  # as an authority up to 0.2 made it
    assert first(1, 138) is Reason.MALFORMED
    assert first(1, 139, version=3) is Reason.MALFORMED
    assert first(3, 139) is Reason.MALFORMED
    assert first(2, 136, length=1 << 30) is Reason.TOO_LARGE
    assert client.chunk(os.urandom(16384)).reason is Reason.MALFORMED
    dummy_of_0_2 = os.urandom(16).ljust(upload.CHUNK, b"\0")
    assert client.chunk(dummy_of_0_2).reason is Reason.MALFORMED
    url = client.servers.url("nymserver") + "/v1/upload"
    assert client.http.post(url, content=bytes(16383), headers={"Content-Type": OCTETS}).status_code == 400


def test_only_the_authority_sees_reports_and_each_request_counts_once(client: Client) -> None:
    url = client.servers.url("nymserver") + "/v1/reports"
    seed = keyfiles.read(client.servers.folder / "authority", keyfiles.SIGNING)
    own = Ed25519PrivateKey.from_private_bytes(seed)
    public = own.public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    now = int(time.time())

    def forged(algorithm: str, key: Ed25519PrivateKey | bytes, *without: str) -> dict[str, str]:
        """By another algorithm, or with claims left out. PyJWT would not take a public key for a secret."""
        token = signed_by(own, "GET", "/v1/reports", b"")["Authorization"].partition(" ")[2]
        claims = jwt.decode(token, options={"verify_signature": False})
        head, payload = ({"alg": algorithm}, {k: v for k, v in claims.items() if k not in without})
        covered = b".".join(base64url_encode(json.dumps(part).encode()) for part in (head, payload))
        if isinstance(key, bytes):
            signature = hmac.digest(key, covered, "sha256") if key else b""
        else:
            signature = key.sign(covered)
        return {"Authorization": f"Bearer {(covered + b'.' + base64url_encode(signature)).decode()}"}

    bad = [
        {},
        {"Authorization": "Bearer x"},
        signed_by(Ed25519PrivateKey.generate(), "GET", "/v1/reports", b""),
        signed_by(own, "POST", "/v1/reports", b""),
        signed_by(own, "GET", "/v1/reports", b"another body"),
        signed_by(own, "GET", "/v1/reports", b"", aud="mailbox"),
        signed_by(own, "GET", "/v1/reports", b"", iat=now - 600, exp=now - 540),
        signed_by(own, "GET", "/v1/reports", b"", exp=now + 3600),
        signed_by(own, "GET", "/v1/reports", b"", iat=now + 600, exp=now + 660),
        signed_by(own, "GET", "/v1/reports", b"", iat=float("nan")),
        signed_by(own, "GET", "/v1/reports", b"", exp=True),
        signed_by(own, "GET", "/v1/reports", b"", sub="GET /v1/reports?"),
        signed_by(own, "GET", "/v1/reports", b"", jti=7),
        forged("none", b""),
        forged("HS256", raw),
        forged("HS256", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        forged("EdDSA", own, "jti"),
        forged("EdDSA", own, "body"),
        forged("EdDSA", own, "exp"),
    ]
    for number, headers in enumerate(bad):
        assert client.http.get(url, headers=headers).status_code == 401, number
    assert client.http.get(url, headers=forged("EdDSA", own)).status_code == 200
    good = signed_by(own, "GET", "/v1/reports", b"")
    assert client.http.get(url, headers=good).status_code == 200
    assert client.http.get(url, headers=good).status_code == 401


def test_the_staff_interface_wants_a_session(client: Client) -> None:
    http = client.servers.for_staff("authority")
    for headers in ({}, {"Authorization": "Bearer " + "0" * 64}):
        assert http.get("/v1/staff/reports", headers=headers).status_code == 401


def test_a_decision_that_makes_no_sense_is_refused_with_a_reason(client: Client) -> None:
    contact_log = client.make_log(slot_of(time.time()), [])
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)["report"]
    for where, decision, status, reason in (
        (report, {"exposures": [77]}, 422, "no such exposure"),
        (report, {"message": "x" * 43}, 422, "43 bytes in UTF-8, and there is room for 42"),
        (report, {"minutes": -1}, 422, "minutes"),
        (report, {"surprise": 1}, 422, "surprise"),
        (report, {"approve": 1}, 422, "approve"),  # without a key for a retraction if it were taken for true
        (report, {"approve": "yes"}, 422, "approve"),
        ("00" * 8, {}, 404, "no such report"),
        ("nothing", {}, 422, "report: "),
    ):
        answer = client.staff("POST", f"reports/{where}/decision", {"approve": True} | decision)
        assert (answer.status_code, reason in answer.json()["error"]) == (status, True)
    headers = client.staff_headers() | {"Content-Type": JSON}
    http = client.servers.for_staff("authority")
    for body in (b"[" * 100_000, b"[]", b"9" * 5000, b"\xff", b'{"approve": NaN}'):
        answer = http.post(f"/v1/staff/reports/{report}/decision", content=body, headers=headers)
        assert (answer.status_code, set(answer.json())) == (422, {"error"})
    client.refuse(report)
    assert client.staff("POST", f"reports/{report}/decision", {"approve": False}).status_code == 409


def test_discovery_takes_what_pinned_mixes_publish_only_and_no_older_description(client: Client) -> None:
    base = client.network.discovery.url + "/v2/announcements"
    now, today = int(time.time()), int(time.time()) // 86400
    before = client.directory.content
    current = description.parse(before.descriptions[1])
    seed = keyfiles.read(client.servers.folder / "mix-1", keyfiles.SIGNING)

    def put(made: Description, day: int = today, signing_key: bytes = seed, to: int = 1) -> int:
        text = made.encode()
        key = x25519_base(os.urandom(32))
        each = announcement.sign(made.number, day, key, (), text, signing_key).encode()
        body = Content({made.number: text}, {made.number: {day: each}}).encode()
        headers = {"Content-Type": "application/octet-stream"}
        return client.http.put(f"{base}/{to}", content=body, headers=headers).status_code

    changed = current.model_copy(update={"issued": now + 1, "name": "other"})
    assert put(changed, signing_key=SigningKey.generate().encode()) == 403
    assert put(changed.model_copy(update={"number": 77})) == 422
    assert put(changed.model_copy(update={"number": 77}), to=77) == 403
    assert put(changed.model_copy(update={"roles": ("mix", "mailbox")})) == 403
    assert put(changed.model_copy(update={"issued": now + 3600})) == 403
    assert [put(changed, day) for day in (today - 1, today + 2)] == [403, 403]
    assert put(changed.model_copy(update={"issued": current.issued - 100})) == 409
    assert put(changed.model_copy(update={"issued": current.issued})) == 409  # or two would take turns
    assert put(current) == 409  # another key of a day that has one
    headers = {"Content-Type": "application/octet-stream"}
    assert client.http.put(f"{base}/1", content=bytes(7), headers=headers).status_code == 422
    assert client.directory.content == before


def test_who_has_the_directory_is_not_sent_it_again(client: Client) -> None:
    whole = client.network.discovery.url + "/v2/directory"
    for url in (whole, f"{whole}/{client.directory.content.day}"):
        answer = client.http.get(url)
        again = client.http.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert (answer.status_code, again.status_code, again.content) == (200, 304, b"")
    assert client.directory.head.sequence > 1


def test_who_speaks_protocol_1_is_told_so(client: Client) -> None:
    for method, path in (("GET", "directory"), ("GET", "directory/chain/0"), ("PUT", "lists/1")):
        answer = client.http.request(method, f"{client.network.discovery.url}/v1/{path}")
        assert answer.status_code == 410
        assert answer.json() == {"error": "this network speaks protocol 2; a companion from 0.3 on is needed"}


def test_no_counter_and_no_status_names_anybody(client: Client) -> None:
    for name in ("nymserver", "mailbox", "authority"):
        text = json.dumps(client.servers.status(name))
        assert len(text) < 3000
        assert not any(len(word) >= 16 and all(c in "0123456789abcdef" for c in word) for word in text.split('"'))
