#!/usr/bin/env bash
# `import httpx` loads httpx's own command line, and with it click, rich, pygments and markdown-it, in every program in
# whose environment click and rich happen to be installed.
#
# One would guess that a library's command line is loaded by the command, and that the extra httpx[cli] decides. The
# package tries to import it at its own import, and is content if that fails half way: what else is installed decides
# how long a program takes to start. With `sys.modules["httpx._main"] = None` before the import it fails at once.
#
# httpx 0.28.1, click 8.5.1, rich 15.0.0. Modules of click, rich, pygments and markdown_it that `import httpx` loads:
#   httpx alone 0, beside click 12 (of click), beside click and rich 81, there with the line above 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
loaded() {
    "$folder/venv/bin/python" -c "
import sys
${1:-}
import httpx
print(sum(name.partition('.')[0] in ('click', 'rich', 'pygments', 'markdown_it') for name in sys.modules))"
}
beside() {
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1 "$@"
    loaded
}
alone=$(beside)
click=$(beside click==8.5.1)
both=$(beside click==8.5.1 rich==15.0.0)
kept_out=$(loaded 'sys.modules["httpx._main"] = None')
echo "alone $alone, beside click $click, beside click and rich $both, kept out $kept_out"
[[ $alone == 0 && $click -gt 0 && $both -gt 50 && $kept_out == 0 ]] || { echo changed; exit 1; }
