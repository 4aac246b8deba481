"""A megabyte of log pulled from a badge by a companion over the virtual radio, at MTU 247: time, rate, round trips.

    python -m tools.bench --only pull

The firmware runs in MicroPython, the companion is the shipped one, and time is the virtual radio's: what the link lets
through is measured, not this machine.
"""

import asyncio
import dataclasses
import os
import tempfile
from pathlib import Path

from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace.companion.badge.sync import READ_BYTES
from anontrace_primitives import x25519_base
from anontrace_shared import badge_log, commands, figures, schedule

from tools.bench.report import Report
from tools.simulator.air import Air

MEGABYTE = 1 << 20
MAX_SECONDS = 60.0
CONTACTS = 512  # in one block
SEGMENT = 65536  # bytes, from which on the badge closes a segment


@dataclasses.dataclass
class Tally:
    """What a pull took: bytes of log, requests (each one round trip), seconds on the air's clock."""

    bytes: int = 0
    requests: int = 0
    seconds: float = 0.0


def write_log(flash: Path, size: int, log_key: bytes) -> bytes:
    """Put a log of at least `size` bytes, sealed to `log_key`, into a badge's flash as segments; the log."""
    folder = flash / "log"
    folder.mkdir(parents=True)
    log = b""
    number, slot = 0, 5_800_000
    figure = figures.pack(False, 0, 1, 2, -60, -62, 3, 40)
    while len(log) < size:
        number += 1
        segment = b""
        while len(segment) < SEGMENT and len(log) + len(segment) < size:
            sealer = badge_log.Sealer(log_key, badge_log.KNOWN_SLOT, slot)
            segment += sealer.begin(CONTACTS)
            segment += b"".join(sealer.record(os.urandom(badge_log.ADDRESS), figure) for _ in range(CONTACTS))
            segment += sealer.end()
            slot += 1
        (folder / f"{number:08x}.seg").write_bytes(segment)
        log += segment
    return log


async def fetch(link: BadgeLink, number: int, offset: int, size: int, tally: Tally) -> bytes:
    """A segment from `offset` on, as the companion's sync reads it; `tally` counts."""
    data = b""
    while offset + len(data) < size:
        at = offset + len(data)
        tally.requests += 1
        async for piece in link.stream(commands.LOG_READ, number, at, min(READ_BYTES, size - at)):
            data += piece
            tally.bytes += len(piece)
    return data


async def fetch_all(link: BadgeLink, tally: Tally) -> bytes:
    """Rotate, list, read everything, free it: a whole pull."""
    tally.requests += 3
    (end,) = await link.ask(commands.LOG_ROTATE)
    (segments,) = await link.ask(commands.LOG_LIST, 0)
    log = b"".join([await fetch(link, number, 0, size, tally) for number, size in segments if number < end])
    await link.ask(commands.LOG_FREE, end)
    return log


async def _pull(folder: Path, size: int) -> Tally:
    flash = folder / "flash"
    owner_key = os.urandom(32)
    log = write_log(flash, size, x25519_base(os.urandom(32)))
    (flash / "owner.key").write_bytes(owner_key)
    beacons = schedule.beacon_key(owner_key)
    tally = Tally()
    async with Air(folder / "clock") as air:
        await air.start_badge("badge", flash)
        port = await air.add_adapter("desk")
        air.set_range("badge", "desk", -50)
        air.realtime()
        async with Radio(f"bumble:tcp-client:127.0.0.1:{port}") as radio:
            found = await radio.find(lambda data: schedule.is_beacon(beacons, data), 60)
            async with radio.connect(found) as pipe:
                link = BadgeLink(pipe, owner_key)
                await link.open()
                begin = air.now
                pulled = await fetch_all(link, tally)
                tally.seconds = air.now - begin
    assert pulled == log
    return tally


def measure(size: int = MEGABYTE) -> Tally:
    """Pull a log of that size."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_pull(Path(folder), size))


def run() -> Report:
    """The figures; they fail if a megabyte takes more than a minute."""
    tally = measure()
    megabytes = tally.bytes / MEGABYTE
    report = Report("Pulling the log at MTU 247, on the virtual radio")
    report.add("seconds_per_megabyte", "time for one megabyte", tally.seconds / megabytes, "s")
    report.add("bytes_per_second", "throughput", tally.bytes / tally.seconds, "B/s")
    report.add("round_trips_per_megabyte", "protocol round trips per megabyte", tally.requests / megabytes, "")
    report.limit("seconds_per_megabyte", MAX_SECONDS)
    return report
