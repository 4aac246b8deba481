"""Secrets that an editor or a shell has saved in a way of its own: read right, or named with what is wrong."""

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest
from anontrace.backend.errors import ConfigError
from anontrace.backend.keys import atrest, keyfiles

from tests.encodings import READ, SAID

Save = Callable[[str], bytes]
LOGIN = ("user", "pa55word")


@pytest.fixture(params=["open", "sealed"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a server with all of its secrets."""
    monkeypatch.delenv(atrest.ENVIRONMENT, raising=False)
    folder = tmp_path / "server"
    folder.mkdir(0o700)
    (folder / keyfiles.STORE).touch(0o600)
    (folder / keyfiles.STORE).write_text(" ".join(LOGIN) + "\n")
    for name in keyfiles.NAMES:
        if name != keyfiles.STORE:
            keyfiles.write_new(folder, name)
    if request.param == "sealed":
        operator_secret(tmp_path, monkeypatch)
        assert len(keyfiles.seal(folder)) == len(keyfiles.NAMES)
    return folder


def operator_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = folder / "operator"
    path.touch(0o600)
    path.write_text("correct horse battery staple\n")
    monkeypatch.setenv(atrest.ENVIRONMENT, str(path))
    return path


def read(folder: Path, name: str) -> object:
    return keyfiles.read_login(folder) if name == keyfiles.STORE else keyfiles.read(folder, name)


def save(path: Path, how: Save) -> None:
    path.write_bytes(how(path.read_text()))


@pytest.mark.parametrize("how", READ.values(), ids=READ)
def test_a_key_file_is_read_however_its_text_is_saved(folder: Path, how: Save) -> None:
    for name in keyfiles.NAMES:
        before = read(folder, name)
        save(folder / name, how)
        assert read(folder, name) == before


@pytest.mark.parametrize("how", SAID.values(), ids=SAID)
def test_a_key_file_in_another_encoding_is_named_with_what_is_wrong(folder: Path, how: Save) -> None:
    for name in keyfiles.NAMES:
        save(folder / name, how)
        with pytest.raises(ConfigError) as raised:
            read(folder, name)
        said = str(raised.value)
        assert said.startswith(f"{folder / name}: is ") and "UTF-" in said
        assert said.count("\n") == 0


@pytest.mark.parametrize("how", READ.values(), ids=READ)
@pytest.mark.parametrize("name", [keyfiles.SIGNING, keyfiles.STORE])
def test_an_operators_secret_opens_with_other_line_ends_and_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: Save
) -> None:
    """It may be anything, so it is used as it is, but for white space around it."""
    path = operator_secret(tmp_path, monkeypatch)
    folder = tmp_path / "server"
    folder.mkdir(0o700)
    (folder / name).touch(0o600)
    (folder / name).write_text("pa55word\n" if name == keyfiles.STORE else "11" * 32)
    keyfiles.seal(folder)
    before = read(folder, name)
    plain = path.read_text()
    save(path, how)
    if path.read_bytes().startswith(codecs.BOM_UTF8):
        with pytest.raises(ConfigError, match="looks saved as UTF-8 with a byte order mark: save it as plain UTF-8"):
            read(folder, name)
    else:
        assert read(folder, name) == before
    for encoded in SAID.values():
        path.write_bytes(encoded(plain))
        with pytest.raises(ConfigError) as raised:
            read(folder, name)
        assert f"does not open it, or it was changed; it is in {path}, which looks saved as UTF-16" in str(raised.value)
