"""A hostile server where a network file, the directory or a mix should be: whatever it sends, a command ends with one
sentence in bounded time, and keeps nothing of it."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from anontrace import clock
from anontrace.companion import cli
from anontrace.companion.addresses import registration
from anontrace.companion.addresses.swaps import Swaps
from anontrace.companion.errors import FAILED, OFFLINE, RefusedError
from anontrace.companion.network import client
from anontrace.companion.schedule import batches
from anontrace.companion.store import making
from anontrace.wire.levels import NORMAL

from tests.backend.certificates import Authority
from tests.companion.commands.test_cli import NETWORK
from tests.companion.paper import START, Time, Wearer, make_transparent
from tests.foreign.test_exchange import LONG, SLOW, Serve, Server, serving

SECONDS = 0.3  # for a request and its repeats
ANOTHER_MIX = """[[mix]]
number = 3
key = "{}"
roles = ["mix"]
""".format("44" * 32)
RAW = b'{"error": "\\u001b[31mred\\nline"}'
HEAD = b"HTTP/1.1 200 OK\r\n"


def sends(data: bytes) -> Serve:
    def serve(caller):
        caller.recv(1 << 16)
        caller.sendall(data)

    return serve


def body(*fields: bytes) -> bytes:
    return HEAD + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + NETWORK.encode()


NONSENSE = {
    "longer length": sends(body(b"Content-Length: 9999")),
    "shorter length": sends(body(b"Content-Length: 10")),
    "negative length": sends(body(b"Content-Length: -1")),
    "length in letters": sends(body(b"Content-Length: many")),
    "length of 5000 digits": sends(body(b"Content-Length: " + b"9" * 5000)),
    "two lengths": sends(body(b"Content-Length: 5", b"Content-Length: 7")),
    "endless chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nx"),
    "no chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "another protocol": sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "no HTTP": sends(NETWORK.encode()),
    "nothing": sends(b""),
    "a raw reason": sends(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(RAW) + RAW),
}
SENT_AWAY = {
    status: sends(b"HTTP/1.1 %d Away\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" % status)
    for status in (301, 302, 303, 307, 308)
}
AWAY = "is said to be at another address (status {}), and nobody is followed; the address has to be the one where it is"
HOSTILE = {name: serve for name, serve in (SLOW | LONG | NONSENSE).items() if name != "deaf"}

YES = ("bomb", "shorter length")  # of which a mix may mean it
UNABLE = {name: serve for name, serve in (HOSTILE | SENT_AWAY).items() if name not in YES}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Deadlines and pauses that nobody has to wait for."""
    monkeypatch.setattr(client, "WHOLE_SECONDS", SECONDS)
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.0)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def secure(authority, tmp_path, monkeypatch):
    """A server by https, which the companion believes to be itself."""
    authority.write(tmp_path)
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")

    @contextmanager
    def serving_securely(serve: Serve, ends: bool = True) -> Iterator[Server]:
        """`ends`: whether the end of what is sent is said by TLS."""

        def within(caller):
            with context.wrap_socket(caller, server_side=True) as line:
                serve(line)
                if ends:
                    line.unwrap()

        with serving(within) as server:
            server.url = server.url.replace("http:", "https:")
            yield server

    return serving_securely


