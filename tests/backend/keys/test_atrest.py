"""Key files sealed by the operator's secret."""

import os
from pathlib import Path

import pytest
from anontrace.backend.errors import ConfigError
from anontrace.backend.keys import atrest, keyfiles
from anontrace.backend.operating.init import Plan, make_network

from tests.backend.servers import Servers


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "operator"
    path.write_text("correct horse battery staple\n")
    path.chmod(0o600)
    monkeypatch.setenv(atrest.ENVIRONMENT, str(path))
    return path


def test_a_network_made_with_a_secret_has_sealed_keys_and_runs(tmp_path: Path, secret: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    try:
        texts = [path.read_text() for path in (*servers.folder.glob("*/*.key"), *servers.folder.glob("*/*.token"))]
        assert len(texts) > 10
        assert all(text.startswith("sealed ") for text in texts)
        servers.start("discovery", "mix-1")
    finally:
        servers.close()


def test_open_keys_are_sealed_and_stay_the_same(tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(atrest.ENVIRONMENT)
    make_network(tmp_path / "net", Plan())
    home = tmp_path / "net" / "nymserver"
    before = {name: keyfiles.read(home, name) for name in (keyfiles.SIGNING, keyfiles.LOG)}
    with pytest.raises(ConfigError, match="no operator's secret"):
        keyfiles.seal(home)
    monkeypatch.setenv(atrest.ENVIRONMENT, str(secret))
    assert len(keyfiles.seal(home)) == 4
    assert keyfiles.seal(home) == []
    assert {name: keyfiles.read(home, name) for name in before} == before
    assert not any(key.hex() in (home / name).read_text() for name, key in before.items())
    assert (home / keyfiles.LOG).stat().st_mode & 0o777 == 0o600


def test_nothing_opens_a_sealed_key_but_its_secret_under_its_name(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyfiles.write_new(tmp_path, keyfiles.LOG)
    (tmp_path / keyfiles.TOKEN).write_bytes((tmp_path / keyfiles.LOG).read_bytes())
    (tmp_path / keyfiles.TOKEN).chmod(0o600)
    with pytest.raises(ConfigError, match="does not open"):
        keyfiles.read(tmp_path, keyfiles.TOKEN)
    secret.write_text("another secret of some length")
    with pytest.raises(ConfigError, match="does not open"):
        keyfiles.read(tmp_path, keyfiles.LOG)
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        keyfiles.read(tmp_path, keyfiles.LOG)
    secret.chmod(0o600)
    secret.write_text("short")
    with pytest.raises(ConfigError, match="at least"):
        keyfiles.read(tmp_path, keyfiles.LOG)
    monkeypatch.delenv(atrest.ENVIRONMENT)
    with pytest.raises(ConfigError, match="is sealed"):
        keyfiles.read(tmp_path, keyfiles.LOG)


def test_systemd_hands_over_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(atrest.ENVIRONMENT, raising=False)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert atrest.operator_secret() is None
    (credentials / atrest.CREDENTIAL).write_bytes(os.urandom(16).hex().encode())
    key = keyfiles.write_new(tmp_path, keyfiles.LOG)
    assert atrest.is_sealed((tmp_path / keyfiles.LOG).read_text())
    assert keyfiles.read(tmp_path, keyfiles.LOG) == key
