"""The rule of imports (docs/design.md, "The rooms"): never up, never in a circle, and the two programs strangers. And
pages that can be read in a terminal."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOST = ROOT / "host"
DESIGN = (ROOT / "docs" / "design.md").read_text()

PROGRAMS = ("companion", "backend", "epidemic")
MODULES = {
    ".".join(path.relative_to(HOST).with_suffix("").parts).removesuffix(".__init__"): path
    for path in HOST.glob("anontrace/**/*.py")
}


def floors(program: str) -> list[str]:
    """The rooms of a program from top to bottom, as the design page draws them."""
    (drawing,) = re.findall(rf"^host/anontrace/{program}/\n((?:  .*\n)+)", DESIGN, re.MULTILINE)
    return [re.split(r"\s{2,}", line.strip())[0].rstrip("/") for line in drawing.splitlines()]


def imports(name: str) -> Iterator[str]:
    """The modules of the package that a module imports anywhere in it."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for each in node.names:
                if f"{base}.{each.name}" in MODULES:
                    yield f"{base}.{each.name}"
                elif base in MODULES:
                    yield base


def room(name: str) -> str:
    return name.split(".")[2] if name.count(".") >= 2 else ""


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_design_page_shows_every_room(program: str) -> None:
    there = {room(name) for name in MODULES if name.startswith(f"anontrace.{program}.")}
    assert there == set(floors(program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_imports_upwards(program: str) -> None:
    order = floors(program)
    upwards = [
        f"{name} imports {target}"
        for name in MODULES
        if name.startswith(f"anontrace.{program}.")
        for target in imports(name)
        if target.startswith(f"anontrace.{program}.") and order.index(room(target)) < order.index(room(name))
    ]
    assert upwards == []


def test_companion_and_backend_do_not_know_each_other_formats_know_neither_and_nothing_knows_the_epidemic() -> None:
    allowed = {
        "companion": {"companion", "pages", "wire", "mixnet", "foreign", "clock", "streams", "lazygroup"},
        "backend": {"backend", "pages", "wire", "mixnet", "foreign", "clock", "streams", "lazygroup"},
        "epidemic": {"epidemic", "companion", "backend", "wire", "mixnet", "foreign", "clock", "streams"},
        "pages": {"pages"},
        "wire": {"wire", "mixnet", "foreign"},
        "mixnet": {"mixnet"},
        "foreign": {"foreign"},
        "clock": set(),
        "streams": set(),
    }
    for name in MODULES:
        part = name.split(".")[1] if "." in name else ""
        for target in imports(name):
            assert target.split(".")[1] in allowed[part], f"{name} imports {target}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({name: set(imports(name)) - {name} for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_shared_modules_import_nothing_of_either_side() -> None:
    for path in (ROOT / "shared").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert not [each for each in names if each.split(".")[0] in ("anontrace", "badge", "tools")], path


def test_nothing_waits_by_what_loses_a_cancellation() -> None:
    """`asyncio.wait_for` of Python 3.11 returns what came in the moment of a cancellation, and that is forgotten: what
    was to end goes on, and whoever waits for its end hangs. `asyncio.timeout` has no such moment."""
    used = [
        f"{path.relative_to(ROOT)}, line {node.lineno}"
        for folder in ("host", "tools")
        for path in sorted((ROOT / folder).glob("**/*.py"))
        if not {"on_badge", "board"}.intersection(path.parts)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "wait_for" and ast.unparse(node.value) == "asyncio"
    ]
    assert used == []


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_a_page_is_wrapped(page: str) -> None:
    """At 120 characters, but for tables and code."""
    wide, is_fenced = [], False
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        is_fenced ^= line.startswith("```")
        if len(line) > 120 and not is_fenced and not line.startswith(("    ", "|", "```")):
            wide.append(number)
    assert wide == [], f"lines of {page} are too long"
