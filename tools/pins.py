"""Writes tools/constraints.txt anew, `make pins`: every package of a complete installation, for every platform.

uv resolves what pyproject.toml allows, for all extras, systems and Pythons at once, and adds the hash of every file
that the index has. Versions that stand there already stay, unless UPGRADE names a package or says all. Installs nothing
but uv, into a folder of its own under build/.
"""

import argparse
import subprocess
import sys
import venv

from tools.set_up import CONSTRAINTS, ROOT, pinned

_FOLDER = ROOT / "build" / "pins"
_OLDEST = "3.11"
_HEAD = """\
# Every package of a complete installation, the build backend included: the versions that are tested, and the hash of
# each file. Ranges and reasons stand in pyproject.toml. `make setup` installs these; `make pins` writes this file anew.
"""


def main() -> int:
    """Exit status 0; 2 if there is no such package; or uv's own after it has said what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.pins", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrade", metavar="NAME", help="take the newest version of this package, or of all")
    options = parser.parse_args()
    if options.upgrade not in {None, "all", *pinned()}:
        print(f"error: UPGRADE: {options.upgrade!r} is no package of tools/constraints.txt, nor all", file=sys.stderr)
        return 2
    upgrade = ["--upgrade"] if options.upgrade == "all" else [f"--upgrade-package={options.upgrade}"]
    venv.create(_FOLDER, with_pip=True)
    python = str(_FOLDER / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], check=True)
    command = [
        *(python, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal", "--generate-hashes"),
        *("--python-version", _OLDEST, "--no-annotate", "--no-header", "--quiet", "--output-file", str(CONSTRAINTS)),
        *(upgrade if options.upgrade else []),
    ]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        return code
    CONSTRAINTS.write_text(_HEAD + CONSTRAINTS.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
