"""Requests and responses: what is encoded is decoded, anything else is malformed."""

from typing import Any

import pytest
from anontrace_shared import commands
from anontrace_shared.errors import FormatError
from hypothesis import given
from hypothesis import strategies as st

byte = st.integers(0, 0xFF)
short = st.integers(0, 0xFFFF)
long = st.integers(0, 2**32 - 1)
address = st.binary(min_size=20, max_size=20)

REQUESTS: dict[int, st.SearchStrategy[Any]] = {
    commands.INFO: st.tuples(),
    commands.SET_TIME: st.tuples(st.integers(0, 2**64 - 1)),
    commands.ADDRESSES: st.tuples(
        st.integers(0, 2**32 - 46), st.lists(address, min_size=1, max_size=commands.MAX_ADDRESSES)
    ),
    commands.HORIZON: st.tuples(long),
    commands.LOG_LIST: st.tuples(long),
    commands.LOG_READ: st.tuples(long, long, long),
    commands.LOG_FREE: st.tuples(long),
    commands.LOG_ROTATE: st.tuples(),
    commands.SET: st.tuples(byte, long),
    commands.ERASE: st.tuples(),
    commands.CRASH_LOG: st.tuples(),
    commands.RESTART: st.tuples(),
    commands.OWN: st.tuples(st.binary(min_size=32, max_size=32)),
}
RESPONSES: dict[int, st.SearchStrategy[Any]] = {
    commands.INFO: st.tuples(
        st.tuples(byte, byte, byte, long, short, long, long, short, long, long, long, long, long, short)
    ),
    commands.SET_TIME: st.tuples(st.integers(-(2**31), 2**31 - 1)),
    commands.PROVISION: st.tuples(),
    commands.ADDRESSES: st.tuples(),
    commands.HORIZON: st.tuples(),
    commands.LOG_LIST: st.tuples(st.lists(st.tuples(long, long), max_size=commands.MAX_SEGMENTS)),
    commands.LOG_READ: st.tuples(st.binary(max_size=commands.MAX_DATA)),
    commands.LOG_FREE: st.tuples(long),
    commands.LOG_ROTATE: st.tuples(long),
    commands.SET: st.tuples(),
    commands.ERASE: st.tuples(),
    commands.CRASH_LOG: st.tuples(st.binary(max_size=commands.MAX_DATA)),
    commands.RESTART: st.tuples(),
    commands.OWN: st.tuples(),
}
STREAMED = (commands.LOG_READ, commands.CRASH_LOG)


