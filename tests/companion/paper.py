"""A network on paper: real keys, real messages, every request written down; and a companion whose `run` uses it.

It answers as the servers do, at once and in this process. `transparent` replaces the costly packets by ones of the same
size that anybody can read, for tests of many days.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anontrace import clock
from anontrace.companion import database, renewal, servers, state, swaps
from anontrace.companion.errors import OfflineError
from anontrace.companion.levels import Level
from anontrace.companion.run import DIRECTORY_SECONDS, Event, Run, Sync
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.badges import RATCHET
from anontrace.companion.store.network import StoredNetwork
from anontrace.mixnet import blob, keydays, lioness, message, notification, surb, swap
from anontrace.mixnet.message import MacError, Relay
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import MESSAGE, PAYLOAD
from anontrace.wire import directory, keylist, poll, upload
from anontrace.wire.directory import PAGE, Edition, Page
from anontrace.wire.keylist import KeyList, MixKey
from anontrace.wire.network import Named, Network, PinnedMix, Service
from anontrace_primitives import x25519_base
from anontrace_shared import schedule
from anontrace_shared.slots import day_of, slot_of
from nacl.signing import SigningKey

START = 1_767_600_000  # 2026-01-05 08:00 UTC, the beginning of a slot
NYMSERVER, MAILBOX = 6, 7
BUCKET_BITS = 10
KINDS = frozenset(("directory", "messages", "poll", "upload", "buckets"))
_ROLES = dict.fromkeys(range(1, 6), ("mix",)) | {NYMSERVER: ("mix", "nymserver"), MAILBOX: ("mix", "mailbox")}


@dataclass(frozen=True)
class Request:
    """What an observer of the wearer's connection sees of one request."""

    time: float
    kind: str
    sent: int
    received: int


def _seed(number: int) -> bytes:
    return hashlib.sha256(b"paper %d" % number).digest()


def _secret(number: int, day: int) -> bytes:
    return hashlib.sha256(b"key %d %d" % (number, day)).digest()


def _verify_key(number: int) -> bytes:
    return bytes(SigningKey(_seed(number)).verify_key)


NETWORK = Network(
    network=Named(name="paper"),
    discovery=Service(url="http://discovery", key=_verify_key(100)),
    authority=Service(url="http://authority", key=_verify_key(101)),
    mix=tuple(PinnedMix(number=n, key=_verify_key(n), roles=roles) for n, roles in _ROLES.items()),
)
_editions: dict[int, Edition] = {}


def _edition(day: int) -> Edition:
    """The directory of a day, with that day's keys alone; one a day since the start."""
    if day not in _editions:
        lists = tuple(
            keylist.sign(
                KeyList(
                    number=number, name=f"mix-{number}", roles=roles, url=f"http://{number}",
                    issued=day * 86400, expires=(day + 2) * 86400,
                    keys=(MixKey(day=day, key=x25519_base(_secret(number, day))),),
                    log_key=x25519_base(_seed(number)) if number == NYMSERVER else None,
                    bucket_bits=BUCKET_BITS if number == NYMSERVER else None,
                ),
                _seed(number),
            )
            for number, roles in _ROLES.items()
        )  # fmt: skip
        before = _edition(day - 1).document if day > keydays.day_at(START) else "before"
        _editions[day] = directory.make(day, directory.digest(before), day * 86400, lists, _seed(100))
    return _editions[day]


def _page(number: int) -> Page:
    """What is past of a page of the directory's chain."""
    first = max(number * PAGE, keydays.day_at(START))
    return Page(heads=tuple(_edition(day).document for day in range(first, min((number + 1) * PAGE, _today()))))


def _today() -> int:
    return keydays.day_at(clock.now())


