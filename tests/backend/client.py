"""What a wearer's companion does, as far as the servers' tests need it: with the packet format and httpx only."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import jwt
from anontrace.backend import keyfiles
from anontrace.mixnet import blob, message, notification, surb, swap
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.notification import Notification
from anontrace.mixnet.path import Hop
from anontrace.wire import directory, network, paths, poll, upload
from anontrace.wire.keylist import KeyList
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, Reply, Upload
from anontrace_shared import figures, log
from anontrace_shared.schedule import nym_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .servers import Servers, eventually

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

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.http = servers.http
        self.network = network.load(servers.folder / "network.toml")
        self.nymserver = self.network.with_role("nymserver")[0]
        self.mailbox = self.network.with_role("mailbox")[0]

    @property
    def lists(self) -> dict[int, KeyList]:
        answer = self.http.get(self.network.discovery.url + "/v1/directory")
        found = directory.verify(directory.read(answer.content), self.network.discovery.key)
        return directory.usable(found, self.network.pins, time.time()).lists

    def path(self, last: int, exclude: Sequence[int] = (SLOW,)) -> list[Hop]:
        return paths.choose(self.lists, last, time.time(), exclude=exclude)

    def hops(self, *numbers: int) -> list[Hop]:
        """A path through exactly these mixes."""
        lists = self.lists
        keys = {number: paths.usable_key(lists[number], time.time()) for number in numbers}
        return [Hop(n, key.day % 256, key.key) for n, key in keys.items() if key is not None]

    def post(self, first: int, *messages: bytes) -> int:
        headers = {"Content-Type": "application/octet-stream"}
        url = self.lists[first].url + "/v1/messages"
        return self.http.post(url, content=b"".join(messages), headers=headers).status_code

    def arm(self, who: Registered, way: Sequence[Hop] | None = None) -> bytes:
        """A fresh SURB for an address; the swap (encoded) that stores it in place of the one before."""
        before = who.blob
        made, who.secrets = surb.make(self.path(self.mailbox), who.mailbox)
        who.blob = blob.seal(who.address, who.slot, made)
        shown = swap.authentication(before) if before else swap.NEW
        return swap.Swap(who.key, shown, who.blob).encode()

    def send_swap(self, payload: bytes, way: Sequence[Hop] | None = None) -> bytes:
        """Send a swap through four hops; the message as it was posted."""
        way = way or self.path(self.nymserver)
        made = message.forward(way, NO_MAILBOX, payload)
        assert self.post(way[0].number, made) == 202
        return made

    def fingerprints(self, key: bytes) -> list[bytes]:
        listed = self.lists[self.nymserver]
        assert listed.bucket_bits is not None
        index = swap.bucket_index(key, listed.bucket_bits)
        body = self.http.get(f"{listed.url}/v1/buckets/{index}").content
        return [body[at : at + 8] for at in range(0, len(body), 8)]

    def is_stored(self, who: Registered) -> bool:
        return swap.fingerprint(who.key, who.blob) in self.fingerprints(who.key)

    def register(self, slot: int) -> Registered:
        """A new address, its registration confirmed."""
        who = Registered(os.urandom(20), slot)
        self.send_swap(self.arm(who))
        eventually("the swap is stored", lambda: self.is_stored(who))
        return who

    def ask(self, mailboxes: Sequence[tuple[bytes, int]], room: int) -> bytes:
        """The mailbox server's answer to a poll."""
        headers = {"Content-Type": "application/octet-stream"}
        body = poll.encode_request(mailboxes, room)
        return self.http.post(self.servers.url("mailbox") + "/v1/poll", content=body, headers=headers).content

    def poll(self, mailbox: bytes, skip: int = 0) -> list[bytes]:
        return poll.parse_reply(self.ask([(mailbox, skip)], poll.OPEN), 1, poll.OPEN).get(0, [])

    def told(self, who: Registered, skip: int = 0) -> Notification:
        """The next notification in an address's mailbox, opened."""
        payload = eventually("a notification arrived", lambda: self.poll(who.mailbox, skip))[0]
        assert who.secrets is not None
        return notification.open(who.secrets, payload)

    def make_log(self, slot: int, heard: Sequence[Registered], present: int = 3) -> bytes:
        """A block of what a badge heard in a slot."""
        log_key = self.lists[self.nymserver].log_key
        assert log_key is not None
        sealer = log.Sealer(log_key, log.KNOWN_SLOT, slot)
        packed = figures.pack(True, 0, present - 1, present, -60, -70, 3, 9)
        return sealer.begin(len(heard)) + b"".join(sealer.record(each.address, packed) for each in heard) + sealer.end()

    def redeem(self, token: str, contact_log: bytes) -> Any:
        body = {"token": token, "log_hash": sha256(contact_log).hexdigest()}
        return self.http.post(self.network.authority.url + "/v1/redeem", json=body)

    def chunk(self, body: bytes) -> Reply:
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.http.post(self.lists[self.nymserver].url + "/v1/upload", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return upload.parse_reply(answer.content)

    def upload(self, authorization: PermitAuthorization | ChainAuthorization, contact_log: bytes) -> Reply:
        """Upload a log; the last answer."""
        replies = [self.chunk(c) for c in upload.chunks(Upload(authorization, contact_log).encode(), os.urandom(16))]
        return replies[-1]

    def staff(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the authority's staff, without the command line."""
        token = keyfiles.read(self.servers.folder / "authority", keyfiles.STAFF).hex()
        url = f"{self.network.authority.url}/v1/staff/{path}"
        return self.http.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"})

    def reports(self) -> list[dict[str, Any]]:
        return list(self.staff("GET", "reports").json()["reports"])

    def approve(self, report: str, **decision: Any) -> int:
        """Approve a report; how many notifications that queued."""
        body = {"approve": True, "minutes": 1} | decision
        return int(self.staff("POST", f"reports/{report}/decision", body).json()["notifications"])

    def refuse(self, report: str) -> None:
        assert self.staff("POST", f"reports/{report}/decision", {"approve": False}).is_success

    def permit(self, contact_log: bytes, disease: str = "U07.1") -> PermitAuthorization:
        """A token issued and redeemed for this log."""
        token = self.staff("POST", "tokens", {"disease": disease}).json()["token"]
        return PermitAuthorization(bytes.fromhex(self.redeem(token, contact_log).json()["permit"]))

    def report_with(self, case: bytes | None, generation: int) -> dict[str, Any]:
        """The pending report of a case (any, if None) and generation, once it is there."""

        def find() -> Any:
            for each in self.reports():
                wanted = case is None or each["case"] == case.hex()
                if wanted and each["generation"] == generation and each["state"] == "pending":
                    return each
            return None

        return dict(eventually("the report is there", find))


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
