"""`anontrace-server staff`: accounts of the health authority's staff, signing in, and the audit of what they did."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import click
import pyotp

from anontrace import streams
from anontrace.backend import config
from anontrace.backend.errors import BackendError, ConfigError
from anontrace.backend.keys import keyfiles
from anontrace.backend.staff import audit as chain
from anontrace.backend.staff.rights import Role
from anontrace.foreign.lines import json_line, line

from .desk import Desk, forget_session, keep_session
from .options import confirm, example, options, secret, when, yes

_role = click.option("--role", required=True, type=click.Choice([each.value for each in Role]))
_NAME = click.argument("name")


@click.group()
def staff() -> None:
    """Accounts of the health authority's staff; sign in; check what was done."""


@staff.command(epilog=example("anontrace-server staff init net/authority"))
@click.argument("folder", metavar="CONFIGDIR", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Give the folder of an authority of an earlier version what accounts need. Its staff token is deleted."""
    if "authority" not in config.load(folder).config.roles:
        raise ConfigError(f"{folder}: no folder of an authority's server")
    if not (folder / keyfiles.STAFF).exists():
        keyfiles.write_new(folder, keyfiles.STAFF)
    (folder / keyfiles.STAFF_TOKEN).unlink(missing_ok=True)
    click.echo("staff have accounts now: start the server, then `anontrace-server staff account add`")


@staff.group()
def account() -> None:
    """Who may sign in. Whoever has the server's key files may make accounts without one."""


@account.command(
    epilog=example(
        "anontrace-server staff account add ada --role administrator",
        'anontrace-server staff account add desk-1 --role test-site --site "City hospital" --invite',
    )
)
@_NAME
@_role
@click.option("--site", default="", help="The test site that an account of that role is for. [its name]")
@click.option("--invite", is_flag=True, help="Print a code with which its owner sets it up, here or in the portal.")
@options
def add(name: str, role: str, site: str, invite: bool, folder: Path, as_json: bool) -> None:
    """Make the account NAME, and set it up: a password, and an authenticator app as a second factor.

    Where standard input is no terminal, its first line is the password, and the code is computed here.
    """
    desk = Desk.of(folder)
    streams.check_kept("what is shown once only would be lost, so no account was made")
    password = "" if invite else secret("Password", twice=True)
    made = desk.ask_as_operator("POST", "accounts", {"name": name, "role": role, "site": site})
    if not invite:
        _set_up(desk, name, made["invitation"], password, as_json)
        return
    with streams.once("the account is made; invite anew: `anontrace-server staff account reset`"):
        click.echo(json_line(made) if as_json else f"invitation: {made['invitation']}")
    if not as_json:
        click.echo(line(f"for {name}, until {when(made['until'])} UTC"), err=True)


@staff.command("set-up", epilog=example("anontrace-server staff set-up ada"))
@_NAME
@options
def set_up(name: str, folder: Path, as_json: bool) -> None:
    """Set up the account NAME by its invitation. Standard input, if it is no terminal: invitation, password."""
    desk = Desk.of(folder)
    streams.check_kept("what is shown once only would be lost, so nothing was set up")
    code = secret("Invitation")
    keep_session(folder, _set_up(desk, name, code, secret("Password", twice=True), as_json))


def _set_up(desk: Desk, name: str, invitation: str, password: str, as_json: bool) -> dict[str, Any]:
    """Choose the password, show the authenticator's secret, and the recovery codes in the end. What was answered."""
    begun = desk.ask("POST", "invitation", {"name": name, "invitation": invitation})
    is_at_terminal = sys.stdin.isatty()
    if is_at_terminal:
        _show_authenticator(begun)
    while True:
        code = _typed_code("Code that it shows") if is_at_terminal else pyotp.TOTP(begun["secret"]).now()
        chosen = {"session": begun["session"], "password": password, "code": code}
        try:
            done: dict[str, Any] = desk.ask("POST", "set-up", chosen)
            break
        except BackendError as error:
            if not is_at_terminal:
                raise
            click.echo(line(str(error)), err=True)
            if str(error).startswith("password"):
                password = secret("Password", twice=True)
    with streams.once("the account is set up all the same; without its codes it has to be reset one day"):
        if as_json:
            told = {"account": name, "secret": begun["secret"], "address": begun["address"], **done}
            click.echo(json_line({k: v for k, v in told.items() if k not in ("session", "name")}))
        else:
            click.echo("recovery codes, each for one time without the authenticator; they are shown this once:")
            for each in done["recovery"]:
                click.echo(f"  {each}")
    return done


def _show_authenticator(begun: dict[str, Any]) -> None:
    import segno

    click.echo("Have an authenticator app read this, or type the secret into it:", err=True)
    segno.make(begun["address"], error="l", micro=False).terminal(out=sys.stderr, compact=True)
    click.echo(line(f"secret: {begun['secret']}"), err=True)


def _typed_code(question: str) -> str:
    return str(click.prompt(question, err=True))


@account.command("list", epilog=example("anontrace-server staff account list --json"))
@options
def list_accounts(folder: Path, as_json: bool) -> None:
    """List all accounts."""
    answer = Desk.of(folder).ask_as_operator("GET", "accounts")
    if as_json:
        click.echo(json_line(answer))
        return
    for each in answer["accounts"]:
        site = f" ({each['site']})" if each["site"] else ""
        click.echo(line(f"{each['name']}: {each['role']}{site}, {each['state']}"))


@account.command(epilog=example("anontrace-server staff account reset ada"))
@_NAME
@yes
@options
def reset(name: str, yes: bool, folder: Path, as_json: bool) -> None:
    """After a lost factor or a forgotten password: print a code with which NAME is set up anew."""
    confirm(lambda: f"Password, factors and sessions of {name} do not count any more. Reset it?", yes or as_json)
    made = Desk.of(folder).ask_as_operator("POST", f"accounts/{name}/invitation", {})
    with streams.once("the account is reset all the same: reset it again"):
        click.echo(json_line(made) if as_json else f"invitation: {made['invitation']}")


@account.command(epilog=example("anontrace-server staff account withdraw ada"))
@_NAME
@yes
@options
def withdraw(name: str, yes: bool, folder: Path, as_json: bool) -> None:
    """Withdraw NAME for good: nobody signs in with it any more, and its sessions are over."""
    confirm(lambda: f"{name} cannot be given again. Withdraw it?", yes or as_json)
    answer = Desk.of(folder).ask_as_operator("POST", f"accounts/{name}/withdrawal", {})
    click.echo(json_line(answer) if as_json else "withdrawn")


@account.command("role", epilog=example("anontrace-server staff account role ada --role auditor"))
@_NAME
@_role
@options
def change_role(name: str, role: str, folder: Path, as_json: bool) -> None:
    """Give NAME another role; its sessions are over."""
    answer = Desk.of(folder).ask_as_operator("POST", f"accounts/{name}/role", {"role": role})
    click.echo(json_line(answer) if as_json else f"{name} is {role} now")


@staff.command(epilog=example("anontrace-server staff login ada"))
@_NAME
@options
def login(name: str, folder: Path, as_json: bool) -> None:
    """Sign in as NAME: with its password, and a code of the authenticator or a recovery code.

    Where standard input is no terminal, these are its first two lines.
    """
    desk = Desk.of(folder)
    password = secret("Password")
    code = _typed_code("Code") if sys.stdin.isatty() else secret("Code")
    answer = desk.ask("POST", "login", {"name": name, "password": password, "code": code})
    keep_session(folder, answer)
    told = {"name": answer["name"], "role": answer["role"]}
    click.echo(json_line(told) if as_json else line(f"signed in as {told['name']}, {told['role']}"))


@staff.command(epilog=example("anontrace-server staff logout"))
@options
def logout(folder: Path, as_json: bool) -> None:
    """End the session."""
    try:
        Desk.signed_in(folder).ask("POST", "logout", {})
    finally:
        forget_session(folder)
    click.echo(json_line({}) if as_json else "signed out")


@staff.group()
def audit() -> None:
    """What staff did: a chain of hashes."""


@audit.command(epilog=example("anontrace-server staff audit export > audit.jsonl"))
@options
def export(folder: Path, as_json: bool) -> None:
    """Print the audit, a JSON object a line."""
    for each in _entries(Desk.of(folder)):
        click.echo(json.dumps(each))


@audit.command(
    epilog=example("anontrace-server staff audit check", "anontrace-server staff audit check --file audit.jsonl")
)
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="What was exported, instead of what the server has.")  # fmt: skip
@click.option("--last", metavar="HASH", help="A hash that was noted before: it has to be in the chain.")
@options
def check(path: Path | None, last: str | None, folder: Path, as_json: bool) -> None:
    """Check that nothing was changed or left out; say the last number and hash, to be noted elsewhere."""
    if path is None:
        lines = [json.dumps(each) for each in _entries(Desk.of(folder))]
    else:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    fault = chain.fault(lines)
    hashes = [] if fault else [json.loads(each)["hash"] for each in lines]
    if fault is None and last is not None and last.lower() not in hashes:
        fault = "the hash that was noted is not in the chain: its end was cut off, or it is another one"
    if fault:
        raise BackendError(f"the audit is not whole: {fault}")
    told = {"entries": len(lines), "last": hashes[-1] if hashes else chain.FIRST}
    click.echo(json_line(told) if as_json else f"whole: {told['entries']} entries, the last one is {told['last']}")


def _entries(desk: Desk) -> Any:
    """All of the audit, part by part."""
    for start in itertools.count(0, 256):
        part = desk.ask_as_operator("GET", f"audit?start={start}")
        yield from part["entries"]
        if start + 256 >= part["count"]:
            return
