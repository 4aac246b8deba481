"""A server whose clock is wrong says so and does not serve; one that hears from a liar goes on."""

import asyncio
import os
import struct
import time
from email.utils import formatdate
from pathlib import Path

from anontrace.backend.clockcheck import ClockCheck
from anontrace.backend.mix import items
from anontrace.backend.mix.items import Arrived
from anontrace.backend.store import Entry, open_store
from anontrace.mixnet import message
from anontrace.mixnet.header import NO_MAILBOX
from anontrace_shared.slots import slot_of

from .client import Client, Registered
from .servers import Servers, eventually

REST = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver")


def at(unix: float) -> str:
    return formatdate(unix, usegmt=True)


async def queue(client: Client, arrived: Arrived, payload: bytes) -> None:
    """Leave in the mailbox server's queues what it took before it was stopped: for itself, and for the nymserver."""
    store = await open_store(client.servers.folder / "mailbox" / "store")
    onward = items.onward(message.forward(client.hops(client.nymserver), NO_MAILBOX, payload), time.time())
    assert onward is not None
    to_nymserver = Entry(items.queue_to(client.nymserver), 0.0, onward.encode())
    await store.enqueue([Entry(items.DELIVER, 0.0, arrived.encode()), to_nymserver])
    await store.close()


def test_a_mix_whose_clock_is_wrong_says_so_does_not_serve_until_it_is_right_and_loses_nothing(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    right, clock = tmp_path / "right", tmp_path / "clock"
    now = time.time()
    right.write_bytes(struct.pack("<d", now))
    try:
        servers.start(*REST, clock=right)
        servers.start("mailbox", clock=right)
        servers.ready(["mailbox"])
        client = Client(servers)
        mailbox, payload = os.urandom(32), os.urandom(239)
        assert client.post(client.mailbox, message.forward(client.hops(client.mailbox), mailbox, payload)) == 202
        eventually("it arrived", lambda: client.poll(mailbox) == [payload])
        servers.kill("mailbox")
        waiting, who = os.urandom(239), Registered(os.urandom(20), slot_of(now))
        asyncio.run(queue(client, Arrived(mailbox, waiting), client.arm(who)))

        clock.write_bytes(struct.pack("<d", now + 400 * 86400))
        servers.start("mailbox", clock=clock)
        url = servers.url("mailbox")
        headers = {"Content-Type": "application/octet-stream"}

        def posted() -> int:
            return servers.http.post(url + "/v1/messages", content=bytes(380), headers=headers).status_code

        def set_clock(unix: float) -> None:
            with clock.open("r+b") as file:
                file.write(struct.pack("<d", unix))

        assert servers.http.get(url + "/readyz").json()["clock_wrong"]
        assert servers.http.get(url + "/readyz").status_code == 503
        answer = servers.http.post(url + "/v1/messages", content=bytes(380), headers=headers)
        assert (answer.status_code, "clock" in answer.json()["error"]) == (503, True)
        assert int(answer.headers["retry-after"]) > 0
        set_clock(now + 90)
        eventually("it is off by a minute and a half", lambda: 60 < servers.status("mailbox")["clock_offset"] < 120)
        assert posted() == 503
        assert servers.status("mailbox")["queues"] == {"deliver": 1, f"to-{client.nymserver}": 1}
        assert not servers.http.get(servers.url("mix-1") + "/readyz").json()["clock_wrong"]

        set_clock(now)
        eventually("it serves again", lambda: posted() == 202)
        eventually("what was queued for it is delivered", lambda: client.poll(mailbox) == [payload, waiting])
        eventually("what was queued for others is sent on", lambda: client.is_stored(who))
    finally:
        servers.close()


def test_what_counts_is_the_middle_of_the_others() -> None:
    check = ClockCheck("me")
    assert not check.observed
    check.observe("liar", at(10_000), 1000, 1001)
    assert check.is_wrong
    check.observe("a", at(1000), 1000, 1001)
    assert (check.offset, check.is_wrong) == (0, False)
    check.observe("b", at(1000), 1070, 1071)
    check.observe("c", at(1000), 1070, 1071)
    check.observe("d", at(1000), 1070, 1071)
    assert (check.offset, check.is_wrong) == (69, True)


def test_a_slow_answer_is_not_a_wrong_clock_and_a_date_that_is_none_is_ignored() -> None:
    check = ClockCheck("me")
    check.observe("slow", at(1100), 1000, 1200)
    assert check.offset == 0
    for date in (None, "", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT"):
        check.observe("odd", date, 0, 0)
    assert check.offset == 0
    check.observe("other", at(2000), 1000, 1001)
    check.observe("third", at(2000), 1000, 1001)
    check.forget_before(time.monotonic() + 1)
    assert (check.observed, check.is_wrong) == (False, False)
