"""`make bench ONLY=peers` where what it compares with cannot be had: it says so in a line, and goes on without."""

import shutil
import sys
from pathlib import Path

import pytest

from tools.bench import peers


def test_where_there_is_no_cargo_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(peers.MissingError, match="there is no cargo"):
        peers.build_nym(tmp_path)


def test_of_a_build_that_fails_the_error_is_told_in_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = tmp_path / "cargo"
    failing.write_text(
        "#!/bin/sh\necho Compiling >&2\necho 'error: no such crate' >&2\necho 'and more' >&2\nexit 101\n"
    )
    failing.chmod(0o700)
    monkeypatch.setattr(shutil, "which", lambda _: str(failing))
    with pytest.raises(peers.MissingError, match=r"^cargo: error: no such crate$"):
        peers.build_nym(tmp_path / "build")


def test_a_package_that_cannot_be_loaded_is_missing(tmp_path: Path) -> None:
    with pytest.raises(peers.MissingError, match="sphinxmix"):
        peers.sphinxmix(tmp_path)


def test_a_turn_of_another_process_is_measured_by_its_own_clock_and_its_end_is_noticed(tmp_path: Path) -> None:
    program = tmp_path / "nym"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "for line in sys.stdin:\n    if 'end' in line: sys.exit(3)\n    sum(range(10**6)); print(flush=True)\n"
    )
    program.chmod(0o700)
    nym = peers.Nym(program)
    nym.turn("outfox")
    before = nym.seconds()
    nym.turn("outfox")
    assert 0.001 < nym.seconds() - before < 1
    with pytest.raises(RuntimeError, match="status 3"):
        nym.turn("end")


def test_the_crates_that_are_built_are_those_that_the_report_names() -> None:
    pins = (Path(peers.__file__).parent / "nym" / "Cargo.toml").read_text()
    assert 'nym-outfox = "=1.21.6"' in pins and 'sphinx-packet = "=0.8.0"' in pins
    assert peers.FORMATS == {"sphinx-packet": "Nym sphinx-packet 0.8.0", "outfox": "Nym nym-outfox 1.21.6"}
