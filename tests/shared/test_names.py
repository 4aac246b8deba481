"""Numbers and names that a badge, its companion and docs/ have to agree on."""

import re
from pathlib import Path

from anontrace_shared import names
from anontrace_shared.presets import PRESETS

DOCS = Path(__file__).parents[2] / "docs"


def test_names_and_modes_are_those_of_the_protocol() -> None:
    text = (DOCS / "protocol.md").read_text()
    (service,) = re.findall(r"GATT service `([0-9a-f-]{36})`", text)
    tail = service[8:]
    found = {name: start + tail for start, name in re.findall(r"\| `([0-9a-f]{8})-…` (\w+) \|", text)}
    assert service == names.SERVICE
    assert found == {"inbox": names.INBOX, "outbox": names.OUTBOX, "challenge": names.CHALLENGE}
    assert f"mode (1: {names.RATCHET} = ratchet, {names.LIST} = list)" in text
    assert bytes(32) == names.NO_OWNER


def test_presets_are_those_of_the_page() -> None:
    row = r"\| `(\w+)` \| (\d+) ms \| (all the time|(\d+) of (\d+) ms) \|"
    rows = re.findall(row, (DOCS / "design.md").read_text())
    told = {name: (int(every), int(window or 1000), int(scan or 1000)) for name, every, _, window, scan in rows}
    assert told == PRESETS
