"""`anontrace-server` as an operator meets it."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from anontrace.backend import config
from anontrace.backend.cli import main
from anontrace.backend.operating.init import Plan, make_network
from anontrace.backend.operating.nearby import Place
from anontrace.wire import network
from anontrace_primitives import multibuffer, x25519_batches
from anontrace_shared.slots import slot_of

from tests.backend import signed_in
from tests.backend.client import Client
from tests.backend.servers import COMMAND, command
from tests.companion.terminal import talk
from tools.bench import collusion


@pytest.fixture
def one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to fail, in this process; the one line that it says."""

    def run(*arguments: str | Path, status: int = 1) -> str:
        words = list(map(str, arguments))
        monkeypatch.setattr(sys, "argv", ["anontrace-server", *words])
        for name, value in signed_in.environment(words, {}).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == status
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    return run


def test_a_way_to_compute_that_is_not_known_or_not_to_be_had_is_said_before_anything_is_served(
    tmp_path: Path, one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_network(tmp_path / "net", Plan())
    monkeypatch.setenv("ANONTRACE_X25519", "fastest")
    said = one_line("run", tmp_path / "net" / "mix-1")
    assert said == "anontrace-server: ANONTRACE_X25519: 'fastest' is none of ifma, hacl, sodium\n"
    monkeypatch.setattr(multibuffer, "processor_flags", lambda: frozenset(("fpu", "avx2")))
    x25519_batches.named.cache_clear()
    monkeypatch.setenv("ANONTRACE_X25519", "ifma")
    said = one_line("run", tmp_path / "net" / "mix-1")
    assert said.startswith("anontrace-server: ANONTRACE_X25519: ifma cannot be had here: ")


def test_init_makes_a_network_whose_secrets_are_private(tmp_path: Path) -> None:
    done = command("init", tmp_path / "net", "--mixes", "4", "--base-port", "7000", "--delay", "2.5", "--pace", "3")
    assert done.returncode == 0
    made = network.load(tmp_path / "net" / "network.toml")
    assert [mix.number for mix in made.mix] == [1, 2, 3, 4, 5, 6]
    assert made.with_role("nymserver") == (5,)
    assert made.with_role("mailbox") == (6,)
    assert made.discovery.url == "http://127.0.0.1:7000"
    secrets = [*(tmp_path / "net").glob("*/*.key"), *(tmp_path / "net").glob("*/*.token")]
    assert len(secrets) == 2 + 6 * 2 + 2 + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert "delay = 2.5" in (tmp_path / "net" / "mix-1" / "server.toml").read_text()


def test_init_proposes_a_delay_of_minutes_and_loops_wait_for_it(tmp_path: Path) -> None:
    make_network(tmp_path, Plan())
    made = config.load(tmp_path / "mix-1").config.mix
    assert made.delay == 300.0
    assert config.load(tmp_path / "nymserver").config.nymserver.spread == 10 * 3600.0
    for given, spread in ((Plan(pace=1.0), 0.0), (Plan(pace=1.0, spread=5.0), 5.0)):
        home = tmp_path / f"spread {spread}"
        make_network(home, given)
        assert config.load(home / "nymserver").config.nymserver.spread == spread
    assert collusion.later_than(made.loop_seconds, made.delay) < 1e-6
    assert "300, unless given" in " ".join(command("init", "--help").stdout.split())
    path = tmp_path / "mix-1" / "server.toml"
    path.write_text(path.read_text().replace("[mix]", "[mix]\nloop_patience = 3.0"))
    assert config.load(tmp_path / "mix-1").config.mix.loop_seconds == 3.0


def test_init_does_not_touch_a_network_that_is_there(tmp_path: Path, one_line: Callable[..., str]) -> None:
    make_network(tmp_path, Plan())
    before = (tmp_path / "network.toml").read_bytes()
    assert "there is a network in this folder already" in one_line("init", tmp_path)
    assert (tmp_path / "network.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("number = 1", "number = 9", "number 9 is not in"),
        ("number = 1", "", "mixes have one"),
        ("delay = 300.0", 'delay = "long"', "line 10: mix.delay"),
        ("delay = 300.0", "dealy = 5.0", "mix.dealy"),
        ("[mix]", "[mix", "not TOML"),
        ('"mix"]', '"mix", "nymserver"]', "the roles of number 1 are others"),
        ("../network.toml", "nowhere.toml", "no such file"),
        ("loops =", 'store = "redis://127.0.0.1"\nloops =', "line 11: `store` belongs above the first section; "),
        ("number = 1", "number = 1\ndelay = 2.0", "line 4: `delay` belongs under [mix]"),
        ("delay = 300.0", "pace = 5.0", "line 10: `pace` belongs under [nymserver]"),
        ("delay = 300.0", "certificate = 'a'", "line 10: `certificate` belongs under [tls]"),
        ("[mix]", "[mixes]", "line 9: there is no section `mixes`"),
        ("number = 1", "number = 1\ncolour = 'red'", "line 4: there is no setting `colour`"),
        ("[mix]", "[[mix]]", "mix: has to be a section, once: [mix]"),
        ("number = 1", "number = 1\nhttp = 3", "line 4: http: has to be a section, once: [http]"),
        ("../network.toml", "net\\u0000work.toml", "network: has to be the name of a file"),
        ("[mix]", "[tls]\ncertificate = 'a'\nkey = \"a\\u0000\"\n[mix]", "tls.key: has to be the name of a file"),
        ('staff_listen = "staff.sock"', 'staff_listen = "localhost:0"', "a port, from 1 to 65535"),
        ("listen =", 'listen = "localhost:0" #', "a port, from 1 to 65535"),
        ("listen =", 'listen = ":8000" #', "listen: has to be HOST:PORT, or [IPV6]:PORT"),
        ("listen =", 'listen = "localhost" #', "listen: has to be HOST:PORT, or [IPV6]:PORT"),
        ("listen =", 'listen = "http://localhost:8000" #', "listen: has to be HOST:PORT, or [IPV6]:PORT"),
    ],
)
def test_a_bad_configuration_is_told_in_one_line(
    tmp_path: Path, one_line: Callable[..., str], old: str, new: str, told: str
) -> None:
    make_network(tmp_path, Plan())
    path = tmp_path / "mix-1" / "server.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert told in one_line("run", tmp_path / "mix-1")


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _of(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.touch(mode=0o600)
        path.write_bytes(data)

    return make


WRONG: dict[str, Callable[[Path], None]] = {
    "missing": lambda path: None,
    "empty": _of(b""),
    "binary": _of(bytes(range(256)) * 16),
    "nul": _of(bytes(100)),
    "huge": _of(b"a = 1\n" * (1 << 19)),
    "nested": _of(b"a = " + b"[" * 100_000),
    "folder": Path.mkdir,
    "loop": _loop,
    "pipe": _fifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("mix-1/server.toml", ("check", "run", "status", "move")),
        ("network.toml", ("check", "run", "status", "move")),
        ("mix-1/signing.key", ("check", "move")),
        ("mix-1/store.password", ("move",)),
        ("entry.toml", ("add",)),
    ],
)
def test_whatever_lies_where_a_file_has_to_be_is_told_in_one_line(
    tmp_path: Path, one_line: Callable[..., str], kind: str, name: str, commands: tuple[str, ...]
) -> None:
    make_network(tmp_path, Plan())
    (tmp_path / name).unlink(missing_ok=True)
    WRONG[kind](tmp_path / name)
    nowhere = "redis://127.0.0.1:1"
    for command_name in commands:
        if command_name == "move":
            (tmp_path / "mix-1" / "store").mkdir()
            (tmp_path / "mix-1" / "store" / "CURRENT").touch()  # as if there were a state to move
        if command_name == "add":
            status = 2 if kind == "folder" else 1
            said = one_line("network", "add", tmp_path / "network.toml", tmp_path / name, status=status)
        else:
            said = one_line(command_name, tmp_path / "mix-1", *(("--to", nowhere) if command_name == "move" else ()))
        assert name in said or kind in ("endless", "missing")
        assert len(said) < 300


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("frob",), "No such command 'frob'; see anontrace-server --help"),
        (("run", "--frob"), "No such option '--frob'; see anontrace-server run --help"),
        (("check",), "Missing argument 'CONFIGDIR...'"),
        (("move", "x"), "Missing option '--to'"),
        (("init", "x", "--mixes", "2"), "2 is not in the range"),
        (("authority", "approve", "x", "--minutes", "-3"), "-3 is not in the range"),
    ],
)
def test_a_command_line_that_is_not_right_ends_with_2(
    one_line: Callable[..., str], arguments: tuple[str, ...], told: str
) -> None:
    assert told in one_line(*arguments, status=2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("init", "NEW", "--name", ""), "the network's name"),
        (("init", "NEW", "--name", "a\nb"), "the network's name"),
        (("init", "NEW", "--delay", "nan"), "mix.delay"),
        (("init", "NEW", "--delay", "1e9"), "mix.delay"),
        (("init", "NEW", "--host", "nowhere.invalid"), "nowhere.invalid"),
        (("init-server", "NEW", "--role", "discovery", "--listen", "a:99999", "--url", "http://a"), "listen"),
        (("status", "http://[::1"), "http://[::1: "),
        (("seal", "NEW"), "there are no key files"),
    ],
)
def test_values_that_make_no_sense_are_told_in_one_line_and_nothing_is_made(
    tmp_path: Path, one_line: Callable[..., str], arguments: tuple[str, ...], told: str
) -> None:
    made = str(tmp_path / "new")
    assert told in one_line(*(made if each == "NEW" else each for each in arguments))
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_no_folder_is_found_before_the_start(tmp_path: Path, one_line: Callable[..., str]) -> None:
    make_network(tmp_path, Plan())
    (tmp_path / "mix-1" / "store").touch()
    assert one_line("check", tmp_path / "mix-1") == f"{tmp_path / 'mix-1' / 'store'}: is no folder\n"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"name": "x", "ready": true, "peers": [1]}', "[" * 100_000])
