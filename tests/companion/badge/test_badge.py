"""The companion with a real badge: the shipped firmware on the virtual radio, the shipped CLI, real servers.

One world for all tests of this file, in the order in which they stand: what one leaves behind, the next may use.
"""

import asyncio
import json
import os
import signal
import struct
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace.companion.errors import NO_BADGE
from anontrace.companion.schedule import run
from anontrace.companion.store import state
from anontrace.companion.system import notify
from anontrace_primitives import x25519_base
from anontrace_shared import log
from anontrace_shared.figures import pack as pack_figures

from tests.companion.conftest import START, Cli, Network, Result, SimulatedClock
from tests.companion.loaded import PROGRAM
from tests.patience import HANG_SECONDS, eventually
from tools.flash import HARDWARE
from tools.simulator.air import Adapter, Air
from tools.simulator.flash import files, raw

SLOTS = 48
SMALL_FLASH = Path(__file__).parents[2] / "firmware" / "on_badge" / "small_flash_main.py"
ACL_DATA = 2  # HCI packet type
LONG_PACKET = 150  # bytes


class AirClock(SimulatedClock):
    """The clock that the air moves."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def now(self) -> float:
        return float(struct.unpack("<d", self.path.read_bytes()[:8])[0])


class World:
    """The air, the servers, and people with a badge and a companion each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self.air = Air(folder / "clock", START)
        self.run(self.air.__aenter__())
        self.clock = AirClock(folder / "clock")
        (folder / "network").mkdir()
        self.network = Network(folder / "network", self.clock)
        self.people: dict[str, Cli] = {}

    def close(self) -> None:
        self.network.stop()
        self.run(self.air.stop())
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def put(self, name: str, path: str, content: bytes) -> None:
        """Put a file onto somebody's badge, as by cable: it starts again afterwards."""
        (self.folder / name / path).write_bytes(content)
        self.run(self.air.restart_badge(name))

    def add(self, name: str) -> int:
        """Somebody with a badge that was never provisioned and a companion that is registered; until which slot."""
        port = self.run(self.air.add_adapter(f"{name}'s desk"))
        cli = self.people[name] = Cli(self.folder / f"state-{name}", self.clock, f"bumble:tcp-client:127.0.0.1:{port}")
        flash = self.folder / name
        flash.mkdir()
        self.do(name, "init", str(self.network.file))
        until = self.do(name, "register", "--slots", str(SLOTS))["until"]
        self.do(name, "badge", "provision", "--usb", str(flash), "--usb-only")
        self.run(self.air.start_badge(name, flash))
        self.air.set_range(name, f"{name}'s desk", -50)
        assert cli.folder.exists()
        return int(until)

    def cli(self, name: str, *arguments: str) -> Result:
        """Run a command while time passes on the air."""
        self.air.realtime(5, talking=1)
        result: Result = self.run(asyncio.to_thread(self.people[name].run, "--json", *arguments))
        self.air.hold()
        return result

    def do(self, name: str, *arguments: str) -> dict[str, Any]:
        result = self.cli(name, *arguments)
        assert result.code == 0, result.err
        return result.json

    def meet(self, one: str, other: str, minutes: int) -> None:
        """Two badges in range of each other for so many minutes from the beginning of the next slot."""
        self.pass_time((300 - self.clock.now % 300) / 60)
        self.air.set_range(one, other, -60)
        self.pass_time(minutes)
        self.air.set_range(one, other, None)

    def pass_time(self, minutes: float) -> None:
        self.run(self.air.run_for(minutes * 60))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


def test_a_badge_becomes_its_wearers_own(world):
    until = {}
    for name in ("ada", "bob", "cyd"):
        until[name] = world.add(name)
        provisioned = world.do(name, "badge", "provision")
        assert (provisioned["provisioned"], provisioned["mode"]) == (True, "ratchet")
        assert provisioned["horizon"] == until[name]
    before = world.clock.now
    info = world.do("ada", "badge", "info")
    assert info["flags"] == ["time known", "provisioned"]
    assert info["horizon"] == until["ada"]
    assert before - 2 < info["time"] < world.clock.now + 2
    (listed,) = world.do("ada", "badge", "list")["badges"]
    assert (listed["provisioned"], listed["mode"], listed["last_sync"]) == (True, "ratchet", None)


