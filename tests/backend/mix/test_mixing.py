"""Messages on their way: through four hops, past crashes, and dropped when they must be."""

import os
import time

from anontrace.mixnet import packet
from anontrace.mixnet.header import NO_MAILBOX
from anontrace_shared.slots import slot_of

from tests.backend.client import SLOW, Client, Registered
from tests.patience import eventually

MIX_3 = "mix-3"


def test_a_swap_sent_through_four_hops_is_held_as_a_receipt_says(client: Client) -> None:
    who = client.register(slot_of(time.time()))
    assert client.is_stored(who)


def test_a_replayed_message_is_dropped_and_counted(client: Client) -> None:
    who = Registered(os.urandom(20), slot_of(time.time()))
    sent = client.send_swap(client.arm(who), client.hops(1, 2, 5, 4))
    before = client.servers.count("mix-1", "dropped_replay")
    accepted = client.servers.count("mix-1", "accepted")
    assert client.post(1, sent, sent) == 202
    assert client.servers.count("mix-1", "dropped_replay") == before + 2
    assert client.servers.count("mix-1", "accepted") == accepted


def test_a_message_with_a_false_tag_is_dropped_and_counted_and_the_batch_goes_on(client: Client) -> None:
    who = Registered(os.urandom(20), slot_of(time.time()))
    way = client.hops(1, 2, 5, 4)
    good = packet.forward(way, NO_MAILBOX, client.arm(who))
    bad = bytearray(packet.forward(way, NO_MAILBOX, os.urandom(239)))
    bad[100] ^= 1
    before = client.servers.count("mix-1", "dropped_mac")
    assert client.post(1, bytes(bad), good) == 202
    assert client.servers.count("mix-1", "dropped_mac") == before + 1
    eventually("the good one arrived", lambda: client.is_stored(who))


def test_a_message_for_a_key_that_does_not_live_is_dropped_and_counted(client: Client) -> None:
    way = client.hops(1, 2, 5, 4)
    made = packet.forward([way[0]._replace(key_select=(way[0].key_select + 100) % 256)], NO_MAILBOX, os.urandom(239))
    before = client.servers.count("mix-1", "dropped_key")
    assert client.post(1, made) == 202
    assert client.servers.count("mix-1", "dropped_key") == before + 1


def test_messages_held_by_a_mix_survive_kill_9_and_arrive(client: Client) -> None:
    everyone = [Registered(os.urandom(20), slot_of(time.time())) for _ in range(20)]
    way = client.hops(1, 2, SLOW, 4)
    sent = [packet.forward(way, NO_MAILBOX, client.arm(who)) for who in everyone]
    assert client.post(1, *sent) == 202

    def held() -> bool:
        return int(client.servers.status(MIX_3)["queues"].get("to-4", 0)) >= 5

    eventually("mix-3 holds some", held)
    client.servers.kill(MIX_3)
    client.servers.start(MIX_3)
    eventually("all arrived", lambda: client.are_stored(everyone))


def test_messages_for_a_dead_mix_wait_until_it_is_back(client: Client) -> None:
    who = Registered(os.urandom(20), slot_of(time.time()))
    payload, way = client.arm(who), client.hops(1, SLOW, 4)
    client.servers.kill(MIX_3)
    client.send_swap(payload, way)
    time.sleep(0.5)
    assert client.servers.status("mix-1")["queues"] == {"to-3": 1}
    client.servers.start(MIX_3)
    eventually("it arrived", lambda: client.is_stored(who))


def test_a_full_mix_tells_senders_to_come_again(client: Client) -> None:
    servers = client.servers
    servers.kill(MIX_3)
    servers.configure(MIX_3, "[mix]\n", "[mix]\nqueue_limit = 3\n")
    servers.start(MIX_3)
    way = client.hops(SLOW, 4)
    messages = [packet.forward(way, NO_MAILBOX, os.urandom(239)) for _ in range(4)]
    headers = {"Content-Type": "application/octet-stream"}
    answer = servers.http.post(servers.url(MIX_3) + "/v1/messages", content=b"".join(messages), headers=headers)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]
    assert client.post(SLOW, *messages[:3]) == 202
    servers.kill(MIX_3)
    servers.configure(MIX_3, "queue_limit = 3\n", "")
    servers.start(MIX_3)
