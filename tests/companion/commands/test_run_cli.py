"""`anontrace run` as a user starts it, with real servers; and how it ends, whatever it is waiting for."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from anontrace.companion.errors import FAILED, INTERRUPTED, OFFLINE, USAGE
from anontrace.companion.exposures.presentation import WITHDRAWN
from anontrace.companion.schedule import run
from anontrace.companion.schedule.run import AHEAD_SLOTS
from anontrace.companion.store import lock, state
from anontrace.companion.store.badges import RATCHET
from anontrace.wire import description, directory, network

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import START, Cli
from tests.companion.reports.test_contact_log import block
from tests.companion.terminal import Terminal
from tests.patience import HANG_SECONDS, eventually

TASKS = (run.TOP_UP, run.MESSAGES, run.POLL, run.RESULT, run.BADGE)


def test_run_registers_goes_on_where_it_was_and_ends_when_interrupted(member, clock):
    first = member.run("--json", "run", "--once", "--no-badge", "--level", "low")
    assert first.code == 0, first.err
    (event,) = [json.loads(line) for line in first.out.splitlines()]
    assert (event["task"], event["until"]) == ("addresses", clock.slot + AHEAD_SLOTS)
    assert member.do("status")["registered_until"] == clock.slot + AHEAD_SLOTS

    clock.advance(6 * 3600)
    for _ in range(3):
        again = member.run("--json", "run", "--once", "--no-badge")
        assert (again.code, again.err) == (0, "")
        clock.advance(1800)

    with subprocess.Popen(
        member.command("run", "--no-badge"), env=member.environment, stdout=-1, stderr=-1, text=True
    ) as process:
        try:
            eventually("it to begin", lambda: lock.is_held(member.folder, lock.RUN_FILE), process)
            status = member.do("status")  # other commands may be used meanwhile
            assert status["registered_until"] > clock.slot
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in err) == (130, False), err


@pytest.mark.parametrize("days", [-1, 400], ids=lambda days: f"{days} days")
def test_once_fails_by_a_clock_by_which_it_can_do_nothing_and_says_why(member, clock, tmp_path, days):
    wrong = type(clock)(tmp_path / "wrong clock")
    wrong.advance(clock.now - START + days * 86400)
    member.environment["ANONTRACE_CLOCK"] = str(wrong.path)
    for task in TASKS:
        set_due(member, task, int(wrong.now))
    failed = member.run("run", "--once", "--no-badge")
    assert (failed.code, failed.out, failed.err.count("clock right?")) == (FAILED, "", 1)


def test_once_fails_where_no_server_can_be_reached(cli, tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(NETWORK)
    cli.do("init", str(path))
    failed = cli.run("--json", "run", "--once", "--no-badge")
    assert (failed.code, failed.err.count("Offline: discovery")) == (OFFLINE, 1)
    assert json.loads(failed.out)["offline"]
    again = cli.run("run", "--once", "--no-badge")
    assert (again.code, again.out, again.err) == (0, "", "")  # nothing is due yet


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on; kills `victim`, if there is one, when a mix has messages and before that is answered."""

    def do_GET(self):
        self._hand_on(None)

    def do_POST(self):
        self._hand_on(self.rfile.read(int(self.headers["content-length"])))

    def _hand_on(self, body):
        answer = httpx.request(self.command, self.path, content=body, trust_env=False)
        self.server.asked.append(self.path)
        if self.path.endswith("/v1/messages") and self.server.victim is not None:
            self.server.victim.kill()
            return
        self.send_response(answer.status_code)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.asked, server.victim = [], None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def answered_and_written_to(contact, network, proxy, case):
    """Who was told answers by a command that is killed in the middle and repeated; staff write back."""
    answer = ["exposures", "answer", case[:8], "--call", "+49 30 1234567", "--note", "Ada", "--nearness", "--yes"]
    with contact.piped(*answer) as process:
        proxy.victim = process
        assert process.wait(HANG_SECONDS) == -signal.SIGKILL
    proxy.victim = None
    (kept,) = contact.do("exposures", "show", case[:8])["answers"]
    assert (kept["state"], kept["call"]) == ("ready", "+49301234567")
    answered = contact.run(*answer)
    assert (answered.code, "it is kept for the health authority" in answered.out) == (0, True)
    assert "+49301234567" in answered.err and "up to 15 minutes at" in answered.err
    (report,) = [each["report"] for each in network.staff("reports")["reports"] if each["case"] == case]
    (found,) = network.staff("answers", report)["answers"]
    assert (found["call"], found["note"], found["reachable"]) == ("+49301234567", "Ada", True)
    assert [each["minutes_to"] for each in found["nearness"]] == [15]
    network.staff("write", report, found["id"], "--message", "Come at nine")
    eventually("the letter", lambda: "writes back" in contact.run("poll").out)
    (kept,) = contact.do("exposures", "show", case[:8])["answers"]
    assert (kept["state"], kept["letter"]) == ("accepted", "Come at nine")


