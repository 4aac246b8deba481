"""What a companion takes for its own badge: what that sends now, and nothing that it once sent."""

import pytest
from anontrace import clock
from anontrace.companion.badge.recognising import Recogniser
from anontrace.companion.store import state
from anontrace.companion.store.badges import Met
from anontrace_shared import schedule, slots

from tests.companion.store.test_state import surb

SLOT = 6_000_000
START = slots.slot_start(SLOT)
OFFSETS = (-289, -288, -2, -1, 0, 1, 288, 289)
BOOT = 40


@pytest.fixture
def at(monkeypatch):
    """Sets the companion's clock."""
    return lambda now: monkeypatch.setattr(clock, "now", lambda: now)


@pytest.fixture
def opened(tmp_path, at):
    at(START)
    state.create(tmp_path / "state")
    with state.changing(tmp_path / "state") as opened:
        badge = opened.badges.add(START // 86400)
        opened.addresses.add(badge.number, [(SLOT + off, address(off), surb(off % 255, 2**31)) for off in OFFSETS], 0)
        yield opened


def address(off: int) -> bytes:
    return bytes([off % 251 + 1, off % 241]) * 10


def recogniser(opened, *, synced: float | None = None, met: Met | None = None) -> Recogniser:
    badge = opened.badges.get()
    if synced is not None:
        opened.badges.set_synced(badge, {}, int(synced))
    if met is not None:
        opened.badges.set_met(badge, met)
    return Recogniser(opened, opened.badges.get())


def beacon(opened, *, number: int, boot: int = BOOT) -> bytes:
    key = schedule.beacon_key(opened.badges.get().owner_key)
    return schedule.beacon(key, number.to_bytes(4, "little") + boot.to_bytes(2, "little") + b"up")


def known(opened, is_own: Recogniser) -> list[list[int]]:
    """Which slots' addresses, and which slots' beacons, are the badge's own."""
    offs = [off for off in OFFSETS if is_own(address(off))]
    return [offs, [off for off in OFFSETS if is_own(beacon(opened, number=SLOT + off))]]


@pytest.mark.parametrize(
    ("into", "since_sync", "first"),
    [
        (0, 10, -1),  # a badge may turn some seconds late
        (19, 10, -1),
        (21, 10, 0),
        (150, 60, 0),
        (60, 0.9 * 86400, -1),  # the longer ago its clock was set, the later
        (60, 0.3 * 86400, 0),
        (299, 30 * 86400, -1),  # but never by more than a slot
        (299, -500, -1),  # this computer's clock was another then: the badge's is not known
    ],
)
def test_a_slot_is_known_for_as_long_as_a_badge_may_send_what_belongs_to_it(opened, at, into, since_sync, first):
    is_own = recogniser(opened, synced=START + into - since_sync)
    at(START + into)
    offs = [off for off in OFFSETS if first <= off <= 288]
    assert known(opened, is_own) == [offs, offs]


def test_a_badge_that_a_computer_has_set_a_day_ahead_is_found_and_one_behind_is_told_of(opened, at):
    is_own = recogniser(opened, synced=START)
    at(START + 150)
    assert is_own(address(288)) and is_own.problem() is None
    assert not is_own(address(-288))
    assert "its clock is wrong, or somebody plays back" in str(is_own.problem())


@pytest.mark.parametrize(
    ("boot", "period", "since_met", "is_own"),
    [
        (BOOT, 8, 86400, True),
        (BOOT, 7, 86400, False),  # sent before that session, or in it
        (BOOT, 7, 590, True),  # the session's own: it may be begun anew
        (BOOT, 6, 590, True),
        (BOOT, 5, 590, False),
        (BOOT, 7, 610, False),
        (BOOT, 7, -86400, True),  # this computer's clock was ahead then
        (BOOT + 1, 0, 86400, True),
        (BOOT - 1, 5000, 10, False),
        (65535, 5000, 10, False),  # 41 boots ago, the number of which has 16 bits
    ],
)
def test_a_beacon_without_a_time_is_known_if_it_comes_after_the_last_session(
    opened, at, boot, period, since_met, is_own
):
    recognise = recogniser(opened, met=Met(BOOT, 7, int(START - since_met)))
    at(START)
    assert recognise(beacon(opened, number=period, boot=boot)) == is_own
    assert (recognise.problem() is None) == is_own


def test_the_number_of_boots_begins_anew_at_its_end(opened):
    recognise = recogniser(opened, met=Met(65535, 7, int(START - 86400)))
    assert recognise(beacon(opened, number=0, boot=0)) and not recognise(beacon(opened, number=9, boot=65534))


def test_a_badge_of_which_nothing_is_known_yet_and_one_that_gets_its_key_anew_may_be_at_any_boot(opened):
    assert recogniser(opened)(beacon(opened, number=0, boot=1))
    assert not recogniser(opened, met=Met(BOOT, 7, 0))(beacon(opened, number=0, boot=1))
    opened.badges.set_keyed(opened.badges.get())
    assert recogniser(opened)(beacon(opened, number=0, boot=1))


def test_older_firmware_is_told_of_and_strangers_are_not(opened):
    recognise = recogniser(opened)
    assert not recognise(bytes(20)) and not recognise(schedule.beacon(bytes(32), bytes(8)))
    assert recognise.problem() is None
    key = schedule.hkdf.expand(opened.badges.get().owner_key, b"anontrace/1 beacon key", 32)
    assert not recognise(bytes(8) + schedule.hmac_sha256(key, bytes(8))[:12])
    assert "older firmware" in str(recognise.problem())
