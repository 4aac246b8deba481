"""Key files that somebody else may have put there, or may read: refused; and none is written into."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from anontrace.backend.errors import ConfigError
from anontrace.backend.keys import atrest, keyfiles

FOREIGN = 65534


def a_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "nowhere")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def for_everybody(path: Path) -> None:
    path.chmod(0o666)


def for_a_group(path: Path) -> None:
    path.chmod(0o640)


def in_an_open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def in_a_folder_of_a_group(path: Path) -> None:
    path.parent.chmod(0o770)


def of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to another user")
    os.chown(path, FOREIGN, FOREIGN)


PLANTED = [
    (a_link, "is a link"), (a_link_to_nothing, "is a link"), (a_pipe, "no regular file"), (a_folder, "no regular file"),
    (for_everybody, "chmod 600"), (for_a_group, "chmod 600"), (in_an_open_folder, "others may write into"),
    (in_a_folder_of_a_group, "others may write into"), (of_another_user, "belongs to another user"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(atrest.ENVIRONMENT, raising=False)
    folder = tmp_path / "server"
    folder.mkdir(0o700)
    return folder


@pytest.mark.parametrize("name", keyfiles.NAMES)
@pytest.mark.parametrize(("plant", "said"), PLANTED, ids=lambda each: getattr(each, "__name__", ""))
def test_a_key_that_may_be_another_s_is_refused(
    folder: Path, name: str, plant: Callable[[Path], None], said: str
) -> None:
    keyfiles.write_new(folder, name)
    plant(folder / name)
    with pytest.raises(ConfigError, match=said):
        if name == keyfiles.STORE:
            keyfiles.read_login(folder)
        else:
            keyfiles.read(folder, name)


@pytest.mark.parametrize(("plant", "said"), PLANTED, ids=lambda each: getattr(each, "__name__", ""))
def test_so_is_the_operator_s_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path], None], said: str
) -> None:
    path = folder / "secret"
    path.write_text(secrets.token_hex(16))
    path.chmod(0o600)
    monkeypatch.setenv(atrest.ENVIRONMENT, str(path))
    assert atrest.operator_secret() is not None
    plant(path)
    with pytest.raises(ConfigError, match=said):
        atrest.operator_secret()


def test_a_key_is_never_made_through_a_link_or_where_others_may_write(folder: Path) -> None:
    target = folder.parent / "target"
    (folder / keyfiles.LOG).symlink_to(target)
    with pytest.raises(ConfigError, match="exists already"):
        keyfiles.write_new(folder, keyfiles.LOG)
    assert not target.exists()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write into"):
        keyfiles.write_new(folder, keyfiles.TOKEN)
    assert not (folder / keyfiles.TOKEN).exists()


def test_sealing_writes_through_no_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keyfiles.write_new(folder, keyfiles.LOG)
    secret = folder.parent / "secret"
    secret.write_text(secrets.token_hex(16))
    secret.chmod(0o600)
    monkeypatch.setenv(atrest.ENVIRONMENT, str(secret))
    target = folder.parent / "target"
    target.write_text("somebody's")
    (folder / f".{keyfiles.LOG}.new").symlink_to(target)
    assert keyfiles.seal(folder) == [folder / keyfiles.LOG]
    assert target.read_text() == "somebody's"
    assert keyfiles.read(folder, keyfiles.LOG) == key


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give a folder to another user")
def test_root_may_read_the_keys_of_a_server_that_is_another_user_s(folder: Path) -> None:
    key = keyfiles.write_new(folder, keyfiles.LOG)
    for path in (folder, folder / keyfiles.LOG):
        os.chown(path, FOREIGN, FOREIGN)
    assert keyfiles.read(folder, keyfiles.LOG) == key