def test_a_hidden_report_and_a_hidden_pass_on_go_out_in_runs_own_messages_through_kill_and_repeats(
    cli, network, clock, proxy, tmp_path
):
    by_proxy = ["init", str(network.file), "--proxy", f"http://127.0.0.1:{proxy.server_address[1]}"]
    contact = Cli(tmp_path / "contact", clock)
    contact.do(*by_proxy)
    contact.do("register", "--slots", "4")
    first = clock.slot
    with state.reading(contact.folder) as opened:
        met = opened.addresses.contact_addresses(1, first, first + 3)
        opened.badges.set_provisioned(opened.badges.get(), RATCHET, first, first + 4, int(clock.now))
        log_key = read_log_key(opened)
    clock.advance(1200)

    cli.do(*by_proxy)
    refused = cli.run("report", "--token", network.token(), "--hidden", "--yes")
    assert (refused.code, "badge sync" in refused.err) == (2, True)
    heard = [block(slot, 1, address=address, log_key=log_key) for slot, address in met.items()]
    keep_log(cli, clock, *(block(first - back, 30) for back in range(20, 0, -1)), *heard)
    token = network.token()
    reported = cli.do("report", "--token", token, "--hidden", "--yes")
    assert (reported["state"], reported["way"], reported["sent"]) == ("ready", "hidden", 0)
    pieces = reported["fragments"]
    assert pieces == 1 + -(-reported["bytes"] // 218)
    assert (reported["ends"] - int(clock.now), reported["in_time"]) == (72 * 3600, True)
    again = cli.run("report", "--token", token, "--hidden", "--yes")
    assert f"in {pieces} of its ordinary messages, within about" in again.out and "at level normal" in again.out
    assert again.err == "" and 12 * 3600 < reported["seconds"] < 36 * 3600
    set_level(cli, "low")
    again = cli.run("report", "--token", token, "--hidden", "--yes")
    assert "at level low" in again.out and "too late: an upload may take 30 days and has to begin before" in again.err
    assert "--level high" in again.err and "anontrace run --level high" in cli.do("status")["next"]
    set_level(cli, "normal")
    assert cli.do("report", "--token", token, "--hidden", "--yes") == reported
    case = reported["case"]
    sent_by_run(cli, clock, network, proxy, case, pieces)

    again = cli.do("report", "--token", token, "--yes")
    assert (again["state"], again["case"]) == ("accepted", case)
    said = "Come on Monday between 8 and 12 to Lindenstraße 3, with nobody else. Questions: 555 0100"
    network.approve(case, minutes=15, message=said)
    assert generations(network, case) == [0]

    eventually("the contact to be told", lambda: contact.do("poll")["told"] == [case])
    assert contact.do("exposures", "show", case[:8])["message"] == said
    answered_and_written_to(contact, network, proxy, case)
    keep_log(contact, clock, *(block(first - back, 30) for back in range(4, 0, -1)))
    passed = contact.do("pass-on", case[:8], "--hidden", "--yes")
    assert (passed["case"], passed["state"], passed["ends"]) == (case, "ready", None)
    assert contact.do("pass-on", case[:8], "--hidden", "--yes") == passed
    assert generations(network, case) == [0]
    sent_by_run(contact, clock, network, proxy, case, passed["fragments"])

    network.pending_report(case)
    assert generations(network, case) == [0, 1]
    again = contact.do("pass-on", case[:8], "--yes")
    assert (again["state"], again["case"]) == ("accepted", case)
    # In all this nobody has said a direct word to the nymserver.
    assert not asked_of_the_nymserver(network, proxy)

    (first_report,) = [
        each["report"]
        for each in network.staff("reports")["reports"]
        if (each["case"], each["generation"]) == (case, 0)
    ]
    network.staff("retract", first_report, "--message", "A mistake of the laboratory")
    eventually("the retraction", lambda: WITHDRAWN in contact.run("poll").out)
    (exposure,) = contact.do("exposures", "list")["exposures"]
    assert (exposure["case"], exposure["state"]) == (case, "withdrawn")
    shown = contact.run("exposures", "show", case[:8]).out
    assert "the health authority has withdrawn this" in shown and "Message   A mistake of the laboratory" in shown
    assert f"anontrace pass-on {case[:8]}" not in contact.do("status")["next"]


def test_a_report_through_the_mixes_that_is_killed_in_the_middle_goes_on_when_it_is_repeated(
    cli, network, clock, proxy
):
    cli.do("init", str(network.file), "--proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
    keep_log(cli, clock, *(block(clock.slot - back, 30) for back in range(7, 0, -1)))
    report = ["report", "--token", network.token(), "--yes"]
    with cli.piped(*report) as process:
        proxy.victim = process
        assert process.wait(HANG_SECONDS) == -signal.SIGKILL
    proxy.victim = None
    keep_log(cli, clock, block(clock.slot, 30), segment=2)  # what a sync brings meanwhile is not part of it
    assert [each["sent"] for each in cli.do("status")["uploads"]] == [0]
    done = cli.do(*report)
    assert (done["state"], done["blocks"], done["way"]) == ("accepted", 7, "at once")
    assert not asked_of_the_nymserver(network, proxy)
    asked = len(proxy.asked)
    assert cli.do(*report)["case"] == done["case"] and len(proxy.asked) == asked
    assert network.pending_report(done["case"])["log"]["blocks"] == 7


def test_a_direct_report_says_what_it_shows_and_goes_on_with_what_the_mixes_had_begun(cli, network, clock, proxy):
    cli.do("init", str(network.file), "--proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
    keep_log(cli, clock, *(block(clock.slot - back, 30) for back in range(7, 0, -1)))
    report = ["report", "--token", network.token(), "--yes"]
    assert cli.do(*report, "--hidden")["state"] == "ready"
    refused = cli.run(*report, "--hidden", "--direct")
    assert (refused.code, "either --hidden or --direct" in refused.err) == (USAGE, True)
    done = cli.run(*report, "--direct")
    assert done.code == 0 and "Handed over" in done.out
    assert "shows your network address to the nymserver" in done.err
    assert {path.rpartition("/")[2] for path in asked_of_the_nymserver(network, proxy)} == {"upload"}
    assert cli.do("status")["uploads"] == []


def asked_of_the_nymserver(network, proxy):
    """What the proxy handed on to it."""
    url = tomllib.loads((network.folder / "nymserver" / "server.toml").read_text())["url"]
    return [path for path in proxy.asked if path.startswith(f"{url}/")]


def set_level(cli, name):
    with state.reading(cli.folder) as opened:  # `changing` would keep house by the clock of this process
        opened.timetable.set_level(name)


def read_log_key(opened):
    """The nymserver's, from the directory that a companion has fetched."""
    pinned = network.parse(opened.network.get().file)
    content = directory.parse(opened.network.directory().document, pinned.discovery.key).content
    (key,) = [found.log_key for each in content.descriptions.values() if (found := description.parse(each)).log_key]
    return key


def keep_log(cli, clock, *blocks, segment=1):
    """As if a sync had brought it; and nothing of `run` is due."""
    with state.reading(cli.folder) as opened:  # `changing` would keep house by the clock of this process
        badge = opened.badges.ensure(clock.slot // 288)
        for task in TASKS:
            opened.timetable.set_due(task, int(clock.now) + 7200)
        opened.logs.append(badge.number, 1, segment, 0, b"".join(blocks), int(clock.now))


def sent_by_run(cli, clock, network, proxy, case, pieces):
    """Let `run` send an upload in its batches, until it knows that the nymserver has it; the first one is killed."""

    def is_due(*tasks):
        with state.reading(cli.folder) as opened:
            for task in TASKS:
                opened.timetable.set_due(task, int(clock.now) + (0 if task in tasks else 7200))
        return cli.piped("--json", "run", "--once", "--no-badge")

    with is_due(run.MESSAGES) as process:
        proxy.victim = process
        assert process.wait(HANG_SECONDS) == -signal.SIGKILL
    proxy.victim = None
    (waits,) = cli.do("status")["uploads"]
    assert (waits["sent"], waits["fragments"]) == (0, pieces)  # the answer of the mix got lost
    assert f"0 of {pieces} fragments sent, the rest within about" in cli.run("status").out
    said = []
    for _ in range(30):
        with is_due(run.MESSAGES, run.POLL) as process:
            out, err = process.communicate(timeout=HANG_SECONDS)
        assert (process.returncode, err) == (0, "")
        said += [json.loads(line) for line in out.splitlines()]
        left = cli.do("status")["uploads"]
        if not left:
            break
        if left[0]["sent"] in (1, pieces):  # what was sent is waited for
            clock.advance(3 * 3600 + 60)
            network.ready()
    assert [(each["task"], each["case"]) for each in said if each["task"] == run.UPLOAD] == [(run.UPLOAD, case)]
    assert cli.do("status")["uploads"] == []


def generations(network, case):
    return sorted(each["generation"] for each in network.staff("reports")["reports"] if each["case"] == case)


@pytest.fixture
def deaf():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def alone(cli, tmp_path, deaf):
    """A companion with two badges in a network whose servers never answer, and nothing due."""
    path = tmp_path / "network.toml"
    path.write_text(NETWORK.replace("127.0.0.1:9", f"127.0.0.1:{deaf.getsockname()[1]}"))
    cli.do("init", str(path))
    with state.reading(cli.folder) as opened:  # `changing` would keep house by the clock of this process
        for number in (1, 2):
            badge = opened.badges.ensure(START // 86400) if number == 1 else opened.badges.add(START // 86400)
            opened.badges.set_provisioned(badge, RATCHET, START // 300, 0, START)
        for task in TASKS:
            opened.timetable.set_due(task, START + 3600)
    return cli


def set_due(cli, task, at):
    with state.reading(cli.folder) as opened:  # `changing` would keep house by the clock of this process
        opened.timetable.set_due(task, at)


def start(cli, *arguments):
    return cli.piped("--json", *arguments, "run")


def end(process, by):
    """How it ended, and its last line of error. It has said nothing since: what it waited for did not end by itself."""
    process.send_signal(by)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert ('"task"' in (out or ""), "Traceback" in err) == (False, False)
    return process.returncode, err


def in_a_request(cli, clock, deaf):
    set_due(cli, run.MESSAGES, int(clock.now))
    process = start(cli, "--adapter", "bumble:tcp-client:127.0.0.1:9")
    connection, _ = deaf.accept()
    assert connection.recv(4) == b"GET "
    return process, connection


def in_the_search_for_a_badge(cli, clock, deaf):
    set_due(cli, run.BADGE, int(clock.now))
    process = start(cli, "--adapter", f"bumble:tcp-client:127.0.0.1:{deaf.getsockname()[1]}")
    connection, _ = deaf.accept()
    assert connection.recv(1)  # the first HCI command
    return process, connection


def in_the_queue_for_the_state_folder(cli, _clock, _deaf):
    held = ExitStack()
    held.enter_context(lock.exclusive(cli.folder))
    process = start(cli)
    files = Path(f"/proc/{process.pid}/fd")
    eventually("it to queue", lambda: any(_target(file).name == lock.LOCK_FILE for file in files.iterdir()))
    return process, held


def _target(file):
    try:
        return file.readlink()
    except OSError:  # closed meanwhile
        return Path()


@pytest.mark.parametrize(("by", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, INTERRUPTED)], ids=["TERM", "INT"])
@pytest.mark.parametrize("waiting", [in_a_request, in_the_search_for_a_badge, in_the_queue_for_the_state_folder])
def test_it_ends_soon_whatever_it_waits_for(alone, clock, deaf, waiting, by, code):
    if waiting is in_the_queue_for_the_state_folder and not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here to see that it waits")
    process, held = waiting(alone, clock, deaf)
    with held:
        try:
            ended, err = end(process, by)
        finally:
            process.kill()
    assert (ended, err.strip()) == (
        code,
        "" if by == signal.SIGTERM else "anontrace: interrupted; what was done is kept",
    )
    with state.changing(alone.folder) as opened:  # nobody holds it, and nothing is broken
        assert opened.badges.count() == 2


def test_one_run_at_a_time_works_on_a_state_folder_and_takes_up_a_level_that_is_given_beside_it(alone):
    with start(alone) as process:
        try:
            held = alone.folder / lock.RUN_FILE
            eventually("it to begin", held.exists)
            eventually("it to be the one", lambda: alone.run("run", "--once").code != 0)
            refused = alone.run("run", "--once")
            assert (refused.code, "is going already" in refused.err) == (FAILED, True)
            assert "Running     yes, at level normal" in alone.run("status").out
            given = alone.run("run", "--level", "high")
            assert (given.code, given.out) == (0, "`anontrace run` is going already; it takes up the level high.\n")
            said = json.loads(process.stdout.readline())
            assert (said["task"], said["level"]) == (run.LEVEL, "high")
            assert end(process, signal.SIGTERM) == (0, "")
        finally:
            process.kill()
    assert alone.run("run", "--once", "--level", "low", "--no-badge").code == 0


def test_when_everything_is_erased_it_ends_and_makes_nothing_anew(alone):
    (alone.folder / "of the wearer's").touch()  # so that the folder itself stays
    with start(alone) as process:
        try:
            eventually("it to begin", (alone.folder / lock.RUN_FILE).exists)
            alone.do("erase-all", "--yes")
            _, err = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert (process.returncode, "there is no anontrace state" in err) == (USAGE, True), err
    assert [path.name for path in alone.folder.iterdir()] == ["of the wearer's"]


def test_on_a_terminal_it_says_that_it_runs_and_how_to_stop_it(alone, tmp_path):
    with Terminal() as terminal, (tmp_path / "err").open("w+") as err:
        streams = [terminal.follower, terminal.follower, err.fileno()]
        process = alone.start(["run", "--level", "low"], alone.environment, streams)
        try:
            terminal.until("\n", process)
            assert "Running at level low" in terminal.screen and "Ctrl+C stops it" in terminal.screen
            process.terminate()
            assert (process.wait(HANG_SECONDS), err.read()) == (0, "")
        finally:
            process.kill()


@pytest.mark.parametrize("command", [["sync"], ["info"], ["set", "saver"], ["erase", "--yes"]])
def test_while_a_badge_is_looked_for_the_terminal_says_so(alone, deaf, command):
    adapter = f"bumble:tcp-client:127.0.0.1:{deaf.getsockname()[1]}"
    with Terminal() as terminal:
        with Path(os.devnull).open("r+") as nothing:
            process = alone.start(
                ["--adapter", adapter, "badge", *command, "--badge", "1"], alone.environment,
                [nothing.fileno(), nothing.fileno(), terminal.follower],
            )  # fmt: skip
        try:
            terminal.until("looking for the badge", process)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_SECONDS) == INTERRUPTED
        finally:
            process.kill()


def test_what_does_not_end_by_itself_is_ended():
    code = (
        "import ctypes\n"
        "from anontrace.companion.system import stopping\n"
        "mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock\n"
        "lock(mutex)\n"
        "with stopping.soon():\n"
        "    while True:\n"
        "        try:\n"
        "            print('here', flush=True)\n"
        "            lock(mutex)\n"  # its holder waits for itself: no signal ends that
        "        except KeyboardInterrupt:\n"
        "            pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True) as process:
        try:
            assert process.stdout.readline() == "here\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(HANG_SECONDS) == 0
        finally:
            process.kill()


def test_an_adapter_that_is_gone_is_a_line_for_each_badge_and_not_the_end(alone, clock):
    set_due(alone, run.BADGE, int(clock.now))
    with start(alone, "--adapter", "bumble:tcp-client:127.0.0.1:9") as process:
        try:
            said = [json.loads(process.stdout.readline()) for _ in range(2)]
            assert [(each["task"], each["badge"]) for each in said] == [(run.BADGE, 1), (run.BADGE, 2)]
            assert all("cannot be opened" in each["said"] for each in said)
            assert alone.do("status")["badges"]  # it goes on
            assert process.poll() is None
            assert end(process, signal.SIGTERM) == (0, "")
        finally:
            process.kill()
