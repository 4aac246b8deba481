"""Servers that are moved to a cluster in the middle of a story, by the command: nothing acknowledged is lost, and a mix
still knows what it has seen."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating import checking
from anontrace.backend.operating.init import Plan, make_network
from anontrace.backend.store import Entry, open_store
from anontrace.mixnet.packet import forward
from anontrace.wire.result import Reason
from anontrace.wire.upload import State
from anontrace_shared.slots import slot_of

from tests.backend.cli.test_command_line import AtTerminal
from tests.backend.client import Client
from tests.backend.places import SharedCluster
from tests.backend.servers import COMMAND, Servers, command
from tests.companion.terminal import talk
from tests.patience import eventually

ROWS = 30_000

NAMES = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver", "mailbox", "authority")
MOVED = ("mix-1", "nymserver", "mailbox", "authority", "discovery")
HELD = 40  # messages that mix-1 holds for a while
SLOW = "delay = 3.0"


def give_password(folder: Path, cluster: SharedCluster) -> None:
    path = folder / keyfiles.STORE
    path.touch(mode=0o600)
    path.write_text(cluster.password)


def test_servers_are_moved_in_the_middle_of_a_story(redis_cluster: SharedCluster, tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0.02", "--pace", "0.01")
    try:
        servers.start(*NAMES)
        servers.ready(NAMES)
        client = Client(servers)
        slot = slot_of(time.time())
        people = client.register_all(slot, 3)
        spent, kept = (client.token() for _ in range(2))
        contact_log = client.make_log(slot, people)
        assert client.redeem(spent, contact_log).permit
        assert client.upload(client.permit(contact_log), contact_log).state is State.ACCEPTED
        report = client.report_with(None, 0)["report"]
        box, letters = os.urandom(32), [os.urandom(239) for _ in range(3)]
        for number, letter in enumerate(letters):
            assert client.post(2, forward(client.hops(2, client.mailbox), box, letter)) == 202
            eventually("it is there", lambda number=number: len(client.poll(box)) > number)  # type: ignore[misc]
        seen = [forward(client.hops(1, client.mailbox), box, os.urandom(239)) for _ in range(5)]
        assert client.post(1, *seen) == 202
        eventually("they are there", lambda: len(client.poll(box)) == 8)
        all_letters = client.poll(box)
        assert client.are_stored(people)  # the answers go through mix-1 too, which is slow from here on

        servers.terminate(*NAMES)
        servers.configure("mix-1", "delay = 0.02", SLOW)
        servers.start(*NAMES)
        servers.ready(NAMES)
        held_letters = [os.urandom(239) for _ in range(HELD)]
        held = [forward(client.hops(1, client.mailbox), box, letter) for letter in held_letters]
        assert client.post(1, *held) == 202
        directory = servers.status("mix-2")["directory"]

        refused = command("move", servers.folder / "mix-1", "--to", redis_cluster.url)
        assert refused.returncode == 1
        assert "mix-1 runs: it answers at" in refused.stderr
        servers.terminate(*NAMES)

        prefix = f"net-{os.urandom(4).hex()}"
        for name in MOVED:
            folder = servers.folder / name
            give_password(folder, redis_cluster)
            line = f"{redis_cluster.url}?prefix={prefix}-{name}"
            done = command("move", folder, "--to", line, "--json")
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert answer["rows"] > 0
            assert answer["queued"] > 0 or name != "mix-1"
            # Nobody starts from what was left behind, and the server is told how to go on.
            (fault,) = checking.faults([folder])
            assert f'server.toml has to have store = "{line}"' in fault
            servers.configure(name, "network =", f'store = "{line}"\nnetwork =')
            assert checking.faults([folder]) == []
        servers.configure("mix-1", SLOW, "delay = 0.02")
        servers.start(*NAMES)
        servers.ready(NAMES)

        assert client.poll(box)[:8] == all_letters
        assert client.are_stored(people)
        shown = servers.status("mix-2")["directory"]
        assert int(shown.partition(":")[0]) >= int(directory.partition(":")[0])
        # What was seen before is dropped now, what is new passes.
        new_letter = os.urandom(239)
        new = forward(client.hops(1, client.mailbox), box, new_letter)
        assert client.post(1, *seen, *held, new) == 202
        assert servers.count("mix-1", "dropped_replay") == len(seen) + len(held)
        expected = sorted([*all_letters, *held_letters, new_letter])
        eventually("all are there", lambda: len(client.poll(box)) >= len(expected))
        assert sorted(client.poll(box)) == expected
        # The authority knows which tokens were spent, and the nymserver whom the report is about.
        assert client.redeem(spent, b"another log").reason is Reason.ANOTHER_LOG
        assert client.redeem(kept, b"another log").permit
        assert client.approve(report) == len(people)
        assert {client.told(who).report_id.hex() for who in people} == {report}
        for who in people:
            client.send_swap(client.arm(who))
        eventually("the replaced blobs are stored", lambda: client.are_stored(people))
    finally:
        servers.close()


@pytest.fixture
def nymserver(redis_cluster: SharedCluster, tmp_path: Path) -> Path:
    """The folder of a nymserver that holds many addresses, with the password of the cluster."""
    make_network(tmp_path / "net", Plan())
    folder = tmp_path / "net" / "nymserver"
    give_password(folder, redis_cluster)

    async def fill() -> None:
        store = await open_store(folder / "store")
        for day in range(30):
            await store.put_many("nyms", [(os.urandom(32), os.urandom(208)) for _ in range(ROWS // 30)], expires=day)
        await store.enqueue([Entry("notices", 1e9, b"item")])
        await store.close()

    asyncio.run(fill())
    return folder


def test_a_move_that_is_killed_goes_on_when_it_is_said_again(redis_cluster: SharedCluster, nymserver: Path) -> None:
    prefix = f"killed-{os.urandom(4).hex()}"
    line = f"{redis_cluster.url}?prefix={prefix}"
    moving = subprocess.Popen([COMMAND, "move", str(nymserver), "--to", line], stdout=subprocess.DEVNULL)
    eventually("it has begun", lambda: any(b":rows:" in name for name in redis_cluster.names(prefix)))
    moving.kill()
    assert moving.wait() == -signal.SIGKILL
    assert checking.faults([nymserver]) == []  # the folder is as it was
    path = nymserver / "server.toml"
    text = path.read_text()
    path.write_text(f'store = "{line}"\n{text}')
    (fault,) = checking.faults([nymserver])
    assert "line 1: a move into this store has not been finished" in fault
    started = command("run", nymserver)
    assert (started.returncode, started.stdout) == (1, "")
    assert "a move into this store has not been finished" in started.stderr
    path.write_text(text)

    status, screen = talk(AtTerminal(), ["move", str(nymserver), "--to", line], [])
    assert status == 0, screen
    assert f"{ROWS} rows and 1 queue entries, all compared" in screen
    assert "comparing" in screen
    again = command("move", nymserver, "--to", line, "--json")
    assert json.loads(again.stdout) == {
        "from": str(nymserver / "store"), "to": line, "rows": 0, "queued": 0, "already": True
    }  # fmt: skip
    path.write_text(f'store = "{line}"\n{text}')
    assert checking.faults([nymserver]) == []
    back = command("move", nymserver, "--to", "folder")
    assert back.returncode == 1
    assert "holds data already" in back.stderr
    shutil.rmtree(nymserver / "store")
    back = command("move", nymserver, "--to", "folder", "--json")
    assert json.loads(back.stdout) | {"from": ""} == {
        "from": "", "to": str(nymserver / "store"), "rows": ROWS, "queued": 1, "already": False
    }  # fmt: skip
    path.write_text(text)
    assert checking.faults([nymserver]) == []


def test_why_a_server_is_not_moved_is_said_in_one_line(redis_cluster: SharedCluster, nymserver: Path) -> None:
    prefix = f"refused-{os.urandom(4).hex()}"
    line = f"{redis_cluster.url}?prefix={prefix}"

    def told(*arguments: str | Path, usage: bool = False) -> str:
        done = command("move", *arguments)
        assert (done.returncode, done.stdout) == (2 if usage else 1, "")
        assert usage or done.stderr.count("\n") == 1
        return done.stderr

    for wrong, reason in (
        ("redis://nowhere", "--to: nowhere is not HOST:PORT, or `folder`"),
        ("elsewhere", "--to: has to be redis://"),
        ("redis://127.0.0.1:1", "no node of the store's cluster answers"),
        ("folder", "the state is there already"),
    ):
        assert reason in told(nymserver, "--to", wrong)
    password = nymserver / keyfiles.STORE
    password.write_text("another")
    assert "does not take this user and password" in told(nymserver, "--to", line)
    password.unlink()
    assert "it wants a password" in told(nymserver, "--to", line)
    give_password(nymserver, redis_cluster)
    key = nymserver / keyfiles.STORAGE
    key.rename(nymserver / "away")
    assert "storage.key: no such file" in told(nymserver, "--to", line)
    (nymserver / "away").rename(key)
    assert "Missing option '--to'" in told(nymserver, usage=True)
    assert "server.toml: no such file" in told(nymserver / "nothing", "--to", line)
    mailbox = nymserver.parent / "mailbox"
    give_password(mailbox, redis_cluster)
    assert "there is no state to move" in told(mailbox, "--to", line)
    # A store line alone moves nothing, and a server does not begin anew beside its state.
    path = nymserver / "server.toml"
    path.write_text(f'store = "{line}"\n{path.read_text()}')
    (fault,) = checking.faults([nymserver])
    assert "this cluster is empty" in fault
    assert "this cluster is empty" in command("run", nymserver).stderr
    assert redis_cluster.names(prefix) == []
