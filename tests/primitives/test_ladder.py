"""X25519 on the badge does the same steps for any scalar, as far as its source can tell; `make bench` times it."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent.parent / "firmware" / "anontrace_primitives" / "curve25519.py"
FUNCTIONS = {node.name: node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.FunctionDef)}
CHOICES = (ast.While, ast.IfExp, ast.BoolOp, ast.Compare, ast.Break, ast.Continue, ast.Try, ast.comprehension)


def test_the_ladder_has_no_branch_and_no_early_exit() -> None:
    ladder = FUNCTIONS["_ladder"]
    assert not [node for node in ast.walk(ladder) if isinstance(node, (ast.If, *CHOICES))]
    assert [type(node) for node in ladder.body if isinstance(node, ast.Return)] == [ast.Return] and isinstance(
        ladder.body[-1], ast.Return
    )
    loops = [ast.unparse(node.iter) for node in ast.walk(ladder) if isinstance(node, ast.For)]
    assert loops == ["range(31, -1, -1)", "range(7, -1, -1)"]  # 256 steps, whatever the scalar


def test_what_the_ladder_calls_branches_by_its_counter_alone() -> None:
    helper = FUNCTIONS["_sum_and_difference"]
    branches = [node for node in ast.walk(helper) if isinstance(node, ast.If)]
    assert [ast.unparse(node.test) for node in branches] == ["i < 2"]
    within = [node for node in ast.walk(helper) if isinstance(node, CHOICES) and node is not branches[0].test]
    assert not within and {ast.unparse(node.iter) for node in ast.walk(helper) if isinstance(node, ast.For)} == {
        "range(16)"
    }


def test_the_scalar_is_used_for_nothing_but_its_bits() -> None:
    uses = [ast.unparse(node) for node in ast.walk(FUNCTIONS["_ladder"]) if isinstance(node, ast.Subscript)]
    assert sorted(uses) == ["(a, c)[change]", "(b, d)[change]", "scalar[i]"]  # no table is indexed by a secret
