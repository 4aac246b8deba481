"""What a thief who reads the raw flash of a badge learns of days that are over: nothing, whenever in two months it is.

The badge lives in MicroPython (on_badge/months.py) on a flash with the chip's own file system and writes down each
change of the flash. Here each change is made again, and all that is then in the image is compared with every key and
every address of every day. A change that a power cut leaves half done shows no more than before and after it together.
"""

import hashlib
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anontrace.companion.badge import usb
from anontrace_shared import schedule

from tests.patience import HANG_SECONDS
from tools import micropython
from tools.simulator import flash

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCES = [
    HERE / "on_badge",
    HERE / "doubles",
    ROOT / "tools" / "simulator" / "board",
    ROOT / "firmware",
    ROOT / "shared",
]
HEAP = 400_000
FIRST_DAY = 20454  # this and the next few as in on_badge/months.py
DAYS = 60
SLOTS = 288
AWAKE = (0, 1, 2, 70, 71)  # of 72 slots, those in which the badge is awake, or which it makes ahead
RECORD = struct.Struct("<IBIH")
HAPPENED = 1
SECTOR = 4096
FLASH = 512 * SECTOR
BEARS = 100_000  # erases, by the datasheets of such flash
MAX_ERASES = 400
PROBE = 10  # bytes of a secret that suffice to give it away
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FOR_EVER = 1 << 40


def secret(*what: object) -> bytes:
    return hashlib.sha256(" ".join(map(str, what)).encode()).digest()


def day_keys(who: str) -> Iterator[tuple[int, bytes]]:
    key = secret("day key", who)
    for day in range(FIRST_DAY, FIRST_DAY + DAYS):
        yield day, key
        key = schedule.next_day_key(key)


@dataclass
class Secrets:
    """Each piece of PROBE bytes that gives something away: its name, and the moment from which on it must be gone."""

    pieces: dict[bytes, tuple[str, int]] = field(default_factory=dict)

    def add(self, name: str, value: bytes, until: int) -> None:
        for piece in (value[:PROBE], value[-PROBE:]):
            self.pieces[piece] = name, until

    def add_owner(self, who: str, by_list: bool = False, until: int = FOR_EVER) -> None:
        """What a badge of theirs has: what is of a day goes two hours after it, and all of it by `until`."""
        self.add(f"{who}'s owner key", secret("owner", who), until)
        for day, key in day_keys(who):
            over = min((day + 1) * DAY + 2 * HOUR, until)
            if not by_list:
                self.add(f"{who}'s key of day {day - FIRST_DAY}", key, over)
            for slot in range(day * SLOTS, (day + 1) * SLOTS):
                if by_list or slot % 72 in AWAKE:
                    address = secret("list", slot)[:20] if by_list else schedule.address_at(key, slot)
                    self.add(f"{who}'s address of slot {slot % SLOTS} of day {day - FIRST_DAY}", address, over)

    def add_older(self) -> None:
        """The keys of the month before the update."""
        for day in range(-30, 0):
            self.add(f"key of day {day}", secret("older", day), 0)

    def add_heard(self) -> None:
        """Others' addresses are never there but sealed."""
        for slot in range(FIRST_DAY * SLOTS, (FIRST_DAY + DAYS) * SLOTS):
            for person in range(10 if slot % 72 in AWAKE else 0):
                self.add(f"somebody heard in slot {slot}", secret("heard", slot, person)[:20], 0)


@dataclass
class Seen:
    """What a life has shown."""

    ever: set[str] = field(default_factory=set)  # names of all that was ever there
    left: dict[str, int] = field(default_factory=dict)  # what was there too late, and by how many seconds


