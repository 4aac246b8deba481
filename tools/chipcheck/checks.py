"""The measurements: which scripts run on which board, and what their figures mean. Talks to no board itself.

A script is a file in on_badge/, put together with common.py and its settings; the last line that it prints is what it
has found, as JSON. Each measurement runs one script, or one on each board at the same time.
"""

import json
import secrets
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.flash import FlashError

HERE = Path(__file__).parent / "on_badge"
_FOUND = "found "
_MAX_SAID = 1 << 18  # bytes of a board's last line

# What the scripts are told. A test shortens some.
SETTINGS: dict[str, Any] = {
    "GROW_BLOCKS": 16,  # of 4096 bytes
    "KEEP": 24576,  # bytes that are left to ESP-IDF
    "STARTS": 100,
    "ADVERTS": 10,
    "START_MS": 4000,
    "SLEEP_MS": 0,
    "ROUNDS": 5,
    "ROUND_MS": 12000,
    "IN_HANDLER": True,
    "PIECES": 200,
    "TRIES": 20,
}

Found = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the table: which line of design.md's list it belongs to ("" where none), what, and the figure."""

    line: str
    what: str
    figure: str
    expected: str = ""  # what the firmware, the model or the simulator takes it to be


@dataclass(frozen=True)
class Check:
    """`first` and `second`: the scripts; without a second the first runs on both boards, one after the other.

    `either`: the first board may fall silent, as one does whose USB sleeps with it. `read` makes rows of what was
    found.
    """

    name: str
    about: str
    first: str
    second: str | None
    read: Callable[[Found, Found], list[Row]]
    settings: Mapping[str, Any]
    either: bool = False


def script(name: str, settings: Mapping[str, Any], tag: bytes) -> str:
    """What a board runs."""
    lines = [f"TAG = {tag!r}", *(f"{key} = {value!r}" for key, value in {**SETTINGS, **settings}.items())]
    return "\n".join([*lines, (HERE / "common.py").read_text(), (HERE / f"{name}.py").read_text()])


def new_tag() -> bytes:
    """By which the boards of one measurement know each other."""
    return secrets.token_bytes(12)


def found(said: str) -> Found:
    """What a script has found, by all that it printed. FlashError with the reason where it did not come to its end."""
    lines = [line.strip() for line in said[-_MAX_SAID:].splitlines() if line.strip()]
    try:
        if lines and lines[-1].startswith(_FOUND):
            result = json.loads(lines[-1].removeprefix(_FOUND))
            if isinstance(result, dict):
                return result
    except (ValueError, RecursionError):
        pass
    raise FlashError(f"the board said {lines[-1]!r}" if lines else "the board said nothing")


def rows(check: Check, first: Found, second: Found) -> list[Row]:
    """The same as `check.read`; FlashError where the figures are not those that the script gives."""
    try:
        return check.read(first, second)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FlashError(f"the board's figures make no sense ({error!r})") from None


def _ms(values: list[int]) -> str:
    return f"{min(values)} to {max(values)} ms, median {statistics.median(values):.0f} ms"


def _bytes(pair: list[int]) -> str:
    return f"{pair[0]:,} bytes, largest block {pair[1]:,}"


def _memory(first: Found, _second: Found) -> list[Row]:
    heap = "{:,} bytes free, {:,} used".format(*first["heap"])
    size, while_grown = first["grown"]
    given = first["freed"][0] - while_grown[0]
    return [
        Row("8", "MicroPython's heap after a start", heap, "56,000 and what it grows by"),
        Row("8", "ESP-IDF's, before Bluetooth", _bytes(first["idf"]), "110,592 in one block"),
        Row("8", "ESP-IDF's, with Bluetooth on", _bytes(first["bluetooth"]), "61,440 in one block"),
        Row("8", f"ESP-IDF's, while MicroPython holds {size:,} bytes more", _bytes(while_grown), "40,000 at least"),
        Row("8", "of these, given back when they are free again", f"{given:,} bytes", "what the heap grew by"),
    ]  # fmt: skip


def _starts(first: Found, _second: Found) -> list[Row]:
    heap, idf = first["first"]
    heap_last, idf_last = first["last"]
    return [
        Row("3", "Bluetooth comes up, and is on the air, in", _ms(first["took"]), "250 ms"),
        Row("3", f"MicroPython's heap after {len(first['took'])} times", f"{heap_last - heap:+,} bytes", "0"),
        Row("3", "ESP-IDF's heap and largest block after them",
            f"{idf_last[0] - idf[0]:+,} and {idf_last[1] - idf[1]:+,} bytes", "0 and 0"),
    ]  # fmt: skip


def _address(first: Found, _second: Found) -> list[Row]:
    return [Row("9", f"a new BLE address: {when}", str(said), expected) for when, said, expected in (
        ("idle", first["idle"], "taken"),
        ("while advertising", first["advertising"], "kept, not said"),
        ("while scanning", first["scanning"], "kept, not said"),
        ("idle again", first["again"], "taken"),
    )]  # fmt: skip


