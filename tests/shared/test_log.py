"""The sealed log: what the badge streams is what the nymserver reads; what is damaged costs no more than itself."""

import binascii

import pytest
from anontrace_primitives import x25519_base
from anontrace_shared import figures, log
from anontrace_shared.errors import FormatError
from hypothesis import example, given, settings
from hypothesis import strategies as st

SECRET = bytes(range(32))
LOG_KEY = x25519_base(SECRET)
FIGURES = figures.pack(False, 0, 2, 3, -60, -70, 0, 9)

contacts = st.lists(st.binary(min_size=20, max_size=20), max_size=5)
shorts = st.integers(0, 0xFFFF)
longs = st.integers(0, 2**32 - 1)


def sealed(addresses: list[bytes], kind: int = log.KNOWN_SLOT, slot_field: int = 1) -> bytes:
    sealer = log.Sealer(LOG_KEY, kind, slot_field)
    return (
        sealer.begin(len(addresses))
        + b"".join([sealer.record(address, FIGURES) for address in addresses])
        + sealer.end()
    )


def with_crc(data: bytes) -> bytes:
    return data + binascii.crc32(data).to_bytes(4, "little")


def some(number: int) -> list[bytes]:
    return [bytes([i]) * 20 for i in range(number)]


@given(contacts, longs)
@settings(max_examples=40)
def test_a_sealed_block_opens_to_the_contacts_in_their_order(addresses: list[bytes], slot: int) -> None:
    data = sealed(addresses, slot_field=slot)
    assert len(data) == 39 + 40 * len(addresses) + 4 == log.block_length(data[:7])
    (block,) = log.blocks(data)
    assert (block.kind, block.slot, block.raw) == (log.KNOWN_SLOT, slot, data)
    assert all(len(record) == 40 for record in block.records)
    expected = [(address, figures.unpack(FIGURES)) for address in addresses]
    assert log.open_block(SECRET, block) == expected


def test_another_key_opens_nothing() -> None:
    (block,) = log.blocks(sealed(some(2)))
    assert log.open_block(bytes(range(1, 33)), block) == []


def test_every_block_has_a_key_of_its_own() -> None:
    assert sealed([])[7:39] != sealed([])[7:39]


def test_a_record_moved_to_another_slot_does_not_open() -> None:
    data = sealed(some(1), slot_field=5)
    (block,) = log.blocks(with_crc(b"\x01\x06" + data[2:-4]))
    assert block.slot == 6
    assert log.open_block(SECRET, block) == []


def test_exchanged_records_do_not_open() -> None:
    data = sealed(some(2))
    (block,) = log.blocks(with_crc(data[:39] + data[79:119] + data[39:79]))
    assert log.open_block(SECRET, block) == []


def test_a_broken_record_is_left_out_and_those_after_it_open() -> None:
    data = bytearray(sealed(some(4))[:-4])
    data[39 + 40 + 7] ^= 1
    (block,) = log.blocks(with_crc(bytes(data)))
    assert [contact.address[0] for contact in log.open_block(SECRET, block)] == [0, 2, 3]


def test_a_record_with_contradicting_figures_is_left_out_and_those_after_it_open() -> None:
    sealer = log.Sealer(LOG_KEY, log.KNOWN_SLOT, 1)
    data = sealer.begin(2) + sealer.record(bytes(20), bytes(4)) + sealer.record(bytes([1]) * 20, FIGURES) + sealer.end()
    (block,) = log.blocks(data)
    assert [contact.address[0] for contact in log.open_block(SECRET, block)] == [1]


def test_a_block_whose_key_is_of_low_order_opens_to_nothing() -> None:
    (block,) = log.blocks(with_crc(b"\x01" + bytes(4) + b"\x01\x00" + bytes(32) + bytes(40)))
    assert log.open_block(SECRET, block) == []


def test_a_log_key_of_low_order_is_refused_by_the_badge() -> None:
    with pytest.raises(FormatError):
        log.Sealer(bytes(32), log.KNOWN_SLOT, 1)


def test_a_block_has_exactly_the_records_it_began_with() -> None:
    sealer = log.Sealer(LOG_KEY, log.KNOWN_SLOT, 1)
    with pytest.raises(FormatError):
        sealer.record(bytes(20), FIGURES)
    sealer.begin(1)
    with pytest.raises(FormatError):
        sealer.begin(1)
    with pytest.raises(FormatError):
        sealer.end()
    sealer.record(bytes(20), FIGURES)
    with pytest.raises(FormatError):
        sealer.record(bytes(20), FIGURES)
    sealer.end()
    with pytest.raises(FormatError):
        sealer.end()


def test_the_sealing_key_is_gone_when_the_block_ends() -> None:
    sealer = log.Sealer(LOG_KEY, log.KNOWN_SLOT, 1)
    sealer.begin(0)
    sealer.end()
    assert sealer._sender._key == bytearray(32)


