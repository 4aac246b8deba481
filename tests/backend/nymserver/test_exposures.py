"""From what a badge heard to exposures: which slot, which figures, and what is left out and counted."""

import asyncio
import os
from collections.abc import Sequence

import pytest
from anontrace.backend.nymserver import exposures
from anontrace.backend.nymserver.exposures import OLDEST_DAYS, Heard
from anontrace.backend.nymserver.records import Contact, Tally
from anontrace_primitives import x25519_base
from anontrace_shared import figures, log
from anontrace_shared.figures import Figures
from anontrace_shared.schedule import nym_key

SLOT = 5_900_000
ADDRESS = bytes(range(20))


def heard(address: bytes, slot: int, present: int = 3, strongest: int = -60, verified: bool = False) -> Heard:
    return Heard(address, slot, Figures(verified, 0, present - 1, present, strongest, -70, 3, 9))


def matched(some: Sequence[Heard], registered: set[bytes]) -> tuple[list[Contact], Tally]:
    async def known(keys: list[bytes]) -> list[bool]:
        return [key in registered for key in keys]

    tally = Tally()
    return asyncio.run(exposures.match(some, known, tally)), tally


def test_an_address_counts_in_its_slot_else_in_the_one_before_or_after_and_in_no_other() -> None:
    keys = {slot: nym_key(ADDRESS, slot) for slot in range(SLOT - 3, SLOT + 4)}
    for near in (SLOT - 1, SLOT, SLOT + 1):
        found, tally = matched([heard(ADDRESS, SLOT)], {keys[near]})
        assert ([each.slot for each in found], tally.unregistered) == ([near], 0)
    for far in (SLOT - 2, SLOT + 2):
        found, tally = matched([heard(ADDRESS, SLOT)], {keys[far]})
        assert (found, tally.unregistered) == ([], 1)
    found, _ = matched([heard(ADDRESS, SLOT)], set(keys.values()))
    assert [each.slot for each in found] == [SLOT]
    for edge in (0, (1 << 32) - 1):
        assert matched([heard(ADDRESS, edge)], {nym_key(ADDRESS, edge)})[0][0].slot == edge


def test_what_was_heard_of_one_address_is_added_up() -> None:
    some = [
        heard(ADDRESS, SLOT, present=4, strongest=-60),
        heard(ADDRESS, SLOT + 1, present=5, strongest=-45, verified=True),
        heard(ADDRESS, SLOT, present=1, strongest=-80),
    ]
    (only,), _ = matched(some, {nym_key(ADDRESS, SLOT)})
    assert (only.present, only.attenuation, only.verified) == (10, 48, True)
    (only,), _ = matched([*some, *some], {nym_key(ADDRESS, SLOT)})
    assert only.present == figures.THIRDS
    (only,), _ = matched([heard(ADDRESS, SLOT, strongest=-38)], {nym_key(ADDRESS, SLOT)})
    assert (only.attenuation, only.verified) == (41, False)


def test_who_is_not_registered_hides_nobody_who_was_heard_later() -> None:
    found, tally = matched([heard(os.urandom(20), SLOT), heard(ADDRESS, SLOT)], {nym_key(ADDRESS, SLOT)})
    assert ([each.address for each in found], tally.unregistered) == ([ADDRESS], 1)


@pytest.mark.parametrize(
    ("correction", "attenuation"),
    [(0, 63), (-4, 59), (5, 68), (-20, 43), (-62, 1), (-63, 0), (-64, 0), (191, 254), (192, 255), (193, 255)],
)
def test_what_the_networks_badges_send_more_or_less_than_they_say_counts(correction: int, attenuation: int) -> None:
    known = nym_key(ADDRESS, SLOT)

    async def registered(keys: list[bytes]) -> list[bool]:
        return [key == known for key in keys]

    (only,) = asyncio.run(exposures.match([heard(ADDRESS, SLOT)], registered, Tally(), correction))
    assert only.attenuation == attenuation


