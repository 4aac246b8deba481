"""Servers that were killed and whose store is not whole any more: they say so at each start, and so does `check`."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anontrace.wire import onetime
from anontrace.wire.permit import LOG_HASH
from anontrace.wire.result import Answer, Question, State

from tests.backend.client import Client
from tests.backend.servers import Servers, command

NAMES = ("discovery", "authority")


@pytest.fixture
def used(tmp_path: Path) -> Iterator[tuple[Servers, str]]:
    """An authority's server that was killed after it had acknowledged a token, and the token."""
    servers = Servers(tmp_path / "block-1")
    try:
        servers.start_apart(["discovery"], ["authority"])
        token = Client(servers).token()
        servers.kill("authority")
        yield servers, token
    finally:
        servers.close()


def counts(servers: Servers, token: str) -> bool:
    """Whether the authority gives a permit for a token, which it does for one log."""
    question = Question(onetime.token_hash(token), os.urandom(LOG_HASH)).encode()
    answer = servers.http.post(servers.url("authority") + "/v2/result", content=question)
    return answer.is_success and Answer.parse(answer.content).state is State.PERMIT


def _no_current(store: Path) -> None:
    (store / "CURRENT").unlink()


def _a_flipped_bit(store: Path) -> None:
    (log,) = store.glob("*.log")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)


def _no_log(store: Path) -> None:
    for path in store.glob("*.log"):
        path.unlink()


@pytest.mark.parametrize("spoil", [_no_current, _a_flipped_bit, _no_log], ids=lambda spoil: spoil.__name__)
def test_a_damaged_store_is_said_at_each_start_until_it_is_whole_again(
    used: tuple[Servers, str], spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    servers, token = used
    folder = servers.folder / "authority"
    shutil.copytree(folder / "store", tmp_path / "before")
    spoil(folder / "store")
    left = {path.name: path.read_bytes() for path in (folder / "store").iterdir()}
    for _ in range(2):
        checked = command("check", folder)
        assert (checked.returncode, len(checked.stderr.splitlines())) == (1, 1)
        ran = command("run", folder)
        assert (ran.returncode, ran.stdout) == (1, "")
        for said in (checked.stderr, ran.stderr):
            assert f"{folder / 'store'}: damaged: " in said
            assert "Traceback" not in said and "another process" not in said
        assert {path.name: path.read_bytes() for path in (folder / "store").iterdir()} == left
    shutil.rmtree(folder / "store")
    (tmp_path / "before").rename(folder / "store")
    servers.start("authority")
    assert counts(servers, token)
    assert not counts(servers, token)
