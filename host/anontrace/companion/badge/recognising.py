"""Whether what is on the air is sent by the wearer's own badge now, or was once (docs/protocol.md, section 2).

Nothing static is ever on the air: a badge is known by a contact address or by a beacon under its owner key. Either says
of which moment it is, so that somebody who plays back what a badge has sent does not draw its companion, and with it
the wearer, into showing that they are there.
"""

from anontrace_shared import commands, schedule
from anontrace_shared.slots import SLOT_SECONDS, slot_of, slot_start

from anontrace import clock
from anontrace.companion.errors import BadgeNotFoundError
from anontrace.companion.store.badges import Badge, Met
from anontrace.companion.store.state import State

SLACK = 20.0  # seconds by which a badge is off just after its clock was set: a turn's silences, a message that was late
RATE = 0.001  # by which it goes wrong at most, asleep by an RC oscillator that nobody has measured yet
AHEAD_SLOTS = 288  # a day by which its clock may be ahead, because a computer's was that set it
BEHIND_SLOTS = 288  # for which a contact address is known as the badge's, though as a recording
AGAIN_SECONDS = 600  # after a session in which the badge may be asked for again by the same beacon

_BOOTS = 1 << 16


class Recogniser:
    """Takes 20 advertised bytes: whether this badge sends them now. `problem` says why it was not found."""

    def __init__(self, state: State, badge: Badge) -> None:
        now = slot_of(clock.now())
        known = state.addresses.contact_addresses(badge.number, now - BEHIND_SLOTS, now + AHEAD_SLOTS + 1)
        self._slots = {address: slot for slot, address in known.items()}
        self._key = schedule.beacon_key(badge.owner_key)
        self._owner_key = badge.owner_key
        self._set = max(badge.last_sync or 0, badge.provisioned or 0)  # when the badge's clock was
        self._met = badge.met
        self._is_of_another_time = False
        self._is_older = False

    def __call__(self, data: bytes) -> bool:
        now = clock.now()
        beacon = schedule.open_beacon(self._key, data)
        if beacon is None:
            slot = self._slots.get(data)
            if slot is None:
                self._is_older = self._is_older or schedule.is_beacon_of_version_1(self._owner_key, data)
                return False
            is_now = self._is_slot_now(slot, now)
        elif beacon.slot is not None:
            is_now = self._is_slot_now(beacon.slot, now)
        else:
            is_now = self._met is None or _comes_after(self._met, beacon.boot, beacon.period, now)
        self._is_of_another_time = self._is_of_another_time or not is_now
        return is_now

    def _is_slot_now(self, slot: int, now: float) -> bool:
        """Whether a badge may be sending what belongs to this slot.

        What was recorded is of the past: so a clock may be behind by no more than clocks go wrong since it was set, and
        ahead by as much as a computer's that has set it.
        """
        passed = now - self._set
        slack = min(SLACK + passed * RATE, SLOT_SECONDS) if passed >= 0 else SLOT_SECONDS
        return slot_start(slot + 1) + slack > now and slot <= slot_of(now) + AHEAD_SLOTS

    def problem(self) -> BadgeNotFoundError | None:
        """What speaks for the badge being there, though it was not found: nobody is connected to for that."""
        if self._is_of_another_time:
            return BadgeNotFoundError(
                "what is heard of the badge belongs to another time: its clock is wrong, or somebody plays back what it"
                " once sent; press its button briefly (if it has none, switch it off and on) and try again"
            )
        if self._is_older:
            return BadgeNotFoundError(
                "the badge is heard, and has older firmware than this program needs; update it by cable: make update"
                " PORT=..."
            )
        return None


def meeting(info: "commands.Info") -> Met:
    """Where in its life a badge is that has just said its info."""
    return Met(info.boot, info.uptime // SLOT_SECONDS, int(clock.now()))


def _comes_after(met: Met, boot: int, period: int, now: float) -> bool:
    """Whether a beacon of this boot and period is of a time after the last session, or belongs to it."""
    if boot != met.boot:
        return (boot - met.boot) % _BOOTS < _BOOTS // 2
    return period > met.period or (period >= met.period - 1 and now - met.at < AGAIN_SECONDS)