def test_status_of_what_is_no_server_is_told_in_one_line(
    tmp_path: Path, one_line: Callable[..., str], body: str
) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert one_line("status", url) == f"{url}: no usable answer (it is no server of this kind)\n"
        if body in ("", "[" * 100_000):
            make_network(tmp_path, Plan())
            path = tmp_path / "authority" / "server.toml"
            door = f'staff_listen = "127.0.0.1:{server.server_port}"'
            path.write_text(re.sub(r"^staff_listen = .*$", door, path.read_text(), flags=re.MULTILINE))
            assert "this is no authority's server" in one_line("authority", "reports", "--config", path.parent)
        server.shutdown()


def test_one_broken_folder_does_not_hide_the_other_servers(client: Client, tmp_path: Path) -> None:
    done = command("status", tmp_path / "nothing", client.servers.folder / "mix-1")
    assert done.returncode == 1
    assert f"{tmp_path / 'nothing' / 'server.toml'}: no such file" in done.stderr
    assert "mix-1" in done.stdout


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, one_line: Callable[..., str]) -> None:
    make_network(tmp_path, Plan())
    (tmp_path / "mix-1" / "signing.key").chmod(0o644)
    assert "chmod 600" in one_line("run", tmp_path / "mix-1")


def test_a_port_in_use_is_told_in_one_line(client: Client, one_line: Callable[..., str]) -> None:
    assert "cannot listen on" in one_line("run", client.servers.folder / "mix-1")