@dataclass
class PaperNetwork:
    """Stands where the HTTP client stands."""

    requests: list[Request] = field(default_factory=list)
    nyms: dict[bytes, bytes] = field(default_factory=dict)  # blobs
    _buckets: dict[int, dict[bytes, None]] = field(default_factory=dict)  # their keys
    mailboxes: dict[bytes, list[bytes]] = field(default_factory=dict)
    uploads: list[upload.Chunk] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    cover: int = 0
    down: frozenset[str] = frozenset()  # kinds of requests that nobody answers
    lose: bool = False  # what is sent from now on
    lose_first: int = 0  # one in so many swaps that replace another is lost, but not when it comes again
    lost: dict[bytes, bytes] = field(default_factory=dict)  # nym keys, by the blobs of those swaps
    transparent: bool = False

    def __exit__(self, *_: object) -> None: ...

    def get(self, server: str, url: str) -> bytes:
        return self._note(server, url, b"", self._answer(url, b""))

    def post(self, server: str, url: str, body: bytes) -> bytes:
        return self._note(server, url, body, self._answer(url, body))

    def _note(self, server: str, url: str, body: bytes, answer: bytes) -> bytes:
        self.requests.append(Request(clock.now(), url.split("/")[4], len(body), len(answer)))
        return answer

    def _answer(self, url: str, body: bytes) -> bytes:
        _, _, host, _, kind, *rest = url.split("/")
        if kind in self.down:
            raise OfflineError("nobody can be reached; try again when you are online")
        if kind == "directory":
            return (_page(int(rest[1])) if rest else _edition(_today())).model_dump_json().encode()
        if kind == "messages":
            for at in range(0, len(body), MESSAGE):
                self._mix(int(host), body[at : at + MESSAGE])
            return b""
        if kind == "buckets":
            keys = self._buckets.get(int(rest[0]), {})
            return b"".join(swap.fingerprint(key, self.nyms[key]) for key in keys)
        if kind == "poll":
            asked, room = poll.parse_request(body)
            left, found = room or poll.MOST_ROOM, {}
            for index, (box, skip) in enumerate(asked):
                found[index] = self.mailboxes.get(box, [])[skip : skip + left]
                left -= len(found[index])
            return poll.encode_reply(found, room)
        assert kind == "upload"
        chunk = upload.parse_chunk(body)
        self.uploads.append(chunk)
        end = chunk.offset + len(chunk.data)
        if end == chunk.total:
            return upload.Reply(upload.State.ACCEPTED).encode()
        return upload.Reply(upload.State.RECEIVING, end).encode()

    def _mix(self, number: int, data: bytes) -> None:
        if self.lose or message.replay_tag(data) in self.seen:
            return
        self.seen.add(message.replay_tag(data))
        if self.transparent:
            self._deliver(data[1], data[2:34], lioness.decrypt(_layer(data), data[-PAYLOAD:]))
            return
        while True:
            day = keydays.selected_day(message.key_select(data), clock.now())
            assert day is not None
            secret = _secret(number, day)
            try:
                found = message.unwrap(secret, x25519_base(secret), data)
            except MacError:  # made when packets were transparent
                return self._deliver(data[1], data[2:34], lioness.decrypt(_layer(data), data[-PAYLOAD:]))
            if not isinstance(found, Relay):
                return self._deliver(number, found.mailbox, found.payload)
            number, data = found.next_mix, found.message

    def _deliver(self, number: int, mailbox: bytes, payload: bytes) -> None:
        if number == MAILBOX:
            self.mailboxes.setdefault(mailbox, []).append(payload)
            return
        assert number == NYMSERVER
        if payload[-1]:
            self.cover += 1
            return
        wanted = swap.Swap.decode(payload)
        may_be_lost = self.lose_first and wanted.authentication != swap.NEW and wanted.blob not in self.lost
        if may_be_lost and wanted.blob[0] % self.lose_first == 0:
            self.lost[wanted.blob] = wanted.key
            return
        stored = self.nyms.get(wanted.key)
        if wanted.authentication == (swap.NEW if stored is None else swap.authentication(stored)):
            self.nyms[wanted.key] = wanted.blob
            self._buckets.setdefault(swap.bucket_index(wanted.key, BUCKET_BITS), {})[wanted.key] = None

    def notify(self, contact_address: bytes, slot: int, content: Notification) -> None:
        """Send as the nymserver does."""
        opened = surb.parse(blob.open(contact_address, slot, self.nyms[schedule.nym_key(contact_address, slot)]))
        payload = notification.seal(opened.message_key, content)
        self._mix(opened.first_mix, surb.use(opened, payload))