def _series(heard: list[list[int]], first: int) -> list[tuple[int, int]]:
    """(sent, heard) by two clocks, of the adverts of one series."""
    return [(sent, at) for number, sent, at in heard if first <= number < first + 1000]


def _adverts(_first: Found, second: Found) -> list[Row]:
    heard = _series(second["heard"], 0)
    if not heard:
        return [Row("4", "an advert leaves when advertising is switched on", "none was heard", "all")]
    lag = [at - sent for sent, at in heard]
    return [
        Row("4", "of ten adverts switched on in a second, heard", str(len(heard)), "10"),
        Row("4", "heard later than the quickest, by", _ms([each - min(lag) for each in lag]), "some 10 ms"),
    ]


def _sleep(_first: Found, second: Found, seconds: int) -> list[Row]:
    before, after = _series(second["heard"], 0), _series(second["heard"], 1000)
    what = f"a light-sleep of {seconds} s is counted as"
    if not before or not after:
        return [Row("2", what, "no advert was heard " + ("after it" if before else "before it"), "")]
    # By whichever advert was on its way for the shortest time, before and after.
    wrong = min(at - sent for sent, at in after) - min(at - sent for sent, at in before)
    figure = f"{abs(wrong)} ms too {'few' if wrong > 0 else 'many'}, {abs(wrong) * 1000 / seconds:,.0f} ppm"
    return [Row("2", what, figure, "1,000 ppm at most, and each time about the same")]


_EVENTS = {1: "connected", 2: "disconnected"}


def _lost(first: Found, second: Found) -> list[Row]:
    found = []
    for number, events in enumerate(first["rounds"]):
        told = ", ".join(f"{_EVENTS[event]} after {ms} ms" for event, ms in events) or "no event"
        seen = second["rounds"][number] if number < len(second["rounds"]) else None
        if seen is None or not seen[0]:
            air = "no connection was begun"
        else:
            air = f"{seen[1]} adverts, {seen[2]} of them empty" if seen[2] else f"{seen[1]} adverts"
        found.append(Row("10", f"a connection that never comes up, {number + 1}", f"{told}; {air}", "any; none empty"))
    return found


def _writes(first: Found, second: Found, how: str) -> list[Row]:
    if second["bytes"] < 0:
        return [Row("11", f"written and read {how}", "no connection", "")]
    lost = second["bytes"] - first["bytes"]
    figure = f"{lost:,} of {second['bytes']:,} bytes lost, {first['broken']} gaps"
    return [Row("11", f"written and read {how}", figure, "0" if how == "in the handler" else "more")]


def _pairing(first: Found, second: Found) -> list[Row]:
    if "missing" in second:
        return [Row("12", "whoever wants to pair", f"this MicroPython has no {second['missing']}", "")]
    if "encrypted" not in second:
        return [Row("12", "whoever wants to pair", "no connection", "")]
    ended = f"hung up after {second['ended_ms']} ms" if second["ended_ms"] >= 0 else "not hung up on"
    paired = "and has paired" if second["encrypted"] else "and has not paired"
    return [Row("12", "whoever wants to pair", f"{ended}, {paired}; {first['asked']} questions", "hung up, not paired")]


def _connects(_first: Found, second: Found) -> list[Row]:
    took = [ms for ms in second["took"] if ms >= 0]
    figure = f"{len(took)} of {len(second['took'])}" + (f", {_ms(took)}" if took else "")
    return [Row("6", "another board connects within two seconds", figure, "all")]


def all_checks(seconds: int) -> list[Check]:
    """In the order in which they are done. `seconds`: for how long a board sleeps."""
    asleep = {"SLEEP_MS": seconds * 1000}
    return [
        Check("memory", "both heaps", "memory", None, _memory, {}),
        Check("starts", "Bluetooth off and on", "starts", None, _starts, {}),
        Check("address", "new addresses", "address", None, _address, {}),
        Check("adverts", "adverts switched on", "send", "listen", _adverts, {}),
        Check("sleep", "light-sleep", "send", "listen", lambda a, b: _sleep(a, b, seconds), asleep, either=True),
        Check("lost", "connections that never come up", "lost_advertiser", "lost_central", _lost, {}),
        Check("handler", "reading in the handler", "inbox", "writer",
              lambda a, b: _writes(a, b, "in the handler"), {"IN_HANDLER": True}),
        Check("loop", "reading later", "inbox", "writer",
              lambda a, b: _writes(a, b, "later"), {"IN_HANDLER": False}),
        Check("pairing", "pairing", "refuse_pairing", "pair", _pairing, {}),
        Check("connect", "connecting", "be_connected", "connect", _connects, {}),
    ]  # fmt: skip