def test_nobody_elses_badge_is_taken_for_ones_own(world):
    world.air.set_range("ada", "ada's desk", None)
    world.air.set_range("bob", "ada's desk", -50)
    result = world.cli("ada", "badge", "sync", "--scan", "3")
    assert (result.code, result.json["error"]["kind"]) == (NO_BADGE, "badge not found")
    world.air.set_range("bob", "ada's desk", None)
    world.air.set_range("ada", "ada's desk", -50)


def test_a_sync_brings_what_the_badge_heard_and_the_badge_forgets_it(world):
    world.meet("ada", "bob", 20)
    world.pass_time(6)
    synced = world.do("ada", "badge", "sync")
    assert (synced["records"], synced["blocks"], synced["freed"], synced["records_dropped"]) == (4, 4, 1, 0)
    assert synced["bytes"] > 4 * (log.HEADER + log.RECORD)
    again = world.do("ada", "badge", "sync")
    assert (again["records"], again["bytes"]) == (0, 0)
    status = world.do("ada", "status")
    assert status["log"]["records"] == 4
    assert status["badge"]["last_sync"] is not None


def test_a_broken_sync_goes_on_where_it_stopped(world, monkeypatch):
    for _ in range(2):
        world.meet("bob", "cyd", 10)
    world.pass_time(6)
    begun = asyncio.Event()
    hand_over = Adapter.on_packet

    def until_log_comes(adapter: Adapter, packet: bytes) -> None:
        """Only a piece of the log is as long; with it time stops, so that the rest cannot come before the end."""
        hand_over(adapter, packet)
        if packet[0] == ACL_DATA and len(packet) > LONG_PACKET:
            world.air.hold()
            begun.set()

    async def broken() -> None:
        with world.people["bob"].piped("badge", "sync") as process:
            await asyncio.wait_for(begun.wait(), HANG_SECONDS)
            assert process.poll() is None

    monkeypatch.setattr(Adapter, "on_packet", until_log_comes)
    world.air.realtime(5, talking=1)
    world.run(broken())
    monkeypatch.undo()
    world.do("bob", "badge", "sync")
    assert world.do("bob", "status")["log"]["records"] >= 8  # four slots with ada, four with cyd, each once
    records = world.do("bob", "status")["log"]["records"]
    world.do("bob", "badge", "sync")
    assert world.do("bob", "status")["log"]["records"] == records


def test_out_of_range_in_the_middle_of_a_scan_is_said_and_nothing_is_lost(world):
    world.air.set_range("cyd", "cyd's desk", None)
    result = world.cli("cyd", "badge", "sync", "--scan", "2")
    assert (result.code, result.err.count("\n")) == (NO_BADGE, 1)
    world.air.set_range("cyd", "cyd's desk", -50)
    assert world.do("cyd", "badge", "sync")["records"] >= 4


def test_the_chain_from_the_patient_to_the_second_generation(world):
    token = world.network.token()
    reported = world.do("ada", "report", "--token", token.lower().replace("-", " "), "--yes")
    assert (reported["state"], reported["records"], reported["way"]) == ("accepted", 4, "at once")
    case = reported["case"]
    assert world.do("ada", "report", "--token", token, "--yes")["case"] == case  # again is safe
    world.network.approve(case, minutes=15)

    polled = until_told(world, "bob")
    assert polled["told"] == [case]
    assert polled["rearmed"] == polled["notifications"] == 4
    (exposure,) = world.do("bob", "exposures", "list")["exposures"]
    assert (exposure["state"], exposure["disease"], exposure["rule_minutes"]) == ("told", "U07.1", 15)
    assert 19 <= exposure["minutes"] <= 20
    assert exposure["days"] == ["2026-01-05"]
    assert exposure["message"] == "Call 116117"
    assert "slots" not in exposure
    exact = world.do("bob", "exposures", "show", case[:8], "--exact")
    assert len(exact["slots"]) == 4
    assert world.do("cyd", "poll")["told"] == []
    assert world.do("bob", "poll")["told"] == []  # once is enough
    assert world.do("bob", "status")["next"][-1] == f"anontrace pass-on {case[:8]}"

    passed = world.do("bob", "pass-on", case[:8], "--yes")
    assert (passed["case"], passed["state"]) == (case, "accepted")
    assert world.do("bob", "exposures", "list")["exposures"][0]["passed_on"]
    world.network.approve(case, minutes=15)
    told_by_run(world, "cyd", case)
    # The patient was met by bob, and is not told of their own case.
    world.pass_time(1)
    assert world.do("ada", "poll")["told"] == []
    assert world.do("ada", "exposures", "list")["exposures"] == []
    assert [each["state"] for each in world.do("ada", "exposures", "list", "--all")["exposures"]] in ([], ["own"])


