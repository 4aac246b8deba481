"""The two doors of a server: everybody at one, staff and operators at the other, and nothing of these at the first."""

import asyncio
import json
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from anontrace.backend import config
from anontrace.backend.config import TcpPlace
from anontrace.backend.errors import ConfigError
from anontrace.backend.operating import checking
from anontrace.backend.operating.init import Plan, free_ports, make_network
from anontrace.backend.staff.rights import Role
from anontrace.backend.web import sockets

from tests.backend import signed_in
from tests.backend.client import Client
from tests.backend.servers import Servers, command, eventually
from tests.backend.web.spellings import PRIVATE, spellings

JSON = "application/json"


def asked(url: str, target: str, method: str, headers: dict[str, str], context: ssl.SSLContext | None = None) -> bytes:
    """The status in the answer to a request whose target no library has tidied up."""
    place = urlsplit(url)
    assert place.hostname and place.port
    lines = [f"{method} {target} HTTP/1.1", f"Host: {place.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((place.hostname, place.port), 20))
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=place.hostname))
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return stack.enter_context(connection.makefile("rb")).readline().split(b" ", 2)[1]


def with_session(servers: Servers) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed_in.session(servers.folder / 'authority', Role.DECIDER)}"}


def test_nothing_for_staff_and_operators_is_at_the_first_door_however_it_is_spelled(client: Client) -> None:
    servers = client.servers
    headers = with_session(servers)
    for path in PRIVATE:
        assert servers.for_staff("authority").get(path, headers=headers).status_code == 200
        for spelling in spellings(path, urlsplit(servers.url("authority")).netloc):
            for method in ("GET", "HEAD", "POST"):
                assert asked(servers.url("authority"), spelling, method, headers) in (b"400", b"404"), spelling
    token = servers.http.post(servers.url("authority") + "/v1/staff/tokens", json={"disease": "U07.1"}, headers=headers)
    assert token.status_code == 404


def test_the_socket_file_is_for_the_servers_user_alone_and_lasts_as_long_as_the_server(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    folder = servers.folder / "discovery"
    file = folder / "staff.sock"
    try:
        servers.start("discovery")
        mode = file.stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        assert checking.faults([folder]) == []
        servers.kill("discovery")
        assert stat.S_ISSOCK(file.stat().st_mode)  # left behind, and no fault
        assert checking.faults([folder]) == []
        servers.start("discovery")
        assert servers.status("discovery")["name"] == "discovery"
        assert servers.terminate("discovery") == 0
        assert not file.exists()
    finally:
        servers.close()


def test_a_server_does_not_take_anothers_door_nor_a_file_in_its_way(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    folder = servers.folder / "mix-1"
    file = folder / "staff.sock"
    try:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(file))
            other.listen()
            done = command("run", folder)
            assert (done.returncode, done.stderr) == (
                1,
                f"anontrace-server: {file}: another process listens there\n",
            )
            (fault,) = checking.faults([folder])
            assert "server.toml, line " in fault and fault.endswith(f"{file}: another process listens there")
            assert stat.S_ISSOCK(file.stat().st_mode)
        file.unlink()
        file.write_text("precious")
        done = command("run", folder)
        assert done.returncode == 1 and f"{file}: is no socket" in done.stderr
        assert file.read_text() == "precious"
    finally:
        servers.close()


def test_a_server_toml_without_the_second_door_has_it_as_a_socket_file(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "net", "--delay", "0")
    try:
        for name in ("discovery", "authority", "nymserver"):
            path = servers.folder / name / "server.toml"
            lines = path.read_text().splitlines()
            path.write_text("\n".join(line for line in lines if not line.startswith("staff_listen")))
        servers.start("discovery", "authority", "nymserver")
        eventually("the authority finds the nymserver", lambda: _lists_reports(servers))
        found = json.loads(command("status", servers.folder / "authority", "--json").stdout)["servers"]
        assert [each["name"] for each in found] == ["authority"]
        forwarded = {"X-Forwarded-For": "127.0.0.1"}
        assert servers.for_staff("authority").get("/v1/status", headers=forwarded).status_code == 403
    finally:
        servers.close()


def _lists_reports(servers: Servers) -> bool:
    done = command("authority", "reports", "--json", "--config", servers.folder / "authority")
    return done.returncode == 0 and json.loads(done.stdout)["reports"] == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux has a short path to every file")
def test_a_folder_whose_path_is_too_long_for_a_socket_file_has_one_all_the_same(tmp_path: Path) -> None:
    servers = Servers(tmp_path / ("long" * 30) / "net", "--delay", "0")
    try:
        servers.start("discovery")
        done = command("status", servers.folder / "discovery", "--json")
        assert [each["name"] for each in json.loads(done.stdout)["servers"]] == ["discovery"]
        servers.kill("discovery")
        servers.start("discovery")
        assert servers.terminate("discovery") == 0
        assert not (servers.folder / "discovery" / "staff.sock").exists()
    finally:
        servers.close()


def test_who_asks_where_nobody_listens_is_told_so(tmp_path: Path) -> None:
    make_network(tmp_path / "net", Plan())
    file = tmp_path / "net" / "authority" / "staff.sock"
    done = command("authority", "reports", "--config", file.parent)
    told = f"anontrace-server: {file}: the authority's server does not answer (nothing listens there)\n"
    assert (done.returncode, done.stderr) == (1, told)
    done = command("status", file.parent)
    assert done.returncode == 1
    assert f"nothing listens there at {file}" in " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def with_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Servers, str]]:
    """An authority whose second door is a port that one address besides the machine's own may use; and that door."""
    servers = Servers(tmp_path_factory.mktemp("port") / "net", "--delay", "0")
    try:
        place = servers.config("mix-2")["listen"]  # free, since mix-2 does not run
        servers.configure("authority", 'staff_listen = "staff.sock"', f'staff_listen = "{place}"')
        path = servers.folder / "authority" / "server.toml"
        path.write_text(path.read_text() + '\n[http]\nwatchers = ["127.0.0.1", "::ffff:127.0.0.9"]\n')
        servers.start("discovery", "authority", "nymserver")
        yield servers, f"http://{place}"
    finally:
        servers.close()


def test_a_port_for_staff_and_operators_answers_watchers_alone_and_nothing_forwarded(
    with_port: tuple[Servers, str],
) -> None:
    servers, door = with_port
    headers = with_session(servers)

    def answers(sender: str, **more: str) -> set[int]:
        with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(local_address=sender)) as http:
            return {http.get(door + path, headers=headers | more).status_code for path in PRIVATE}

    eventually("the authority finds the nymserver", lambda: answers("127.0.0.1") == {200})
    assert answers("127.0.0.9") == {200}
    assert answers("127.0.0.2") == {403}
    for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via"):
        assert answers("127.0.0.1", **{name: "127.0.0.1"}) == {403}
    assert servers.http.get(door + "/v1/staff/reports").status_code == 401
    assert not (servers.folder / "authority" / "staff.sock").exists()
    assert {servers.http.get(servers.url("authority") + path, headers=headers).status_code for path in PRIVATE} == {404}


