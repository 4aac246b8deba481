"""Help with an example for every command, completion in real shells, and one screen of status."""

import shutil
import subprocess
from collections.abc import Iterator

import click
import pytest
from anontrace.companion.cli import COMMANDS, anontrace
from anontrace.companion.errors import USAGE

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import BIN


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(anontrace, **anontrace.context_settings)
    for name in anontrace.list_commands(context):
        command = anontrace.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(all_commands()), ids=[name for name, _ in all_commands()])
def test_every_command_is_explained_with_an_example(name, command):
    text = command.help or ""
    assert text.splitlines()[0].rstrip().endswith((".", ":"))
    assert f"anontrace {name}" in text or f"{name}" in (command.epilog or ""), "an example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_commands_stand_in_the_overview(cli):
    shown = cli.run("--help").out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("group", [[], ["badge"], ["exposures"], ["service"]])
def test_an_overview_is_whole_on_a_narrow_screen_and_is_what_a_bare_word_shows(cli, group):
    cli.environment["COLUMNS"] = "80"
    shown = cli.run(*group, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert all(len(line) <= 80 for line in shown.out.partition("Exit codes")[0].splitlines())
    assert "..." not in shown.out.replace("[ARGS]...", "")
    bare = cli.run(*group)
    assert (bare.code, bare.out, bare.err) == (USAGE, shown.out, "")
    bare = cli.run("--json", *group)
    message = f"Missing command; see: {' '.join(['anontrace', *group])} --help"
    assert (bare.code, bare.json["error"]["message"]) == (USAGE, message)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["statsu"], "No such command 'statsu'. Did you mean 'status'? See: anontrace --help"),
        (["badge", "snyc"], "No such command 'snyc'. Did you mean 'sync'? See: anontrace badge --help"),
        (["report", "--tokn", "x"], "No such option '--tokn'. Did you mean '--token'? See: anontrace report --help"),
        (
            ["completion"],
            "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish; see: anontrace completion --help",
        ),
    ],
)
def test_a_slip_is_answered_in_one_line_with_what_was_meant(cli, typed, said):
    result = cli.run(*typed)
    assert (result.code, result.err) == (USAGE, f"anontrace: {said}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli, shell):
    result = cli.run("completion", shell)
    assert result.code == 0
    assert "_ANONTRACE_COMPLETE" in result.out
    assert cli.do("completion", shell)["script"].strip() == result.out.strip()


def test_bash_completes_commands_and_options(cli):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    ask = """
        source <(anontrace completion bash)
        for words in "$@"; do
            read -ra COMP_WORDS <<< "$words"; COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
            COMPREPLY=(); _anontrace_completion anontrace; echo "${COMPREPLY[@]}"
        done
    """
    begun = ["anontrace ex", "anontrace badge s", "anontrace badge set s", "anontrace report --to"]
    done = subprocess.run(
        [bash, "-c", ask, "bash", *begun],
        env=cli.environment | {"PATH": f"{BIN}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["exposures", "set sync", "saver", "--token"]


def test_status_is_one_screen_that_says_what_is_next_and_why(cli, tmp_path):
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    shown = cli.run("status").out
    assert len(shown.splitlines()) < 24
    assert all(len(line) <= 100 for line in shown.splitlines())
    for expected in ("Network     nowhere", "Badge       none", "anontrace register", "make a badge yours"):
        assert expected in shown
