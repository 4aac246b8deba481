"""Lists in one value: what was joined comes apart again, whatever the elements' sizes."""

from anontrace.backend.store.elements import join, split
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=12), max_size=12))
@example([b""] * 3)
@example([b"ab", b"ab", b"\x02\0\0\0ab", b""])  # sizes differ, though all together are a multiple of the first
@example([bytes(243)] * 32)
def test_what_was_joined_comes_apart_again(elements: list[bytes]) -> None:
    assert split(b"".join(map(join, elements))) == elements