@pytest.mark.parametrize(("kind", "slot_field"), [(0, 1), (3, 1), (1, -1), (1, 2**32)])
def test_a_block_of_no_kind_or_slot_is_refused(kind: int, slot_field: int) -> None:
    with pytest.raises(FormatError):
        log.Sealer(LOG_KEY, kind, slot_field)


@given(shorts, shorts, longs, longs)
@settings(max_examples=40)
def test_an_anchor_resolves_the_blocks_of_its_boot(boot: int, period: int, uptime: int, unix: int) -> None:
    unknown = sealed([], log.UNKNOWN_SLOT, log.unknown_slot(boot, period))
    other = sealed([], log.UNKNOWN_SLOT, log.unknown_slot(boot ^ 1, period))
    items = list(log.blocks(unknown + other + log.clock_anchor(boot, uptime, unix)))
    assert items[2][:4] == (log.CLOCK_ANCHOR, boot, uptime, unix)
    resolved, unresolved = log.resolve(items)
    slot = (unix - uptime + 300 * period) // 300
    assert resolved.slot == (slot if slot >= 0 else None)
    assert (resolved.boot, resolved.period) == (boot, period)
    assert unresolved.slot is None


def test_the_next_anchor_of_the_boot_counts_before_the_last_one() -> None:
    unknown = sealed([], log.UNKNOWN_SLOT, log.unknown_slot(1, 0))
    early, late = log.clock_anchor(1, 0, 300 * 10), log.clock_anchor(1, 0, 300 * 20)
    data = unknown + early + unknown + late + unknown
    assert [block.slot for block in log.resolve(log.blocks(data))] == [10, 20, 20]


def test_blocks_of_a_known_slot_stay_as_they_are_and_in_order() -> None:
    data = sealed([], slot_field=9) + sealed([], log.UNKNOWN_SLOT, log.unknown_slot(1, 1)) + sealed([], slot_field=7)
    assert [block.slot for block in log.resolve(log.blocks(data))] == [9, None, 7]


@pytest.mark.parametrize("values", [(-1, 0, 0), (65536, 0, 0), (0, -1, 0), (0, 2**32, 0), (0, 0, -1), (0, 0, 2**32)])
def test_an_anchor_that_does_not_fit_is_refused(values: tuple[int, int, int]) -> None:
    with pytest.raises(FormatError):
        log.clock_anchor(*values)


@pytest.mark.parametrize(("boot", "period"), [(-1, 0), (65536, 0), (0, -1), (0, 65536)])
def test_a_boot_or_period_that_does_not_fit_is_refused(boot: int, period: int) -> None:
    with pytest.raises(FormatError):
        log.unknown_slot(boot, period)


LOG = sealed(some(2)) + log.clock_anchor(1, 2, 3) + sealed(some(1))
BOUNDARIES = (0, 123, 138, len(LOG))


@given(st.integers(0, len(LOG)))
def test_a_log_cut_anywhere_yields_its_whole_blocks(length: int) -> None:
    items = list(log.blocks(LOG[:length]))
    whole = max(boundary for boundary in BOUNDARIES if boundary <= length)
    damage = [item for item in items if isinstance(item, log.Damage)]
    good = items[: len(items) - len(damage)]
    assert b"".join(item.raw for item in good) == LOG[:whole]
    assert damage == ([] if whole == length else [log.Damage(whole, "cut short")])


@given(st.integers(0, len(LOG) * 8 - 1))
def test_a_flipped_bit_is_found_and_what_stands_before_it_is_kept(bit: int) -> None:
    data = bytearray(LOG)
    data[bit // 8] ^= 1 << bit % 8
    *good, damage = log.blocks(bytes(data))
    before = max(boundary for boundary in BOUNDARIES if boundary <= bit // 8)
    assert b"".join(item.raw for item in good) == LOG[:before]
    assert damage.offset == before


heads = st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(0, 4), st.binary(max_size=60))


@given(st.one_of(st.binary(max_size=200), heads, st.builds(with_crc, heads), st.builds(lambda b: LOG + b, heads)))
@example(b"")
@example(b"\x01" + bytes(4) + b"\xff\xff")
@example(with_crc(b"\x02" + bytes(4 + 2 + 32)))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    items = list(log.blocks(data))
    kept = b"".join(item.raw for item in items if not isinstance(item, log.Damage))
    assert data.startswith(kept)
    if kept != data:
        assert items[-1].offset == len(kept)
    for block in log.resolve(items):
        assert len(log.open_block(SECRET, block)) <= len(block.records)


@given(st.binary(max_size=10))
def test_the_length_of_a_block_is_known_from_its_head_or_not_at_all(head: bytes) -> None:
    length = log.block_length(head)
    assert (length is None) == (len(head) < 7 or head[0] not in (1, 2, 3))


def test_each_byte_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def checked(data: bytes) -> int:
        read.append(len(data))
        return binascii.crc32(data)

    monkeypatch.setattr(log, "crc32", checked)
    copies = 400
    data = sealed(some(20)) * copies
    assert sum(1 for _ in log.blocks(data)) == copies
    assert sum(read) == len(data) - copies * log.CRC
