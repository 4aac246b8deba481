"""The crowd, which lives once for all observers."""

import pytest

from tests.adversary import crowd
from tests.adversary.crowd import Crowd


@pytest.fixture(scope="session")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    with pytest.MonkeyPatch.context() as patch:
        found = crowd.gather(tmp_path_factory.mktemp("crowd"), patch)
    return found