def _layer(data: bytes) -> bytes:
    """LIONESS keys of the one layer that a transparent message has."""
    return lioness.keys_from(data[34:66])


def make_transparent(patch: pytest.MonkeyPatch) -> None:
    """Messages and SURBs that name their end and mailbox in the clear: all the rest is as ever."""

    def header(path: Any, mailbox: bytes) -> tuple[bytes, bytes]:
        seed = secrets.token_bytes(32)
        return bytes((path[0].key_select, path[-1].number)) + mailbox + seed + secrets.token_bytes(75), seed

    def forward(path: Any, mailbox: bytes, payload: bytes) -> bytes:
        built, seed = header(path, mailbox)
        return built + lioness.encrypt(lioness.keys_from(seed), payload)

    @dataclass(frozen=True)
    class Kept:
        seed: bytes
        message_secret: bytes

        def to_bytes(self) -> bytes:
            return self.message_secret + self.seed

    def make(path: Any, mailbox: bytes) -> tuple[bytes, Kept]:
        built, seed = header(path, mailbox)
        secret = secrets.token_bytes(32)
        return bytes((path[0].number,)) + built + x25519_base(secret), Kept(seed, secret)

    def undo(kept: surb.SurbSecrets, payload: bytes) -> bytes:
        return lioness.encrypt(lioness.keys_from(kept.seeds[0]), payload)

    for module in (swaps, renewal):
        patch.setattr(module.message, "forward", forward)
    patch.setattr(surb, "make", make)
    patch.setattr(surb.SurbSecrets, "undo", undo)


@dataclass
class Time:
    now: float = float(START)


class Wearer:
    """A companion with a state folder of its own, whose `run` is led through simulated time."""

    keep_house_seconds = 3600

    def __init__(self, folder: Path, time: Time, patch: pytest.MonkeyPatch, level: Level, seed: int = 1) -> None:
        self.time = time
        self.network = PaperNetwork()
        self.events: list[Event] = []
        self.sync: Sync | None = None  # what is done with a badge
        self.folder = folder
        self._patch = patch
        self._level = level
        self._rng = Random(seed)
        state.create(folder)
        self.state = State(folder)
        self.state._db.run("PRAGMA synchronous = OFF")
        self.state.network.put(StoredNetwork("paper", NETWORK.to_toml(), None), int(time.now))
        slot = slot_of(time.now)
        badge = self.state.badges.ensure(day_of(slot))
        self.state.badges.set_provisioned(badge, RATCHET, slot, slot + 100 * 288, int(time.now))
        self.days = {0: int(time.now)}
        self.begin()

    def begin(self) -> None:
        """Start `run`, or start it again."""
        self.run = Run(self._changing, self._servers, self._level, self.sync, self.events.append, self._rng)
        self.run.begin()

    @contextmanager
    def _changing(self) -> Iterator[State]:
        yield self.state

    def _servers(self, opened: State) -> Servers:
        self._patch.setattr(servers, "Client", lambda *_: self.network)
        return Servers(opened.network, DIRECTORY_SECONDS)

    def until(self, end: float) -> None:
        """Run until that moment; house is kept now and then, as each command does."""
        kept = self.time.now
        while self.run.next_due() < end:
            self.time.now = max(self.time.now, float(self.run.next_due()))
            if self.time.now - kept > self.keep_house_seconds:
                self.state.keep_house(int(self.time.now))
                kept = self.time.now
            self.run.step()
        self.time.now = end

    def addresses(self, first: int, count: int, badge: int = 1) -> dict[int, bytes]:
        """K by slot."""
        return self.state.addresses.contact_addresses(badge, first, first + count)

    def close(self) -> None:
        self.state.close()


def exposure(case: bytes, report: bytes) -> Notification:
    return Notification(
        Kind.NOTIFICATION, case, report, secrets.token_bytes(96), "U07.1", present=15, attenuation=50, rule_minutes=15
    )


__all__ = ["START", "PaperNetwork", "Request", "Time", "Wearer", "database", "exposure", "make_transparent"]
