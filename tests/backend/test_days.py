"""What days bring, by a simulated clock: mailboxes end, keys roll over, and what was sent before midnight arrives."""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anontrace.mixnet import keydays, packet
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_batches

from tests.patience import eventually

from .client import Client
from .servers import Servers

DAY = 86400
NOON = int(time.time()) // DAY * DAY + DAY // 2


class Clock:
    """The file that ANONTRACE_CLOCK names."""

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        self.set(start)

    def set(self, unix: float) -> None:
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("<d", unix))
        self.now = unix


class Later(Client):
    """A client that lives in the simulated time."""

    known_seconds = 0.0  # real ones, in which days may pass

    def __init__(self, servers: Servers, clock: Clock) -> None:
        super().__init__(servers)
        self.clock = clock
        self.keys: dict[int, bytes] = {}  # of the mailbox server, that have been announced so far

    def now(self) -> float:
        return self.clock.now

    def announced(self) -> list[int]:
        """The days whose keys of the mailbox server are in the directory."""
        mix = self.mixes.get(self.mailbox)
        if mix is None:
            return []
        self.keys |= {key.day: key.key for key in mix.keys}
        return [key.day for key in mix.keys]

    def has_rolled_over(self) -> bool:
        """Whether the mailbox server announces the keys of today and tomorrow."""
        return self.announced() == list(keydays.accepted_days(self.clock.now))[-2:]

    def to_mailbox(self, mailbox: bytes, day: int) -> bytes:
        return packet.forward([self.way(day)], mailbox, os.urandom(239))

    def way(self, day: int) -> Hop:
        """The mailbox server by its key of a day."""
        return Hop(self.mailbox, keydays.key_select(day), self.keys[day])


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Later]:
    clock = Clock(tmp_path / "clock", NOON)
    servers = Servers(tmp_path / "net", "--delay", "0", clock=clock.path)
    try:
        servers.start("discovery", "mailbox")
        client = Later(servers, clock)
        eventually("its keys are announced", client.has_rolled_over)
        yield client
    finally:
        servers.close()


def test_a_mailbox_ends_30_days_after_it_was_first_seen_and_keys_roll_over(later: Later) -> None:
    today = keydays.day_at(NOON)
    old, young = os.urandom(32), os.urandom(32)
    kept = later.to_mailbox(old, today)
    assert later.post(later.mailbox, later.to_mailbox(old, today), later.to_mailbox(old, today + 1)) == 202
    eventually("both arrived", lambda: len(later.poll(old)) == 2)

    for day in (1, 29):
        later.clock.set(NOON + day * DAY)
        eventually("the rollover is published", later.has_rolled_over)
    shown = later.servers.status("mailbox")["roles"]["mix"]
    assert shown.pop("x25519") in x25519_batches.NAMES  # what its process has measured to be the fastest
    assert shown == {
        "published": True,
        "first_key_day": today,
        "last_key_day": today + 30,
        "losses": {},
    }
    assert later.post(later.mailbox, later.to_mailbox(young, today + 29), later.to_mailbox(old, today)) == 202
    eventually("the young one arrived", lambda: len(later.poll(young)) == 1)
    eventually("the old one too", lambda: len(later.poll(old)) == 3)

    later.clock.set(NOON + 31 * DAY)
    eventually("the old mailbox is gone", lambda: later.poll(old) == [])
    assert len(later.poll(young)) == 1
    assert later.post(later.mailbox, kept) == 202
    assert later.servers.count("mailbox", "dropped_key") == 1


def test_a_mix_that_retires_makes_no_more_keys_and_serves_until_the_last_one_is_dead(later: Later) -> None:
    today = keydays.day_at(NOON)
    last, mailbox = later.to_mailbox(bytes(32), today + 1), os.urandom(32)
    assert later.servers.terminate("discovery", "mailbox") == 0
    later.servers.configure("mailbox", "[mix]\n", "[mix]\nretire = true\n")
    later.servers.start("discovery", "mailbox")

    def days() -> tuple[int | None, int | None]:
        told = later.servers.status("mailbox")["roles"]["mix"]
        return told["first_key_day"], told["last_key_day"]

    later.clock.set(NOON + 29 * DAY)
    eventually("the keys that are left are published", lambda: later.announced() == [today, today + 1])
    assert days() == (today, today + 1)
    assert later.post(later.mailbox, later.to_mailbox(mailbox, today), last) == 202
    eventually("what comes by them arrives", lambda: len(later.poll(mailbox)) == len(later.poll(bytes(32))) == 1)
    later.clock.set(NOON + 31 * DAY)
    eventually("none is left", lambda: days() == (None, None))
    url, headers = later.servers.url("mailbox"), {"Content-Type": "application/octet-stream"}
    assert later.http.post(f"{url}/v1/messages", content=last, headers=headers).status_code == 202
    assert later.servers.count("mailbox", "dropped_key") == 1
    assert len(later.poll(mailbox)) == 1


def test_a_restart_keeps_the_keys_and_what_they_have_seen(later: Later) -> None:
    sent = later.to_mailbox(bytes(32), keydays.day_at(NOON))
    assert later.post(later.mailbox, sent) == 202
    published = later.directory.content
    eventually("it arrived", lambda: len(later.poll(bytes(32))) == 1)
    assert later.servers.terminate("discovery", "mailbox") == 0
    later.servers.start("discovery", "mailbox")
    assert later.directory.content == published
    assert later.post(later.mailbox, sent) == 202
    assert later.servers.count("mailbox", "dropped_replay") == 1
    assert len(later.poll(bytes(32))) == 1


def test_a_mailbox_that_is_flooded_hits_its_quota_and_no_other_is_affected(later: Later) -> None:
    flooded, other = os.urandom(32), os.urandom(32)
    today = keydays.day_at(NOON)
    way = [later.way(today)]
    messages = [packet.forward(way, flooded, os.urandom(239)) for _ in range(256)]
    assert later.post(later.mailbox, *messages) == 202
    assert later.post(later.mailbox, packet.forward(way, other, os.urandom(239))) == 202
    eventually("the other arrived", lambda: len(later.poll(other)) == 1)
    eventually("the flooded one is full", lambda: later.servers.count("mailbox", "mailbox_full") == 1)
    assert len(later.poll(flooded)) == 255