def test_staff_and_operators_reach_a_server_past_the_proxy_that_stands_before_it(
    client: Client, tmp_path: Path
) -> None:
    folder = client.servers.folder / "authority"
    home = tmp_path / "authority"
    shutil.copytree(folder, home, ignore=shutil.ignore_patterns("store", "staff.sock"))
    (home / "staff.sock").symlink_to(folder / "staff.sock")
    shutil.copy(client.servers.folder / "network.toml", tmp_path)
    path = home / "server.toml"
    path.write_text(path.read_text().replace(f'url = "{client.servers.url("authority")}"', 'url = "https://a.example"'))
    assert "exposures" in command("authority", "reports", "--config", home).stdout
    done = command("status", home, "--json")
    assert (done.returncode, json.loads(done.stdout)["servers"][0]["name"]) == (0, "authority")


@dataclass
class AtTerminal:
    """`anontrace-server` as `talk` runs it."""

    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]
    ) -> "subprocess.Popen[bytes]":
        stdin, stdout, stderr = streams
        return subprocess.Popen([COMMAND, *arguments], env=environment, stdin=stdin, stdout=stdout, stderr=stderr)


def test_staff_at_a_terminal_are_asked_before_what_cannot_be_undone(client: Client) -> None:
    contact = client.register(slot_of(time.time()))
    contact_log = client.make_log(contact.slot, [contact])
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)["report"]
    where = ["--config", str(client.servers.folder / "authority")]

    def state() -> str:
        (found,) = [each for each in client.reports() if each["report"] == report]
        return str(found["state"])

    def told(name: str, *options: str, question: str, answer: str) -> tuple[int, str]:
        words = ["authority", name, report, *options, *where]
        return talk(AtTerminal(signed_in.environment(words, os.environ)), words, [(question, answer)])

    notify = "U07.1, generation 0: notify 1 of 1 exposures?"
    assert told("refuse", question="Refuse it?", answer="n")[0] == 1
    assert told("approve", "--minutes", "1", question=notify, answer="n")[0] == 1
    assert (
        told("approve", "--minutes", "1", "--attenuation", "0", question=notify.replace("y 1", "y 0"), answer="n")[0]
        == 1
    )
    assert state() == "pending"
    assert report in command("authority", "reports", "--pending", *where).stdout
    code, screen = told("approve", "--minutes", "1", question=notify, answer="y")
    assert (code, "approved: 1 notifications" in screen, state()) == (0, True, "approved")
    assert report not in command("authority", "reports", "--pending", *where).stdout
    assert told("retract", question="Retract it?", answer="")[0] == 1
    assert state() == "approved"
    assert command("authority", "retract", report, "--yes", *where).returncode == 0
    assert state() == "retracted"


