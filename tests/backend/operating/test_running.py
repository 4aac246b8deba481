"""What `run` says of servers that start together: when they listen, and when they are ready; nothing else."""

import re
import subprocess
from pathlib import Path

import httpx

from tests.backend.servers import COMMAND, command

SERVERS = 7


def test_servers_in_one_process_say_ready_when_readyz_does_and_warn_of_nothing(tmp_path: Path) -> None:
    assert command("init", tmp_path / "net").returncode == 0
    folders = sorted(str(path.parent) for path in (tmp_path / "net").glob("*/server.toml"))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([COMMAND, "run", *folders], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        listening = [process.stdout.readline().split() for _ in range(SERVERS)]
        assert {word for word, _, _ in listening} == {"listening"} and listening[0][1] == "discovery"
        ready = []
        for _ in range(SERVERS):
            word, name, url = process.stdout.readline().split()
            assert word == "ready"
            ready.append([name, url])
            assert httpx.get(f"{url}/readyz", trust_env=False, timeout=60).is_success
        assert sorted(ready) == sorted(said[1:] for said in listening)
    finally:
        process.terminate()
        assert process.wait() == 0
        assert process.stdout is not None
        process.stdout.close()
    logged = (tmp_path / "log").read_text()
    assert "does not answer" not in logged
    chosen = re.findall(r": X25519 in batches by (\w+)", logged)
    assert len(chosen) == 5 and len(set(chosen)) == 1  # all that are mixes; measured once in their process
