"""Setting up: every package held to a hash; what is said without a network, or when another Python is asked for."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_NETWORK = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def plain(name: str) -> str:
    return re.sub(r"[._-]+", "-", name).lower()


def make_project(folder: Path) -> Path:
    """As much of the project as setting up reads."""
    (folder / "tools").mkdir()
    for name in ("pyproject.toml", "tools/set_up.py", "tools/constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


def set_up(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, "tools/set_up.py"],
        cwd=project,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A project that was set up without a network, so that it has an environment and no packages; and what was said."""
    folder = make_project(tmp_path_factory.mktemp("begun"))
    return folder, set_up(folder, **WITHOUT_NETWORK)


def test_every_package_has_hashes_and_every_dependency_is_there() -> None:
    text = (ROOT / "tools" / "constraints.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    pinned = {plain(name) for name, _ in ENTRY.findall(text)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {plain(re.split(r"[\[<>=;]", each)[0]) for one in lists for each in one}
    assert wanted <= pinned
    assert "setuptools" in pinned


def test_without_a_network_one_line_says_so_and_the_steps_are_told(
    begun: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    project, done = begun
    assert done.returncode == 1
    assert done.stderr == (
        "error: the package registry cannot be reached: connect to the network and run the same command again\n"
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("[1/5] virtual environment .venv, of Python 3.")
    assert second.startswith("[2/5] packages, each held to its hash")
    assert not (project / ".venv" / ".ready").exists()


def test_a_package_that_is_not_what_it_is_held_to_is_refused(
    begun: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(begun[0], project, symlinks=True)
    version = re.search(r"^setuptools==(\S+)", (project / "tools" / "constraints.txt").read_text(), re.MULTILINE)
    assert version is not None
    (project / "wheels").mkdir()
    with zipfile.ZipFile(project / "wheels" / f"setuptools-{version[1]}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("setuptools/__init__.py", "")
    done = set_up(project, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(project / "wheels"))
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: setuptools\S* is not what tools/constraints\.txt holds it to: do not use it\n", done.stderr
    )


def test_an_environment_of_another_python_is_made_anew_and_one_that_is_up_to_date_is_left(project: Path) -> None:
    interpreter = project / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text("#!/bin/sh\necho 3.99.0 in /nowhere\n")
    interpreter.chmod(0o755)
    (project / ".venv" / ".ready").touch()
    done = set_up(project, **WITHOUT_NETWORK)
    assert done.stdout.startswith(".venv was made with Python 3.99.0 in /nowhere; it is made anew with 3.")
    assert interpreter.resolve() == Path(sys.executable).resolve()

    (project / ".venv" / ".ready").touch()
    done = set_up(project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_that_is_none_or_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "it's python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    # The last two succeed at whatever they are told, and are no Python all the same.
    for python in (str(old), "no-such-python", "-x", "$(false)", "true", "echo"):
        done = subprocess.run(
            ["make", "setup", f"PYTHON={python}"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {python} is no Python 3.11 or newer: install one, or say make PYTHON=")
