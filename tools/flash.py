"""Puts MicroPython and the firmware onto a badge: `make flash`, `make update`, `make provision`.

esptool writes MicroPython, tools/mpy.py compiles the firmware, mpremote copies it, and the hash of every file on the
badge is compared afterwards; firmware/boards/ says what a board has beside the chip. Whatever goes wrong is said in one
line that names what to do. An update never touches identity and log.
"""

import argparse
import base64
import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from serial.tools import list_ports  # type: ignore[import-untyped]

from tools import esp32_image, mpy
from tools.esp32_image import BOARDS, OLDEST


class FlashError(Exception):
    """The badge could not be flashed, updated or provisioned; the message is one line that says what to do."""


SILENT_SECONDS = 300.0  # without a word from esptool or mpremote, of which each has shorter limits of its own
PIECE = 1024  # bytes of a file that are sent at once, and then confirmed
_HERE = "here"  # by which they are
HARDWARE = mpy.ROOT / "firmware" / "boards"
MAX_HARDWARE = 1000  # bytes of a board's file
MAX_PIN = 48
MAX_DIVIDER = 100
CORRECTIONS = ("rssi", "tx")  # dB to add to what a board hears; by which it sends more than its adverts say
MAX_CORRECTION = 20
_PAIRS = (("led", "led_on"), ("button", "pressed"), ("battery", "divider"))

# Runs on the badge: what it is, and the hash of every file of the firmware that it holds.
_INVENTORY = """
import binascii, hashlib, json, os, sys
def digest(path):
    h = hashlib.sha256()
    with open(path, 'rb') as f:
        while True:
            b = f.read(1024)
            if not b:
                return binascii.hexlify(h.digest()).decode()
            h.update(b)
def walk(path):
    for entry in os.ilistdir(path):
        name = path + '/' + entry[0]
        if entry[1] & 0x4000:
            walk(name)
        else:
            print(json.dumps([name, digest(name)]))
i = sys.implementation
print(json.dumps([i.name, list(i.version[:2]), getattr(i, '_mpy', 0), getattr(i, '_machine', '')]))
for entry in os.ilistdir('.'):
    if entry[0] in %r:
        walk(entry[0]) if entry[1] & 0x4000 else print(json.dumps([entry[0], digest(entry[0])]))
"""


@dataclass(frozen=True)
class Inventory:
    """What a badge says of itself: MicroPython's version, architecture, name, hashes of the firmware's files."""

    version: tuple[int, int]
    architecture: str
    machine: str
    files: dict[str, str]


def _ports() -> str:
    """The serial ports that look like a board, for messages."""
    found = [port.device for port in list_ports.comports() if port.vid is not None]
    return f"found: {', '.join(found)}" if found else "no board is attached: plug one in by USB"


def _endpoint(port: str) -> tuple[str, int] | None:
    """Host and TCP port of socket://host:port or rfc2217://host:port; None for a port of this machine."""
    if "://" not in port:
        return None
    try:
        parts = urllib.parse.urlsplit(port)
        if parts.scheme in ("socket", "rfc2217") and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise FlashError(f"{port} is no port: write socket://HOST:PORT or rfc2217://HOST:PORT")


def check_port(port: str) -> None:
    """FlashError when no port is given, a malformed address, or a file that does not exist or is no device."""
    if not port.strip():
        raise FlashError(f"say which port the board is on, PORT=... ({_ports()})")
    # To mpremote these are options, with which it succeeds without a board.
    if port.startswith("-") or not port.isprintable():
        raise FlashError(f"{port!r} is no port ({_ports()})")
    _endpoint(port)
    path = Path(port)
    if port.startswith("/") and not path.exists():
        raise FlashError(f"there is no {port} ({_ports()})")
    if path.is_file() or path.is_dir():
        raise FlashError(f"{port} is no port, but a {'file' if path.is_file() else 'folder'} ({_ports()})")


