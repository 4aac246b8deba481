"""What is measured on two boards: every script on two simulated badges, the command with real mpremote."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import HANG_SECONDS
from tests.tools.emulated_board import EmulatedBoard
from tools.chipcheck import __main__ as command
from tools.chipcheck import checks
from tools.flash import FlashError
from tools.simulator.air import Air

START = 1_790_000_100.0
FOR_EVER = "\nwhile True:\n    time.sleep(3600)\n"
SLEEP_SECONDS = 20
RACE = "import _air\n_air.read_window = 15000\n"  # us between emptying an attribute and copying it
PPM = 700  # by which the first badge's oscillator is fast in light-sleep
SHORT = {"STARTS": 5, "ROUNDS": 2, "TRIES": 4, "PIECES": 40}
# A board of which mpremote alone is real.
MODULES = {
    "bluetooth": "class BLE:\n    def irq(self, handler):\n        pass\n    def active(self, on):\n        pass\n"
    "    def config(self, name=None, **settings):\n        return (0, bytes(6))\n",
    "esp32": "HEAP_DATA = 4\ndef idf_heap_info(what):\n    return [(9, 4212, 3840, 0), (9, 61000, 60000, 0)]\n",
    "machine": "",
}


class Pair:
    """Two simulated badges near each other, new ones for each measurement. They run what is handed to `run`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._air = self._wait(self._open())
        self._number = 0

    def _wait(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(HANG_SECONDS)

    async def _open(self) -> Air:
        return await Air(self._folder / "clock", START).__aenter__()

    def close(self) -> None:
        self._wait(self._air.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def measure(self, check: checks.Check) -> list[checks.Row]:
        self._started, self._passing = asyncio.Event(), asyncio.Lock()
        self._running = 2 if check.second is not None else 1
        self._names: dict[int, str] = {}
        return command.measure(check, lambda board, script: self._wait(self._run(board, script)))

    async def _run(self, board: int, script: str) -> str:
        self._number += 1
        name = f"badge {self._number}"
        main = self._folder / f"{self._number}.py"
        main.write_text(RACE + script + FOR_EVER)
        flash = self._folder / name / "flash"
        await self._air.start_badge(name, flash, main=main, sleep_ppm=PPM if board == 0 else 0)
        self._names[board] = name
        if len(self._names) < self._running:
            await self._started.wait()
        elif self._running == 2:
            self._air.set_range(*self._names.values(), -50)
            self._started.set()
        log = self._air.badges[name].log
        while "found " not in log.read_text():
            async with self._passing:
                await self._air.run_for(0.5)
        await self._air.badges[name].power_off()
        if self._running == 1:
            self._names.clear()
        return log.read_text()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What is found on two simulated badges, by measurement."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SHORT.items():
            patch.setitem(checks.SETTINGS, name, value)
        pair = Pair(tmp_path_factory.mktemp("pair"))
        try:
            yield {
                check.name: {row.what: row.figure for row in pair.measure(check)}
                for check in checks.all_checks(SLEEP_SECONDS)
            }
        finally:
            pair.close()


def test_heaps_are_read_and_the_simulators_does_not_give_back_what_it_never_took(rows):
    found = rows["memory"]
    assert found["ESP-IDF's, with Bluetooth on"] == "67,752 bytes, largest block 61,440"
    assert found["of these, given back when they are free again"] == "0 bytes"
    free = int(found["MicroPython's heap after a start"].split()[0].replace(",", ""))
    assert 100_000 < free < 300_000
    assert rows["starts"]["ESP-IDF's heap and largest block after them"] == "+0 and +0 bytes"
    assert abs(int(rows["starts"]["MicroPython's heap after 5 times"].split()[0].replace(",", ""))) < 1000


def test_a_new_address_that_is_not_taken_is_noticed(rows):
    assert list(rows["address"].values()) == ["taken", "kept, not said", "kept, not said", "taken"]


def test_adverts_and_connections_are_counted(rows):
    assert rows["adverts"]["of ten adverts switched on in a second, heard"] == "10"
    assert rows["connect"]["another board connects within two seconds"].startswith("4 of 4, ")


def test_a_sleeping_oscillator_is_measured_by_the_other_boards_clock(rows):
    (figure,) = rows["sleep"].values()
    wrong, ppm = int(figure.split()[0]), int(figure.split(", ")[1].split()[0])
    assert "too many" in figure and abs(ppm - PPM) <= 150 and wrong == round(ppm * SLEEP_SECONDS / 1000)


def test_what_becomes_of_a_connection_whose_other_end_is_gone_is_told(rows):
    assert len(rows["lost"]) == 2
    for figure in rows["lost"].values():
        assert figure.startswith("connected after") and "disconnected after" in figure and "empty" not in figure


def test_reading_later_loses_what_reading_in_the_handler_does_not(rows):
    assert rows["handler"]["written and read in the handler"] == "0 of 8,000 bytes lost, 0 gaps"
    lost = rows["loop"]["written and read later"]
    assert int(lost.split()[0].replace(",", "")) > 0 and not lost.endswith(" 0 gaps")


def test_what_a_port_does_not_have_is_said_to_be_missing(rows):
    assert rows["pairing"]["whoever wants to pair"] == "this MicroPython has no gap_pair"


def board(folder: Path, **modules: str) -> EmulatedBoard:
    folder.mkdir()
    for name, text in {**MODULES, **modules}.items():
        (folder / f"{name}.py").write_text(text)
    return EmulatedBoard(folder)


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[list[EmulatedBoard]]:
    made = [board(tmp_path / "one"), board(tmp_path / "two")]
    yield made
    for one in made:
        one.close()


def test_the_command_measures_by_mpremote_and_shows_a_table_or_json(boards, capsys):
    ports = [f"--port={boards[0].port}", f"--port2={boards[1].port}"]
    assert command.main([*ports, "--only", "memory", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [len(document["boards"]), document["failed"]] == [2, {}]
    (largest,) = {row["figure"] for row in document["rows"] if row["what"] == "ESP-IDF's, with Bluetooth on"}
    assert largest == "65,212 bytes, largest block 60,000" and {row["line"] for row in document["rows"]} == {"8"}
    assert command.main([*ports, "--only", "memory"]) == 0
    assert "60,000" in capsys.readouterr().out


def test_a_measurement_that_fails_is_said_to_have_and_the_others_are_made(boards, capsys):
    ports = [f"--port={boards[0].port}", f"--port2={boards[1].port}"]
    assert command.main([*ports, "--only", "address", "--only", "memory", "--json"]) == 1  # its radio sends nothing
    document = json.loads(capsys.readouterr().out)
    assert list(document["failed"]) == ["address"] and "gap_advertise" in document["failed"]["address"]
    assert document["rows"]


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ([], "two boards are needed, and PORT=... is missing: make chipcheck PORT=... PORT2=..."),
        (["--port=/dev/null"], "PORT2=... is missing"),
        (["--port=/dev/null", "--port2=/dev/null"], "are the same board"),
        (["--port=/dev/null", "--port2=/dev/nowhere"], "there is no /dev/nowhere"),
        (["--port=-x", "--port2=/dev/null"], "'-x' is no port"),
        (["--port=/", "--port2=/dev/null"], "is no port, but a folder"),
    ],
)
def test_ports_that_are_none_are_named(ports, said, capsys):
    assert command.main(ports) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_where_no_board_answers_nothing_is_measured(boards, capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert command.main([f"--port={boards[0].port}", f"--port2=socket://127.0.0.1:{port}"]) == 1
    captured = capsys.readouterr()
    assert "nothing there answers" in captured.err and captured.out == ""


def test_a_board_without_bluetooth_is_refused(boards, tmp_path, capsys):
    bare = board(tmp_path / "bare", bluetooth="raise ImportError('no bluetooth')")
    try:
        assert command.main([f"--port={boards[0].port}", f"--port2={bare.port}"]) == 1
    finally:
        bare.close()
    assert "no bluetooth" in capsys.readouterr().err


def test_a_board_with_an_old_micropython_is_refused():
    said = 'found {"version": [1, 22], "machine": "x", "mac": true}'
    with pytest.raises(FlashError, match=r"has MicroPython 1\.22; put a newer one on"):
        command.identify(lambda board, script: said, "here", 0)


@pytest.mark.parametrize("said", ["", "Traceback", "found [1]", "found {", "found " + "[" * 10_000, "found {}\nmore"])
def test_what_a_board_says_that_makes_no_sense_is_no_figure(said):
    with pytest.raises(FlashError, match="the board said"):
        checks.found(said)


@pytest.mark.parametrize("figures", [{}, {"took": [], "first": 1, "last": 2}, {"took": "x", "first": [1], "last": [2]}])
def test_figures_that_make_no_sense_are_none(figures):
    (check,) = [check for check in checks.all_checks(60) if check.name == "starts"]
    with pytest.raises(FlashError, match="make no sense"):
        checks.rows(check, figures, figures)


def test_the_sleeping_board_may_fall_silent_and_no_other():
    def run(board: int, script: str) -> str:
        if board == 0:
            raise FlashError("the port is gone")
        return 'found {"heard": [[0, 5, 9], [1000, 60005, 60069]]}'

    by_name = {check.name: check for check in checks.all_checks(60)}
    assert command.measure(by_name["sleep"], run)[0].figure == "60 ms too few, 1,000 ppm"
    with pytest.raises(FlashError, match="gone"):
        command.measure(by_name["adverts"], run)


def test_each_line_of_the_list_that_is_measured_is_named_there():
    text = (Path(__file__).parents[2] / "docs" / "design.md").read_text()
    listed = text.partition("### What only a real chip can tell")[2].partition("\n## ")[0]
    measured = {"2", "3", "4", "6", "8", "9", "10", "11", "12"}
    lines = {line.partition(".")[0] for line in listed.splitlines() if "`make chipcheck`" in line}
    assert lines == measured
