"""The vector files of sections 1 to 5 are what the reference makes; tests/both/ holds the shared modules to them."""

import pytest

from tests.shared import make_vectors


@pytest.mark.parametrize("name", make_vectors.ALL)
def test_the_vector_file_is_what_the_reference_makes(name: str) -> None:
    assert (make_vectors.FOLDER / name).read_text(encoding="utf-8") == make_vectors.text(name)
