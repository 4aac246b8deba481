#!/usr/bin/env bash
# Click keeps a command's help option from the first context that is made of it. `help_option_names` of any later context
# is there to read, and has no effect: what "-h" means depends on which context the process happened to make first.
#
# One would guess that the names are looked up in each context, as `Context.help_option_names` is documented, and that a
# command that was once listed, completed or run by a test behaves the same afterwards under its group's settings.
#
# click 8.5.1. Seen (names in the context; names of the option that parses):
#   ['--help'] ['--help']                the first context, without settings
#   ['-h', '--help'] ['--help']          a later one with settings; `-h` is then "No such option"
#   ['-h', '--help'] ['-h', '--help']    the same settings, on a command that no context was made of before
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check click==8.5.1
"$folder/venv/bin/python" - <<'PY'
import click
from click.testing import CliRunner

SHORT = {"help_option_names": ["-h", "--help"]}


def command():
    return click.Command("hello", callback=lambda: None)


def names(of, **settings):
    with click.Context(of, **settings) as context:
        return context.help_option_names, of.get_params(context)[-1].opts


one, other = command(), command()
seen = [names(one), names(one, **SHORT), names(other, **SHORT)]
for each in seen:
    print(*each)
assert seen == [
    (["--help"], ["--help"]),
    (["-h", "--help"], ["--help"]),
    (["-h", "--help"], ["-h", "--help"]),
], "changed"
failed, shown = (CliRunner().invoke(each, ["-h"], **SHORT) for each in (one, other))
print(failed.exit_code, failed.output.splitlines()[-1], "|", shown.exit_code, shown.output.splitlines()[0])
assert (failed.exit_code, shown.exit_code) == (2, 0), "changed"
PY
