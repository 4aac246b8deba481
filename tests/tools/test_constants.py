"""Numbers in place of the names of constants, in what is compiled for a badge."""

import ast

import pytest

from tools import constants, mpy

FORMAT = '''"""A format."""
from micropython import const

SIZE = 4
HALF = SIZE // 2
TWICE = const(2 * SIZE)
TABLE = {SIZE: "<I"}
LABEL = b"x"
moved = 3


def check(data, most=TWICE):
    return len(data) <= most and f"{SIZE}"
'''
USER = """from pack import form as f
from .form import LABEL
from . import form

MINE = 7


def size(form_size):
    return f.TWICE + form.SIZE - MINE, form.LABEL, f.moved
"""


def inlined(**plain: str) -> dict[str, str]:
    return constants.inlined({"pack": "", "pack.form": FORMAT, "pack.user": USER}, plain)


def test_a_number_stands_for_each_name_and_the_definition_is_gone() -> None:
    user = inlined()["pack.user"]
    assert "return (8) + (4) - (7), form.LABEL, f.moved" in user and "MINE" not in user


def test_what_is_no_whole_number_or_stands_where_nobody_can_tell_stays() -> None:
    form = inlined()["pack.form"]
    for line in ("SIZE = 4", "HALF = (4) // 2", 'TABLE = {(4): "<I"}', 'LABEL = b"x"', "moved = 3"):
        assert line in form
    assert 'f"{SIZE}"' in form and "most=(8)" in form and "TWICE" not in form


def test_a_definition_stays_for_what_is_not_compiled_and_for_who_takes_the_name() -> None:
    assert "MINE = 7" in inlined(main="from pack import user\nprint(user.MINE)\n")["pack.user"]
    assert "MINE = 7" in inlined(main="from pack.user import MINE\n")["pack.user"]


def test_names_that_are_set_twice_or_are_arguments_are_no_constants() -> None:
    for text in (
        "N = 1\nN = 2\nprint(N)\n",
        "N = 1\ndef f(N):\n    return N\n",
        "N = 1\ndef f():\n    global N\n    N += 1\n",
    ):
        assert constants.inlined({"pack": "", "pack.a": text}, {})["pack.a"] == text


def test_constants_come_through_a_star() -> None:
    done = constants.inlined(
        {"p": "", "p.a": "ONE = 1\n", "p.b": "from .a import *\nx = ONE\n", "p.c": "from p import b\ny = b.ONE\n"}, {}
    )
    assert [done["p.a"], done["p.b"], done["p.c"]] == [
        "pass\n",
        "from .a import *\nx = (1)\n",
        "from p import b\ny = (1)\n",
    ]


@pytest.fixture(scope="module")
def firmware() -> tuple[dict[str, str], dict[str, str]]:
    """The firmware's modules before and after."""
    texts = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path.read_text()
        for name, path in mpy.sources().items()
        if "/" in name
    }
    return texts, constants.inlined(texts, {})


def test_the_firmware_loses_a_hundred_names_and_nothing_else(firmware: tuple[dict[str, str], dict[str, str]]) -> None:
    before, after = firmware
    gone = 0
    for module, text in before.items():
        old, new = ast.parse(text), ast.parse(after[module])
        assert len(old.body) == len(new.body)
        gone += sum(isinstance(node, ast.Pass) for node in new.body) - sum(isinstance(n, ast.Pass) for n in old.body)
        names = {node.id for node in ast.walk(new) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        dropped = {
            ast.unparse(one).partition(" =")[0]
            for one, two in zip(old.body, new.body, strict=True)
            if isinstance(two, ast.Pass) and not isinstance(one, ast.Pass)
        }
        assert not names & dropped
    assert gone >= 80
