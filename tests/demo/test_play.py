"""The demonstration itself, small: real servers, badges and companions; and nothing left of it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.demo import __main__ as demo

ROOT = Path(__file__).resolve().parents[2]


def met(one: str, other: str, start: int, steps: int) -> list[str]:
    return [f"{start + 20 * step} {one} {other}" for step in range(steps)]


@pytest.fixture
def contact_list(tmp_path: Path) -> Path:
    """b meets the patient a for four minutes; c meets b for four; d meets both, too shortly."""
    path = tmp_path / "list.csv"
    lines = met("a", "b", 0, 12) + met("b", "c", 300, 12) + met("a", "d", 40, 8) + met("b", "d", 320, 8)
    path.write_text("\n".join(lines) + "\n")
    return path


def start(contact_list: Path, temporary: Path, *options: str) -> subprocess.Popen[str]:
    temporary.mkdir()
    command = [sys.executable, "-m", "tools.demo", "--contacts", str(contact_list), "--patient", "a", "--rule", "4"]
    return subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def second(output: str, step: str) -> int:
    """The wall time since the start at which a step was told."""
    (line,) = (line for line in output.splitlines() if f"s  {step}" in line)
    return int(line.split()[0])


def left_over(temporary: Path) -> list[str]:
    """Command lines of processes that have to do with the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            traces = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            traces += os.fsencode((process / "cwd").readlink())
        except OSError:
            continue
        if str(temporary).encode() in traces:
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_exactly_the_right_people_are_told_and_nothing_is_left(contact_list: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    process = start(contact_list, temporary, "--scale", "60")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, output + errors
    # Ten minutes of contacts, at most 60 times as fast as they were: ten seconds, give or take the rounding of two.
    assert second(output, "contacts:") - second(output, "badges:") >= 9
    rows = [line.replace("│", " ").split() for line in output.splitlines() if line.startswith("│")]
    assert [row[0] for row in rows] == ["b", "c", "d"]
    assert "yes, 4.0 min 1 yes" in " ".join(rows[0])
    assert "yes, 4.0 min 2 yes" in " ".join(rows[1])
    assert " ".join(rows[2]).endswith("no yes")
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


@pytest.mark.parametrize("step", ["backend:", "badges:"])  # while companions register; while badges meet
def test_an_interrupt_stops_and_removes_everything(contact_list: Path, tmp_path: Path, step: str) -> None:
    temporary = tmp_path / "temporary"
    process = start(contact_list, temporary)
    assert process.stdout is not None
    for line in process.stdout:
        if step in line:
            break
    time.sleep(0.5)  # well into the next step
    # As a terminal does: to the whole group, badges included.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "interrupted; everything is stopped"
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def test_a_failure_names_its_reason_and_stops_everything(contact_list: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    process = start(contact_list, temporary)
    assert process.stdout is not None
    for line in process.stdout:
        if "backend:" in line:
            break
    (server,) = temporary.glob("*/backend/discovery")
    victims = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if str(server).encode() in _command_line(entry) and b"anontrace-server" in _command_line(entry)
    ]
    assert victims
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("scale", ["0", "-1", "inf", "nan", "fast"])
def test_a_scale_that_makes_no_sense_is_refused(scale: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["--patient", "a", "--contacts", "list.csv", f"--scale={scale}"])
    assert ended.value.code == 2
    assert "--scale" in capsys.readouterr().err