@pytest.fixture
def told(tmp_path, capsys) -> Callable[..., tuple[int, str]]:
    """A command of a companion in this process; its exit code and the one line that it says."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.run(["--state", str(tmp_path / "state"), *arguments])
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1), said
        assert said.err.removesuffix("\n").isprintable() and "fault of the program" not in said.err
        return code, said.err

    return run


@pytest.mark.parametrize("serve", HOSTILE.values(), ids=HOSTILE)
def test_no_network_file_is_taken_from_it(secure, told, tmp_path, serve):
    with secure(serve) as server:
        told("init", f"{server.url}network.toml")
        assert server.connections <= client.ATTEMPTS
    assert not making.traces(tmp_path / "state")


@pytest.mark.parametrize("status", SENT_AWAY)
def test_who_is_sent_away_is_told_and_not_followed(secure, told, tmp_path, status):
    with secure(SENT_AWAY[status]) as server:
        code, said = told("init", f"{server.url}network.toml")
        assert (code, said) == (FAILED, f"anontrace: the network file {AWAY.format(status)}\n")
        assert server.connections == 1
    assert not making.traces(tmp_path / "state")


def test_a_network_file_without_a_length_is_not_taken_for_whole_when_the_line_was_cut(secure, told, tmp_path, capsys):
    """Whoever cuts it could choose which mixes there are."""
    with secure(sends(HEAD + b"Connection: close\r\n\r\n" + NETWORK.encode()), ends=False) as server:
        assert told("init", f"{server.url}network.toml")[0] == OFFLINE
    assert not making.traces(tmp_path / "state")
    whole = NETWORK + ANOTHER_MIX
    with secure(sends(HEAD + b"Connection: close\r\n\r\n" + whole.encode())) as server:
        assert cli.run(["--json", "--state", str(tmp_path / "state"), "init", f"{server.url}network.toml"]) == 0
    assert '"servers": 3' in capsys.readouterr().out


@pytest.mark.parametrize("serve", (HOSTILE | SENT_AWAY).values(), ids=map(str, HOSTILE | SENT_AWAY))
def test_nothing_is_registered_by_its_directory(told, tmp_path, capsys, serve):
    with serving(serve) as server:
        (tmp_path / "network.toml").write_text(NETWORK.replace("http://127.0.0.1:9", server.url.rstrip("/")))
        assert cli.run(["--state", str(tmp_path / "state"), "init", str(tmp_path / "network.toml")]) == 0
        code, said = told("register", "--slots", "2")
        assert code in (FAILED, OFFLINE) and "discovery" in said
        assert server.connections <= client.ATTEMPTS


@pytest.fixture
def wearer(tmp_path, monkeypatch):
    """A companion in a network on paper, with some addresses made and not sent."""
    now = Time()
    monkeypatch.setattr(clock, "now", lambda: now.now)
    make_transparent(monkeypatch)
    made = Wearer(tmp_path / "paper", now, monkeypatch, NORMAL)
    made.network.transparent = True
    with made._servers(made.state) as servers:
        registration.make(
            made.state, servers, made.state.badges.get(), START // 300, START // 300 + 20, lambda *_: None
        )
    yield made
    made.close()


@pytest.mark.parametrize("serve", UNABLE.values(), ids=map(str, UNABLE))
def test_a_mix_of_its_keeps_nobody_from_sending_by_the_others(wearer, monkeypatch, serve):
    post, asked = wearer.network.post, []
    with serving(serve) as server, client.Client() as real, wearer._servers(wearer.state) as servers:
        first = servers.first_mixes[0]

        def to_the_hostile_one(name: str, url: str, data: bytes) -> bytes:
            if name != f"mix {first}":
                return post(name, url, data)
            asked.append(url)
            return real.post(name, f"{server.url}v1/messages", data)

        monkeypatch.setattr(wearer.network, "post", to_the_hostile_one)
        assert servers.send_messages(first, [b""]) is False
        assert first not in servers.first_mixes
        assert Swaps(wearer.state, servers).send(wearer.state.addresses.pending()) == 20
        assert len(asked) == 1 and asked[0].endswith("/v1/messages")


def test_where_every_mix_refuses_the_refusal_is_said_and_no_receipt_is_waited_for(wearer, monkeypatch):
    def refuse(name: str, *_: object) -> bytes:
        raise RefusedError(f"{name} refuses: it is too warm")

    monkeypatch.setattr(wearer.network, "post", refuse)
    with wearer._servers(wearer.state) as servers, pytest.raises(RefusedError, match="refuses: it is too warm"):
        Swaps(wearer.state, servers).send(wearer.state.addresses.pending())
    asked = lambda state, servers, batch, *_: batch.receipts.append(7)  # noqa: E731
    monkeypatch.setattr(batches, "_add_receipts", asked)
    withdrawn: list[int] = []
    monkeypatch.setattr(wearer.state.receipts, "withdraw", withdrawn.extend)
    monkeypatch.setattr(batches, "_TRIES", 1000)
    with wearer._servers(wearer.state) as servers, pytest.raises(RefusedError, match="refuses: it is too warm"):
        batches.send(wearer.state, servers, NORMAL, wearer._rng)
    assert withdrawn == [7]
