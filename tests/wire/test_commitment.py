"""The code that binds a log: what continues a log counts, whatever is left out of it; what was made up does not."""

import os
import zlib
from dataclasses import replace

import pytest
from anontrace.wire import commitment, onetime
from anontrace.wire.commitment import SLOTS, Commitment, Proof
from anontrace_shared import log as logs
from anontrace_shared.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

LAST = 5_900_000
SEED = bytes(range(32))


def framed(head: bytes, records: int) -> bytes:
    data = head + records.to_bytes(2, "little") + os.urandom(32 + 40 * records)
    return data + zlib.crc32(data).to_bytes(4, "little")


def block(slot: int, records: int = 1) -> bytes:
    return framed(b"\1" + slot.to_bytes(4, "little"), records)


def undated(boot: int, period: int) -> bytes:
    return framed(b"\2" + boot.to_bytes(2, "little") + period.to_bytes(2, "little"), 1)


def anchored(boot: int, slot: int) -> bytes:
    """At an uptime of zero it was this slot."""
    return logs.clock_anchor(boot, 0, slot * 300)


def holds(made: Commitment, log: bytes, proof: bytes | None = None) -> bool:
    return commitment.parse(proof or made.prove(log)).holds(made.code, logs.blocks(log))


@given(st.sets(st.integers(LAST - 300, LAST), max_size=60), st.data())
@settings(max_examples=20, deadline=None)
def test_what_is_left_of_a_log_counts_with_what_came_later(slots: set[int], data: st.DataObject) -> None:
    made_of = {slot: [block(slot) for _ in range(data.draw(st.integers(1, 2)))] for slot in slots}
    made = commitment.commit(b"".join(each for some in made_of.values() for each in some), LAST, os.urandom(32))
    left = data.draw(st.sets(st.sampled_from(sorted(slots)))) if slots else set()
    log = b"".join(each for slot in left for each in made_of[slot]) + block(LAST + 1) + block(LAST + 400)
    assert made.bound(log) == log
    assert holds(made, log)
    assert Commitment.decode(made.encode()) == made


def test_nothing_can_be_added_to_the_time_of_the_commitment_or_changed() -> None:
    kept = block(LAST - 10)
    made = commitment.commit(block(LAST - 3000) + kept + block(LAST - 2), LAST, SEED)
    assert holds(made, kept)
    for slot in (LAST, LAST - 9, LAST - 10, LAST - SLOTS + 1, LAST - SLOTS, 1):
        made_up = block(slot)
        log = kept + made_up
        assert not holds(made, log)
        assert made.bound(log) == kept
        assert not holds(made, made_up)
    assert not holds(made, kept, made.prove(kept + block(LAST - 2)))  # the proof of another selection
    assert holds(made, kept + block(LAST, records=0))  # in which nobody was met


def test_a_slot_counts_as_a_whole_or_not_at_all() -> None:
    one, other = block(LAST - 4), block(LAST - 4)
    made = commitment.commit(one + other, LAST, SEED)
    assert holds(made, other + one)  # in whatever order
    assert made.bound(one) == b""
    assert not holds(made, one)


def test_blocks_without_a_time_count_one_by_one_and_none_is_dated_into_the_past_later() -> None:
    known, also = undated(3, 7), undated(3, 8)
    made = commitment.commit(known + also, LAST, SEED)
    dated = known + anchored(3, LAST - 20)
    assert made.bound(dated) == dated
    assert holds(made, dated)
    made_up = undated(4, 1) + anchored(4, LAST - 30)
    assert not holds(made, dated + made_up)
    assert made.bound(dated + made_up) == dated + anchored(4, LAST - 30)
    assert holds(made, dated + undated(4, 1) + anchored(4, LAST))  # it was a slot later
    assert holds(made, dated + undated(5, 1))  # of a time that nobody knows, and counts for nobody


def test_a_stranger_without_the_log_finds_no_proof() -> None:
    made = commitment.commit(block(LAST - 1), LAST, SEED)
    theirs = block(LAST - 1) + block(LAST - 2)
    own = commitment.commit(theirs, LAST, SEED)
    assert not commitment.parse(own.prove(theirs)).holds(made.code, logs.blocks(theirs))
    good = commitment.parse(made.prove(b""))
    assert good.holds(made.code, [])
    for wrong in (
        replace(good, slot=LAST + 1),
        replace(good, slot=LAST - 1),
        replace(good, tries=good.tries + 1),
        replace(good, nodes=[]),
        replace(good, nodes=[*good.nodes, good.nodes[0]]),
        replace(good, nodes=[bytes(16)]),
        replace(good, loose=good.loose[1:]),
        Proof(LAST, 0, [], []),
    ):
        assert not wrong.holds(made.code, [])
    assert not good.holds(made.code, logs.blocks(theirs))


def test_what_is_left_out_does_not_show() -> None:
    """Whether somebody was met in a slot that is not shown: all of it looks alike, also in number."""
    shown = [block(LAST - 100 + each) for each in range(0, 100, 3)]
    hidden = [block(LAST - 100 + each) for each in range(1, 100, 3)]
    log = b"".join(shown)
    full = commitment.commit(log + b"".join(hidden) + undated(1, 1), LAST, SEED)
    bare = commitment.commit(log, LAST, SEED)
    of_full, of_bare = full.prove(log), bare.prove(log)
    assert len(of_full) == len(of_bare) == 15 + 16 * (len(commitment.parse(of_bare).nodes) + 64)
    hashes = {commitment.digest(each) for each in hidden}
    assert not hashes & set(commitment.parse(of_full).nodes)


def test_a_proof_that_is_damaged_or_too_long_is_none() -> None:
    made = commitment.commit(block(LAST), LAST, SEED)
    proof, log = made.prove(b""), block(LAST + 1)
    assert commitment.split(proof + log) == (proof, log)
    for damaged in (proof[:-1], proof[:20] + b"\0" + proof[21:], b"", b"\5", log):
        assert commitment.split(damaged) == (None, damaged)
    head = b"\5" + bytes(6) + (5000).to_bytes(2, "little") + bytes(2)
    too_long = head + bytes(16 * 5000)
    found, _ = commitment.split(too_long + zlib.crc32(too_long).to_bytes(4, "little"))
    assert found is not None
    with pytest.raises(FormatError):
        commitment.parse(found)


MADE = commitment.commit(b"", LAST, SEED).code


@given(st.integers(0, 15), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_code_is_typed_as_a_token_is_and_taken_for_none(place: int, symbol: str) -> None:
    shown = commitment.text(MADE)
    for typed in (shown.lower().replace("-", " "), shown.replace("0", "O"), shown.replace("1", "l"), f"« {shown} »"):
        assert commitment.read(typed) == MADE
    bare = shown.replace("-", "")
    if bare[place] != symbol:
        with pytest.raises(FormatError):
            commitment.read(bare[:place] + symbol + bare[place + 1 :])
    with pytest.raises(FormatError, match="code of a log"):
        onetime.normalise(shown)
    with pytest.raises(FormatError, match="token"):
        commitment.read(onetime.new_token())
