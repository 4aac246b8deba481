"""The unit file that operators copy, as systemd itself reads it."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.backend.servers import COMMAND, Servers
from tests.patience import HANG_SECONDS

UNIT = Path(__file__).parents[3] / "docs" / "units" / "anontrace-server@.service"
PROGRAM = "/opt/anontrace/.venv/bin/anontrace-server"
MAX_EXPOSED = 20  # tenths, of 100


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here (Debian: apt install systemd)")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=HANG_SECONDS)


def test_systemd_finds_nothing_wrong_with_the_unit_file(tmp_path: Path) -> None:
    text = UNIT.read_text()
    assert text.count(PROGRAM) == 2
    here = tmp_path / UNIT.name
    here.write_text(text.replace(PROGRAM, COMMAND))
    done = analyze("verify", here)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    here.write_text(text.replace(PROGRAM, COMMAND).replace("ProtectHome=", "ProtectHomes="))
    assert "Unknown key" in analyze("verify", here).stderr


def test_a_server_that_was_taken_over_can_do_little(tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSED}", UNIT)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout


def test_systemd_is_told_when_all_servers_of_the_process_are_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Servers(tmp_path / "net")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.settimeout(60)
            systemd.bind(str(tmp_path / "notify"))
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            servers.launch("discovery", "mix-1")
            assert systemd.recv(100) == b"READY=1"
            for name in ("discovery", "mix-1"):
                assert servers.http.get(f"{servers.url(name)}/healthz").is_success
    finally:
        servers.close()
