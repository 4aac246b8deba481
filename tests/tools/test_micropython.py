"""Finding MicroPython: what counts as usable, what apt's configuration says, and what is said when there is none."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from tools import apt, micropython
from tools.apt import Source


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Look afresh in each test, and again afterwards."""
    micropython._find.cache_clear()
    yield
    micropython._find.cache_clear()


def pretend(folder: Path, answer: str, name: str = "micropython") -> Path:
    """A program that says of itself what is wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {answer}\n")
    path.chmod(0o755)
    return path


def test_the_one_that_is_found_runs_and_is_new_enough() -> None:
    found = micropython.version(micropython.find())
    assert found is not None and found >= micropython.OLDEST


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("micropython linux 1 22", (1, 22)),
        ("micropython darwin 2 0", (2, 0)),
        ("cpython linux 3 11", None),
        ("micropython esp32 1 23", None),
        ("hello", None),
    ],
)
def test_only_the_unix_port_counts(tmp_path: Path, answer: str, version: tuple[int, int] | None) -> None:
    assert micropython.version([str(pretend(tmp_path, answer))]) == version


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = pretend(tmp_path, "micropython linux 1 24", "chosen")
    monkeypatch.setenv("MICROPYTHON", str(chosen))
    monkeypatch.setenv("PATH", str(pretend(tmp_path / "path", "micropython linux 1 25").parent), prepend=":")
    assert micropython.find() == [str(chosen)]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_where_none_with_words_of_32_bits_can_be_had_the_one_on_path_will_do_and_it_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    asked = []

    def provide(program: apt.Program, cache: Path) -> list[str]:
        asked.append(program.architecture)
        cache.mkdir(parents=True, exist_ok=True)
        raise apt.AptError("no such package")

    monkeypatch.setattr(apt, "provide", provide)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wide = pretend(tmp_path / "path", "micropython linux 1 24")
    monkeypatch.setenv("PATH", str(wide.parent), prepend=":")
    for _ in range(2):
        micropython._find.cache_clear()
        assert micropython.find() == [str(wide)]
    assert asked == (["i386"] if machine == "x86_64" else [])


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64") or not apt.available(),
    reason="words of 32 bits are had through apt on an x86-64 with Linux",
)
def test_words_have_32_bits_where_apt_has_such_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICROPYTHON", raising=False)
    probe = [*micropython.find(), "-c", "import sys; print(sys.maxsize)"]
    in_vain = platformdirs.user_cache_path("anontrace") / "micropython-i386" / "in-vain"
    if in_vain.exists() and "does not run" not in in_vain.read_text():
        pytest.skip(f"it cannot be had here: {in_vain.read_text()}")
    assert int(subprocess.run(probe, capture_output=True, text=True, check=True).stdout) == 2**31 - 1


def test_a_cache_that_cannot_be_made_leaves_the_one_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    found = pretend(tmp_path, "micropython linux 1 24")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert micropython.find() == [str(found)]


def test_a_bad_choice_is_an_error_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = pretend(tmp_path, "micropython linux 1 19")
    monkeypatch.setenv("MICROPYTHON", str(old))
    assert micropython.main() == 1
    assert capsys.readouterr().err == (
        f"error: MICROPYTHON={old} is not a MicroPython that can be used here: "
        "install MicroPython 1.22 or newer (Unix port), or set MICROPYTHON to its command\n"
    )


def test_without_apt_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setenv("PATH", str(pretend(tmp_path / "path", "micropython linux 1 19").parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert micropython.main() == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "error: no MicroPython found, and there is no apt to fetch it with: install MicroPython 1.22"
    )
    assert error.count("\n") == 1


def test_an_unpacked_package_runs_by_its_own_loader(tmp_path: Path) -> None:
    binary = pretend(tmp_path / "usr" / "bin", "")
    libraries = tmp_path / "usr" / "lib" / "some-triplet"
    libraries.mkdir(parents=True)
    for name in ("libc.so.6", "ld-linux-some.so.2"):
        (libraries / name).touch()
    assert apt.unpacked_command(tmp_path, "micropython") == [
        str(libraries / "ld-linux-some.so.2"),
        "--library-path",
        str(libraries),
        str(binary),
    ]
    binary.unlink()
    assert apt.unpacked_command(tmp_path, "micropython") is None


@pytest.mark.skipif(not apt.available(), reason="no apt on this machine")
@pytest.mark.parametrize(
    ("version", "oldest", "enough"),
    [("1.25.0+ds-1", "1.22~", True), ("1.22~rc1-1", "1.22~", True), ("1.19.1+ds-1", "1.22~", False),
     ("5:7.0.15-1", "5:7~", True), ("5:6.0.16-1", "5:7~", False)],
)  # fmt: skip
def test_a_package_too_old_is_not_fetched(version: str, oldest: str, enough: bool) -> None:
    assert apt.is_at_least(version, oldest) == enough


def test_one_line_sources_are_read() -> None:
    text = """
# deb http://commented.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main contrib # ours
deb http://elsewhere.example/apt stable other
"""
    assert apt.parse_one_line(text) == [Source("http://mirror.example/debian", "/usr/share/keyrings/x.gpg")]


def test_deb822_sources_are_read() -> None:
    text = """# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
"""
    (source,) = apt.parse_deb822(text)
    assert source.uri == "http://mirror.example/debian"
    assert source.signed_by == "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc"
    assert "Suites: trixie\nComponents: main\nSigned-By: \n -----BEGIN" in source.deb822("trixie")


@pytest.mark.skipif(not apt.available(), reason="no apt on this machine")
def test_the_closure_is_computed_by_apt_itself(tmp_path: Path) -> None:
    try:
        closure = apt.Apt(tmp_path).closure("libc6")
    except apt.AptError as error:
        pytest.skip(f"apt knows no libc6 here: {error}")
    assert "libc6" in closure


@pytest.mark.skipif(not apt.available(), reason="no apt on this machine")
def test_what_no_release_has_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt.Apt, "update", lambda self: None)  # asks no mirror
    with pytest.raises(apt.AptError) as caught:
        apt.provide(apt.Program("no-such-program", "no-such-package", "1", lambda command: True), tmp_path)
    assert str(caught.value).startswith("apt could not fetch it (") and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
