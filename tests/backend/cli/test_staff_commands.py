"""`anontrace-server staff` as operators and staff meet it, and what a folder of an earlier version says."""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from anontrace.backend.cli.desk import ENVIRONMENT
from anontrace.backend.operating import checking
from anontrace.backend.operating.init import Plan, make_network

from tests.backend.client import Client
from tests.backend.loaded import PROGRAM
from tests.backend.servers import command
from tests.companion.terminal import Terminal, talk
from tests.patience import HANG_SECONDS, eventually

PASSWORD = "correct horse battery"


class Desk:
    """Commands of one person, with a session file of their own."""

    def __init__(self, folder: Path, session: Path) -> None:
        self.folder, self.session = folder, session
        self.environment = {**os.environ, ENVIRONMENT: str(session)}

    def run(self, *words: str, typed: str = "") -> tuple[int, str, str]:
        given = [*words, "--config", str(self.folder)]
        return PROGRAM.run(given, self.environment, typed)

    def do(self, *words: str, typed: str = "") -> Any:
        code, out, err = self.run(*words, "--json", typed=typed)
        assert code == 0, err
        return json.loads(out)

    def start(self, arguments: Any, environment: Any, streams: Any) -> Any:
        return PROGRAM.start(arguments, environment, streams)


@pytest.fixture
def desk(client: Client, tmp_path: Path) -> Iterator[Desk]:
    yield Desk(client.servers.folder / "authority", tmp_path / "private" / "session")


def a_name() -> str:
    return f"ada-{os.urandom(4).hex()}"


def test_an_account_is_made_by_script_and_its_session_is_for_this_user_alone(desk: Desk) -> None:
    name = a_name()
    made = desk.do("staff", "account", "add", name, "--role", "test-site", "--site", "City", typed=f"{PASSWORD}\n")
    assert (made["account"], made["role"], len(made["recovery"])) == (name, "test-site", 10)
    assert "session" not in made and pyotp.parse_uri(made["address"]).secret == made["secret"]
    assert desk.run("authority", "issue", "--disease", "U07.1")[2].endswith(
        "nobody has signed in: `anontrace-server staff login NAME`\n"
    )
    signed = desk.do("staff", "login", name, typed=f"{PASSWORD}\n{made['recovery'][0]}\n")
    assert signed == {"name": name, "role": "test-site"}
    assert stat.S_IMODE(desk.session.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.session.parent.stat().st_mode) == 0o700
    assert len(desk.do("authority", "issue", "--disease", "U07.1", "--reference", "L 17")["token"]) == 19
    code, _, err = desk.run("authority", "reports")
    assert (code, "your account may not see cases" in err) == (1, True)
    desk.session.chmod(0o644)
    assert "chmod 600" in desk.run("authority", "issue", "--disease", "U07.1")[2]
    desk.session.chmod(0o600)
    kept = desk.session.read_text()
    desk.do("staff", "logout")
    assert not desk.session.exists()
    desk.session.write_text(kept)
    desk.session.chmod(0o600)
    assert "the session is over: `anontrace-server staff login NAME`" in desk.run("authority", "reports")[2]


def test_nobody_is_signed_in_by_half_and_a_code_counts_once(desk: Desk) -> None:
    name = a_name()
    made = desk.do("staff", "account", "add", name, "--role", "decider", typed=f"{PASSWORD}\n")
    code = made["recovery"][3]
    for password, shown in (("wrong password", code), (PASSWORD, "000000")):
        status, _, err = desk.run("staff", "login", name, typed=f"{password}\n{shown}\n")
        assert (status, "that is not right: name, password or code" in err) == (1, True)
    assert desk.run("staff", "login", name, typed=PASSWORD)[0] == 2  # standard input ended
    assert desk.run("staff", "login", name, typed=f"{PASSWORD}\n{code}\n")[0] == 0
    assert desk.run("staff", "login", name, typed=f"{PASSWORD}\n{code}\n")[0] == 1
    assert "reports" in desk.do("authority", "reports")


def test_an_owner_sets_the_account_up_at_a_terminal(desk: Desk) -> None:
    name = a_name()
    invited = desk.do("staff", "account", "add", name, "--role", "case-worker", "--invite")
    words = ["staff", "set-up", name, "--config", str(desk.folder)]
    answers: list[tuple[str, str]] = [
        ("Invitation", invited["invitation"]), ("Password", PASSWORD), ("Repeat", PASSWORD),
        ("Code that it shows", "1"),
    ]  # fmt: skip
    # The code that the authenticator shows is on the screen only: what is typed is wrong, is said so, and asked again.
    code, shown = _talk_until(desk, words, answers)
    assert code == 0 and "recovery codes" in shown and "secret: " in shown
    assert "the code is not the one that the authenticator shows now" in shown
    assert PASSWORD not in shown and invited["invitation"] not in shown
    assert desk.run("authority", "reports")[0] == 0  # the one who set it up is signed in
    assert desk.run("staff", "set-up", name, typed=f"{invited['invitation']}\n{PASSWORD}\n")[0] == 1


