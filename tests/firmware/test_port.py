"""The firmware uses nothing that the ESP32 port of MicroPython 1.23 lacks, and loads there: names, keywords, .mpy.

Names are found in the syntax trees of firmware/ and shared/ and looked up in esp32_port.json, which names its source.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import esp32_image, mpy

ROOT = Path(__file__).parent.parent.parent
PORT: dict[str, Any] = json.loads((Path(__file__).parent / "esp32_port.json").read_text())
MODULES: dict[str, list[str]] = PORT["modules"]
CLASSES: dict[str, list[str]] = PORT["classes"]
KEYWORDS: dict[str, list[str]] = PORT["keywords"]  # a function that is not there takes arguments by position only
RETURNS: dict[str, str] = PORT["returns"]
OF_BLE = re.compile("(gap|gatts|gattc|l2cap)_")  # nothing else has such methods: they are known by their names
OWN = ("badge", "anontrace_shared", "anontrace_primitives")
SOURCES = [path for path in mpy.sources().values() if path.suffix == ".py"]

MPY_VERSION = 6
MPY_SUB_VERSION = 3  # of native code, which must match: 1.23 and all since have it (documentation, reference/mpyfiles)
SMALL_INT_BITS = 31  # of the ESP32


def guarded(tree: ast.Module) -> set[ast.AST]:
    """Nodes inside a `try` that does without what it cannot import."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(
            isinstance(handler.type, ast.Name) and handler.type.id == "ImportError" for handler in node.handlers
        ):
            for statement in node.body:
                found.update(ast.walk(statement))
    return found