def test_the_commands_find_a_port_by_the_folder(with_port: tuple[Servers, str]) -> None:
    servers, door = with_port
    eventually("the authority finds the nymserver", lambda: _lists_reports(servers))
    found = json.loads(command("status", servers.folder / "authority", door, "--json").stdout)["servers"]
    assert [each["name"] for each in found] == ["authority", "authority"]
    assert checking.faults([servers.folder / "authority"]) == []


def test_two_doors_in_one_place_are_a_fault(tmp_path: Path) -> None:
    make_network(tmp_path / "net", Plan())
    folder = tmp_path / "net" / "mix-1"
    path = folder / "server.toml"
    place = config.load(folder).config.listen
    path.write_text(path.read_text().replace('"staff.sock"', f'"{place}"'))
    faults = checking.faults([folder])
    assert any("listens there too" in fault for fault in faults)
    assert "Address already in use" in command("run", folder).stderr


@pytest.mark.parametrize("place", ["", ".", "..", "a/..", "staff:sock", "127.0.0.1:70000", "a\nb", ":80"])
def test_a_second_door_that_cannot_be_is_named_with_its_line(tmp_path: Path, place: str) -> None:
    make_network(tmp_path / "net", Plan())
    path = tmp_path / "net" / "mix-1" / "server.toml"
    path.write_text(path.read_text().replace('"staff.sock"', json.dumps(place)))
    number = 1 + next(n for n, line in enumerate(path.read_text().splitlines()) if line.startswith("staff_listen"))
    with pytest.raises(ConfigError, match=f"line {number}: staff_listen: has to "):
        config.load(path.parent)


