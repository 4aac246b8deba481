"""How much more or less a board hears and sends than a reference board: `python -m tools.calibration`.

    measure   two boards a metre apart, in as many directions as there are turns: what each hears of the other
    correct   from such measurements, `rssi` and `tx` of the board's file in firmware/boards/
    mean      from these, `[nymserver] tx_correction` of a network, by how many of its badges are which board

The method is that of the Exposure Notifications project ("BLE calibration calculation" and "BLE RSSI calibration
procedure", developers.google.com/android/exposure-notifications): one metre, twelve orientations, the median of at
least ten readings in each, the mean of those; a correction is the difference to what a reference device reads in the
same set-up. Who uses what of it: docs/design.md, "What attenuation allows for".
"""

import argparse
import json
import secrets
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.flash import MAX_CORRECTION, FlashError, check_port, hardware_file, run_on_board

TURNS = 12
MIN_READINGS = 10  # readings in a direction
LISTEN_MS = 6000
MAX_FILE = 100_000  # bytes of a measurement
FREE_SPACE_DBM = -37  # 3 dBm less what is lost over one metre of free space at 2.44 GHz, 40.2 dB

# Run on the boards. Adverts are of a service of nobody, with bytes drawn for this measurement.
TRANSMIT = """
import bluetooth
ble = bluetooth.BLE()
ble.active(True)
ble.gap_advertise(30000, adv_data={advert!r}, connectable=False)
"""
LISTEN = """
import bluetooth, time
ble = bluetooth.BLE()
ble.active(True)
heard = []
def irq(event, data):
    if event == 5 and bytes(data[4]) == {advert!r}:
        heard.append(data[3])
ble.irq(irq)
ble.gap_scan({listen_ms}, 30000, 30000)
time.sleep_ms({listen_ms} + 300)
ble.active(False)
print(heard)
"""
SILENCE = "import bluetooth\nbluetooth.BLE().active(False)\n"


@dataclass(frozen=True)
class Measurement:
    """Of a board against another a metre away, in each direction: what it heard, and what was heard of it, in dBm."""

    board: str
    hears: list[float]
    is_heard: list[float]


def advert() -> bytes:
    """24 bytes: service data of 16 random bytes."""
    payload = b"\xff\xff" + secrets.token_bytes(16)
    return b"\x02\x01\x04" + bytes((len(payload) + 1, 0x16)) + payload


def readings(said: str) -> list[int]:
    """What a board that ran LISTEN has printed, in dBm. FlashError unless it heard the other often enough."""
    try:
        heard = json.loads(said.strip().splitlines()[-1])
        if not isinstance(heard, list) or not all(type(each) is int and -127 <= each <= 20 for each in heard):
            raise ValueError
    except (ValueError, IndexError, RecursionError):
        raise FlashError("the board does not answer as MicroPython with Bluetooth does") from None
    if len(heard) < MIN_READINGS:
        raise FlashError(f"it heard the other {len(heard)} times of at least {MIN_READINGS}: put them a metre apart")
    return heard


def one_way(sender: str, listener: str) -> float:
    """The median in dBm of what a board hears of another, by their ports."""
    sent = advert()
    run_on_board(sender, TRANSMIT.format(advert=sent))
    try:
        said = run_on_board(listener, LISTEN.format(advert=sent, listen_ms=LISTEN_MS))
    finally:
        run_on_board(sender, SILENCE)
    return statistics.median(readings(said))


def measure(board: str, port: str, port2: str, turns: int) -> Measurement:
    """Ask for each turn of the board at `port`, and measure both ways; the one at `port2` stays as it is."""
    hears, is_heard = [], []
    for turn in range(turns):
        input(f"Turn the {board} to {360 * turn // turns} degrees, a metre from the other, stand back, press Enter: ")
        hears.append(one_way(port2, port))
        is_heard.append(one_way(port, port2))
        print(f"  it hears {hears[-1]:.0f} dBm, and is heard with {is_heard[-1]:.0f} dBm", flush=True)
    return Measurement(board, hears, is_heard)