def test_staff_see_tables_and_one_line_errors(client: Client, tmp_path: Path, one_line: Callable[..., str]) -> None:
    where = ("--config", client.servers.folder / "authority")
    listed = command("authority", "reports", *where).stdout
    assert "exposures" in listed and "answers" in listed and "…" not in listed
    token = command("authority", "issue", "--disease", "U07.1", *where)
    assert len(token.stdout.strip()) == 19
    for disease in ("much too long", "corona", "COVID-19", "U7", "U07.12345", "U07.", ""):
        assert "no disease code of ICD-10, such as U07.1" in one_line(
            "authority", "issue", "--disease", disease, *where
        )
    assert len(command("authority", "issue", "--disease", " j10", *where).stdout.strip()) == 19
    for folder in (tmp_path, client.servers.folder / "mix-1"):
        told = one_line("authority", "reports", "--config", folder)
        assert "no folder of an authority's server; name it by --config" in told
    assert "no such report" in one_line("authority", "show", "00" * 8, *where)
    for deed in ("show", "refuse", "approve", "retract"):
        minutes = ["--minutes", "1"] if deed == "approve" else []
        told = one_line("authority", deed, "U07.1", *minutes, *where, status=2)
        assert "a report is named by 16 hex digits, as `authority reports` lists them" in told


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_token_that_nobody_could_read_is_said_to_be_lost_or_is_not_issued(
    client: Client, form: tuple[str, ...]
) -> None:
    """It is shown this once."""
    words = [
        COMMAND,
        "authority",
        "issue",
        "--disease",
        "U07.1",
        *form,
        "--config",
        client.servers.folder / "authority",
    ]

    def issued(redirected: str) -> tuple[int, str]:
        before = client.servers.count("authority", "tokens_issued")
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            ["bash", "-c", f'"$@" {redirected}', "bash", *words],
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
            env=signed_in.environment([str(each) for each in words[1:]], os.environ),
        )  # fmt: skip
        os.close(writing)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        return client.servers.count("authority", "tokens_issued") - before, done.stderr.removeprefix(
            "anontrace-server: "
        )

    nowhere = "standard output is closed or leads nowhere; a token is shown once only, so none was issued\n"
    assert issued(">&-") == issued("<&- >&-") == issued(">/dev/null") == (0, nowhere)
    lost = "the token that was issued is lost: issue another one\n"
    assert issued(">/dev/full") == (1, f"the output cannot be written: no space left on device; {lost}")
    assert issued("") == (1, f"the output cannot be written: nobody reads it; {lost}")


def test_a_decision_that_nobody_could_read_of_is_said_to_hold(
    client: Client, one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "request", lambda *_, **__: httpx.Response(200, json={"notifications": 3}))
    where = ("0123456789abcdef", "--yes", "--config", client.servers.folder / "authority")
    for deed, done in (("approve --minutes 1", "approved"), ("refuse", "refused"), ("retract", "retracted")):
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            told = one_line("authority", *deed.split(), *where)
        assert told.endswith(f"no space left on device; the report is {done} all the same\n")


def test_text_that_is_not_utf_8_is_said_in_a_line(one_line: Callable[..., str], tmp_path: Path) -> None:
    typed = os.fsdecode(b"fl\xfc")
    report = ("0123456789abcdef", "--message", typed)
    for command_line in (("issue", "--disease", typed), ("approve", *report), ("retract", *report)):
        assert "this is no text in UTF-8" in one_line("authority", *command_line, "--config", tmp_path, status=2)
    home = tmp_path / os.fsdecode(b"m\xfcller")
    make_network(home, Plan())
    assert "mix-1/store: the names of a server's folder" in one_line("run", home / "mix-1")


def test_folders_with_letters_work_in_a_locale_that_has_none(tmp_path: Path) -> None:
    home = tmp_path / "mülle"
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    script = (
        "import asyncio, os, pathlib, sys\n"
        "from anontrace.backend.store import open_store\n"
        "assert '\\udcc3' in sys.argv[1]\n"
        "async def main():\n"
        "    store = await open_store(pathlib.Path(sys.argv[1]))\n"
        "    await store.put_many('t', [(b'k', b'v')])\n"
        "    await store.close()\n"
        "    store = await open_store(pathlib.Path(sys.argv[1]))\n"
        "    assert await store.get_many('t', [b'k']) == [b'v']\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(home / "store")], env=environment, check=True)