def stand_for(name: str) -> set[socket.AddressFamily]:
    try:
        return {found[0] for found in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


@pytest.mark.parametrize("family", [socket.AF_INET6, None], ids=["only IPv6", "IPv6 and IPv4"])
def test_a_host_name_is_listened_on_at_all_its_addresses(tmp_path: Path, family: socket.AddressFamily | None) -> None:
    wanted = {family} if family else {socket.AF_INET, socket.AF_INET6}
    names = ("localhost", "ip6-localhost", "localhost6", "localhost.localdomain", socket.gethostname())
    name = next((each for each in names if stand_for(each) == wanted), None)
    if name is None:
        pytest.skip(f"no name of this machine has {' and '.join(each.name for each in wanted)}")
    servers = Servers(tmp_path / "net", "--delay", "0", "--host", name)
    try:
        servers.start("discovery")
        port = TcpPlace.of(servers.config("discovery")["listen"]).port
        for each in wanted:
            host = "[::1]" if each == socket.AF_INET6 else "127.0.0.1"
            assert servers.http.get(f"http://{host}:{port}/healthz").status_code == 200
        assert command("status", servers.folder / "discovery").returncode in (0, 1)
        assert checking.faults([servers.folder / "discovery"]) == []
    finally:
        servers.close()


@pytest.mark.parametrize("hosts", [["::1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1", "127.0.0.1"]])
def test_every_address_that_a_name_stands_for_is_bound(monkeypatch: pytest.MonkeyPatch, hosts: list[str]) -> None:
    """The resolver alone is not the system's, since few systems have such names."""
    real = socket.getaddrinfo

    def resolver(host: str, port: int, *more: Any, **details: Any) -> list[Any]:
        return [
            found
            for each in (hosts if host == "mix.example" else [host])
            for found in real(each, port, *more, **details)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    (port,) = free_ports("mix.example", 1)
    bound, absent = sockets.bind_all(TcpPlace("mix.example", port))
    try:
        assert absent == []
        assert sorted(each.getsockname()[:2] for each in bound) == sorted((host, port) for host in set(hosts))
        for each in bound:
            each.listen()
        for host in hosts:
            socket.create_connection((host, port)).close()
        with pytest.raises(OSError, match="Address already in use") as taken:
            sockets.bind_all(TcpPlace("mix.example", port))
        assert taken.value.filename == hosts[0]
    finally:
        for each in bound:
            each.close()


def test_an_address_of_a_name_that_the_machine_does_not_have_is_told_unless_it_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.getaddrinfo
    hosts = ["198.51.100.1", "127.0.0.1"]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **details: [f for each in hosts for f in real(each, port, **details)]
    )
    bound, absent = sockets.bind_all(TcpPlace("mix.example", 0))
    assert ([each.getsockname()[0] for each in bound], absent) == (["127.0.0.1"], ["198.51.100.1"])
    bound[0].close()
    hosts[1] = "198.51.100.2"
    with pytest.raises(OSError, match="none of its addresses"):
        sockets.bind_all(TcpPlace("mix.example", 0))


def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    """Nagle's algorithm is off, whichever event loop accepts: asyncio's own goes by the socket's protocol."""

    async def is_off() -> bool:
        (listening,), _ = sockets.bind_all(TcpPlace("127.0.0.1", 0))
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        async with await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), sock=listening):
            _, caller = await asyncio.open_connection(*listening.getsockname())
            writer = await accepted.get()
            caller.close()
            writer.close()
            return bool(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    assert asyncio.run(is_off())


def test_a_host_that_is_not_there_is_named(tmp_path: Path) -> None:
    make_network(tmp_path / "net", Plan())
    path = tmp_path / "net" / "mix-1" / "server.toml"
    listen = config.load(path.parent).config.listen
    for host, told in (
        ("nowhere.invalid", "there is no such host"),
        ("198.51.100.1", "Cannot assign requested address"),
    ):
        path.write_text(path.read_text().replace(f'listen = "{listen}"', f'listen = "{host}:7000"'))
        listen = f"{host}:7000"
        (fault,) = [each for each in checking.faults([path.parent]) if "listen" in each]
        assert f"cannot listen on {host}" in fault and told in fault
        done = command("run", path.parent)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and told in done.stderr


def test_sockets_of_both_kinds_are_closed_when_a_server_cannot_start(tmp_path: Path) -> None:
    make_network(tmp_path / "net", Plan())
    server = config.load(tmp_path / "net" / "mix-1")
    before = open_files()
    with pytest.raises(RuntimeError), sockets.bound_for_staff(server) as bound:
        assert len(bound) == 1
        raise RuntimeError
    assert not (server.folder / "staff.sock").exists()
    assert open_files() == before


def open_files() -> int:
    """Of this process; 0 where the system does not tell."""
    listed = Path("/proc/self/fd")
    return len(list(listed.iterdir())) if listed.is_dir() else 0