class Uses:
    """What one source uses of MicroPython's modules: (line, dotted name, names allowed there) of each use."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        skipped = guarded(self.tree)
        self.names: dict[str, str] = {}  # expression in the source -> module, or class if it is the class itself
        self.instances: dict[str, str] = {}  # expression in the source -> class of the object
        self.imports: list[tuple[int, str, str | None]] = []
        for node in ast.walk(self.tree):
            if node in skipped:
                continue
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports.append((node.lineno, alias.name, None))
                    self.names[alias.asname or alias.name.split(".")[0]] = alias.name
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self.imports.append((node.lineno, str(node.module), alias.name))
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        while self._learn():
            pass

    def _learn(self) -> bool:
        """Follow assignments such as `self._ble = bluetooth.BLE()` and `ble = self._ble`. Whether any was new."""
        known = len(self.names) + len(self.instances)
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            target = ast.unparse(node.targets[0])
            if (of := self.instance(node.value)) is not None:
                self.instances.setdefault(target, of)
            elif isinstance(node.value, ast.Name | ast.Attribute) and (what := self.thing(node.value)) is not None:
                self.names.setdefault(target, what)
        return len(self.names) + len(self.instances) > known

    def thing(self, node: ast.expr) -> str | None:
        """Dotted name of the module, class or function that an expression means."""
        if (text := ast.unparse(node)) in self.names:
            return self.names[text]
        if isinstance(node, ast.Attribute) and (of := self.thing(node.value)) is not None:
            return f"{of}.{node.attr}"
        return None

    def instance(self, node: ast.expr) -> str | None:
        """The class of the object that an expression gives, if it is one of the port's."""
        if isinstance(node, ast.Call) and (what := self.thing(node.func)) is not None:
            return what if what in CLASSES else RETURNS.get(what)
        return self.instances.get(ast.unparse(node))

    def faults(self) -> Iterator[str]:
        """What the port does not have."""
        for line, module, name in self.imports:
            if module.split(".")[0] in OWN:
                continue
            if module not in MODULES:
                yield f"{line}: module {module}"
            elif name is not None and name not in MODULES[module]:
                yield f"{line}: {module}.{name}"
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                owner = self.thing(node.value)
                allowed = MODULES.get(owner or "", CLASSES.get(owner or ""))
                if (of := self.instance(node.value)) is not None:
                    owner, allowed = of, CLASSES[of]
                if owner is None and OF_BLE.match(node.attr):
                    owner, allowed = "bluetooth.BLE", CLASSES["bluetooth.BLE"]
                if allowed is not None and node.attr not in allowed:
                    yield f"{node.lineno}: {owner}.{node.attr}"
            elif isinstance(node, ast.Call):
                called = self.thing(node.func)
                if isinstance(node.func, ast.Attribute) and (of := self.instance(node.func.value)) is not None:
                    called = f"{of}.{node.func.attr}"
                elif isinstance(node.func, ast.Attribute) and OF_BLE.match(node.func.attr):
                    called = f"bluetooth.BLE.{node.func.attr}"
                owner = (called or "").rpartition(".")[0]
                of_port = called in CLASSES or owner in CLASSES or owner in MODULES
                for keyword in node.keywords:
                    if of_port and keyword.arg not in KEYWORDS.get(called or "", ()):
                        yield f"{node.lineno}: {called}({keyword.arg}=)"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_names_that_the_esp32_port_has(path: Path) -> None:
    assert list(Uses(path.read_text()).faults()) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import time\ntime.monotonic()", "2: time.monotonic"),
        ("import time as clock\nclock.monotonic()", "2: time.monotonic"),
        ("from time import monotonic", "1: time.monotonic"),
        ("import select", "1: module select"),
        ("import bluetooth\nble = bluetooth.BLE()\nble.gap_unpair()", "3: bluetooth.BLE.gap_unpair"),
        ("import bluetooth as b\nself.x = b.BLE()\ny = self.x\ny.config(power=3)", "4: bluetooth.BLE.config(power=)"),
        ("import machine\nmachine.Pin.ANALOG", "2: machine.Pin.ANALOG"),
        ("import machine\nmachine.RTC().calibration(1)", "2: machine.RTC.calibration"),
        ("import hashlib\nhashlib.sha256().hexdigest()", "2: hashlib.sha256.hexdigest"),
        ("import os\nos.getenv('HOME')", "2: os.getenv"),
        ("import bluetooth\nbluetooth.BLE().gap_scan(0, active=True)", "2: bluetooth.BLE.gap_scan(active=)"),
        ("def f(ble):\n    ble.gap_unpair()", "2: bluetooth.BLE.gap_unpair"),
        ("def f(ble):\n    ble.gatts_notify(1, 2, data=b'')", "2: bluetooth.BLE.gatts_notify(data=)"),
        ("import machine\nled = machine.Pin(2, machine.Pin.OUT)\nled.toggle()", "3: machine.Pin.toggle"),
        ("from machine import Pin\nPin(2, Pin.OUT, alt=1)", "2: machine.Pin(alt=)"),
        ("import machine\nmachine.ADC(1, sample_ns=5)", "2: machine.ADC(sample_ns=)"),
        ("import machine\nmachine.WDT(timeout=1).deinit()", "2: machine.WDT.deinit"),
        ("import esp32\nesp32.Partition('nvs').erase()", "2: esp32.Partition.erase"),
        ("import asyncio\nt = asyncio.create_task(x())\nt.add_done_callback(y)", "3: asyncio.Task.add_done_callback"),
        ("import os\nos.mkdir('a', mode=1)", "2: os.mkdir(mode=)"),
    ],
)
def test_the_search_finds_what_is_missing(source: str, fault: str) -> None:
    assert list(Uses(source).faults()) == [fault]


def test_the_search_follows_the_names_that_the_firmware_gives() -> None:
    radio = Uses((ROOT / "firmware" / "badge" / "radio.py").read_text())
    assert radio.instances["self._ble"] == radio.instances["ble"] == "bluetooth.BLE"
    assert list(Uses("try:\n    from typing import Any\nexcept ImportError:\n    pass").faults()) == []


@pytest.mark.parametrize("name", sorted(esp32_image.BOARDS))
def test_the_compiled_files_load_on_the_oldest_micropython_of_each_board(name: str, tmp_path: Path) -> None:
    board = esp32_image.BOARDS[name]
    assert board.oldest >= (1, 23)
    architecture = mpy.ARCHITECTURES.index(board.architecture)
    native = 0
    for path in mpy.build(board.architecture, tmp_path).values():
        if path.suffix != ".mpy":
            continue
        magic, version, flags, bits = path.read_bytes()[:4]
        assert (magic, version) == (ord("M"), MPY_VERSION), path
        assert bits <= SMALL_INT_BITS, path
        assert not flags & 0x40, f"{path} wants extensions of the instruction set"
        if flags >> 2:
            native += 1
            assert (flags >> 2, flags & 3) == (architecture, MPY_SUB_VERSION), path
    assert native >= 3, "radio, contacts and the primitives have native code"
