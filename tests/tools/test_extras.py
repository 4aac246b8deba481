"""What is installed: a companion does without the packages of servers, and each program says which it misses."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"pyjwt": "jwt", "prometheus-client": "prometheus_client"}  # where it is not the package's name


def modules(extra: str) -> list[str]:
    names = [re.split(r"[\[<>=;]", each)[0] for each in PROJECT["optional-dependencies"][extra]]
    return [MODULES.get(name, name) for name in names]


def without(missing: list[str], script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which these modules cannot be imported, as where they are not installed."""
    hidden = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
    command = [sys.executable, "-c", hidden + script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_companion_needs_no_package_of_an_extra() -> None:
    script = """
import importlib, pkgutil, anontrace
for part in ("companion", "wire", "mixnet"):
    package = importlib.import_module("anontrace." + part)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        of_page = module.name.startswith("anontrace.companion.page.") and not module.name.endswith(".command")
        if not of_page and "bumble" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from anontrace.companion.cli import main
main()
"""
    missing = [module for extra in PROJECT["optional-dependencies"] for module in modules(extra)]
    done = without([name for name in missing if name != "setuptools"], script, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "jinja2", "python_multipart"])
def test_the_page_without_its_packages_says_in_one_line_what_to_install(tmp_path: Path, missing: str) -> None:
    script = "from anontrace.companion.cli import main; main()"
    done = without([missing], script, "--state", str(tmp_path / "state"), "open")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"anontrace: the page needs more than is installed ({missing}); run: pip install 'anontrace[page]'\n"
    )


@pytest.mark.parametrize("missing", ["uvicorn", "rocksdict", "fastapi"])
def test_a_server_without_its_packages_says_in_one_line_what_to_install(tmp_path: Path, missing: str) -> None:
    script = "from anontrace.backend.cli import main; main()"
    done = without([missing], script, "init", str(tmp_path / "net"))
    assert done.returncode == 0, done.stderr
    done = without([missing], script, "run", str(tmp_path / "net" / "discovery"))
    assert done.returncode == 1
    assert done.stderr == (
        f"anontrace-server: {missing} is missing; install what servers need: pip install 'anontrace[server]'\n"
    )


def test_the_package_names_ranges_and_the_licence() -> None:
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert [each for one in lists for each in one if "==" in each.partition(";")[0]] == []
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / PROJECT["license-files"][0]).read_text()
