"""Power cuts, on the chip's own file system: at every write to the flash and every byte of it, in a badge's whole life.

The life is lived once and every write noted, with what the badge had done by then; each cut is the flash as it was with
the writes up to there, and the badge starts anew from it.
"""

import asyncio
import time

import flash
import utime
from anontrace_primitives import x25519_base
from anontrace_shared import figures, log, names, schedule
from badge import sealer, segments
from badge.addresses import Addresses
from badge.logbook import Logbook
from badge.store import Store

HEAP = 4194304
BLOCKS = 12
DAY = 20000
MIDNIGHT = (DAY + 1) * 288
KEY = bytes(range(32))
LOG_SECRET = bytes(range(1, 33))
LOG_KEY = x25519_base(LOG_SECRET)
FIGURES = figures.pack(False, 0, 3, 2, -60, -70, 3, 5)
CONTACTS = 2
ERASED = 48  # a cut in an erase is tried at every so many bytes

# asyncio's queue of tasks reads the real ticks, so those of the test stay ahead of them.
time.ms = utime.ticks_ms() + 200000 & 0x3FFFFFFF


class Heard:
    """Contacts that wait to be sealed."""

    def __init__(self, slot):
        self.slot = slot
        self.waiting = CONTACTS

    def take(self):
        self.waiting -= 1
        return self.slot.to_bytes(20, "big"), FIGURES

    def discard(self):
        self.waiting = 0


class Life:
    """A badge that notes what it does: (number of writes by then, what, value)."""

    def __init__(self, device):
        self.device = device
        self.events = []
        self.state = Store()
        self.state.boot += 1
        self.state.save()
        self.logbook = Logbook(self.state, lambda: 1 << 30)
        self.addresses = Addresses(self.state)

    def note(self, what, value):
        self.events.append((len(self.device.writes or ()), what, value))

    def provision(self):
        state = self.state
        state.mode, state.horizon, state.day, state.day_key = names.RATCHET, MIDNIGHT + 500, DAY, KEY
        state.log_key = LOG_KEY
        state.save()
        self.note("provisioned", state.boot)

    def turn(self, slot):
        """Go over to a slot: broadcast its address, seal what was heard in the one before."""
        entered = self.addresses.enter(slot)
        if entered is not None:
            self.note("broadcast", entered)
        lost = asyncio.run(
            sealer.seal(
                Heard(slot - 1), self.logbook, self.state.log_key, self.state.boot, True, slot - 1, lambda: None
            )
        )
        assert not lost
        self.note("logged", slot - 1)

    def pulled(self):
        """The companion has all that is closed."""
        end = self.logbook.rotate()
        self.note("acknowledged", end)
        segments.free(self.logbook, end)

    def blocks(self):
        """All blocks of the log; fails if anything torn is among them."""
        found = []
        for number in self.logbook.numbers():
            for item in log.blocks(b"".join(segments.read(self.logbook, number, 0, 1 << 20, 958))):
                assert isinstance(item, log.Block), item
                found.append((number, item))
        return found


def live(device):
    """A slot of a day and one of the next, a pull, one more, a clock set back, and on."""
    life = Life(device)
    life.provision()
    life.turn(MIDNIGHT - 1)
    life.turn(MIDNIGHT)
    life.pulled()
    life.turn(MIDNIGHT + 1)
    life.addresses.clock_set(MIDNIGHT)
    life.turn(MIDNIGHT + 2)
    return life


def start(image):
    """A badge that finds this flash when the power comes back."""
    device = flash.Flash(0)
    device.bytes = image
    flash.switch_on(device)
    return Life(device)


def check(life, past):
    """What had been done before the cut holds, and nothing that was on the air comes again; the last slot that was."""
    last = 0
    logged, acknowledged = [], []
    for what, value in past:
        if what == "broadcast":
            last = value.number
        elif what == "logged":
            logged.append(value)
        elif what == "acknowledged":  # these may be freed
            acknowledged, logged = logged, []
        else:
            assert life.state.mode == names.RATCHET and life.state.log_key == LOG_KEY
    here = [block.slot for _, block in life.blocks()]
    assert all(slot in here for slot in logged), (here, logged)
    more = [slot for slot in here if slot not in logged and slot not in acknowledged]
    assert len(more) <= 1 and len(here) == len(set(here)), here  # one that was whole, though nobody had been told
    assert not last or life.state.broadcast <= last + 1
    last = max(last, life.state.broadcast)  # one that is not on the air yet is passed over
    life.addresses.clock_set(last - 1)  # the companion's clock is behind
    for slot in range(last - 2, last + 1):
        assert life.addresses.enter(slot) is None, slot
    return last


def go_on(life, last, seen):
    """The badge does what it did before, with addresses and contexts that it has not used."""
    before = [block.raw for _, block in life.blocks()]
    life.turn(last + 1)
    entered = life.events[-2][2]
    assert entered.address == schedule.address_at(schedule.day_key(KEY, DAY, (last + 1) // 288), last + 1)
    *others, (_, block) = life.blocks()
    assert [other.raw for _, other in others] == before
    opened = log.open_block(LOG_SECRET, block)
    assert [contact.address for contact in opened] == [last.to_bytes(20, "big")] * CONTACTS
    assert block.enc not in seen, "an HPKE context twice"
    seen.add(block.enc)


def test_a_cut_at_every_byte_of_every_write_loses_nothing_acknowledged_and_repeats_nothing():
    device = flash.blank(BLOCKS)
    image = bytearray(device.bytes)
    device.writes = []
    life = live(device)
    seen = {block.enc for _, block in life.blocks()}
    flash.switch_off()
    device.writes.append((0, b""))  # no cut at all
    cuts = 0
    for count, (at, data) in enumerate(device.writes):
        past = [(what, value) for written, what, value in life.events if written <= count]
        survivor = start(bytearray(image))
        last = check(survivor, past)
        if last:
            go_on(survivor, last, seen)
        flash.switch_off()
        for cut in range(len(data)):
            if image[at + cut] != data[cut]:  # else the flash is as with one byte less
                image[at + cut] = data[cut]
                if len(data) == flash.BLOCK and cut % ERASED:
                    continue
                check(start(bytearray(image)), past)
                flash.switch_off()
                cuts += 1
    print(len(device.writes), "writes,", cuts, "cuts,", len(seen), "contexts")
    assert cuts > 1000 and len(seen) > 30
