"""The mutants of a module, as JSON: `python making.py FILE`, by the Python that has cosmic-ray.

Of what an operator can be replaced by only what is nearest to it: what lets `<=` pass for `<` would be noticed by tests
that notice `>`, and eleven ways to get a sum wrong tell no more than one. Left out is also what only keeps programmers
from mistakes that type checks find: nothing that runs depends on `frozen`, `slots` and `strict`.
"""

import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast  # type: ignore[import-not-found]
from cosmic_ray.mutating import MutationVisitor  # type: ignore[import-not-found]
from cosmic_ray.plugins import get_operator, operator_names  # type: ignore[import-not-found]

_USED = re.compile(
    "AddNot|AndWithOr|OrWithAnd|TrueWithFalse|FalseWithTrue|BreakWithContinue|ContinueWithBreak|ExceptionReplacer"
    "|NumberReplacer|RemoveDecorator|ZeroIteration|Delete_"
    "|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_FloorDiv|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Mod_Mul|Pow_Mul"
    "|LShift_RShift|RShift_LShift|BitAnd_BitOr|BitXor_BitAnd)$"
    "|ReplaceComparisonOperator_(Eq_LtE|Eq_GtE|Eq_NotEq|NotEq_Lt|NotEq_Gt|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt"
    "|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)$"
)
_GUARD = re.compile(r"\b(frozen|slots|strict)=True")


def mutants(source: str) -> list[dict[str, Any]]:
    """Each different one: its first changed line (from 1), that line before and after, and all of it."""
    tree = get_ast(source)
    nodes, kept = list(ast_nodes(tree)), pickle.dumps(tree)  # loading it takes a tenth of the time of parsing
    found: dict[str, dict[str, Any]] = {}
    for name in filter(_USED.search, operator_names()):
        operator = get_operator(name)()
        for occurrence in range(sum(len(list(operator.mutation_positions(node))) for node in nodes)):
            try:
                changed = MutationVisitor(occurrence, operator).walk(pickle.loads(kept)).get_code()
            except AttributeError:  # cosmic-ray 8.7 cannot replace an exception whose name has a dot
                continue
            if changed == source:
                continue
            lines = list(zip(source.splitlines(), changed.splitlines(), strict=False))
            at = next(number for number, (before, after) in enumerate(lines) if before != after)
            before, after = (line.strip() for line in lines[at])
            if _GUARD.sub(r"\1=False", before) == _GUARD.sub(r"\1=False", after):
                continue
            found.setdefault(changed, {"line": at + 1, "before": before, "after": after, "source": changed})
    return sorted(found.values(), key=lambda each: int(each["line"]))


if __name__ == "__main__":
    sys.setrecursionlimit(100_000)
    json.dump(mutants(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.stdout)