def load(path: Path) -> Measurement:
    """A measurement that `measure` has written. FlashError if it is none."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_FILE))
        found = Measurement(**data)
        levels = [*found.hears, *found.is_heard]
        if not found.hears or not found.is_heard or not all(isinstance(each, (int, float)) for each in levels):
            raise ValueError
        if not isinstance(found.board, str) or not all(-127 <= each <= 20 for each in levels):
            raise ValueError
    except OSError as error:
        raise FlashError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError):
        raise FlashError(f"{path} holds no measurement: write it with the command measure") from None
    return found


def corrections(found: Measurement, reference: Measurement | None) -> tuple[int, int]:
    """`rssi` and `tx` of a board, in dB. Without a reference, against free space: a room then counts as the board's.

    `reference`: two reference boards, measured in the same set-up. FlashError beyond what a badge takes.
    """
    heard = statistics.fmean(reference.hears) if reference else FREE_SPACE_DBM
    was_heard = statistics.fmean(reference.is_heard) if reference else FREE_SPACE_DBM
    rssi, tx = round(heard - statistics.fmean(found.hears)), round(statistics.fmean(found.is_heard) - was_heard)
    if max(abs(rssi), abs(tx)) > MAX_CORRECTION:
        raise FlashError(
            f"rssi {rssi} dB, tx {tx} dB: beyond {MAX_CORRECTION} dB a board is broken, or they were not a metre apart"
        )
    return rssi, tx


def mean_tx(shares: dict[str, int]) -> tuple[float, list[str]]:
    """Mean of `tx` in dB over so many badges of each board, and the boards for which nobody has measured it."""
    known = {board: json.loads(hardware_file(board, None)).get("tx") for board in shares}
    total = sum(shares.values())
    if not total:
        raise FlashError("say how many badges of each board there are: BOARD=COUNT ...")
    sums = sum(count * (known[board] or 0) for board, count in shares.items())
    return sums / total, [board for board, tx in known.items() if tx is None]


def _shares(words: Sequence[str]) -> dict[str, int]:
    shares: dict[str, int] = {}
    for word in words:
        board, _, count = word.rpartition("=")
        if not board or not count.isascii() or not count.isdigit() or len(count) > 9:
            raise FlashError(f"{word!r} is not BOARD=COUNT")
        shares[board] = shares.get(board, 0) + int(count)
    return shares


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0, or 1 after one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tools.calibration", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    each = commands.add_parser("measure", help="two boards with MicroPython, a metre apart")
    each.add_argument("--port", required=True, help="the board that is measured")
    each.add_argument("--port2", required=True, help="the other one")
    each.add_argument("--board", required=True, help="what the first is: a name in firmware/boards/, or reference")
    each.add_argument("--turns", type=int, default=TURNS, choices=range(1, 37), metavar="N", help="directions (12)")
    each.add_argument("--out", required=True, type=Path, help="the file to write")
    each = commands.add_parser("correct", help="rssi and tx of a board, from its measurement")
    each.add_argument("file", type=Path)
    each.add_argument("--reference", type=Path, help="the measurement of two reference boards in the same set-up")
    each = commands.add_parser("mean", help="tx_correction of a network")
    each.add_argument("share", nargs="+", metavar="BOARD=COUNT")
    options = parser.parse_args(arguments)
    try:
        if options.command == "measure":
            for port in (options.port, options.port2):
                check_port(port)
            found = measure(options.board, options.port, options.port2, options.turns)
            options.out.write_text(json.dumps(asdict(found)) + "\n")
            print(f"Written to {options.out}. Next: python -m tools.calibration correct {options.out}")
        elif options.command == "correct":
            rssi, tx = corrections(load(options.file), load(options.reference) if options.reference else None)
            print(f'"rssi": {rssi}, "tx": {tx}')
            if options.reference is None:
                print("Against free space: measure two reference boards there too, and give that as --reference.")
        else:
            mean, unknown = mean_tx(_shares(options.share))
            print(f"tx_correction = {round(mean)}")
            if unknown:
                print(f"Taken for 0, since nobody has measured it: {', '.join(unknown)}")
    except (FlashError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("interrupted: nothing is written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
