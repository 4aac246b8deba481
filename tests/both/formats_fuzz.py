"""A thousand or more random and mutated buffers at each parser of the shared formats, with the heap of an ESP32.

Every parser takes them, or refuses them as documented; none raises anything else, runs out of memory or keeps any.
"""

import gc
import random
import sys

from anontrace_primitives import x25519_base
from anontrace_shared import advert, challenge, commands, figures, log, schedule, session
from anontrace_shared.errors import AnontraceError

# Of each kind; MicroPython, at a thirtieth of the speed, plays a third of them.
ROUNDS = 3000 if sys.implementation.name == "cpython" else 1000
OWNER_KEY = bytes(range(32))
SECRET = bytes(range(32, 64))
FIGURES = figures.pack(False, 0, 2, 3, -60, -70, 0, 9)


def random_bytes(size):
    data = bytearray(size)  # not a list first: on this heap nothing may need more than a frame in one piece
    for at in range(size):
        data[at] = random.getrandbits(8)
    return bytes(data)


def mutated(data):
    """`data` with a byte changed, cut, grown, or a piece repeated."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        kind = random.randrange(4)
        at = random.randrange(len(changed) + 1)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed = changed[:at]
        elif kind == 2:
            changed = changed[:at] + random_bytes(random.randrange(1, 9)) + changed[at:]
        else:
            changed = changed + changed[at : at + 100]
    return bytes(changed)


def throw(parse, seeds, rounds=ROUNDS):
    """Random bytes and mutations of `seeds` at `parse`. Returns how many were taken."""
    taken = 0
    for turn in range(rounds):
        if turn % 4 == 0:
            data = random_bytes(random.randrange(0, 1 << random.randrange(1, 10)))
        else:
            data = mutated(random.choice(seeds))
        try:
            parse(data)
            taken += 1
        except AnontraceError:
            pass
    return taken


def a_log():
    public = x25519_base(SECRET)
    data = b""
    for slot in range(3):
        sealer = log.Sealer(public, log.KNOWN_SLOT, slot)
        data += sealer.begin(2) + sealer.record(bytes(20), FIGURES) + sealer.record(bytes(20), FIGURES) + sealer.end()
    return data + log.clock_anchor(1, 2, 3)


def read_log(data):
    kept = 0
    for item in log.blocks(data):
        if isinstance(item, log.Damage):
            assert item.offset == kept, "damage is not where the good blocks end"
        else:
            kept += len(item.raw)
            log.resolve([item])
    assert data[:kept] == b"".join([item.raw for item in log.blocks(data) if not isinstance(item, log.Damage)])


def established():
    companion, badge = session.CompanionSession(OWNER_KEY, bytes(20)), session.BadgeSession(OWNER_KEY, bytes(20))
    badge.receive(companion.open())
    companion.receive(badge.open())
    return companion, badge


def fuzz_handshake():
    """Strangers' first frames: random, and a good one changed."""
    good = session.CompanionSession(OWNER_KEY, bytes(20)).open()
    for turn in range(ROUNDS // 10):
        badge = session.BadgeSession(OWNER_KEY, bytes(20))
        data = mutated(good) if turn % 2 else b"\x30\x00" + random_bytes(48)
        if data[:50] == good:
            continue
        try:
            assert badge.receive(data) == []
        except AnontraceError:
            assert badge.state == session.CLOSED
        assert not badge.established


def fuzz_session():
    """Frames altered, cut, repeated and left out within sessions; each error ends its session."""
    companion, badge = established()
    for _ in range(ROUNDS // 10):
        frame = companion.send(random_bytes(random.randrange(1, 300)))
        data = mutated(frame)
        try:
            for plaintext in badge.receive(data):
                assert data[: len(frame)] == frame and len(plaintext) == len(frame) - 18
            whole = data == frame
        except AnontraceError:
            assert badge.state == session.CLOSED
            whole = False
        if not whole:
            companion, badge = established()


def fuzz_challenge():
    n = bytes(range(1, 33))
    asked = challenge.question(n)
    secret = schedule.slot_secret(bytes(32), 5)
    public = schedule.public_key(secret)
    good = challenge.answer(secret, public, asked, 5)
    address = schedule.contact_address(public)
    for turn in range(ROUNDS // 10):
        data = random_bytes(48) if turn % 2 else mutated(good[:32]) + good[32:]
        try:
            challenge.verify(n, asked, data, address, 5)
        except AnontraceError:
            continue
        assert data == good


def main():
    random.seed(20200330)
    key = schedule.beacon_key(OWNER_KEY)
    advert_data = advert.encode(0, bytes(20))
    requests = [bytes((op,)) + random_bytes(size) for op in range(15) for size in (0, 4, 5, 12, 36, 72)]
    requests.append(commands.encode_request(commands.ADDRESSES, 5, [bytes(20)] * commands.MAX_ADDRESSES))
    requests.append(commands.encode_request(commands.ERASE))
    heads = [bytes((op, status)) for op in (1, 2, 6, 7) for status in (0, 6)]
    responses = [head + random_bytes(size) for head in heads for size in (0, 4, 41)]
    throw(advert.decode, [advert_data])
    throw(lambda data: schedule.is_beacon(key, data), [schedule.beacon(key, bytes(8))])
    throw(lambda data: schedule.is_beacon_of_version_1(OWNER_KEY, data), [bytes(20)])
    throw(figures.unpack, [FIGURES])
    throw(log.block_length, [b"\x01" + bytes(6)])
    throw(commands.decode_request, requests)
    throw(commands.decode_response, responses)
    throw(read_log, [a_log()], ROUNDS // 5)
    gc.collect()
    before = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    fuzz_handshake()
    fuzz_session()
    fuzz_challenge()
    gc.collect()
    after = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    assert after < before + 8192, f"sessions and challenges left {after - before} bytes behind"


if __name__ == "__main__":
    main()
