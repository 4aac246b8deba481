"""The cluster over TLS with a user and a password, and what `check` says when something about that is wrong."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anontrace.backend import config
from anontrace.backend.errors import ConfigError, StoreError
from anontrace.backend.keys import atrest, keyfiles
from anontrace.backend.operating import checking, storeplace
from anontrace.backend.operating.init import Plan, make_network

from tests.backend.certificates import Authority
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

USER = "anontrace"
RIGHTS = ("~*", "&*", "+@all", "-@dangerous", "+info", "+cluster|slots", "+config|get")  # as docs/operations.md says
CA = "redis-ca.pem"
WRONG = "another-password"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisCluster, str]]:
    """Six nodes that speak nothing but TLS, and the password of a user that they know."""
    folder, authority = tmp_path_factory.mktemp("secured"), Authority()
    authority.write(folder)
    (folder / "ca.pem").write_text(authority.pem)
    try:
        cluster = RedisCluster(folder / "redis", tls=folder)
    except MissingRedis as error:
        pytest.skip(str(error))
    password = f"{secrets.token_urlsafe(12)}:@/?#'"
    cluster.ask_all("ACL", "SETUSER", USER, "on", f">{password}", *RIGHTS)
    (folder / CA).write_text(authority.pem)
    yield cluster, password
    cluster.close()


@pytest.fixture
def home(secured: tuple[RedisCluster, str], tmp_path: Path) -> Path:
    """The folder of a nymserver whose state is in that cluster."""
    cluster, password = secured
    make_network(tmp_path / "net", Plan())
    folder = tmp_path / "net" / "nymserver"
    (folder / CA).write_text((cluster.folder.parent / CA).read_text())
    (folder / keyfiles.STORE).touch(mode=0o600)
    (folder / keyfiles.STORE).write_text(f"{USER} {password}\n")
    set_store(folder, f"{cluster.url}?ca={CA}&prefix={secrets.token_hex(4)}")
    return folder


def set_store(folder: Path, line: str) -> None:
    path = folder / "server.toml"
    kept = [each for each in path.read_text().splitlines() if not each.startswith("store =")]
    path.write_text("\n".join([f'store = "{line}"', *kept]))


def store_line(folder: Path) -> str:
    return str(config.load(folder).config.store)


def use(folder: Path) -> None:
    async def body() -> None:
        for opened in [await storeplace.open_store(config.load(folder)) for _ in range(2)]:
            await opened.put_many("t", [(bytes([number]) * 8, b"v") for number in range(50)])
            assert await opened.get_many("t", [bytes([7]) * 8]) == [b"v"]
            await opened.close()

    asyncio.run(body())


def test_state_is_kept_over_tls_by_user_and_password(home: Path) -> None:
    assert checking.faults([home]) == []
    use(home)
    assert checking.faults([home]) == []


def test_a_state_is_moved_over_tls_by_user_and_password_and_back(home: Path) -> None:
    line = store_line(home)
    use(home)
    asyncio.run(storeplace.move(config.load(home), None, lambda *_: None, lambda: None))
    (fault,) = checking.faults([home])
    assert fault.endswith("server.toml has to have no line `store`, or `anontrace-server move` it back")
    set_store(home, "")
    path = home / "server.toml"
    path.write_text(path.read_text().replace('store = ""\n', ""))
    assert checking.faults([home]) == []
    other = line.replace("prefix=", "prefix=other-")
    moved = asyncio.run(storeplace.move(config.load(home), other, lambda *_: None, lambda: None))
    assert (moved.rows, moved.queued) == (50, 0)
    set_store(home, other)
    assert checking.faults([home]) == []
    use(home)


def test_the_login_is_sealed_like_all_secrets(
    home: Path, secured: tuple[RedisCluster, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = tmp_path / "operator"
    operator.touch(mode=0o600)
    operator.write_text("correct horse battery staple")
    monkeypatch.setenv(atrest.ENVIRONMENT, str(operator))
    assert home / keyfiles.STORE in keyfiles.seal(home)
    assert secured[1] not in (home / keyfiles.STORE).read_text()
    use(home)


def _password(home: Path) -> str:
    (home / keyfiles.STORE).write_text(f"{USER} {WRONG}")
    return f"{home / 'server.toml'}, line 1: *it does not take this user and password*"


def _no_password(home: Path) -> str:
    (home / keyfiles.STORE).unlink()
    return f"{home / 'server.toml'}, line 1: *it wants a password*"


def _words(home: Path) -> str:
    (home / keyfiles.STORE).write_text("one two three")
    return f"{home / keyfiles.STORE}: has to be a password, or a user, a space and a password"


def _open_to_others(home: Path) -> str:
    (home / keyfiles.STORE).chmod(0o644)
    return f"{home / keyfiles.STORE}: others may read this secret; chmod 600 it"


def _other_authority(home: Path) -> str:
    (home / CA).write_text(Authority().pem)
    return f"{home / 'server.toml'}, line 1: *its certificate is not believed: *"


def _no_authority(home: Path) -> str:
    set_store(home, store_line(home).replace(f"ca={CA}&", ""))
    return f"{home / 'server.toml'}, line 1: *its certificate is not believed: *"


def _no_ca_file(home: Path) -> str:
    (home / CA).unlink()
    return f"{home / CA}: no such file"


def _no_certificates(home: Path) -> str:
    (home / CA).write_text("nonsense")
    return f"{home / CA}: not certificates in PEM"


def _plain(home: Path) -> str:
    set_store(home, store_line(home).replace("rediss", "redis").replace(f"ca={CA}&", ""))
    return f"{home / 'server.toml'}, line 1: no node of the store's cluster answers (*"


def _other_layout(home: Path) -> str:
    use(home)
    set_store(home, store_line(home) + "&shards=32")
    return f"{home / 'server.toml'}, line 1: the cluster was laid out for shards = 16, not 32*"


@pytest.mark.parametrize(
    "spoil",
    [
        _password,
        _no_password,
        _words,
        _open_to_others,
        _other_authority,
        _no_authority,
        _no_ca_file,
        _no_certificates,
        _plain,
        _other_layout,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_check_says_what_is_wrong_and_no_store_is_opened(
    home: Path, secured: tuple[RedisCluster, str], spoil: Callable[[Path], str]
) -> None:
    told = spoil(home)
    (fault,) = checking.faults([home])
    begin, *middle = told.split("*")
    assert fault.startswith(begin) and all(each in fault for each in middle)
    assert "\n" not in fault and secured[1] not in fault and WRONG not in fault
    with pytest.raises((ConfigError, StoreError)):
        asyncio.run(storeplace.open_store(config.load(home)))