def of(table: dict[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[int, Any]]:
    return st.one_of([st.tuples(st.just(op), values) for op, values in table.items()])


@given(of(REQUESTS))
def test_a_request_is_read_as_it_was_made(request: tuple[int, Any]) -> None:
    op, values = request
    plaintext = commands.encode_request(op, *values)
    assert len(plaintext) <= commands.MAX_PLAINTEXT
    assert commands.decode_request(plaintext) == (op, values)


@given(of(REQUESTS), st.binary(min_size=1, max_size=20))
def test_a_request_with_more_or_fewer_bytes_is_malformed(request: tuple[int, Any], extra: bytes) -> None:
    plaintext = commands.encode_request(request[0], *request[1])
    for changed in (plaintext + extra, plaintext[:-1]):
        with pytest.raises(FormatError):
            commands.decode_request(changed)


@given(of(RESPONSES), st.sampled_from([commands.DONE, commands.MORE]))
def test_a_response_is_read_as_it_was_made(response: tuple[int, Any], status: int) -> None:
    op, values = response
    if op not in STREAMED:
        status = commands.DONE
    plaintext = commands.encode_response(op, status, *(values[0] if op == commands.INFO else values))
    assert len(plaintext) <= commands.MAX_PLAINTEXT
    assert commands.decode_response(plaintext) == (op, status, values)


@given(byte, st.sampled_from([1, 2, 3, 4, 5]))
def test_a_failure_says_which_and_nothing_else(op: int, status: int) -> None:
    plaintext = commands.encode_response(op, status)
    assert plaintext == bytes([op, status])
    assert commands.decode_response(plaintext) == (op, status, ())


@given(st.binary(max_size=1000))
def test_arbitrary_bytes_are_a_request_or_malformed(data: bytes) -> None:
    try:
        op, values = commands.decode_request(data)
    except FormatError:
        return
    assert commands.encode_request(op, *values) == data


@given(
    st.builds(lambda op, status, body: bytes([op, status]) + body, byte, st.integers(0, 7), st.binary(max_size=1000))
)
def test_arbitrary_bytes_are_a_response_or_malformed(data: bytes) -> None:
    try:
        op, status, values = commands.decode_response(data)
    except FormatError:
        return
    assert commands.encode_response(op, status, *(values[0] if op == commands.INFO and values else values)) == data


@given(st.sampled_from([commands.RATCHET, commands.LIST]), st.binary(min_size=32, max_size=32), long, long)
def test_a_provision_is_read_as_it_was_made(mode: int, key: bytes, horizon: int, day: int) -> None:
    by_ratchet = mode == commands.RATCHET
    made = commands.Provision(mode, key, horizon, day if by_ratchet else None, key[::-1] if by_ratchet else None)
    plaintext = commands.encode_request(commands.PROVISION, made)
    op, (read,) = commands.decode_request(plaintext)
    assert op == commands.PROVISION
    assert vars(read) == vars(made)
    for changed in (plaintext + b"\x00", plaintext[:-1]):
        with pytest.raises(FormatError):
            commands.decode_request(changed)


def test_a_provision_does_not_show_its_day_key() -> None:
    key = bytes(range(32))
    shown = repr(commands.Provision(commands.RATCHET, bytes(32), 5, 6, key))
    assert "horizon=5" in shown
    assert key.hex() not in shown
    assert repr(key)[2:10] not in shown


@pytest.mark.parametrize(
    "made",
    [
        commands.Provision(commands.RATCHET, bytes(32), 1),
        commands.Provision(commands.RATCHET, bytes(31), 1, 1, bytes(32)),
        commands.Provision(commands.RATCHET, bytes(32), 1, 1, bytes(33)),
        commands.Provision(commands.LIST, bytes(32), 1, 1, bytes(32)),
        commands.Provision(3, bytes(32), 1),
        commands.Provision(commands.LIST, bytes(32), 2**32),
    ],
)
def test_an_impossible_provision_is_not_sent(made: commands.Provision) -> None:
    with pytest.raises(FormatError):
        commands.encode_request(commands.PROVISION, made)


@pytest.mark.parametrize(
    ("op", "values"),
    [
        (commands.SET_TIME, (-1,)),
        (commands.SET_TIME, (2**64,)),
        (commands.HORIZON, (2**32,)),
        (commands.HORIZON, (1.5,)),
        (commands.HORIZON, ()),
        (commands.INFO, (1,)),
        (commands.SET, (256, 0)),
        (commands.ERASE, (1,)),
        (commands.ADDRESSES, (0, [])),
        (commands.ADDRESSES, (0, [bytes(20)] * 47)),
        (commands.ADDRESSES, (0, [bytes(19)])),
        (commands.ADDRESSES, (2**32 - 1, [bytes(20)] * 2)),
        (0, ()),
        (commands.OWN, ()),
        (commands.OWN, (bytes(31),)),
        (commands.OWN, (bytes(33),)),
        (15, ()),
    ],
)
def test_a_request_whose_values_do_not_fit_is_not_sent(op: int, values: tuple[Any, ...]) -> None:
    with pytest.raises(FormatError):
        commands.encode_request(op, *values)


@pytest.mark.parametrize(
    ("op", "status", "values"),
    [
        (commands.INFO, commands.DONE, (1, 2, 3)),
        (commands.INFO, commands.MORE, ()),
        (commands.HORIZON, commands.REFUSED, (1,)),
        (commands.LOG_FREE, commands.DONE, (-1,)),
        (commands.LOG_LIST, commands.DONE, ([(1, 1)] * 101,)),
        (commands.LOG_LIST, commands.DONE, ([(1,)],)),
        (commands.LOG_READ, commands.MORE, (bytes(959),)),
        (commands.LOG_READ, commands.DONE, (5,)),
        (99, commands.DONE, ()),
    ],
)
def test_a_response_whose_values_do_not_fit_is_not_sent(op: int, status: int, values: tuple[Any, ...]) -> None:
    with pytest.raises(FormatError):
        commands.encode_response(op, status, *values)


@pytest.mark.parametrize(("correction", "sent"), [(2**40, 2**31 - 1), (-(2**40), -(2**31))])
def test_a_correction_of_the_clock_is_clamped(correction: int, sent: int) -> None:
    plaintext = commands.encode_response(commands.SET_TIME, commands.DONE, correction)
    assert commands.decode_response(plaintext).values == (sent,)
