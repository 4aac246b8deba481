"""Mutants, which of them are none, and the reasons in tests/mutants.toml why others may survive."""

import ast
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_FOR_CONSTANTS = (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Constant, ast.Name, ast.expr_context)
_LEAVES = (ast.Constant, ast.Name)


@dataclass(frozen=True)
class Mutant:
    """One change to a module: its first line (from 1), that line before and after it, and the whole module after it."""

    module: str
    line: int
    before: str
    after: str
    source: str = ""


@dataclass(frozen=True)
class Reason:
    """Why a line's mutants may survive; `module` empty: wherever that line stands."""

    line: str
    why: str
    module: str = ""
    after: str = ""

    def covers(self, mutant: Mutant) -> bool:
        """Whether this is the reason for that mutant."""
        return mutant.before == self.line and self.module in ("", mutant.module) and self.after in ("", mutant.after)


def reasons(text: str) -> list[Reason]:
    """What tests/mutants.toml says."""
    return [Reason(**each) for each in tomllib.loads(text).get("survives", [])]


def unexplained(survivors: Iterable[Mutant], known: Iterable[Reason]) -> list[Mutant]:
    """Survivors without a reason."""
    return [each for each in survivors if not any(reason.covers(each) for reason in known)]


def for_nothing(survivors: Collection[Mutant], known: Iterable[Reason], module: str) -> list[Reason]:
    """Reasons of this module that are for none of its survivors."""
    return [each for each in known if each.module == module and not any(map(each.covers, survivors))]


def is_the_same(mutant: Mutant, names: Mapping[str, Any]) -> bool:
    """Whether before and after differ in nothing but expressions of numbers and of its module's constants that have the
    same value. `names`: what the module has."""
    before, after = _parsed(mutant.before), _parsed(mutant.after)
    return before is not None and after is not None and _is_the_same(before, after, names)


def _parsed(line: str) -> ast.AST | None:
    """A line by itself, or the head of a block."""
    for whole in (line, f"{line} pass"):
        try:
            return ast.parse(whole)
        except SyntaxError:
            continue
    return None


def _is_the_same(one: ast.AST, other: ast.AST, names: Mapping[str, Any]) -> bool:
    if ast.dump(one) == ast.dump(other):
        return True
    values = _value(one, names), _value(other, names)
    if None not in values:
        return values[0] == values[1]
    inner, others = list(ast.iter_child_nodes(one)), list(ast.iter_child_nodes(other))
    if type(one) is not type(other) or _plain(one) != _plain(other) or len(inner) != len(others):
        return False
    return bool(inner) and all(_is_the_same(*pair, names) for pair in zip(inner, others, strict=True))


def _plain(node: ast.AST) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in ast.iter_fields(node) if not isinstance(value, (ast.AST, list))]


def _value(node: ast.AST, names: Mapping[str, Any]) -> int | None:
    """What an expression of numbers and constants comes to; None if it is none."""
    for part in ast.walk(node):
        is_constant = isinstance(part, ast.Name) and part.id.isupper() and isinstance(names.get(part.id), int)
        is_number = isinstance(part, ast.Constant) and type(part.value) is int
        if not isinstance(part, _FOR_CONSTANTS) or not (is_constant or is_number or not isinstance(part, _LEAVES)):
            return None
    if not isinstance(node, ast.expr):
        return None
    try:
        return int(eval(compile(ast.Expression(node), "", "eval"), {}, dict(names)))
    except (ArithmeticError, ValueError):
        return None
