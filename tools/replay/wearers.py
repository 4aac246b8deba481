"""The wearers of a replay: their contact addresses, what their badges would have logged, and their mailboxes."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anontrace.companion.exposures import judging
from anontrace.companion.exposures.judging import Exposure, Received
from anontrace.epidemic.contacts.lists import THIRD
from anontrace.mixnet import notification
from anontrace.mixnet.surb import SurbSecrets
from anontrace_primitives import x25519_base_many
from anontrace_shared import figures, log, schedule, slots
from anontrace_shared.schedule import nym_key

from tools.demo.contacts import Recording

_THIRDS = slots.SLOT_SECONDS // THIRD
_RSSI, _TX_POWER = -60, 3  # dBm: the list says that two were near, not how near


@dataclass
class Address:
    """A contact address (20) of a slot, and what its owner keeps of the SURB that is stored for it now."""

    owner: "Wearer" = field(repr=False)
    slot: int
    contact_address: bytes = field(repr=False)
    mailbox: bytes = field(default=b"", repr=False)
    blob: bytes = field(default=b"", repr=False)
    secrets: SurbSecrets | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        """Under which the nymserver stores its SURB (32)."""
        return nym_key(self.contact_address, self.slot)


@dataclass
class Wearer:
    """One person: a badge with a day key, and a companion with what it has received."""

    name: str
    addresses: dict[int, Address] = field(default_factory=dict, repr=False)  # by slot
    received: list[Received] = field(default_factory=list, repr=False)

    def take(self, address: Address, payload: bytes, now: float) -> None:
        """What came into the mailbox of an address, opened as the companion does."""
        assert address.secrets is not None
        self.received.append(Received(address.slot, int(now), notification.open(address.secrets, payload)))

    def told(self, case_id: bytes) -> Exposure | None:
        """What the companion tells of a case, from all that it has received of whatever cases; None if nothing."""
        for exposure in judging.assess(self.received, set(), set()):
            if exposure.case_id == case_id and exposure.state == judging.TOLD:
                return exposure
        return None


def near(recording: Recording) -> dict[str, dict[int, dict[str, set[int]]]]:
    """Who was near whom in which thirds of which slot: by person, slot, other person."""
    found: dict[str, dict[int, dict[str, set[int]]]] = {person: {} for person in recording.people}
    for (one, other), stretches in recording.meetings.items():
        for third in {each for start, end in stretches for each in range(start // THIRD, -(-end // THIRD))}:
            slot, within = divmod(recording.origin // THIRD + third, _THIRDS)
            for who, whom in ((one, other), (other, one)):
                found[who].setdefault(slot, {}).setdefault(whom, set()).add(within)
    return found


def make(met: Mapping[str, Mapping[int, Mapping[str, set[int]]]]) -> dict[str, Wearer]:
    """A wearer for each person, with addresses for the slots in which somebody was near."""
    wearers = {}
    for name, by_slot in met.items():
        wearer = wearers[name] = Wearer(name)
        first, key = None, os.urandom(schedule.DAY_KEY)
        secrets = []
        for slot in sorted(by_slot):
            day = slots.day_of(slot)
            first = day if first is None else first
            secrets.append(schedule.slot_secret(schedule.day_key(key, first, day), slot))
        for slot, public in zip(sorted(by_slot), x25519_base_many(secrets), strict=True):
            wearer.addresses[slot] = Address(wearer, slot, schedule.contact_address(public))
    return wearers


def sealed_log(
    log_key: bytes, met: Mapping[int, Mapping[str, Iterable[int]]], wearers: Mapping[str, Wearer]
) -> Iterator[bytes]:
    """The blocks of one person's log, sealed as a badge seals them: one for each slot in which somebody was near."""
    for slot, others in sorted(met.items()):
        sealer = log.Sealer(log_key, log.KNOWN_SLOT, slot)
        parts = [sealer.begin(len(others))]
        for name, thirds in others.items():
            heard = sorted(thirds)
            packed = figures.pack(
                False, heard[0], heard[-1], len(heard), _RSSI, _RSSI, _TX_POWER, min(255, 40 * len(heard))
            )
            parts.append(sealer.record(wearers[name].addresses[slot].contact_address, packed))
        yield b"".join([*parts, sealer.end()])
