"""The advertisement: 29 bytes, exactly."""

import pytest
from anontrace_shared import advert
from anontrace_shared.errors import FormatError
from hypothesis import given
from hypothesis import strategies as st

addresses = st.binary(min_size=20, max_size=20)


@given(st.integers(-128, 127), addresses)
def test_what_is_advertised_is_heard(tx_power: int, address: bytes) -> None:
    data = advert.encode(tx_power, address)
    assert len(data) == 29 <= 31
    assert advert.decode(data) == advert.decode(memoryview(data)) == (tx_power, address)


@given(st.binary(max_size=40))
def test_strangers_adverts_are_ignored(data: bytes) -> None:
    assert advert.decode(data) is None


@given(st.integers(0, 7), st.integers(1, 255))
def test_a_changed_header_or_version_is_ignored(position: int, flip: int) -> None:
    data = bytearray(advert.encode(0, bytes(20)))
    data[position] ^= flip
    assert advert.decode(data) is None


@pytest.mark.parametrize(("tx_power", "size"), [(-129, 20), (128, 20), (0, 19), (0, 21)])
def test_what_does_not_fit_is_not_advertised(tx_power: int, size: int) -> None:
    with pytest.raises(FormatError):
        advert.encode(tx_power, bytes(size))
