"""Both programs with standard streams that take nothing, not everything, or are not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.companion.commands.test_cli import NETWORK

BIN = Path(sys.executable).parent
FOLDER = "Ω 漢 ü"  # no terminal of one byte a character shows all of it


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """A command line of each program that has something to say of a folder."""
    folder = tmp_path_factory.mktemp("streams") / FOLDER
    folder.mkdir()
    (folder / "network.toml").write_text(NETWORK)
    companion = [str(BIN / "anontrace"), "--state", str(folder / "state")]
    server = [str(BIN / "anontrace-server")]
    subprocess.run([*companion, "init", str(folder / "network.toml")], check=True, capture_output=True)
    subprocess.run([*server, "init", str(folder / "net")], check=True, capture_output=True)
    return {
        "companion": [*companion, "service", "print", "--system", "windows"],
        "companion, json": [*companion, "--json", "status"],
        "companion, help": [*companion, "--help"],
        "server": [*server, "check", str(folder / "net" / "discovery")],
        "server, table": [*server, "status", str(folder / "net")],
        "server, help": [*server, "run", "--help"],
    }


EVERY = ["companion", "companion, json", "companion, help", "server", "server, help"]


def run(command: list[str], redirected: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """The command in a shell, with its streams redirected."""
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirected}', "bash", *command],
        capture_output=True, env=os.environ | environment, check=False, timeout=120,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr
    assert b"fault of the program" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize("name", EVERY)
def test_a_full_standard_output_is_said_in_a_sentence(places: dict[str, list[str]], name: str) -> None:
    done = run(places[name], ">/dev/full")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.partition(": ")[2] == "the output cannot be written: no space left on device"


@pytest.mark.parametrize("name", EVERY)
def test_a_closed_standard_output_is_written_to_by_nobody(places: dict[str, list[str]], name: str) -> None:
    done = run(places[name], "<&- >&-")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("program", ["anontrace", "anontrace-server"])
def test_what_nobody_can_be_told_still_ends_with_its_code(program: str, redirected: str) -> None:
    assert run([str(BIN / program), "no-such-command"], redirected).returncode == 2


@pytest.mark.parametrize("program", ["anontrace", "anontrace-server"])
def test_a_reader_of_errors_that_left_off_is_no_fault(program: str) -> None:
    done = run([str(BIN / program), "no-such-command"], "2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}")
    assert done.returncode == 2


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "utf-8"])
@pytest.mark.parametrize("name", [*EVERY, "server, table"])
def test_any_encoding_will_do(places: dict[str, list[str]], name: str, encoding: str) -> None:
    done = run(places[name], "", PYTHONIOENCODING=encoding)
    assert done.returncode == (1 if name == "server, table" else 0)  # whose servers do not run
    encoding = encoding.replace("ascii", "utf-8")  # ASCII is what is there when nobody set anything
    said = (done.stdout + done.stderr).decode(encoding)
    assert said.strip()
    if name == "companion":
        assert (FOLDER in said) == (encoding == "utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_json_loses_no_character_to_an_encoding(places: dict[str, list[str]], encoding: str) -> None:
    done = run([*places["companion"][:3], "--json", *places["companion"][3:]], "", PYTHONIOENCODING=encoding)
    assert FOLDER in json.loads(done.stdout.decode(encoding))["text"]
