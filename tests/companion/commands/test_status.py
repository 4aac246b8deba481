"""`anontrace status`: the days of the log as bars, on any terminal."""

import pytest
from anontrace.companion.store import state

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import START
from tests.companion.reports.test_contact_log import block

SLOT = START // 300  # 2026-01-05 08:00 UTC


@pytest.fixture
def wearer(cli, tmp_path):
    """A companion with the log of three days: 80, none, and 3 sealed records."""
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    with state.changing(cli.folder) as opened:
        badge = opened.badges.ensure(2_000_000)
        data = block(SLOT - 577, 40) + block(SLOT - 576, 40) + block(SLOT, 3)
        opened.logs.append(badge.number, 1, 1, 0, data, START)
    return cli


def test_each_day_on_which_something_was_heard_is_a_bar_beside_the_longest(wearer):
    lines = wearer.run("status").out.splitlines()
    at = lines.index(next(line for line in lines if line.startswith("Log")))
    assert lines[at : at + 3] == [
        f"Log         83 sealed records, {lines[at].split(', ')[1]}, 2026-01-03 to 2026-01-05",
        f"            2026-01-03  {'█' * 40} 80",
        "            2026-01-05  ██ 3",
    ]
    assert wearer.do("status")["log"]["by_day"] == {"2026-01-03": 80, "2026-01-05": 3}


def test_a_terminal_without_such_characters_gets_others(wearer):
    wearer.environment["PYTHONIOENCODING"] = "latin-1"
    assert "            2026-01-05  ## 3" in wearer.run("status").out.splitlines()
