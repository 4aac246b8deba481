"""A network on paper: real keys, real messages, every request written down; and a companion whose `run` uses it.

It answers as the servers do, at once and in this process. `transparent` replaces the costly packets by ones of the same
size that anybody can read, for tests of many days.
"""

import copy
import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anontrace import clock
from anontrace.companion.errors import OfflineError
from anontrace.companion.exposures import answering, answers
from anontrace.companion.exposures.answers import Wish
from anontrace.companion.exposures.cases import assess
from anontrace.companion.network import servers
from anontrace.companion.network.servers import Servers
from anontrace.companion.schedule.run import DIRECTORY_SECONDS, Event, Run, Sync
from anontrace.companion.store import database, state
from anontrace.companion.store.badges import RATCHET
from anontrace.companion.store.network import StoredNetwork
from anontrace.companion.store.state import State
from anontrace.mixnet import (
    blob,
    contact_answer,
    fragment,
    keydays,
    kinds,
    letter,
    lioness,
    notification,
    packet,
    receipt,
    relay,
    surb,
    swap,
    words,
)
from anontrace.mixnet.fragment import Fragment
from anontrace.mixnet.header import ALONE, GROUPED
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.packet import MacError, Relay
from anontrace.mixnet.sizes import MESSAGE, PAYLOAD
from anontrace.wire import announcement, directory, look, result, upload
from anontrace.wire.content import Content
from anontrace.wire.description import Description
from anontrace.wire.directory import Difference, Directory
from anontrace.wire.fields import Role
from anontrace.wire.levels import Level
from anontrace.wire.look import Answer, Look
from anontrace.wire.network import Named, Network, PinnedMix, Service
from anontrace_primitives import x25519_base
from anontrace_shared import schedule
from anontrace_shared.slots import day_of, slot_of
from nacl.signing import SigningKey

START = 1_767_600_000  # 2026-01-05 08:00 UTC, the beginning of a slot
NYMSERVER, MAILBOX = 6, 7
KINDS = frozenset(("directory", "messages", "look", "result"))
_ROLES: dict[int, tuple[Role, ...]] = dict.fromkeys(range(1, 6), ("mix",)) | {
    NYMSERVER: ("mix", "nymserver"),
    MAILBOX: ("mix", "mailbox"),
}


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
_editions: dict[int, Directory] = {}


def _announced(number: int, day: int) -> dict[int, bytes]:
    """The keys of a day and the next."""
    return {
        each: announcement.sign(
            number, each, x25519_base(_secret(number, each)), (), _DESCRIBED[number], _seed(number)
        ).encode()
        for each in (day, day + 1)
    }


_DESCRIBED = {
    number: Description(
        number=number, roles=roles, issued=START - 86400, name=f"mix-{number}", url=f"http://{number}",
        log_key=x25519_base(_seed(number)) if number == NYMSERVER else None,
        bucket_bits=0 if number == NYMSERVER else None,
    ).encode()
    for number, roles in _ROLES.items()
}  # fmt: skip


def _edition(day: int) -> Directory:
    """The directory of a day; one a day since the start."""
    if day not in _editions:
        made = Content(_DESCRIBED, {number: _announced(number, day) for number in _ROLES})
        before = _edition(day - 1).head.digest if day > keydays.day_at(START) else bytes(31) + b"\1"
        _editions[day] = directory.make(day, before, day * 86400, made, _seed(100))
    return _editions[day]


def _news(since: int, today: int) -> bytes:
    """What is new since the edition that first had most keys of a day."""
    past = [_edition(day) for day in range(max(since - 1, keydays.day_at(START)), today + 1)]
    known, newest = past[0].content, past[-1]
    new = {
        number: {day: each for day, each in days.items() if day not in known.announcements[number]}
        for number, days in newest.content.announcements.items()
    }
    news = Content({}, {number: days for number, days in new.items() if days})
    return Difference([each.head for each in past], newest.signature, frozenset(_ROLES), news).encode()


