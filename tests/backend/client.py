"""What a wearer's companion does, as far as the servers' tests need it: with the packet format and httpx only."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import jwt
from anontrace.backend.staff.rights import Role
from anontrace.mixnet import blob, notification, packet, receipt, surb, swap, words
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.notification import Notification
from anontrace.mixnet.path import Hop
from anontrace.mixnet.receipt import NymAnswer, NymQuestion
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire import commitment, directory, mixes, network, onetime, result, upload
from anontrace.wire.choosing_paths import Paths
from anontrace.wire.directory import Directory
from anontrace.wire.look import MAX_PLAIN, Answer, Look
from anontrace.wire.mixes import Mix
from anontrace.wire.result import Question
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reply, Upload
from anontrace_shared import figures, log
from anontrace_shared.schedule import nym_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.patience import eventually

from . import signed_in
from .servers import Servers

RECEIPT_SECONDS = 30.0  # without an answer for so long a receipt is asked again

KNOWN_SECONDS = 5.0  # for so long messages are made by the directory last seen, as long as no server is started anew

SLOW = 3  # the mix that the tests kill; it holds messages longer


@dataclass
class Registered:
    """A contact address of a slot, and what its owner keeps."""

    address: bytes
    slot: int
    mailbox: bytes = field(default_factory=lambda: os.urandom(32))
    blob: bytes = b""
    secrets: surb.SurbSecrets | None = None

    @property
    def key(self) -> bytes:
        return nym_key(self.address, self.slot)


class Client:
    """Talks to a network of test servers."""

    known_seconds = KNOWN_SECONDS

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.http = servers.http
        self.network = network.load(servers.folder / "network.toml")
        self.nymserver = self.network.with_role("nymserver")[0]
        self.mailbox = self.network.with_role("mailbox")[0]
        self.receipt_hops: Counter[int] = Counter()  # how often receipts and their answers went through each mix
        self._known: dict[int, Mix] = {}
        self._known_at = (float("-inf"), 0)  # when, and how many servers had been started

    @property
    def directory(self) -> Directory:
        """What discovery serves now."""
        answer = self.http.get(self.network.discovery.url + "/v2/directory")
        return directory.parse(answer.content, self.network.discovery.key)

    def now(self) -> float:
        return time.time()

    @property
    def mixes(self) -> dict[int, Mix]:
        """The mixes in force now."""
        found = mixes.known(self.directory.content, self.network.pins, self.now())
        self._known = mixes.in_force(found.mixes.values(), self.now())
        self._known_at = time.monotonic(), self.servers.started
        return self._known

    @property
    def known(self) -> dict[int, Mix]:
        """The mixes in force when the directory was last read, which is not done for every message."""
        moment, started = self._known_at
        if started == self.servers.started and time.monotonic() - moment < self.known_seconds:
            return self._known
        return self.mixes

    def path(self, last: int, exclude: Sequence[int] = (SLOW,)) -> list[Hop]:
        return Paths(self.known, self.now(), exclude).choose(last)

    def hops(self, *numbers: int) -> list[Hop]:
        """A path through exactly these mixes."""
        paths = Paths(self.known, self.now())
        return [paths.hop(number) for number in numbers]

    def post(self, first: int, *messages: bytes) -> int:
        headers = {"Content-Type": "application/octet-stream"}
        url = self.known[first].url + "/v1/messages"
        return self.http.post(url, content=b"".join(messages), headers=headers).status_code

    def arm(self, who: Registered) -> bytes:
        """A fresh SURB for an address; the swap (encoded) that stores it in place of the one before."""
        before = who.blob
        keys = [None if who.secrets is None else who.secrets.message_secret]
        ((made, who.secrets),) = surb.make_many([self.path(self.mailbox)], [who.mailbox], message_secrets=keys)
        who.blob = blob.seal(who.address, who.slot, made)
        shown = swap.authentication(before) if before else swap.NEW
        return swap.Swap(who.key, shown, who.blob).encode()

    def send_swap(self, payload: bytes, way: Sequence[Hop] | None = None) -> bytes:
        """Send a swap through four hops; the message as it was posted."""
        way = way or self.path(self.nymserver)
        made = packet.forward(way, NO_MAILBOX, payload)
        assert self.post(way[0].number, made) == 202
        return made

    def is_stored(self, who: Registered) -> bool:
        return self.holds(who.key, who.blob)

    def are_stored(self, everyone: Sequence[Registered]) -> bool:
        return all(self.held([(who.key, who.blob) for who in everyone]))

    def holds(self, key: bytes, stored: bytes) -> bool:
        """Whether the nymserver holds this blob."""
        return self.held([(key, stored)])[0]

    def held(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[bool]:
        """Whether the nymserver holds these blobs, as receipts say that come through the mixes at the same time; one
        that gets lost is asked again."""
        questions = [_Question(self, NymQuestion(key, swap.fingerprint(key, stored))) for key, stored in wanted]
        for question in questions:
            question.ask()
        return [eventually("the receipt is answered", question.answers)[0] for question in questions]

    def register(self, slot: int) -> Registered:
        """A new address, its registration confirmed."""
        return self.register_all(slot, 1)[0]

    def register_all(self, slot: int, count: int) -> list[Registered]:
        """As `register`, so many at once."""
        everyone = [Registered(os.urandom(20), slot) for _ in range(count)]
        for who in everyone:
            self.send_swap(self.arm(who))
        eventually("the swaps are stored", lambda: self.are_stored(everyone))
        return everyone

    def look(self, asked: Look, url: str | None = None) -> Answer:
        """The mailbox server's answer to a look."""
        headers = {"Content-Type": "application/octet-stream"}
        url = (url or self.servers.url("mailbox")) + "/v2/look"
        answer = self.http.post(url, content=asked.encode(), headers=headers)
        assert answer.status_code == 200, answer.text
        return Answer.parse(asked, answer.content)

    def poll(self, mailbox: bytes, skip: int = 0, url: str | None = None) -> list[bytes]:
        """What a mailbox of its own holds, beyond that."""
        found: list[bytes] = []
        while len(found) % MAX_PLAIN == 0:
            asked = Look(0, 0, MAX_PLAIN, os.urandom(16), [], [(mailbox, min(skip + len(found), 255))])
            more = [row[4:] for _, row in self.look(asked, url).plain]
            found += more
            if not more:
                break
        return found

    def told(self, who: Registered, skip: int = 0) -> Notification:
        """The next notification in an address's mailbox, opened."""
        found, content = self._opened(who, skip)
        return replace(found, message=notification.unpadded("message", content), words=b"")

    def told_in(self, who: Registered) -> bytes:
        """What is in the words (42) of the first one."""
        return self._opened(who, 0)[1]

    def _opened(self, who: Registered, skip: int) -> tuple[Notification, bytes]:
        payload = eventually("a notification arrived", lambda: self.poll(who.mailbox, skip))[0]
        assert who.secrets is not None
        found = notification.open(who.secrets, payload)
        authority = words.key_of(self.network.authority.key)
        return found, words.open_content(
            who.secrets.message_secret, authority, who.address, who.slot, found.report_id, found.kind, found.words
        )

    def make_log(self, slot: int, heard: Sequence[Registered], present: int = 3) -> bytes:
        """A block of what a badge heard in a slot."""
        log_key = self.known[self.nymserver].log_key
        assert log_key is not None
        sealer = log.Sealer(log_key, log.KNOWN_SLOT, slot)
        packed = figures.pack(True, 0, present - 1, present, -60, -70, 3, 9)
        return sealer.begin(len(heard)) + b"".join(sealer.record(each.address, packed) for each in heard) + sealer.end()

    def ask(self, token: str, contact_log: bytes | None = None) -> Any:
        """A question for the result of a test, and for a permit for this log; the HTTP answer."""
        log_hash = result.NO_LOG if contact_log is None else sha256(contact_log).digest()
        body = Question(onetime.token_hash(token), log_hash).encode()
        headers = {"Content-Type": "application/octet-stream"}
        return self.http.post(self.network.authority.url + "/v2/result", content=body, headers=headers)

    def redeem(self, token: str, contact_log: bytes | None = None) -> result.Answer:
        """The answer to that."""
        answer = self.ask(token, contact_log)
        assert answer.status_code == 200, answer.text
        return result.Answer.parse(answer.content)

    def token(self, code: bytes = commitment.NONE, disease: str = "U07.1") -> str:
        """A token of a positive test, at which a log with this code was committed."""
        typed = "" if code == commitment.NONE else commitment.text(code)
        wanted = {"disease": disease, "commitment": typed, "result": "positive"}
        return str(self.staff("POST", "tokens", wanted).json()["token"])

    def chunk(self, body: bytes) -> Reply:
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.http.post(self.known[self.nymserver].url + "/v1/upload", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return upload.parse_reply(answer.content)

    def upload(self, authorization: PermitAuthorization | ChainAuthorization, contact_log: bytes) -> Reply:
        """Upload a log; the last answer."""
        replies = [self.chunk(c) for c in upload.chunks(Upload(authorization, contact_log).encode(), os.urandom(16))]
        return replies[-1]

    def staff(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the authority's staff, without the command line."""
        return self.servers.for_staff("authority").request(
            method, f"/v1/staff/{path}", json=body, headers=self.staff_headers(path)
        )

    def staff_headers(self, path: str = "reports") -> dict[str, str]:
        """Of somebody who may ask for this."""
        role = Role.TEST_SITE if path.startswith("tokens") else Role.DECIDER
        return {"Authorization": f"Bearer {signed_in.session(self.servers.folder / 'authority', role)}"}

    def reports(self) -> list[dict[str, Any]]:
        return list(self.staff("GET", "reports").json()["reports"])

    def approve(self, report: str, **decision: Any) -> int:
        """Approve a report; how many notifications that queued."""
        body = {"approve": True, "minutes": 1} | decision
        return int(self.staff("POST", f"reports/{report}/decision", body).json()["notifications"])

    def refuse(self, report: str) -> None:
        assert self.staff("POST", f"reports/{report}/decision", {"approve": False}).is_success

    def permit(self, contact_log: bytes, disease: str = "U07.1", code: bytes = commitment.NONE) -> PermitAuthorization:
        """A token of a positive test, redeemed for this log."""
        return PermitAuthorization(self.redeem(self.token(code, disease), contact_log).permit)

    def report_with(self, case: bytes | None, generation: int) -> dict[str, Any]:
        """The pending report of a case (any, if None) and generation, once it is there."""

        def find() -> Any:
            for each in self.reports():
                wanted = case is None or each["case"] == case.hex()
                if wanted and each["generation"] == generation and each["state"] == "pending":
                    return each
            return None

        return dict(eventually("the report is there", find))


class _Question:
    """A question to the nymserver, and its answers."""

    def __init__(self, client: Client, question: NymQuestion) -> None:
        self._client = client
        self._question = question
        self._asked: list[tuple[bytes, SurbSecrets]] = []  # by which mailbox
        self._last = 0.0

    def ask(self) -> None:
        client, mailbox = self._client, os.urandom(32)
        back, there = client.path(client.mailbox), client.path(client.nymserver)
        reply, kept = surb.make_reply(back, mailbox)
        client.receipt_hops.update(hop.number for hop in (*there, *back))
        client.send_swap(receipt.Receipt(self._question, reply).encode(), there)
        self._asked.append((mailbox, kept))
        self._last = time.monotonic()

    def answers(self) -> list[bool]:
        """Whether it is as asked, once that is known; asks again when that takes long."""
        if time.monotonic() - self._last > RECEIPT_SECONDS:
            self.ask()
        return [
            found == receipt.expected(kept, NymAnswer(True))
            for mailbox, kept in self._asked
            for found in self._client.poll(mailbox)
        ]


def signed_by(key: Ed25519PrivateKey, method: str, path: str, body: bytes, **changed: object) -> dict[str, str]:
    """The headers of a request of the health authority to the nymserver."""
    now = int(time.time())
    claims = {
        "aud": "nymserver",
        "iat": now,
        "exp": now + 60,
        "jti": os.urandom(8).hex(),
        "sub": f"{method} {path}",
        "body": sha256(body).hexdigest(),
    }
    return {"Authorization": "Bearer " + jwt.encode(claims | changed, key, algorithm="EdDSA")}