def _explain(port: str, output: str) -> str:
    """One line for the user from what esptool or mpremote printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    text = " ".join(lines)
    if "Permission denied" in text:
        return f"no permission for {port}: add yourself to the group that owns it (often dialout) and log in again"
    if "Wrong chip" in text:
        found = text.partition("This chip is ")[2].partition(",")[0]
        return f"the board on {port} is an {found}: say BOARD={_board_of(found)}"
    if "Failed to connect" in text or "No serial data" in text:
        return f"no answer from a chip on {port}: hold BOOT, press RESET, let go, and try again"
    if "busy" in text or "in use" in text or "failed to access" in text or "Could not open" in text:
        if (endpoint := _endpoint(port)) is not None:
            return _unreachable(port, *endpoint)
        return f"{port} cannot be opened: close the program that uses it, or check the cable ({_ports()})"
    if "raw repl" in text:
        return f"no MicroPython answers on {port}: run make flash, or press the board's reset button and try again"
    return f"{port}: {lines[-1] if lines else 'failed without a message'}"


def _unreachable(port: str, host: str, number: int) -> str:
    """Why a board behind a network address was not reached, as far as can be told."""
    try:
        socket.getaddrinfo(host, number)
    except OSError:
        return f"{port} cannot be opened: no network, or no host called {host}"
    return (
        f"{port} cannot be opened: nothing there answers on {number}, or somebody else is connected; see to that host"
    )


def _board_of(chip: str) -> str:
    """BOARD for a chip's name as esptool prints it."""
    plain = chip.lower().replace("-", "")
    return next((name for name, board in BOARDS.items() if board.chip == plain), "... (this chip is not supported)")


def _run(port: str, command: list[str], heard: Callable[[str], None] = lambda text: None) -> str:
    """Run esptool or mpremote; its output, or FlashError with the reason in one line. `heard` gets it as it comes.

    It may take as long as it likes, as long as it goes on saying something.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said: queue.SimpleQueue[tuple[IO[bytes], bytes]] = queue.SimpleQueue()
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    readers = [threading.Thread(target=_read, args=(stream, said)) for stream in streams]
    output = dict.fromkeys(streams, b"")
    for reader in readers:
        reader.start()
    try:
        ended = 0
        while ended < len(streams):
            stream, data = said.get(timeout=SILENT_SECONDS)
            ended += not data
            output[stream] += data
            if stream is process.stdout:
                heard(data.decode(errors="replace"))
        code = process.wait()
    except queue.Empty:
        raise FlashError(
            f"{port} stopped answering: press the board's reset button, and run the same command again"
        ) from None
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
    out, err = (output[stream].decode(errors="replace") for stream in streams)
    if code:
        raise FlashError(_explain(port, out + err))
    return out


def _read(stream: IO[bytes], said: "queue.SimpleQueue[tuple[IO[bytes], bytes]]") -> None:
    """What comes, as soon as it comes; nothing at the end."""
    with stream:
        while data := os.read(stream.fileno(), 4096):
            said.put((stream, data))
    said.put((stream, b""))


def _mpremote(port: str, *arguments: str) -> str:
    return _run(port, ["mpremote", "connect", port, *arguments])


def run_on_board(port: str, script: str) -> str:
    """Run a script in a board's MicroPython, freshly started; what it prints. FlashError with the reason."""
    return _mpremote(port, "exec", script)


def reset(port: str) -> None:
    """Start a board anew: it goes on with what it did before scripts were run on it. FlashError with the reason."""
    _mpremote(port, "reset")


