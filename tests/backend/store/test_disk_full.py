"""The embedded store on a full disk: writes are refused, reads go on, and all goes on when there is room again."""

import os
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from anontrace.mixnet.packet import forward

from tests.backend.client import Client
from tests.backend.servers import Servers
from tests.patience import HANG_SECONDS, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits another process' files by prlimit")

OTHERS = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver", "authority")

ON_A_SMALL_DISK = """
    import asyncio, os, sys
    from pathlib import Path
    from anontrace.backend.errors import StoreError
    from anontrace.backend.store import Entry, Put, open_store

    async def main(disk):
        store = await open_store(disk / "store")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(48 << 20))
        kept = []
        try:
            while True:
                key = os.urandom(16)
                await store.put_if_absent_many("t", [Put(key, os.urandom(8192), Entry("q", 0.0, key))], expires=5)
                kept.append(key)
        except StoreError as error:
            assert "No space left" in str(error), error
        assert len(kept) > 100
        for _ in range(3):
            try:
                await store.put_many("t", [(b"small", os.urandom(8192))])
            except StoreError:
                continue
            raise AssertionError("written to a full disk")
        assert None not in await store.get_many("t", kept)
        ballast.unlink()
        async with asyncio.timeout(60):
            while True:
                try:
                    await store.put_many("t", [(b"small", b"v")])
                    break
                except StoreError:
                    await asyncio.sleep(0.1)
        for _ in range(2):
            assert None not in await store.get_many("t", kept)
            assert set(kept) <= {each.item for each in (await store.take("q", 1.0, 1 << 20, 0.0)).entries}
            await store.close()
            store = await open_store(disk / "store")
        await store.close()

    asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_store_whose_disk_was_full_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=72m none '{tmp_path}'"
    if shutil.which("unshare") is None or subprocess.run([*small, mount], capture_output=True).returncode:
        pytest.skip("this system lets users mount no file system of their own")
    run = f'{mount} && exec "$0" -c "$1" "{tmp_path}"'
    done = subprocess.run([*small, run, sys.executable, textwrap.dedent(ON_A_SMALL_DISK)], timeout=HANG_SECONDS)
    assert done.returncode == 0


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A network whose mailbox server has a process of its own."""
    servers = Servers(tmp_path / "net", "--delay", "0.01", "--pace", "0.01")
    try:
        servers.start_apart(OTHERS, ["mailbox"])
        servers.ready((*OTHERS, "mailbox"))
        yield Client(servers)
    finally:
        servers.close()


def test_a_server_that_cannot_write_says_so_and_keeps_what_it_took(client: Client) -> None:
    process = client.servers.process("mailbox")
    logs = (client.servers.folder / "mailbox" / "store").glob("*.log")
    room = max(path.stat().st_size for path in logs) + (200 << 10)
    mailboxes = {os.urandom(32): 0 for _ in range(4)}
    hops = client.hops(client.mailbox)

    def post(mailbox: bytes) -> int:
        status = client.post(client.mailbox, *(forward(hops, mailbox, os.urandom(239)) for _ in range(8)))
        mailboxes[mailbox] += 8 if status == 202 else 0
        return status

    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, most))
    statuses = [post(mailbox) for _ in range(28) for mailbox in mailboxes]
    assert set(statuses) == {202, 503}
    assert statuses[0] == 202
    assert statuses[-1] == 503
    assert client.http.get(client.servers.url("mailbox") + "/healthz").is_success
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
    for mailbox in mailboxes:
        eventually("it takes messages again", lambda mailbox=mailbox: post(mailbox) == 202)  # type: ignore[misc]
    for mailbox in mailboxes:

        def found(mailbox: bytes = mailbox) -> bool:
            return len(set(client.poll(mailbox))) >= mailboxes[mailbox]

        eventually("what was taken is there", found)