class Image:
    """The flash at any moment, and which secrets are where."""

    def __init__(self, secrets: Secrets) -> None:
        self._pieces = secrets.pieces
        self._cells = bytearray(b"\xff" * FLASH)
        self._found: dict[int, dict[int, bytes]] = {}  # by sector, then place

    def change(self, at: int, data: bytes) -> list[tuple[str, int]]:
        """These bytes are there now; what they have brought, and until when that may be there."""
        begin, end = max(at - PROBE + 1, 0), at + len(data)
        self._cells[at:end] = data
        for sector in range(begin // SECTOR, (end - 1) // SECTOR + 1):
            found = self._found.get(sector, {})
            for place in [place for place in found if begin <= place < end]:
                del found[place]
        brought = []
        if data.count(data[0]) < len(data):
            window = bytes(self._cells[begin : end + PROBE - 1])
            for place in range(len(window) - PROBE + 1):
                if (piece := window[place : place + PROBE]) in self._pieces:
                    self._found.setdefault((begin + place) // SECTOR, {})[begin + place] = piece
                    brought.append(self._pieces[piece])
        return brought

    def there(self) -> list[tuple[str, int]]:
        """What is there, and until when it may be."""
        return [self._pieces[piece] for found in self._found.values() for piece in found.values()]


def live(life: str, folder: Path) -> list[tuple[int, int, int, bytes]]:
    """Let a badge live through it: (unix time, kind, place, bytes) of each change of its flash."""
    journal = folder / "journal"
    command = [*micropython.find(), "-X", f"heapsize={HEAP}", str(HERE / "on_badge" / "months.py"), life, str(journal)]
    environment = os.environ | {
        "MICROPYPATH": ":".join(map(str, [".frozen", *SOURCES])),
        "ANONTRACE_FLASH": str(folder / flash.IMAGE),
    }
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = journal.read_bytes()
    changes = []
    at = 0
    while at < len(data):
        now, kind, place, size = RECORD.unpack_from(data, at)
        at += RECORD.size + size
        changes.append((now, kind, place, data[at - size : at]))
    return changes


def moments(changes: list[tuple[int, int, int, bytes]]) -> dict[str, int]:
    """When what happened."""
    return {data.decode(): now for now, kind, _, data in changes if kind == HAPPENED}


def look(changes: list[tuple[int, int, int, bytes]], secrets: Secrets, since: str = "") -> Seen:
    """Make every change again, and look after each of them; at what should have gone only when that has happened."""
    image, seen = Image(secrets), Seen()
    looking = not since
    last = 0

    def check(what: list[tuple[str, int]], now: int) -> None:
        if looking:
            seen.left.update({name: now - until for name, until in what if now > until})

    for now, kind, place, data in changes:
        if now != last:  # what was there has been there until now
            check(image.there(), now - 1)
            last = now
        if kind == HAPPENED:
            looking = looking or data.decode() == since
            check(image.there(), now)
            continue
        brought = image.change(place, data)
        seen.ever.update(name for name, _ in brought)
        check(brought, now)
    check(image.there(), last)
    return seen


@pytest.mark.parametrize("life", ["ratchet", "list", "full"])
def test_nothing_of_a_day_that_ended_two_hours_ago_is_anywhere_in_the_flash(life: str, tmp_path: Path) -> None:
    secrets = Secrets()
    secrets.add_owner("ada", by_list=life == "list")
    secrets.add_heard()
    changes = live(life, tmp_path)
    assert changes[-1][0] >= (FIRST_DAY + (20 if life == "full" else DAYS) - 1) * DAY
    seen = look(changes, secrets)
    assert seen.left == {}
    keys = {name for name in seen.ever if "key of day" in name}
    assert "ada's owner key" in seen.ever and len(keys) >= {"ratchet": DAYS - 1, "list": 0, "full": 19}[life]
    assert not [name for name in seen.ever if "address" in name], "not even while it lasts"


def test_a_minute_after_an_erase_nothing_of_the_owner_is_there_and_nothing_comes_back(tmp_path: Path) -> None:
    changes = live("erased", tmp_path)
    secrets = Secrets()
    secrets.add_owner("ada", until=moments(changes)["erased"] + MINUTE)
    secrets.add_owner("ben")
    secrets.add_heard()
    seen = look(changes, secrets)
    assert seen.left == {} and {"ada's owner key", "ben's owner key"} <= seen.ever


@pytest.mark.parametrize("life", ["updated", "updated_list"])
def test_what_firmware_of_0_2_has_left_is_taken_over_and_washed_out(life: str, tmp_path: Path) -> None:
    secrets = Secrets()
    secrets.add_owner("ada", by_list=life == "updated_list")
    secrets.add_older()
    changes = live(life, tmp_path)
    update = moments(changes)["older"]
    before = look([change for change in changes if change[0] <= update], secrets, "older")
    assert {f"key of day {day}" for day in range(-30, 0)} | {"ada's owner key"} <= before.ever
    assert before.left, "it was not washed yet"
    seen = look(changes, secrets, "updated")
    assert seen.left == {}
    if life == "updated_list":
        addresses = [name for name in seen.ever if "address" in name]
        assert len(addresses) == 14 * SLOTS, "in the old list"


def test_the_wear(tmp_path: Path) -> None:
    """Erases in a day of all its slots, ten people heard in each, and what that means for a sector that bears 100,000.

    The figures are those of docs/design.md.
    """
    changes = live("day", tmp_path)
    begin, end = moments(changes)["begins"], moments(changes)["ends"]
    erased = [
        place // SECTOR
        for now, kind, place, data in changes
        if kind != HAPPENED and begin < now <= end and data == b"\xff" * SECTOR
    ]
    written = {place // SECTOR for _, kind, place, data in changes if kind != HAPPENED and data[:4] == b"keys"}
    raw = [sector for sector in erased if sector in written]
    print(len(erased), "erases a day, of the state", len(raw), "; years:", BEARS * FLASH // SECTOR / len(erased) / 365)
    assert len(erased) <= MAX_ERASES and len(raw) <= 2


def test_a_key_that_comes_by_cable_never_lies_in_a_file(tmp_path: Path) -> None:
    key = secret("by cable")
    script = tmp_path / "own.py"
    script.write_text("import _mount\n_mount.switch_on()\n" + usb._OWN.format(file="owner.key", key=key))
    work = tmp_path / "work"
    work.mkdir()
    environment = os.environ | {
        "MICROPYPATH": ":".join(map(str, [".frozen", *SOURCES[2:]])),  # no doubles
        "ANONTRACE_FLASH": str(tmp_path / flash.IMAGE),
    }
    subprocess.run([*micropython.find(), str(script)], env=environment, cwd=work, check=True, timeout=HANG_SECONDS)
    assert flash.raw(tmp_path).count(key) == 2  # one in each sector
    assert sorted(flash.files(tmp_path)) == ["sector.0", "sector.1"]