@dataclass
class PaperNetwork:
    """Stands where the HTTP client stands."""

    requests: list[Request] = field(default_factory=list)
    nyms: dict[bytes, bytes] = field(default_factory=dict)  # blobs
    asked: list[receipt.Question] = field(default_factory=list)
    answers: list[tuple[bytes, bytes]] = field(default_factory=list)  # of contacts: tags, and what is sealed
    lose_answers: int = 0  # so many of those that come next
    relayed: set[bytes] = field(default_factory=set)  # headers by which the nymserver sent
    mailboxes: dict[bytes, list[bytes]] = field(default_factory=dict)  # by the whole address, whatever its version
    groups: dict[bytes, list[bytes]] = field(default_factory=dict)
    alone: dict[bytes, list[bytes]] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    results: dict[bytes, result.Answer] = field(default_factory=dict)  # by the hash of the token
    results_asked: list[bytes] = field(default_factory=list)
    fragments: dict[bytes, dict[int, bytes]] = field(default_factory=dict)  # by upload-ID and number
    lose_fragments: int = 0  # so many of those that come next
    seen: set[bytes] = field(default_factory=set)
    cover: int = 0
    down: frozenset[str] = frozenset()  # kinds of requests that nobody answers
    lose: bool = False  # what is sent from now on
    lose_first: int = 0  # one in so many swaps that replace another is lost, but not when it comes again
    lost: dict[bytes, bytes] = field(default_factory=dict)  # nym keys, by the blobs of those swaps
    transparent: bool = False
    carried: list[int] = field(default_factory=lambda: [0, 0, 0])  # as the HTTP client counts it; here nothing
    ahead: float = 0.0  # seconds by which the wearer's clock is ahead of the servers'

    def __exit__(self, *_: object) -> None: ...

    def get(self, server: str, url: str, most: int | None = None) -> bytes:
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
            today = keydays.day_at(clock.now() - self.ahead)
            return _news(int(rest[0]), today) if rest else _edition(today).encode()
        if kind == "messages":
            for at in range(0, len(body), MESSAGE):
                self._mix(int(host), body[at : at + MESSAGE])
            return b""
        if kind == "result":
            asked_for = result.Question.parse(body)
            self.results_asked.append(asked_for.token_hash)
            return self.results.get(asked_for.token_hash, result.Answer(result.State.NOT_YET)).encode()
        assert kind == "look"
        asked = Look.parse(body)
        self.looks.append(asked)
        return self._look(asked).encode(asked)

    def _look(self, asked: Look) -> Answer:
        left = asked.digests
        told, rows = [], []
        for group in asked.groups:
            held = self.groups.get(group.address, [])
            fresh = held[group.known :][:left]
            left -= len(fresh)
            told.append([look.digest(row) for row in fresh])
            rows.append(held[group.start : group.known + len(fresh)])
        plain = [
            (place, bytes(4) + payload)
            for place, (box, skip) in enumerate(asked.old)
            for payload in self.alone.get(box, [])[skip:]
        ]
        plain += [(place, row) for place, some in enumerate(rows, look.FIRST_GROUP) for row in some]
        return Answer(told, look.add_up(asked, rows), plain[: asked.plain])

    def _mix(self, number: int, data: bytes) -> None:
        if self.lose or packet.replay_tag(data) in self.seen:
            return
        self.seen.add(packet.replay_tag(data))
        if self.transparent:
            self._deliver(data[1], data[2:34], data[66], lioness.decrypt(_layer(data), data[-PAYLOAD:]))
            return
        while True:
            day = keydays.selected_day(packet.key_select(data), clock.now())
            assert day is not None
            secret = _secret(number, day)
            try:
                found = packet.unwrap(secret, x25519_base(secret), data)
            except MacError:  # made when packets were transparent
                return self._deliver(data[1], data[2:34], data[66], lioness.decrypt(_layer(data), data[-PAYLOAD:]))
            if not isinstance(found, Relay):
                return self._deliver(number, found.mailbox, found.version, found.payload)
            number, data = found.next_mix, found.message

    def _deliver(self, number: int, mailbox: bytes, version: int, payload: bytes) -> None:
        if number == MAILBOX:
            self.arrive(mailbox, payload, version)
            return
        assert number == NYMSERVER
        kind = kinds.of(payload)
        if kind is None:
            self.cover += 1
        elif kind is kinds.Kind.SWAP:
            self._swap(swap.Swap.decode(payload))
        elif kind is kinds.Kind.FRAGMENT:
            self._fragment(Fragment.decode(payload))
        elif kind is kinds.Kind.CONTACT_ANSWER:
            self._answer_of_contact(payload)
        elif kind is kinds.Kind.RELAY:
            asked = relay.Relay.decode(payload)
            self._send(asked.first_mix, asked.header, asked.payload())
        else:
            question = receipt.Receipt.decode(payload)
            self.asked.append(question.question)
            reply = question.parsed()
            self._send(reply.first_mix, reply.header, receipt.seal(reply.message_key, self._told(question.question)))

    def _send(self, first_mix: int, header: bytes, payload: bytes) -> None:
        """As the nymserver does: by no header twice."""
        if header not in self.relayed:
            self.relayed.add(header)
            self._mix(first_mix, header + payload)

    def _told(self, question: receipt.Question) -> receipt.Answer:
        if isinstance(question, receipt.ContactAnswerQuestion):
            named = (question.tag, question.identity)
            return receipt.NymAnswer(named in [(tag, contact_answer.identity(each)) for tag, each in self.answers])
        if isinstance(question, receipt.NymQuestion):
            stored = self.nyms.get(question.key)
            return receipt.NymAnswer(
                stored is not None and swap.fingerprint(question.key, stored) == question.fingerprint
            )
        here = self.fragments.get(question.upload_id)
        if here is None:
            return receipt.UploadAnswer(receipt.UploadState.UNKNOWN)
        end = 1 + fragment.count(upload.parse_opening(here[0]).log_length)
        missing: list[tuple[int, int]] = []
        for number in range(max(question.first, 1), end):
            if number in here:
                continue
            if missing and sum(missing[-1]) == number:
                missing[-1] = missing[-1][0], missing[-1][1] + 1
            else:
                missing.append((number, 1))
        if missing:
            return receipt.UploadAnswer(receipt.UploadState.RECEIVING, 0, tuple(missing[: receipt.MAX_RANGES]))
        return receipt.UploadAnswer(receipt.UploadState.ACCEPTED)

    def _answer_of_contact(self, payload: bytes) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
        elif contact_answer.split(payload) not in self.answers:
            self.answers.append(contact_answer.split(payload))

    def write_back(self, text: str) -> None:
        """As the health authority does, to whoever answered last."""
        (tag, sealed), secret = self.answers[-1], words.secret_of(_seed(101))
        opened = contact_answer.open(secret, x25519_base(secret), tag, sealed)
        written = letter.seal(opened.reply_key, tag, text)
        self._send(opened.answer.first_mix, opened.answer.header, written)

    def _fragment(self, piece: Fragment) -> None:
        if self.lose_fragments:
            self.lose_fragments -= 1
        elif piece.number == 0 or piece.upload_id in self.fragments:
            self.fragments.setdefault(piece.upload_id, {}).setdefault(piece.number, piece.data)

    def _swap(self, wanted: swap.Swap) -> None:
        may_be_lost = self.lose_first and wanted.authentication != swap.NEW and wanted.blob not in self.lost
        if may_be_lost and wanted.blob[0] % self.lose_first == 0:
            self.lost[wanted.blob] = wanted.key
            return
        stored = self.nyms.get(wanted.key)
        if wanted.authentication == (swap.NEW if stored is None else swap.authentication(stored)):
            self.nyms[wanted.key] = wanted.blob

    def arrive(self, mailbox: bytes, payload: bytes, version: int = GROUPED) -> None:
        """A payload comes to a mailbox."""
        self.mailboxes.setdefault(mailbox, []).append(payload)
        if version == GROUPED:
            self.groups.setdefault(mailbox[:16], []).append(mailbox[16:20] + payload)
        else:
            self.alone.setdefault(mailbox, []).append(payload)

    def notify(self, contact_address: bytes, slot: int, content: Notification) -> None:
        """Send as the nymserver does."""
        opened = surb.parse(blob.open(contact_address, slot, self.nyms[schedule.nym_key(contact_address, slot)]))
        self._send(opened.first_mix, opened.header, notification.seal(opened.message_key, content))