def test_the_numbers_of_exposures_tell_nothing_of_their_order_in_the_log() -> None:
    addresses = [os.urandom(20) for _ in range(20)]
    registered = {nym_key(address, SLOT) for address in addresses}
    orders = set()
    for _ in range(5):
        found, _ = matched([heard(address, SLOT) for address in addresses], registered)
        assert [each.id for each in found] == list(range(1, 21))
        assert {each.address for each in found} == set(addresses)
        orders.add(tuple(each.address for each in found))
    assert len(orders) == 5 and tuple(addresses) not in orders


def block(log_secret: bytes, slot: int, records: int = 1) -> bytes:
    sealer = log.Sealer(x25519_base(log_secret), log.KNOWN_SLOT, slot)
    packed = figures.pack(True, 0, 2, 3, -60, -70, 3, 9)
    return sealer.begin(records) + b"".join(sealer.record(ADDRESS, packed) for _ in range(records)) + sealer.end()


def test_a_log_takes_no_more_work_than_a_real_one_could(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over is left out and counted; blocks in which nothing is cost nothing."""
    secret, now = os.urandom(32), SLOT * 300 + 10.0
    sent = block(secret, SLOT, 0) * 50 + b"".join(block(secret, SLOT, 2) for _ in range(10))
    monkeypatch.setattr(exposures, "_MAX_BLOCKS", 4)
    found, tally = exposures.read(secret, sent, now)
    assert (len(found), tally.blocks, tally.records, tally.damaged) == (8, 54, 8, 1)
    monkeypatch.setattr(exposures, "_MAX_BLOCKS", 100)
    monkeypatch.setattr(exposures, "_MAX_RECORDS", 11)
    found, tally = exposures.read(secret, sent, now)
    assert (len(found), tally.blocks, tally.records, tally.damaged) == (10, 55, 10, 1)
    monkeypatch.setattr(exposures, "_MAX_READ", 53)
    found, tally = exposures.read(secret, sent, now)
    assert (len(found), tally.blocks, tally.records, tally.damaged) == (6, 53, 6, 1)


def test_a_log_that_takes_just_as_much_as_a_real_one_could_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    secret, now = os.urandom(32), SLOT * 300 + 10.0
    sent = block(secret, SLOT, 0) * 50 + b"".join(block(secret, SLOT, 2) for _ in range(10))
    for name, most in (("_MAX_BLOCKS", 10), ("_MAX_RECORDS", 20), ("_MAX_READ", 60)):
        monkeypatch.setattr(exposures, name, most)
    found, tally = exposures.read(secret, sent, now)
    assert (len(found), tally.blocks, tally.records, tally.damaged, tally.broken) == (20, 60, 20, 0, 0)


def test_a_block_that_comes_again_counts_once() -> None:
    """Else whoever was near for a moment could be made to have been near for five minutes, by a log that is in each of
    its blocks the one that was committed."""
    secret, now = os.urandom(32), SLOT * 300 + 10.0
    sent = block(secret, SLOT) + block(secret, SLOT + 1)
    once = exposures.read(secret, sent, now, SLOT)
    assert exposures.read(secret, sent * 3, now, SLOT) == once
    assert len(once[0]) == 2


def test_records_of_the_last_thirty_days_count_and_of_a_badge_that_is_a_little_ahead() -> None:
    secret, now = os.urandom(32), SLOT * 300 + 10.0
    oldest = (SLOT // 288 - OLDEST_DAYS) * 288
    good, bad = (oldest, SLOT, SLOT + 1), (0, oldest - 1, SLOT + 2, (1 << 32) - 1)
    found, tally = exposures.read(secret, b"".join(block(secret, slot) for slot in (*good, *bad)), now)
    assert [each.slot for each in found] == list(good)
    assert (tally.blocks, tally.records, tally.misdated) == (7, 7, len(bad))
    found, tally = exposures.read(os.urandom(32), block(secret, SLOT), now)
    assert (found, tally.broken) == ([], 1)
