"""Where the redis-server of the tests comes from."""

import sys
from pathlib import Path

import pytest

from tools import redis


def server(folder: Path, says: str) -> list[str]:
    path = folder / "server"
    path.write_text(f"print({says!r})")
    return [sys.executable, str(path)]


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", 7),
        ("Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", 8),
        ("redis-cli 7.0.15", None),
        ("", None),
    ],
)
def test_a_server_is_known_by_what_it_says_of_itself(tmp_path: Path, says: str, found: int | None) -> None:
    assert redis.version(server(tmp_path, says)) == found


def test_a_command_that_does_not_exist_is_no_server(tmp_path: Path) -> None:
    assert redis.version([str(tmp_path / "missing")]) is None
