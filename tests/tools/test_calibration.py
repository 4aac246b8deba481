"""Calibration: its scripts on simulated badges, its command with real mpremote, and what comes of its figures."""

import asyncio
import itertools
import json
import statistics
from pathlib import Path

import pytest
from anontrace.backend.nymserver import exposures
from anontrace.backend.nymserver.records import Tally
from anontrace_shared import figures
from anontrace_shared.schedule import nym_key

from tests.tools.emulated_board import EmulatedBoard
from tools import calibration, flash
from tools.simulator.air import Air

START = 1_790_000_100.0
FOR_EVER = "import time\nwhile True:\n    time.sleep(3600)\n"
# The radio of an emulated board: what is sent is a file between the two, and each hears by a level of its own.
BLUETOOTH = """
class BLE:
    def active(self, on):
        pass
    def irq(self, handler):
        BLE.handler = handler
    def gap_advertise(self, interval, adv_data, connectable):
        with open('../air', 'wb') as file:
            file.write(adv_data)
    def gap_scan(self, duration, interval, window):
        sent = open('../air', 'rb').read()
        for level in range(11):
            BLE.handler(5, (0, bytes(6), 2, {level} - (level == 3) * 20, memoryview(sent)))
            BLE.handler(5, (0, bytes(6), 2, 0, memoryview(sent[1:])))  # somebody else's
"""


def test_one_badge_hears_what_the_other_sends_and_nobody_else(tmp_path: Path) -> None:
    sent, other = calibration.advert(), calibration.advert()
    scripts = {
        "sender": calibration.TRANSMIT.format(advert=sent),
        "neighbour": calibration.TRANSMIT.format(advert=other),
        "listener": calibration.LISTEN.format(advert=sent, listen_ms=2000),
    }

    async def story() -> None:
        async with Air(tmp_path / "clock", START) as air:
            for name, script in scripts.items():
                main = tmp_path / f"{name}.py"
                main.write_text(script + FOR_EVER)
                await air.start_badge(name, tmp_path / name / "flash", main=main)
            air.set_range("sender", "listener", -53)
            air.set_range("neighbour", "listener", -40)
            await air.run_for(4)
            heard = calibration.readings(air.badges["listener"].log.read_text())
            assert set(heard) == {-53} and len(heard) >= 40

    asyncio.run(story())


def test_two_boards_are_measured_both_ways_and_corrected_by_two_reference_boards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "LISTEN_MS", 20)
    monkeypatch.setattr("builtins.input", lambda text: "")
    files = {}
    for name, (mine, others) in {"mine": (-66, -50), "reference": (-60, -54)}.items():
        boards = []
        for side, level in (("a", mine), ("b", others)):
            folder = tmp_path / name / side
            folder.mkdir(parents=True)
            (folder / "bluetooth.py").write_text(BLUETOOTH.replace("{level}", str(level)))
            boards.append(EmulatedBoard(folder))
        files[name] = str(tmp_path / f"{name}.json")
        ports = [f"--port={boards[0].port}", f"--port2={boards[1].port}"]
        assert calibration.main(["measure", *ports, "--board", name, "--turns", "2", "--out", files[name]]) == 0
        for board in boards:
            board.close()
    assert json.loads(Path(files["mine"]).read_text())["hears"] == [-66, -66]
    capsys.readouterr()
    assert calibration.main(["correct", files["mine"], "--reference", files["reference"]]) == 0
    assert capsys.readouterr().out == '"rssi": 6, "tx": 4\n'  # hears 6 dB too weakly, sends 4 dB too strongly
    assert calibration.main(["correct", files["mine"]]) == 1  # against free space it would be 29 dB
    assert "beyond 20 dB" in capsys.readouterr().err


def test_corrected_boards_hear_and_are_heard_as_reference_boards_would_be() -> None:
    directions = [-52.0, -61.0, -47.0, -58.0]
    reference = calibration.Measurement("reference", directions, directions)
    for hears, sends in ((-6, 0), (5, -4), (0, 8)):
        found = calibration.Measurement(
            "x", [each + hears for each in directions], [each + sends for each in directions]
        )
        assert calibration.corrections(found, reference) == (-hears, sends)
        assert calibration.corrections(found, found) == (0, 0)


def test_corrections_take_from_a_networks_attenuations_what_their_senders_alone_do_not_make() -> None:
    slot, address, weaknesses = 5_900_000, bytes(20), range(9)  # dB by which boards hear, and send, too weakly

    async def registered(keys: list[bytes]) -> list[bool]:
        return [key == nym_key(address, slot) for key in keys]

    def attenuations(corrected: bool) -> list[int]:
        found = []
        for hears, sends in itertools.product(weaknesses, weaknesses):
            level = -60 - hears - sends + (hears if corrected else 0)
            packed = figures.unpack(figures.pack(False, 0, 0, 1, level, level, 3, 1))
            mean = -statistics.mean(weaknesses) if corrected else 0
            heard = [exposures.Heard(address, slot, packed)]
            (only,) = asyncio.run(exposures.match(heard, registered, Tally(), round(mean)))
            found.append(only.attenuation)
        return found

    before, after = attenuations(False), attenuations(True)
    assert statistics.mean(before) - 63 == pytest.approx(8, abs=1) and abs(statistics.mean(after) - 63) <= 1
    assert statistics.pstdev(before) == pytest.approx(3.7, abs=0.2)  # the figures' steps of 2 dB included
    assert statistics.pstdev(after) == pytest.approx(2.7, abs=0.2)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "does not answer as MicroPython"),
        ("ImportError", "does not answer as MicroPython"),
        ("[1, 'x']", "does not answer as MicroPython"),
        ("[-200, -60]", "does not answer as MicroPython"),
        ("[-60, -61]", "heard the other 2 times of at least 10"),
        ("[]", "heard the other 0 times"),
    ],
)
def test_a_board_that_heard_nothing_or_nonsense_gives_no_figure(said: str, message: str) -> None:
    with pytest.raises(flash.FlashError, match=message):
        calibration.readings(said)


def test_a_networks_mean_says_which_boards_nobody_has_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flash, "HARDWARE", tmp_path)
    (tmp_path / "weak.json").write_text('{"tx": -5}')
    (tmp_path / "strong.json").write_text('{"tx": 3, "rssi": 1}')
    (tmp_path / "new.json").write_text("{}")
    assert calibration.main(["mean", "weak=300", "strong=100"]) == 0
    assert capsys.readouterr().out == "tx_correction = -3\n"
    assert calibration.main(["mean", "weak=300", "new=100"]) == 0
    assert capsys.readouterr().out == "tx_correction = -4\nTaken for 0, since nobody has measured it: new\n"
    for words in (["weak"], ["weak=-1"], ["weak=x"], ["other=1"], ["weak=0"]):
        assert calibration.main(["mean", *words]) == 1
        assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("content", ["", "[]", '{"board": 1}', '{"board": "x", "hears": [], "is_heard": []}',
                                     '{"board": "x", "hears": ["a"], "is_heard": [1]}', "[" * 5000])  # fmt: skip
def test_a_file_that_is_no_measurement_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "odd.json"
    path.write_text(content)
    assert calibration.main(["correct", str(path)]) == 1
    assert "odd.json holds no measurement" in capsys.readouterr().err
    assert calibration.main(["correct", str(tmp_path / "none.json")]) == 1
    assert "none.json cannot be read" in capsys.readouterr().err
