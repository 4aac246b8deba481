"""A nymserver is killed again and again while receipts, relays, answers to the health authority and a log in fragments
come in: nothing is lost or sent twice."""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anontrace.backend.keys import keyfiles
from anontrace.mixnet import packet, receipt, relay, surb, swap
from anontrace.mixnet.contact_answer import Said
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.receipt import NymAnswer, NymQuestion, Receipt, UploadAnswer, UploadQuestion, UploadState
from anontrace.wire import upload
from anontrace.wire.upload import Upload
from anontrace_shared.slots import slot_of

from tests.patience import HANG_SECONDS, eventually

from .answering import Told
from .client import Registered
from .places import SharedCluster
from .servers import Servers
from .test_crashes import Steadfast

OTHERS = ("discovery", "mix-1", "mix-2", "mix-3", "mailbox", "authority")
EACH, HEARD, BATCH, KILLS = 50, 300, 10, 5


@pytest.fixture(params=["folder", "cluster"])
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    """The nymserver in a process of its own, its store in its folder or in a cluster."""
    servers = Servers(tmp_path / "net", "--delay", "0.1", "--pace", "0")
    try:
        if request.param == "cluster":
            cluster: SharedCluster = request.getfixturevalue("redis_cluster")
            password = servers.folder / "nymserver" / keyfiles.STORE
            password.write_text(cluster.password)
            password.chmod(0o600)
            line = f'store = "{cluster.url}?prefix=killed-{os.urandom(4).hex()}"\nnetwork ='
            servers.configure("nymserver", "network =", line)
        servers.start(*OTHERS)
        servers.start("nymserver")
        servers.ready((*OTHERS, "nymserver"))
        yield servers
    finally:
        servers.close()


def test_nothing_is_lost_and_nothing_goes_out_twice_when_the_nymserver_is_killed(apart: Servers) -> None:
    client = Steadfast(apart)
    told = Told.of_a_report(client)
    slot = slot_of(time.time())
    people = client.register_all(slot, 4)
    heard = [*people, *(Registered(os.urandom(20), slot) for _ in range(HEARD))]
    contact_log = client.make_log(slot, heard)
    made, upload_id = Upload(client.permit(contact_log), contact_log), os.urandom(16)
    opening, *rest = upload.fragments(made, upload_id)
    expected: dict[bytes, bytes] = {}

    def an_answer(question: NymQuestion | UploadQuestion, answer: NymAnswer | UploadAnswer) -> bytes:
        mailbox = os.urandom(32)
        block, secrets = surb.make_reply(client.path(client.mailbox, exclude=()), mailbox)
        expected[mailbox] = receipt.expected(secrets, answer)
        return Receipt(question, block).encode()

    def a_dummy() -> bytes:
        mailbox, seed = os.urandom(32), os.urandom(32)
        old, secrets = surb.make(client.path(client.mailbox, exclude=()), mailbox)
        expected[mailbox] = secrets.arrives(relay.of(old, seed).payload())
        return relay.of(old, seed).encode()

    def send(payloads: list[bytes]) -> None:
        for start in range(0, len(payloads), BATCH):
            way = client.path(client.nymserver, exclude=(client.nymserver,))
            some = payloads[start : start + BATCH]
            client.hand_over(way[0].number, [packet.forward(way, NO_MAILBOX, each) for each in some])

    def stands(answer: UploadAnswer) -> bool:
        """Whether this is the answer to a receipt, once there is one."""
        before = set(expected)
        send([an_answer(UploadQuestion(upload_id), answer)])
        (mailbox,) = set(expected) - before
        wanted = expected.pop(mailbox)
        return eventually("the answer is there", lambda: client.poll(mailbox)) == [wanted]

    send([opening])
    waiting = UploadAnswer(UploadState.RECEIVING, 0, ((1, len(rest)),))
    eventually("the upload is begun", lambda: stands(waiting))
    payloads = [*rest]
    for number in range(EACH):
        who = people[number % len(people)]
        right = NymQuestion(who.key, swap.fingerprint(who.key, who.blob))
        payloads += [an_answer(right, NymAnswer(True)), a_dummy()]
        payloads.append(an_answer(NymQuestion(who.key, os.urandom(8)), NymAnswer(False)))
        payloads.append(told.made(Said.TEST)[0])
    random.shuffle(payloads)
    sending = threading.Thread(target=send, args=[payloads], daemon=True)
    sending.start()
    for _ in range(KILLS):
        time.sleep(random.uniform(0.1, 1.0))
        apart.kill("nymserver")
        apart.launch("nymserver")
        apart.await_start("nymserver")
    sending.join(HANG_SECONDS)
    assert not sending.is_alive()

    eventually("all that was asked for has arrived", lambda: all(client.poll(mailbox) for mailbox in expected))
    eventually("the upload is accepted", lambda: stands(UploadAnswer(UploadState.ACCEPTED)))
    report = client.report_with(None, 0)
    assert len(report["exposures"]) == len(people)
    eventually("nothing is under way", lambda: not apart.status("nymserver")["queues"])
    assert {mailbox: client.poll(mailbox) for mailbox in expected} == {k: [v] for k, v in expected.items()}
    assert len(client.reports()) == 2
    found = told.answers()
    assert (len(found["answers"]), found["unreadable"], found["overflowed"]) == (EACH, 0, False)