def _talk_until(desk: Desk, words: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """As `talk`, with the right code in the end, which is computed from the secret on the screen."""
    with Terminal() as terminal:
        process = desk.start(words, desk.environment | {"COLUMNS": "120"}, [terminal.follower] * 3)
        seen = 0
        for question, answer in answers:
            seen = terminal.until(re.escape(question) + "[^\n]*: ", process, seen)
            terminal.type(answer)
        seen = terminal.until("Code that it shows[^\n]*: ", process, seen)
        found = re.search("secret: ([A-Z2-7]+)", terminal.screen)
        assert found
        terminal.type(pyotp.TOTP(found[1]).now())
        code = process.wait(HANG_SECONDS)
    return code, terminal.screen


def test_accounts_are_listed_changed_reset_and_withdrawn(desk: Desk) -> None:
    name = a_name()
    desk.do("staff", "account", "add", name, "--role", "decider", typed=f"{PASSWORD}\n")

    def state() -> tuple[str, str]:
        (found,) = [each for each in desk.do("staff", "account", "list")["accounts"] if each["name"] == name]
        return found["role"], found["state"]

    assert state() == ("decider", "in use")
    desk.do("staff", "account", "role", name, "--role", "auditor")
    assert state() == ("auditor", "in use")
    invited = desk.do("staff", "account", "reset", name)
    assert state() == ("auditor", "invited")
    done = desk.do("staff", "set-up", name, typed=f"{invited['invitation']}\n{PASSWORD}\n")
    assert (done["account"], state()) == (name, ("auditor", "in use"))
    words = ["staff", "account", "withdraw", name, "--config", str(desk.folder)]
    assert talk(desk, words, [("Withdraw it?", "n")])[0] == 1
    assert state() == ("auditor", "in use")
    assert talk(desk, words, [("Withdraw it?", "y")])[0] == 0
    assert state() == ("auditor", "withdrawn")
    assert "there is no such account" in desk.run("staff", "account", "reset", name)[2]
    assert "names are not given twice" in desk.run(
        "staff", "account", "add", name, "--role", "decider", typed=f"{PASSWORD}\n"
    )[2]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "typed", "told"),
    [
        (("account", "add", "Ada Lovelace", "--role", "decider"), f"{PASSWORD}\n", "name: 2 to 32"),
        (("account", "add", "operator", "--role", "decider"), f"{PASSWORD}\n", "name: 2 to 32"),
        (("account", "add", "ada-x", "--role", "king"), "", "'king' is not one of"),
        (("account", "add", "ada-y", "--role", "decider", "--site", "City"), f"{PASSWORD}\n", "site: only an account"),
        (("account", "reset", "nobody"), "", "there is no such account"),
        (("account", "reset", "../accounts"), "", "not found"),
        (("set-up", "nobody"), "aaaaa-bbbbb\npassword\n", "that is not right"),
    ],
)
def test_what_is_not_right_is_said_in_one_line(desk: Desk, words: tuple[str, ...], typed: str, told: str) -> None:
    code, _, err = desk.run("staff", *words, typed=typed)
    assert (code in (1, 2), told in err, err.count("\n")) == (True, True, 1), err


def test_the_audit_is_exported_and_checked(desk: Desk, tmp_path: Path) -> None:
    name = a_name()
    made = desk.do("staff", "account", "add", name, "--role", "test-site", typed=f"{PASSWORD}\n")
    desk.do("staff", "login", name, typed=f"{PASSWORD}\n{made['recovery'][0]}\n")
    token = desk.do("authority", "issue", "--disease", "U07.1", "--reference", "Ms Smith")["token"]

    def lines() -> list[str]:
        code, out, err = desk.run("staff", "audit", "export")
        assert code == 0, err
        return out.splitlines()

    eventually("the token is in the audit", lambda: any(name in e and "token issued" in e for e in lines()))
    exported = lines()
    text = "\n".join(exported)
    for secret in (token, "Smith", PASSWORD, made["secret"], *made["recovery"]):
        assert secret not in text
    path = tmp_path / "audit.jsonl"
    path.write_text(text + "\n")
    checked = desk.do("staff", "audit", "check", "--file", str(path))
    assert checked == {"entries": len(exported), "last": json.loads(exported[-1])["hash"]}
    assert desk.do("staff", "audit", "check", "--last", checked["last"])["entries"] >= len(exported)
    path.write_text("\n".join([*exported[:3], *exported[4:]]))
    code, _, err = desk.run("staff", "audit", "check", "--file", str(path))
    assert (code, "the audit is not whole: entry 3 is missing" in err) == (1, True)
    path.write_text("\n".join(exported[:-1]))
    code, _, err = desk.run("staff", "audit", "check", "--file", str(path), "--last", checked["last"])
    assert (code, "its end was cut off" in err) == (1, True)


def test_a_folder_of_before_accounts_says_what_to_do_and_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    make_network(tmp_path / "net", Plan())
    folder = tmp_path / "net" / "authority"
    (folder / "staff.key").rename(folder / "staff.token")
    told = f"run `anontrace-server staff init {folder}`, start the server, then `anontrace-server staff account add`"
    assert any(told in fault for fault in checking.faults([folder]))
    done = command("run", folder)
    assert (done.returncode, done.stderr.count("\n"), told in done.stderr) == (1, 1, True)
    assert command("staff", "init", folder).returncode == 0
    assert sorted(path.name for path in folder.glob("staff.*")) == ["staff.key"]
    key = (folder / "staff.key").read_bytes()
    assert command("staff", "init", folder).returncode == 0  # again: nothing is made anew
    assert (folder / "staff.key").read_bytes() == key
    assert checking.faults([folder]) == []
    assert "no folder of an authority's server" in command("staff", "init", tmp_path / "net" / "mix-1").stderr


def test_commands_that_need_a_server_say_that_none_listens(tmp_path: Path) -> None:
    make_network(tmp_path / "net", Plan())
    done = command("staff", "account", "list", "--config", tmp_path / "net" / "authority")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the authority's server does not answer (nothing listens there)" in done.stderr