def until_told(world: World, name: str) -> dict[str, Any]:
    """Poll until the wearer is told; counts added up."""
    total: dict[str, Any] = {"told": [], "notifications": 0, "rearmed": 0}
    for _ in range(60):
        polled = world.do(name, "poll")
        total["told"] += polled["told"]
        total["notifications"] += polled["notifications"]
        total["rearmed"] += polled["rearmed"]
        if total["told"] and total["notifications"] >= 4:
            return total
    raise AssertionError(f"{name} was not told: {total}")


def told_by_run(world: World, name: str, case: str) -> None:
    """The same by `run`: a line that gives nothing away, and a note on the desktop."""
    cli = world.people[name]
    note = world.folder / "note"
    programs = world.folder / "programs"
    programs.mkdir()
    (programs / "notify-send").write_text(f'#!/bin/sh\necho "$@" >> "{note}"\n')
    (programs / "notify-send").chmod(0o755)
    desktop = {"DISPLAY": ":0", "PATH": f"{programs}:{os.environ['PATH']}"}
    for _ in range(60):
        world.pass_time(1)
        with state.reading(cli.folder) as opened:  # as if its time had come; the clock stands
            opened.timetable.set_due(run.POLL, int(world.clock.now) + 1)
        world.pass_time(1 / 60)
        code, said, complained = PROGRAM.run(["run", "--once", "--no-badge"], cli.environment | desktop)
        assert (code, complained) == (0, "")
        if note.exists() and notify.TEXT in said:
            break
    eventually("the note", lambda: notify.TEXT in note.read_text())
    assert "COVID" not in said and case not in said  # which may be a log
    assert world.do(name, "exposures", "list")["exposures"][0]["case"] == case


def test_a_rearmed_address_is_confirmed_in_its_turn(world):
    def pending() -> int:
        world.do("bob", "poll")  # which asks, or finds what was answered since
        return int(world.do("bob", "status")["pending"])

    eventually("all are confirmed", lambda: pending() == 0)
    assert world.do("bob", "status")["mailboxes"] == SLOTS + 4


def test_a_wearer_who_is_asked_and_says_no_sends_nothing(world):
    cli = world.people["cyd"]
    case = world.do("cyd", "exposures", "list")["exposures"][0]["case"]
    refused = world.cli("cyd", "pass-on", case)
    assert (refused.code, "give --yes" in refused.err) == (2, True)
    # With a terminal, the question is asked.
    import pty

    leader, follower = pty.openpty()

    async def asked() -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *cli.command("pass-on", case), env=cli.environment, stdin=follower, stdout=-1, stderr=-1
        )
        os.write(leader, b"\nn\n")
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    code, out = world.run(asked())
    os.close(leader)
    os.close(follower)
    assert code == 130
    assert "sealed contact records of 2026-01-05" in out and "Send it?" in out
    assert not world.do("cyd", "exposures", "list")["exposures"][0]["passed_on"]


def test_a_badge_may_be_given_a_list_instead_of_a_key(world):
    provisioned = world.do("cyd", "badge", "provision", "--list")
    assert provisioned["mode"] == "list"
    info = world.do("cyd", "badge", "info")
    assert "list mode" in info["flags"]
    assert info["horizon"] == provisioned["horizon"]
    world.pass_time(6)
    assert world.do("cyd", "badge", "sync")["horizon"] == provisioned["horizon"]


