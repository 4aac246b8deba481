"""Numbers in place of the names of constants, in what is compiled for a badge; done by tools/mpy.py.

A module's constant has a name because whoever reads the source needs one. On the chip every name costs some twenty
bytes of heap that never come back, and a look-up wherever it is used. MicroPython's compiler puts in the number itself
only for names with an underscore, in the module that has them. So NAME, set to a whole number once at the top of a
module, is replaced wherever the firmware says NAME there or `module.NAME` elsewhere; where nothing else asks for it,
its definition goes too.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_NAME = re.compile("[A-Z][A-Z0-9_]*")
_OPERATIONS = {
    ast.Add: int.__add__,
    ast.Sub: int.__sub__,
    ast.Mult: int.__mul__,
    ast.LShift: int.__lshift__,
    ast.BitOr: int.__or__,
}


@dataclass
class _Module:
    """One module, and what is known of it."""

    text: str
    tree: ast.Module
    constants: dict[str, int] = field(default_factory=dict)
    definitions: dict[str, ast.Assign] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)  # modules of which it takes all names
    aliases: dict[str, str] = field(default_factory=dict)  # modules by the names under which it knows them
    asked: set[tuple[str, str]] = field(default_factory=set)  # (module, name) that it imports by name


def inlined(sources: dict[str, str], plain: dict[str, str]) -> dict[str, str]:
    """The text of each module, by its dotted name, with numbers for constants. `plain` stay as they are: what these
    ask for keeps its definition."""
    packages = {name.rpartition(".")[0] for name in sources} - {""}
    modules = {name: _read(name, text, packages) for name, text in sources.items()}
    users = {name: _read(name, text, packages) for name, text in plain.items()}
    kept: set[tuple[str, str]] = set()
    for module in (*modules.values(), *users.values()):
        for where, name in module.asked:
            kept.add((_home(modules, where, name) or where, name))
    for user in users.values():
        kept |= {found for _, found in _uses("", user, modules)}
    edits: dict[str, list[tuple[ast.expr | ast.stmt, str]]] = {name: [] for name in modules}
    for name, module in modules.items():
        unsafe = {id(node) for quoted in ast.walk(module.tree) if isinstance(quoted, ast.JoinedStr)
                  for node in ast.walk(quoted)}  # fmt: skip
        for node, (where, constant) in _uses(name, module, modules):
            if id(node) in unsafe:  # where it stands is not told
                kept.add((where, constant))
            else:
                edits[name].append((node, f"({modules[where].constants[constant]})"))
    for name, module in modules.items():
        for constant, definition in module.definitions.items():
            if (name, constant) not in kept:
                inside = {id(node) for node in ast.walk(definition)}
                edits[name] = [each for each in edits[name] if id(each[0]) not in inside]
                edits[name].append((definition, "pass"))
    return {name: _edited(module.text, edits[name]) for name, module in modules.items()}


def _read(name: str, text: str, packages: set[str]) -> _Module:
    module = _Module(text, ast.parse(text))
    package = name.rpartition(".")[0] if name not in packages else name
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            source = package if node.level else ""
            source = ".".join(filter(None, (source, node.module)))
            for each in node.names:
                if each.name == "*":
                    module.stars.append(source)
                elif source in packages:
                    module.aliases[each.asname or each.name] = f"{source}.{each.name}"
                else:
                    module.asked.add((source, each.name))
    bound = [
        node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    ]
    bound += [node.arg for node in ast.walk(module.tree) if isinstance(node, ast.arg)]
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            constant = node.targets[0].id
            value = _value(node.value, module.constants)
            if _NAME.fullmatch(constant) and bound.count(constant) == 1 and value is not None:
                module.constants[constant] = value
                module.definitions[constant] = node
    return module


def _value(node: ast.expr, known: dict[str, int]) -> int | None:
    """The whole number that an expression is, None for any other."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const" and node.args:
        return _value(node.args[0], known)
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left, known), _value(node.right, known)
        return None if left is None or right is None else _OPERATIONS[type(node.op)](left, right)
    return None


def _home(modules: dict[str, _Module], where: str, name: str) -> str | None:
    """The module that defines a constant which `where` has."""
    module = modules.get(where)
    if module is None:
        return None
    if name in module.constants:
        return where
    return next((home for star in module.stars if (home := _home(modules, star, name))), None)


def _uses(name: str, module: _Module, modules: dict[str, _Module]) -> Iterator[tuple[ast.expr, tuple[str, str]]]:
    """Where a module uses which constant: by its own name, or as an attribute of the module that has it."""
    for node in ast.walk(module.tree):
        where = constant = None
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            where, constant = module.aliases.get(node.value.id), node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and _NAME.fullmatch(node.id):
            where, constant = name, node.id
        home = _home(modules, where, constant) if where is not None and constant is not None else None
        if home is not None and constant is not None:
            assert isinstance(node, ast.expr)
            yield node, (home, constant)


def _edited(text: str, edits: list[tuple[ast.expr | ast.stmt, str]]) -> str:
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for node, replacement in sorted(edits, key=lambda each: (each[0].lineno, each[0].col_offset), reverse=True):
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = node.lineno - 1, node.end_lineno - 1
        rest = lines[last][node.end_col_offset :]
        lines[first : last + 1] = [lines[first][: node.col_offset] + replacement.encode() + rest]
    return b"".join(lines).decode()
