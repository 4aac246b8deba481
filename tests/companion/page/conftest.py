"""The page of a companion of a network whose servers are all down, really served, and a browser-less client of it."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from anontrace.companion.commands import init
from anontrace.companion.context import Context
from anontrace.companion.output import Output
from anontrace.companion.page import serving
from anontrace.companion.page.app import Site
from anontrace.companion.page.door import COOKIE

from tests.companion.commands.test_cli import NETWORK


class Served:
    """A site that listens, in a thread of its own."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sockets, self.origin = serving.bound()
        self.port = int(self.origin.rpartition(":")[2])
        self.site = Site(context, self.origin)
        self.over = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=serving.serve, args=(self.site.app, self.sockets, self.over.is_set, ready.set)
        )
        self._thread.start()
        assert ready.wait(30)

    def client(self, **headers: str) -> httpx.Client:
        """Somebody who knows where it listens, and its name."""
        named = {"Host": self.origin.removeprefix("http://"), "Origin": self.origin} | headers
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=named, trust_env=False, timeout=60)

    def wearer(self) -> httpx.Client:
        """Somebody whom the address has let in."""
        client = self.client()
        answer = client.get(f"/open/{self.site.door.secret}")
        assert answer.status_code == 200
        client.cookies.clear()
        client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]  # its name has no dot for httpx
        assert client.headers["Cookie"].startswith(f"{COOKIE}=")
        return client

    def form(self, **fields: str) -> dict[str, str]:
        """A form of a page of ours."""
        return {"form": self.site.door.form, **fields}

    def close(self) -> None:
        self.over.set()
        self._thread.join(30)


def companion(folder: Path, network: str = NETWORK) -> Context:
    """A companion that belongs to a network."""
    context = Context(folder, "system", Output(as_json=True))
    init.take(context, "nowhere.toml", lambda _: network, None, "file", lambda: ("file", None))
    return context


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(companion(tmp_path_factory.mktemp("page") / "state"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def wearer(served: Served) -> Iterator[httpx.Client]:
    client = served.wearer()
    yield client
    client.close()


def free_at(port: int) -> bool:
    """Whether somebody else could listen at this port of the other family of loopback."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tried:
        try:
            tried.bind(("::1", port))
        except OSError:
            return False
        return True
