"""Flashing and updating: real esptool, mpy-cross and mpremote, against no board and against an emulated one."""

import contextlib
import fcntl
import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from anontrace.companion.badge import usb
from anontrace.companion.errors import CompanionError

from tests.tools import images
from tests.tools.emulated_board import EmulatedBoard
from tools import esp32_image, flash, micropython, mpy


@pytest.fixture
def flash_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flash"
    folder.mkdir()
    return folder


@pytest.fixture
def board(flash_folder: Path) -> Iterator[EmulatedBoard]:
    emulated = EmulatedBoard(flash_folder)
    yield emulated
    emulated.close()


def image(path: Path, chip_id: int, banner: bytes = images.BANNER) -> Path:
    path.write_bytes(images.whole(chip_id, banner))
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a failing run says: one line."""
    assert flash.main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_board_without_a_port_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("flash", "update", "provision"):
        assert "say which port the board is on, PORT=" in said(capsys, action)


def test_a_port_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("flash", "update", "provision"):
        assert "there is no /dev/ttyNOWHERE" in said(capsys, action, "--port", "/dev/ttyNOWHERE")


@pytest.mark.parametrize("port", [" ", "-h", "--help", "/dev/tty\nUSB0", "FILE", "FOLDER"])
def test_what_is_no_port_is_refused_before_anything_is_fetched_or_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, port: str
) -> None:
    port = {"FILE": __file__, "FOLDER": str(tmp_path)}.get(port, port)
    for action in ("flash", "update"):
        message = said(capsys, action, f"--port={port}")
        assert "is no port" in message or "say which port" in message


def test_an_image_for_another_chip_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = image(tmp_path / "s3.bin", 9)
    message = said(capsys, "flash", "--port", "socket://127.0.0.1:9", "--firmware", str(path))
    assert "is for ESP32_GENERIC_S3, not for ESP32_GENERIC" in message


@pytest.mark.parametrize(
    ("chip_id", "banner", "advice"),
    [
        (0, b"Arduino", "holds no MicroPython"),
        (0, b"MicroPython v1.22.2 on 2024-02-22", "is MicroPython 1.22: take 1.23 or newer"),
        (0, b"MicroPython v1.9.4", "is MicroPython 1.9: take 1.23 or newer"),
        (77, b"MicroPython v1.25.0", "a chip that is not supported"),
    ],
)
def test_an_image_that_cannot_run_the_firmware_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, chip_id: int, banner: bytes, advice: str
) -> None:
    path = image(tmp_path / "other.bin", chip_id, banner)
    assert advice in said(capsys, "flash", "--port", "socket://127.0.0.1:9", "--firmware", str(path))


def test_an_image_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = said(capsys, "flash", "--port", "x", "--firmware", str(tmp_path / "none.bin"))
    assert "none.bin cannot be read: No such file" in message


@pytest.mark.parametrize("content", [b"", b"\xe9", b"GIF89a" + bytes(40)])
def test_a_file_that_is_no_image_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(content)
    assert "is no ESP32 firmware image" in said(capsys, "flash", "--port", "x", "--firmware", str(path))


ESP32 = images.whole(0)
APPLICATION = images.part(0, bytes(50_000) + images.BANNER)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (APPLICATION, "no whole flash image: it lacks the partitions, as an update or an .app-bin does"),
        (ESP32[:0x7000], "lacks the partitions"),
        (ESP32[:0xF000], "lacks the partitions"),
        (ESP32[0x7000:], "no ESP32 firmware image"),  # what follows the bootloader
        (bytes([0xFF] * 0x1000) + ESP32, "no ESP32 firmware image"),  # all of a flash, from its beginning
        (ESP32[:0x7000] + bytes(0xC00) + ESP32[0x7C00:], "lacks the partitions"),
        (ESP32[:-100], "damaged or cut short"),
        (ESP32[:23] + b"\xff" + ESP32[24:], "damaged or cut short"),  # whether there is a hash is neither yes nor no
        (ESP32[:-3000] + b"x" + ESP32[-2999:], "damaged or cut short"),
        (b"\xe9\x01" + bytes(10) + b"\0\0" + ESP32[14:60] + bytes(0x6FC4) + ESP32[0x7000:], "damaged or cut short"),
        (ESP32[:0xF000] + images.part(9, images.BANNER), "damaged or cut short"),  # of two chips
        (ESP32[:0xF000] + images.part(0, b"Arduino"), "holds no MicroPython"),
    ],
    ids=["app-bin", "bootloader", "no-app", "app-at-its-offset", "from-0", "no-table", "cut", "odd-header", "flipped",
         "broken-bootloader", "mixed-chips", "another-program"],
)  # fmt: skip
def test_what_is_no_whole_flash_image_is_refused_before_the_board_is_erased(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, advice: str
) -> None:
    path = tmp_path / "ESP32_GENERIC.app-bin"
    path.write_bytes(content)
    message = said(capsys, "flash", "--port", "socket://127.0.0.1:9", "--firmware", str(path))
    assert advice in message


@pytest.mark.parametrize("subtype", [0, 0x10])
@pytest.mark.parametrize("name", sorted(esp32_image.BOARDS))
def test_whole_images_pass_for_every_board(tmp_path: Path, name: str, subtype: int) -> None:
    path = tmp_path / "whole.bin"
    path.write_bytes(images.whole(esp32_image.BOARDS[name].chip_id, app_subtype=subtype))
    esp32_image.check(path, name)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[5]", "is no object"),
        (b"5", "is no object"),
        (b"null", "is no object"),
        (b"{led: 5}", "is no JSON"),
        (b"\xff{}", "is no JSON"),
        (b"[" * 999, "is no JSON"),
        (b'{"lamp": 5}', "nothing is called 'lamp'"),
        (b'{"led": 5}', "led and led_on go together"),
        (b'{"led": "5", "led_on": 0}', "led is the number of a pin"),
        (b'{"led": 500, "led_on": 0}', "led is the number of a pin"),
        (b'{"button": 0, "pressed": 2}', "pressed is 0 or 1"),
        (b'{"battery": 35, "divider": NaN}', "divider is a number"),
        (b'{"chip": ["ESP32_GENERIC"]}', "chip is one of"),
        (b'{"rssi": 21}', "rssi is a whole number of dB"),
        (b'{"rssi": true}', "rssi is a whole number of dB"),
        (b'{"rssi": 1.5}', "rssi is a whole number of dB"),
        (b'{"tx": "3"}', "tx is a whole number of dB"),
        (b" " * 2000 + b"{}", "longer than 1000 bytes"),
    ],
)
def test_a_boards_file_that_is_not_right_is_named_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, fault: str
) -> None:
    monkeypatch.setattr(flash, "HARDWARE", tmp_path)
    (tmp_path / "mine.json").write_bytes(content)
    path = image(tmp_path / "esp32.bin", 0)
    arguments = ["--port", "socket://127.0.0.1:9", "--firmware", str(path), "--hardware", "mine"]
    message = said(capsys, "flash", *arguments)
    assert f"mine.json {'is ' if not fault.startswith('is') else ''}" in message and fault in message


def test_a_boards_file_with_a_byte_order_mark_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "HARDWARE", tmp_path)
    (tmp_path / "mine.json").write_text('{"led": 5, "led_on": 1}', encoding="utf-8-sig")
    assert flash.hardware_file("mine", None) == b'{"led": 5, "led_on": 1}'


def test_a_port_that_nobody_answers_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = f"socket://127.0.0.1:{unused.getsockname()[1]}"
    path = image(tmp_path / "esp32.bin", 0)
    assert f"{port} cannot be opened" in said(capsys, "flash", "--port", port, "--firmware", str(path))
    assert f"{port} cannot be opened: nothing there answers" in said(capsys, "update", "--port", port)


def test_a_board_without_a_network_or_with_a_wrong_address_is_told_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = image(tmp_path / "esp32.bin", 0)
    for port in ("socket://board.invalid:2217", "rfc2217://board.invalid:2217"):
        assert "no network, or no host called board.invalid" in said(capsys, "update", "--port", port)
        assert "no network, or no host called" in said(capsys, "flash", "--port", port, "--firmware", str(path))
    for port in ("socket://board", "socket://:9", "rfc2217://board:many", "http://board:80"):
        assert "is no port: write socket://HOST:PORT" in said(capsys, "update", "--port", port)


@pytest.mark.skipif(sys.platform != "linux", reason="locks a pseudo-terminal as pyserial does there")
def test_what_a_board_sends_need_not_be_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mpremote.py").write_text(
        "import os, sys; os.write(1, b'ets Jul 29 \\xff\\xfe'); sys.exit(int(sys.argv[2]))"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(flash.FlashError, match="ets Jul 29"):
        flash.inventory("1")
    with pytest.raises(flash.FlashError, match="does not answer as MicroPython does"):
        flash.inventory("0")
    with pytest.raises(CompanionError, match="was not reached: ets Jul 29"):
        usb.write_owner_key("1", bytes(32))


def test_a_port_that_another_program_holds_is_busy(capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = os.openpty()
    try:
        fcntl.flock(slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
        port = os.ttyname(slave)
        assert f"{port} cannot be opened: close the program that uses it" in said(capsys, "update", "--port", port)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        (
            "A fatal error occurred: This chip is ESP32-S3, not ESP32. Wrong chip argument?",
            "say BOARD=ESP32_GENERIC_S3",
        ),
        (
            "A fatal error occurred: This chip is ESP32-C6, not ESP32. Wrong chip argument?",
            "this chip is not supported",
        ),
        ("A fatal error occurred: Failed to connect to ESP32: No serial data received.", "hold BOOT"),
        ("could not open port: [Errno 13] Permission denied: '/dev/ttyUSB0'", "group that owns it"),
        ("Could not open /dev/ttyUSB0, the port is busy or doesn't exist.", "close the program that uses it"),
        ("mpremote: could not enter raw repl", "no MicroPython answers"),
    ],
)
def test_what_the_tools_say_becomes_advice(output: str, advice: str) -> None:
    assert advice in flash._explain("/dev/ttyUSB0", output)


@pytest.mark.parametrize("name", sorted(esp32_image.BOARDS))
def test_every_module_compiles_for_every_board(name: str, tmp_path: Path) -> None:
    built = mpy.build(esp32_image.BOARDS[name].architecture, tmp_path)
    assert set(built) == {path.removesuffix(".py") + (".mpy" if "/" in path else ".py") for path in mpy.sources()}
    assert all(path.read_bytes()[:2] == b"M\x06" for device, path in built.items() if device.endswith(".mpy"))


def test_an_update_installs_what_loads_and_then_only_what_changed(
    board: EmulatedBoard, flash_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (flash_folder / "owner.key").write_bytes(bytes(32))
    (flash_folder / "badge").mkdir()
    (flash_folder / "badge" / "old.py").write_text("left over")

    assert flash.main(["update", "--port", board.port]) == 0
    assert f"{len(mpy.sources())} files copied, 1 removed" in capsys.readouterr().out
    assert not (flash_folder / "badge" / "old.py").exists()
    assert (flash_folder / "owner.key").read_bytes() == bytes(32)
    assert (flash_folder / "main.py").read_bytes() == (mpy.ROOT / "firmware" / "main.py").read_bytes()

    script = "import sys; sys.path[:] = ['.']; from anontrace_shared import slots; print(slots.slot_of(900))"
    command = [*micropython.find(), "-c", script]
    assert subprocess.run(command, cwd=flash_folder, capture_output=True, check=True).stdout.strip() == b"3"

    assert flash.main(["update", "--port", board.port]) == 0
    assert "Nothing to update" in capsys.readouterr().out

    damaged = flash_folder / "anontrace_shared" / "slots.mpy"
    before = hashlib.sha256(damaged.read_bytes()).digest()
    damaged.write_bytes(b"M\x06 damaged")
    assert flash.main(["update", "--port", board.port]) == 0
    assert "1 files copied, 0 removed" in capsys.readouterr().out
    assert hashlib.sha256(damaged.read_bytes()).digest() == before


def unplugged() -> None:
    raise OSError


def test_an_update_that_breaks_off_says_how_far_it_came_and_goes_on_there(
    flash_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total, there = len(mpy.sources()), 20
    board = EmulatedBoard(flash_folder, there + 1, unplugged)
    assert flash.main(["update", "--port", board.port]) == 1
    captured = capsys.readouterr()
    board.close()
    assert f"({there} of {total} files are there: the same command goes on with the others)" in captured.err
    assert captured.out.splitlines()[-1].startswith(f" {there + 1}/{total} ")
    board = EmulatedBoard(flash_folder)
    assert flash.main(["update", "--port", board.port]) == 0
    board.close()
    assert f"{total - there} files copied, 0 removed" in capsys.readouterr().out


class Impatient(queue.SimpleQueue[object]):
    """A time limit is over as soon as nothing more comes, and not before."""

    silent = threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        assert timeout == flash.SILENT_SECONDS
        while True:
            with contextlib.suppress(queue.Empty):
                return super().get(timeout=0.1)
            if self.silent.is_set():
                raise queue.Empty


def test_an_update_is_given_up_when_nothing_comes_any_more_however_long_all_takes(
    flash_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()
    monkeypatch.setattr(flash.queue, "SimpleQueue", Impatient)
    monkeypatch.setattr(Impatient, "silent", threading.Event())
    board = EmulatedBoard(flash_folder, 5, lambda: (Impatient.silent.set(), closed.wait()))
    message = said(capsys, "update", "--port", board.port)
    assert "stopped answering" in message and "(4 of " in message and "goes on with the others" in message
    closed.set()
    board.close()


def test_a_file_that_takes_longer_than_the_limit_is_no_silence_while_its_pieces_arrive(
    flash_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "large"
    source.write_bytes(os.urandom(5 * flash.PIECE - 1))
    waits: list[float | None] = []

    class Counted(queue.SimpleQueue[object]):
        def get(self, block: bool = True, timeout: float | None = None) -> object:
            waits.append(timeout)
            return super().get(timeout=timeout)

    monkeypatch.setattr(flash.queue, "SimpleQueue", Counted)
    board = EmulatedBoard(flash_folder)
    flash._copy(board.port, "", {"large": source})
    board.close()
    assert (flash_folder / "large").read_bytes() == source.read_bytes()
    assert len(waits) >= 5 and set(waits) == {flash.SILENT_SECONDS}  # each with a limit of its own


def test_a_file_that_is_half_there_is_copied_anew_and_an_empty_one_is_no_piece_less(
    flash_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = {"half": tmp_path / "half", "empty": tmp_path / "empty", "last": tmp_path / "last"}
    for size, source in zip((4 * flash.PIECE, 0, 1), sources.values(), strict=True):
        source.write_bytes(os.urandom(size))
    board = EmulatedBoard(flash_folder, 3, unplugged, b"f.write(")
    with pytest.raises(flash.FlashError, match="0 of 3 files are there"):
        flash._copy(board.port, "", sources)
    board.close()
    assert (flash_folder / "half").stat().st_size < 4 * flash.PIECE
    board = EmulatedBoard(flash_folder)
    flash._copy(board.port, "", sources)
    board.close()
    assert all((flash_folder / name).read_bytes() == source.read_bytes() for name, source in sources.items())
    assert capsys.readouterr().out.split() == ["1/3", "half", "1/3", "half", "2/3", "empty", "3/3", "last"]


def test_micropython_is_written_without_a_limit_to_how_long_all_of_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "esptool.py").write_text(
        "import time\nfor _ in range(20): print('Writing at', flush=True)\ntime.sleep(600)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flash.queue, "SimpleQueue", Impatient)
    monkeypatch.setattr(Impatient, "silent", threading.Event())
    heard: list[str] = []

    def hear(text: str) -> None:
        heard.append(text)
        if "".join(heard).count("Writing at") == 20:
            Impatient.silent.set()

    with pytest.raises(flash.FlashError, match="stopped answering"):
        flash._run("x", ["esptool"], hear)


def test_what_the_board_has_is_put_on_by_name_and_stays(
    board: EmulatedBoard, flash_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "nobody's board"
    message = said(capsys, "update", "--port", board.port, "--hardware", name)
    assert repr(name) in message and all(path.stem in message for path in flash.HARDWARE.glob("*.json"))
    path = image(flash_folder.parent / "c3.bin", 5)
    arguments = ["--board", "ESP32_GENERIC_C3", "--firmware", str(path), "--hardware", "huzzah32"]
    assert "huzzah32 has another chip: say BOARD=ESP32_GENERIC" in said(capsys, "flash", "--port", "x", *arguments)
    for hardware in ("huzzah32", None, "none"):
        arguments = ["--hardware", hardware] if hardware else []
        assert flash.main(["update", "--port", board.port, *arguments]) == 0
        content = (flash_folder / "board.json").read_bytes()
        assert content == (flash.HARDWARE / f"{hardware or 'huzzah32'}.json").read_bytes()


PINS = {
    "ESP32_GENERIC": {*range(6), *range(12, 20), *range(21, 24), *range(25, 28), *range(32, 40)},
    "ESP32_GENERIC_C3": {*range(11), *range(18, 22)},
    "ESP32_GENERIC_S3": {*range(22), *range(33, 49)},
}


@pytest.mark.parametrize("name", sorted(path.stem for path in flash.HARDWARE.glob("*.json")))
def test_every_board_that_is_offered_has_only_pins_of_its_chip_and_stands_in_the_manual(name: str) -> None:
    has = json.loads((flash.HARDWARE / f"{name}.json").read_text())
    assert has.keys() <= {"chip", "led", "led_on", "button", "pressed", "battery", "divider", *flash.CORRECTIONS}
    assert ("led" in has, "button" in has, "battery" in has) == ("led_on" in has, "pressed" in has, "divider" in has)
    pins = [has[what] for what in ("led", "button", "battery") if what in has]
    assert not pins or (set(pins) <= PINS[has["chip"]] and len(set(pins)) == len(pins))
    assert has.get("led", 0) < 34 and (has.get("battery", 32) in range(32, 40))  # outputs; inputs of the first ADC
    assert {has.get("led_on", 0), has.get("pressed", 0)} <= {0, 1} and has.get("divider", 1) >= 1
    assert f"| `{name}` |" in (mpy.ROOT / "docs" / "badge.md").read_text()


def test_a_board_of_another_kind_is_refused(board: EmulatedBoard, capsys: pytest.CaptureFixture[str]) -> None:
    message = said(capsys, "update", "--port", board.port_url, "--board", "ESP32_GENERIC")
    assert "is no ESP32_GENERIC" in message


def test_the_owner_key_reaches_a_board_behind_a_network_port(board: EmulatedBoard, flash_folder: Path) -> None:
    usb.write_owner_key(board.port_url, bytes(range(32)))
    assert (flash_folder / "owner.key").read_bytes() == bytes(range(32))