def test_a_preset_is_set_and_nonsense_is_refused(world):
    for preset in ("always", "together", "balanced"):  # from each to another: no window may be above its interval
        assert world.do("ada", "badge", "set", preset)["preset"] == preset
    assert world.do("ada", "badge", "set", "--place")["place"] is True
    assert "place badge" in world.do("ada", "badge", "info")["flags"]
    assert world.do("ada", "badge", "set", "--person", "--keep", "14")["keep_days"] == 14
    assert world.cli("ada", "badge", "set", "--keep", "31").code == 2
    assert "place badge" not in world.do("ada", "badge", "info")["flags"]
    assert world.cli("ada", "badge", "set").code == 2


def test_a_crash_is_shown_by_info(world):
    world.pass_time(1)  # a badge takes twelve handshakes a minute, and the clock stands between two commands
    assert world.do("ada", "badge", "info")["crash_log"] == ""
    world.put("ada", "crash.txt", b"Traceback: something went wrong\n")
    assert "something went wrong" in world.do("ada", "badge", "info")["crash_log"]
    world.put("ada", "crash.txt", b"")
    world.do("ada", "badge", "sync")


def test_the_battery_is_shown_where_the_board_measures_it(world):
    assert world.do("ada", "badge", "info")["battery_mv"] == 0
    world.put("ada", "board.json", (HARDWARE / "huzzah32.json").read_bytes())
    world.air.badges["ada"].set_voltage(35, 1935)
    assert world.do("ada", "badge", "info")["battery_mv"] == 3870
    world.do("ada", "badge", "sync")
    assert world.do("ada", "status")["badge"]["battery_mv"] == 3870
    world.put("ada", "board.json", b"{}")


