"""What tests of looks have in common."""

from contextlib import closing

import pytest
from anontrace import clock

from tests.companion.exposures.desk import Desk
from tests.companion.paper import START


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: float(START))
    made = Desk(tmp_path / "state")
    with closing(made.state):
        yield made