def _copy(port: str, prepare: str, files: dict[str, Path]) -> None:
    """Run a script on the badge, then copy files to it, told one by one, by the badge's paths.

    Each goes in pieces that the badge confirms, so that even one that takes long is seen to advance. FlashError tells
    how many are there. mpremote's own `fs cp` shows nothing of a file until it is whole, and takes twice the bytes.
    """
    scripts, begins = [f"{prepare}from binascii import a2b_base64\nprint('{_HERE}')\n"], []
    for path, source in files.items():
        begins.append(len(scripts))
        data = source.read_bytes()
        pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)] or [b""]
        made = [f"f.write(a2b_base64({base64.b64encode(piece)!r}))\n" for piece in pieces]
        made[0] = f"f=open({path!r},'wb')\n{made[0]}"
        made[-1] += "f.close()\n"
        scripts += [f"{each}print('{_HERE}')\n" for each in made]
    confirmed, said = 0, ""

    def heard(text: str) -> None:
        nonlocal confirmed, said
        *lines, said = (said + text).split("\n")
        for _ in [line for line in lines if line.strip() == _HERE]:
            confirmed += 1
            if confirmed in begins:
                told = begins.index(confirmed)
                print(f"{told + 1:3}/{len(files)} {list(files)[told]}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        steps: list[str] = []
        for number, script in enumerate(scripts):
            file = Path(folder) / str(number)
            file.write_text(script)
            steps += ["+", "run", str(file)]
        try:
            _run(port, ["mpremote", "connect", port, *steps[1:]], heard)
        except FlashError as error:
            there = sum(confirmed >= end for end in [*begins[1:], len(scripts)])
            if not confirmed:
                raise
            raise FlashError(
                f"{error} ({there} of {len(files)} files are there: the same command goes on with the others)"
            ) from None


def write_micropython(port: str, name: str, image: Path) -> None:
    """Erase the whole flash and write MicroPython."""
    board = BOARDS[name]
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    print(f"Writing {image.name} (SHA-256 {digest}) to the {name} on {port} ...", flush=True)
    _run(
        port,
        ["esptool", "--chip", board.chip, "--port", port, "write-flash", "--erase-all", hex(board.offset), str(image)],
    )


def inventory(port: str) -> Inventory:
    """Ask the badge what it is and which files of the firmware it holds."""
    roots = sorted({name.split("/")[0] for name in mpy.sources()} | {"main.py", "boot.py"})
    said = _mpremote(port, "exec", _INVENTORY % roots)
    try:
        lines = [json.loads(line) for line in said.splitlines() if line.strip()]
        _, version, tag, machine = lines[0]
        index = tag >> 10
        architecture = mpy.ARCHITECTURES[index] if index < len(mpy.ARCHITECTURES) else ""
        return Inventory((version[0], version[1]), architecture, machine, dict(lines[1:]))
    except (ValueError, TypeError, IndexError):
        raise FlashError(
            f"what is on {port} does not answer as MicroPython does: press the board's reset button and try again, or"
            " run make flash"
        ) from None


def hardware_file(hardware: str, name: str | None) -> bytes:
    """What that board has, as board.json. FlashError if there is none of that name, or it is for another chip."""
    known = {path.stem: path for path in sorted(HARDWARE.glob("*.json"))}
    if hardware not in known:
        raise FlashError(f"no board is called {hardware!r}: HARDWARE= takes {', '.join(known)}")
    try:
        with known[hardware].open("rb") as file:
            content = file.read(MAX_HARDWARE + 1).removeprefix(b"\xef\xbb\xbf")
        board: Any = json.loads(content) if len(content) <= MAX_HARDWARE else None
    except OSError as error:
        raise FlashError(f"{known[hardware]} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise FlashError(f"{known[hardware]} is no JSON: write it as docs/badge.md says") from None
    fault = _fault(board) if len(content) <= MAX_HARDWARE else f"longer than {MAX_HARDWARE} bytes"
    if fault:
        raise FlashError(f"{known[hardware]} is {fault}: write it as docs/badge.md says")
    chip = board.get("chip", name)
    if name is not None and chip != name:
        raise FlashError(f"{hardware} has another chip: say BOARD={chip}")
    return content


def _fault(board: object) -> str:
    """What is wrong with the content of a board's file, as what follows `is`; empty when a badge can use it."""
    if not isinstance(board, dict):
        return "no object: {...}"
    unknown = sorted(board.keys() - {"chip", *CORRECTIONS} - {each for pair in _PAIRS for each in pair})
    if unknown:
        return f"not right: nothing is called {unknown[0][:40]!r}"
    if board.get("chip", "ESP32_GENERIC") not in sorted(BOARDS):
        return f"not right: chip is one of {', '.join(BOARDS)}"
    for pin, how in _PAIRS:
        if (pin in board) != (how in board):
            return f"not right: {pin} and {how} go together"
        if pin in board and not (type(board[pin]) is int and 0 <= board[pin] <= MAX_PIN):
            return f"not right: {pin} is the number of a pin, 0 to {MAX_PIN}"
        if how != "divider" and not (type(board.get(how, 0)) is int and board.get(how, 0) in (0, 1)):
            return f"not right: {how} is 0 or 1"
    for name in CORRECTIONS:
        value = board.get(name, 0)
        if type(value) is not int or abs(value) > MAX_CORRECTION:
            return f"not right: {name} is a whole number of dB, -{MAX_CORRECTION} to {MAX_CORRECTION}"
    divider = board.get("divider", 1)
    if type(divider) not in (int, float) or not 1 <= divider <= MAX_DIVIDER:
        return f"not right: divider is a number from 1 to {MAX_DIVIDER}"
    return ""


def configure(port: str, content: bytes) -> None:
    """Tell a badge what its board has: the content becomes board.json."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "board.json"
        file.write_bytes(content)
        _mpremote(port, "fs", "cp", "-f", str(file), ":board.json")
    if hashlib.sha256(content).hexdigest() not in _mpremote(port, "fs", "sha256sum", ":board.json"):
        raise FlashError(f"board.json did not arrive whole on {port}: run make update with HARDWARE= again")


def _wait_for_badge(port: str, seconds: float = 20.0) -> Inventory:
    """The inventory of a badge that has just been written and is starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return inventory(port)
        except FlashError:
            if time.monotonic() > end:
                raise
            time.sleep(1.0)


def install(port: str, found: Inventory, name: str | None) -> tuple[int, int]:
    """Copy the files that differ, remove those that are no longer part of the firmware, verify; (copied, removed)."""
    board = BOARDS[name] if name else None
    if board and board.architecture != found.architecture:
        raise FlashError(f"the board on {port} is no {name} (it says {found.machine!r}): say the right BOARD=")
    if not found.architecture:
        raise FlashError(f"the MicroPython on {port} loads no native code: run make flash with an official image")
    oldest = board.oldest if board else OLDEST
    if found.version < oldest:
        raise FlashError(
            f"MicroPython {found.version[0]}.{found.version[1]} on {port} is older than {oldest[0]}.{oldest[1]}: "
            "run make flash with a newer image"
        )
    with tempfile.TemporaryDirectory() as folder:
        files = mpy.build(found.architecture, Path(folder))
        wanted = {path: hashlib.sha256(source.read_bytes()).hexdigest() for path, source in files.items()}
        changed = [path for path, digest in wanted.items() if found.files.get(path) != digest]
        stale = [path for path in found.files if path not in wanted and path != "boot.py"]
        folders = sorted({parent.as_posix() for path in changed for parent in Path(path).parents if parent.name})
        script = (
            "import os\n"
            f"for d in {folders!r}:\n try: os.mkdir(d)\n except OSError: pass\n"
            f"for f in {stale!r}: os.remove(f)\n"
        )
        if changed or stale:
            _copy(port, script, {path: files[path] for path in changed})
    arrived = inventory(port).files
    damaged = [path for path, digest in wanted.items() if arrived.get(path) != digest]
    if damaged:
        raise FlashError(f"{damaged[0]} did not arrive whole on {port}: run make update again")
    reset(port)
    return len(changed), len(stale)


def flash(port: str, name: str, image: Path | None, hardware: str | None) -> None:
    """Everything that makes a badge of a bare board; with the pinned image unless one is given."""
    check_port(port)
    has = hardware_file(hardware, name) if hardware else None
    if image is None:
        image = esp32_image.fetch(name)
    esp32_image.check(image, name)
    write_micropython(port, name, image)
    found = _wait_for_badge(port)
    if has is not None:
        configure(port, has)
    copied, _ = install(port, found, name)
    print(f"{copied} files copied and verified. Next: make provision PORT={port}")


def update(port: str, name: str | None, hardware: str | None) -> None:
    """Bring the firmware on a badge up to date, and what it knows of its board if that is given."""
    check_port(port)
    found = inventory(port)
    if hardware:
        chip = found.machine.rpartition(" with ")[2].lower()
        name = name or next((board for board, candidate in BOARDS.items() if candidate.chip == chip), None)
        configure(port, hardware_file(hardware, name))
        print(f"The board is a {hardware} now.")
    copied, removed = install(port, found, name)
    print(f"{copied} files copied, {removed} removed, all verified." if copied or removed else "Nothing to update.")


def provision(port: str) -> None:
    """Hand over to the companion, which writes the owner key over USB and the rest over Bluetooth."""
    if not Path(port).is_dir() or not port:  # a simulated badge's flash folder, which the companion looks at
        check_port(port)
    companion = Path(sys.executable).parent / "anontrace"
    code = subprocess.run([str(companion), "badge", "provision", f"--usb={port}"], check=False).returncode
    if code:
        raise SystemExit(code)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0, or 1 after one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tools.flash", description=__doc__)
    parser.add_argument("action", choices=("flash", "update", "provision"))
    parser.add_argument(
        "--port", default="", help="whatever mpremote takes: a device, socket://host:port, rfc2217://..."
    )
    parser.add_argument("--board", choices=sorted(BOARDS), help="default for flash: ESP32_GENERIC")
    parser.add_argument("--firmware", type=Path, help="MicroPython image for that board (the pinned one)")
    parser.add_argument("--hardware", help="what the board has beside the chip, a name in firmware/boards/")
    options = parser.parse_args(arguments)
    try:
        if options.action == "flash":
            flash(options.port, options.board or "ESP32_GENERIC", options.firmware, options.hardware)
        elif options.action == "update":
            update(options.port, options.board, options.hardware)
        else:
            provision(options.port)
    except (FlashError, esp32_image.ImageError, mpy.BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