def test_a_full_flash_gives_up_its_oldest_day_and_the_wearer_is_told(world):
    world.pass_time(1)
    assert world.do("ada", "badge", "sync")["log_was_full"] is False
    badge = world.air.badges["ada"]
    firmware = badge.main
    world.run(badge.power_off())
    yesterday = world.folder / "ada" / "log" / "00001000.seg"
    yesterday.parent.mkdir()
    sealer = log.Sealer(x25519_base(bytes(range(32))), log.KNOWN_SLOT, int(world.clock.now) // 300 - 288)
    figures = pack_figures(False, 0, 0, 1, -60, -60, 3, 1)
    block = [sealer.begin(500), *(sealer.record(bytes(20), figures) for _ in range(500)), sealer.end()]
    yesterday.write_bytes(b"".join(block))
    badge.main = SMALL_FLASH
    world.run(world.air.restart_badge("ada"))
    assert "log/00001000.seg" in files(world.folder / "ada")
    world.meet("ada", "bob", 10)
    world.pass_time(6)
    assert "log/00001000.seg" not in files(world.folder / "ada")
    synced = world.do("ada", "badge", "sync")
    assert synced["log_was_full"] is True and synced["records"] >= 2
    assert world.do("ada", "status")["badge"]["log_was_full"] is True
    shown = world.people["ada"].run("status").out
    assert "its log was full before the last sync" in shown
    badge.main = firmware
    world.run(world.air.restart_badge("ada"))
    assert world.do("ada", "badge", "sync")["log_was_full"] is False
    assert world.do("ada", "status")["badge"]["log_was_full"] is False


def test_an_erased_badge_is_empty_and_still_ones_own(world):
    refused = world.cli("bob", "badge", "erase")
    assert (refused.code, "give --yes" in refused.err) == (2, True)
    world.do("bob", "badge", "erase", "--yes")
    assert world.do("bob", "badge", "list")["badges"][0]["provisioned"] is False
    assert world.cli("bob", "badge", "sync").code == 2
    world.pass_time(1)
    assert world.do("bob", "badge", "provision")["provisioned"]
    info = world.do("bob", "badge", "info")
    assert "provisioned" in info["flags"] and info["log_bytes"] < 200


def test_several_badges_of_one_person_the_second_without_a_cable(world):
    second, flash = "ada's second", world.folder / "ada's second"
    for folder in (flash, world.folder / "bare"):
        folder.mkdir()
    (flash / "board.json").write_bytes((HARDWARE / "doit-devkit-v1.json").read_bytes())
    world.run(world.air.start_badge(second, flash))
    world.air.set_range(second, "ada's desk", -50)

    def press(seconds: float = 0.2) -> None:
        for level in (0, 1):
            world.air.badges[second].set_pin(0, level)
            world.pass_time((1 - level) * seconds / 60 + 0.02)

    def refused(*arguments: str) -> str:
        result = world.cli("ada", "badge", "provision", "--new", *arguments)
        assert (result.code, result.err.count("\n"), result.json["error"]["kind"]) == (NO_BADGE, 1, "badge not found")
        return result.err

    assert "press its button" in refused("--scan", "1")
    press()
    world.run(world.air.start_badge("bare", world.folder / "bare"))  # without a button: in service mode now
    world.air.set_range("bare", "ada's desk", -50)
    assert "2 new badges are heard" in refused()
    world.air.set_range("bare", "ada's desk", None)
    assert world.do("ada", "badge", "provision", "--new")["badge"] == 2  # what was refused has left no keys behind
    with state.reading(world.people["ada"].folder) as opened:
        first, key = (opened.badges.get(badge).owner_key for badge in (1, 2))
    assert key in raw(flash) and first in raw(world.folder / "ada") and key != first

    ambiguous = world.cli("ada", "badge", "sync")
    assert (ambiguous.code, "say which one: --badge N" in ambiguous.err) == (2, True)
    registered = world.do("ada", "register", "--slots", "24")
    assert registered["made"] == 24  # the first badge has its addresses already
    assert world.do("ada", "badge", "sync", "--badge", "2")["horizon"] == registered["horizon"]
    horizon = world.do("ada", "badge", "sync", "--badge", "1")["horizon"]
    before = {each["badge"]: each["last_sync"] for each in world.do("ada", "badge", "list")["badges"]}
    world.pass_time(6)
    events = synced_by_run(world, "ada", 2)
    assert [(each["badge"], each.get("horizon", each)) for each in events] == [
        (1, horizon),
        (2, registered["horizon"]),
    ]
    after = {each["badge"]: each["last_sync"] for each in world.do("ada", "badge", "list")["badges"]}
    assert after[1] > before[1] and after[2] > before[2]
    press(8.5)
    assert key not in raw(flash)
    press()
    again = world.do("ada", "badge", "provision", "--new", "--badge", "2")  # its keys, on the badge that was emptied
    assert again["horizon"] == registered["horizon"] and key in raw(flash)
    assert world.cli("ada", "badge", "forget", "2").code == 2
    world.do("ada", "badge", "forget", "2", "--yes")
    assert [each["badge"] for each in world.do("ada", "badge", "list")["badges"]] == [1]
    assert world.do("ada", "badge", "sync")["badge"] == 1
    assert world.cli("ada", "badge", "info", "--badge", "2").code == 2


def synced_by_run(world: World, name: str, count: int) -> list[dict[str, Any]]:
    """What `run` says of its first `count` syncs; it is stopped then."""
    cli = world.people[name]
    now = int(world.clock.now)
    with state.reading(cli.folder) as opened:  # `changing` would keep house by the clock of this process
        for task in (run.TOP_UP, run.MESSAGES):
            opened.timetable.set_due(task, now + 3600)
        opened.timetable.set_due(run.POLL, 0)  # overdue, so that `run` puts it off as it begins
        opened.timetable.set_due(run.BADGE, now + 2)

    def has_begun() -> bool:
        with state.reading(cli.folder) as opened:
            return opened.timetable.due()[run.POLL] > 0

    async def running() -> list[dict[str, Any]]:
        with cli.piped("--json", "run") as process:
            await asyncio.to_thread(eventually, "run has begun", has_begun)
            world.air.realtime(5, talking=1)
            lines = [asyncio.to_thread(process.stdout.readline) for _ in range(count)]
            events = [json.loads(await asyncio.wait_for(line, HANG_SECONDS)) for line in lines]
            process.send_signal(signal.SIGTERM)
            _, err = await asyncio.to_thread(process.communicate, HANG_SECONDS)
        assert (process.returncode, err) == (0, "")
        return events

    events: list[dict[str, Any]] = world.run(running())
    world.air.hold()
    return events


def test_every_document_is_json_and_nothing_else(world):
    for command in (["status"], ["badge", "list"], ["exposures", "list"], ["poll"]):
        assert isinstance(json.loads(world.cli("bob", *command).out), dict)