def _layer(data: bytes) -> bytes:
    """LIONESS keys of the one layer that a transparent message has."""
    return lioness.keys_from(data[34:66])


def make_transparent(patch: pytest.MonkeyPatch) -> None:
    """Messages and SURBs that name their end and mailbox in the clear: all the rest is as ever."""

    def header(path: Any, mailbox: bytes, version: int = ALONE) -> tuple[bytes, bytes]:
        seed = secrets.token_bytes(32)
        named = bytes((path[0].key_select, path[-1].number)) + mailbox + seed + bytes((version,))
        return named + secrets.token_bytes(74), seed

    def forward(path: Any, mailbox: bytes, payload: bytes) -> bytes:
        built, seed = header(path, mailbox)
        return built + lioness.encrypt(lioness.keys_from(seed), payload)

    def make(path: Any, mailbox: bytes, version: int, secret: bytes | None) -> tuple[bytes, surb.SurbSecrets]:
        built, seed = header(path, mailbox, version)
        secret = secret or secrets.token_bytes(32)
        return bytes((path[0].number,)) + built + x25519_base(secret), surb.SurbSecrets((seed,), secret)

    def make_reply(path: Any, mailbox: bytes, version: int) -> tuple[bytes, surb.SurbSecrets]:
        built, seed = header(path, mailbox, version)
        key = secrets.token_bytes(32)
        return bytes((path[0].number,)) + built + key, surb.SurbSecrets((seed,), key)

    def undo(kept: surb.SurbSecrets, payload: bytes) -> bytes:
        return lioness.encrypt(lioness.keys_from(kept.seeds[0]), payload)

    def arrives(kept: surb.SurbSecrets, payload: bytes) -> bytes:
        return lioness.decrypt(lioness.keys_from(kept.seeds[0]), payload)

    def forward_many(paths: Any, mailbox: bytes, payloads: Any) -> list[bytes]:
        return [forward(path, mailbox, payload) for path, payload in zip(paths, payloads, strict=True)]

    def make_many(
        paths: Any, mailboxes: Any, version: int, message_secrets: Any = None
    ) -> list[tuple[bytes, surb.SurbSecrets]]:
        kept = message_secrets or [None] * len(paths)
        return [make(path, box, version, each) for path, box, each in zip(paths, mailboxes, kept, strict=True)]

    patch.setattr(packet, "forward_many", forward_many)
    patch.setattr(surb, "make_many", make_many)
    patch.setattr(surb, "make_reply", make_reply)
    patch.setattr(surb.SurbSecrets, "undo", undo)
    patch.setattr(surb.SurbSecrets, "arrives", arrives)


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
        self._open()
        self.state.network.put(StoredNetwork("paper", NETWORK.to_toml(), None), int(time.now))
        slot = slot_of(time.now)
        badge = self.state.badges.ensure(day_of(slot))
        self.state.badges.set_provisioned(badge, RATCHET, slot, slot + 100 * 288, int(time.now))
        self.days = {0: int(time.now)}
        self.begin()

    def _open(self) -> None:
        self.state = State(self.folder)
        self.state._db.run("PRAGMA synchronous = OFF")

    def copy(self, folder: Path, time: Time, patch: pytest.MonkeyPatch) -> "Wearer":
        """Another one with the same past, in a folder of its own, whose `run` was started again just now."""
        self.close()  # until then not all is in the file
        shutil.copytree(self.folder, folder)
        self._open()
        other = copy.copy(self)
        other.folder, other.time, other._patch = folder, time, patch
        other.network, other.events, other._rng = copy.deepcopy((self.network, self.events, self._rng))
        time.now = self.time.now
        other._open()
        other.begin()
        return other

    def begin(self) -> None:
        """Start `run`, or start it again."""
        self.run = Run(
            self._changing, self._servers, self._level, self.sync, self.events.append, self._rng, self._pause
        )
        self.run.begin()

    def _pause(self, seconds: float) -> None:
        self.time.now += seconds

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
        self.time.now = max(self.time.now, end)

    def addresses(self, first: int, count: int, badge: int = 1) -> dict[int, bytes]:
        """K by slot."""
        return self.state.addresses.contact_addresses(badge, first, first + count)

    def answer(self) -> None:
        """Answer the health authority about the only case, by what `run` sends."""
        (told,) = assess(self.state)
        said = answers.compose(self.state, told, Wish(test=True, nearness=True), self.time.now)
        opened = self._servers(self.state)
        with opened if isinstance(opened, AbstractContextManager) else nullcontext(opened) as servers:
            answering.prepare(self.state, servers, told, said, reachable=True)

    def close(self) -> None:
        self.state.close()


def exposure(case: bytes, report: bytes) -> Notification:
    return Notification(
        Kind.NOTIFICATION, case, report, secrets.token_bytes(96), "U07.1", present=15, attenuation=50, rule_minutes=15
    )


__all__ = ["START", "PaperNetwork", "Request", "Time", "Wearer", "database", "exposure", "make_transparent"]
