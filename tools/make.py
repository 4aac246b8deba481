"""What make's targets with variables run: `python -m tools.make TARGET`, the variables in the environment.

The Makefile hands each variable over as ANONTRACE_MAKE_NAME, its text as it was given: neither make nor a shell ever
reads it. Here it becomes one argument of the target's tool. Does nothing itself.
"""

import os
import runpy
import sys
from collections.abc import Mapping

PREFIX = "ANONTRACE_MAKE_"

# Each target's tool with its fixed arguments, and its variables: the option that a value is for. KEEP takes none.
TARGETS: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "demo": (
        "tools.demo",
        (),
        {
            "CONTACTS": "--contacts",
            "PATIENT": "--patient",
            "FROM": "--from",
            "TO": "--to",
            "STEP": "--step",
            "PEOPLE": "--people",
            "CLASS": "--class",
            "RULE": "--rule",
            "PASSER": "--passer",
            "SCALE": "--scale",
            "KEEP": "--keep",
        },
    ),
    "replay": (
        "tools.replay",
        (),
        {
            "CONTACTS": "--contacts",
            "PATIENT": "--patient",
            "FROM": "--from",
            "TO": "--to",
            "STEP": "--step",
            "RULE": "--rule",
        },
    ),
    "simulate": ("anontrace.epidemic.cli", ("standard",), {"CONTACTS": "--contacts"}),
    "badge": ("tools.simulator", (), {"BADGES": "--badges", "NETWORK": "--network"}),
    "bench": ("tools.bench", (), {"ONLY": "--only"}),
    "mutants": ("tools.mutants", (), {"MODULE": "--module"}),
    "flash": (
        "tools.flash",
        ("flash",),
        {"PORT": "--port", "BOARD": "--board", "FIRMWARE": "--firmware", "HARDWARE": "--hardware"},
    ),
    "update": ("tools.flash", ("update",), {"PORT": "--port", "BOARD": "--board", "HARDWARE": "--hardware"}),
    "chipcheck": ("tools.chipcheck", (), {"PORT": "--port", "PORT2": "--port2", "ONLY": "--only"}),
    "pins": ("tools.pins", (), {"UPGRADE": "--upgrade"}),
    "provision": ("tools.flash", ("provision",), {"PORT": "--port"}),
}
_SWITCHES = {"--keep"}


def arguments(target: str, environment: Mapping[str, str]) -> list[str]:
    """The tool's arguments: a variable that is not given, or empty, is left out."""
    _, fixed, variables = TARGETS[target]
    given = {option: environment.get(PREFIX + name, "") for name, option in variables.items()}
    # One word each, so that a value that begins with a dash is no option.
    return [
        *fixed,
        *(option if option in _SWITCHES else f"{option}={value}" for option, value in given.items() if value),
    ]


def main() -> None:
    """Run the tool as `python -m` would."""
    target = sys.argv[1]
    sys.argv[1:] = arguments(target, os.environ)
    runpy.run_module(TARGETS[target][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
