"""Holds the shared formats to tests/vectors/, on whichever interpreter runs this: schedule to challenge."""

import json
import sys
from binascii import unhexlify

from anontrace_shared import advert, challenge, commands, figures, log, schedule, session, slots
from anontrace_shared.errors import AnontraceError


def refused(function, *arguments):
    """Whether this call is refused as the shared modules refuse bad bytes; any other exception passes through."""
    try:
        function(*arguments)
    except AnontraceError:
        return True
    return False


def equal(got, wanted, what):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


def check_schedule(v):
    for moment in v["moments"]:
        equal(slots.slot_of(moment["unix"]), moment["slot"], "slot")
        equal(slots.day_of(moment["slot"]), moment["day"], "day")
        assert slots.slot_start(moment["slot"]) <= moment["unix"] < slots.slot_start(moment["slot"] + 1)
    key, day = unhexlify(v["day_key"]), v["day"]
    equal(schedule.next_day_key(key), unhexlify(v["next_day_key"]), "next day key")
    equal(schedule.day_key(key, day, day + 30), unhexlify(v["day_key_after_30_days"]), "day key after 30 days")
    for one in v["slots"]:
        secret = schedule.slot_secret(key, one["slot"])
        address = schedule.contact_address(schedule.public_key(secret))
        equal(secret, unhexlify(one["slot_secret"]), "slot secret")
        equal(schedule.public_key(secret), unhexlify(one["slot_public_key"]), "slot public key")
        equal(address, unhexlify(one["contact_address"]), "contact address")
        equal(schedule.address_at(key, one["slot"]), address, "contact address at once")
        equal(schedule.nym_key(address, one["slot"]), unhexlify(one["nym_key"]), "nym key")
    owner_key = unhexlify(v["owner_key"])
    key = schedule.beacon_key(owner_key)
    equal(key, unhexlify(v["beacon_key"]), "beacon key")
    for one in v["beacons"]:
        beacon = unhexlify(one["beacon"])
        equal(schedule.beacon(key, unhexlify(one["content"])), beacon, "beacon")
        equal(tuple(schedule.open_beacon(key, beacon)), (one["boot"], one["slot"], one["period"]), "what it says")
        assert not schedule.is_beacon(bytes(32), beacon)
        assert not schedule.is_beacon_of_version_1(owner_key, beacon)
    nobodys = schedule.beacon_key(commands.NO_OWNER)
    equal(schedule.beacon(nobodys, unhexlify(v["nonce"])), unhexlify(v["beacon_without_owner"]), "without owner")
    older = unhexlify(v["beacon_of_version_1"])
    assert schedule.is_beacon_of_version_1(owner_key, older) and not schedule.is_beacon(key, older)
    assert not schedule.is_beacon_of_version_1(bytes(32), older)
    assert refused(schedule.day_key, key, 2, 1)
    assert refused(schedule.day_key, key, 1, 1 << 24)


def check_advert(v):
    for one in v["adverts"]:
        data, address = unhexlify(one["advert"]), unhexlify(one["address"])
        equal(advert.encode(one["tx_power"], address), data, "advert")
        equal(advert.decode(memoryview(data)), (one["tx_power"], address), "what is heard")
    for one in v["refused"]:
        equal(advert.decode(memoryview(unhexlify(one["data"]))), None, one["why"])


def check_figures(v):
    names = ("verified", "first", "last", "present", "strongest", "mean", "tx_power", "sightings")
    for one in v["figures"]:
        packed = unhexlify(one["packed"])
        equal(figures.pack(*[one["of"][name] for name in names]), packed, "figures")
        equal(tuple(figures.unpack(packed)), tuple([one["read"][name] for name in names]), "figures read")
    for code, least in enumerate(v["sightings"]):
        equal(figures.sightings_of(code), least, "sightings")
        equal(figures.sightings_code(least), code, "code of sightings")
    for one in v["refused"]:
        assert refused(figures.unpack, unhexlify(one["data"])), one["why"]


def check_log(v):
    secret, public = unhexlify(v["log_secret_key"]), unhexlify(v["log_public_key"])
    whole = b""
    for one in v["blocks"]:
        sealer = log.Sealer(public, one["kind"], one["slot_field"], unhexlify(one["ephemeral"]))
        data = sealer.begin(len(one["contacts"]))
        for contact in one["contacts"]:
            data += sealer.record(unhexlify(contact["address"]), unhexlify(contact["figures"]))
        data += sealer.end()
        equal(data, unhexlify(one["block"]), "block")
        whole += data
    anchor = v["anchor"]
    equal(log.clock_anchor(anchor["boot"], anchor["uptime"], anchor["unix"]), unhexlify(anchor["block"]), "anchor")
    items = list(log.blocks(whole + unhexlify(anchor["block"])))
    equal(b"".join([item.raw for item in items]), whole + unhexlify(anchor["block"]), "blocks read")
    resolved = log.resolve(items)
    equal([block.slot for block in resolved], v["resolved_slots"], "slots")
    for at, one in enumerate(v["blocks"]):
        block = resolved[at]
        opened = [(contact.address, figures.pack(*contact.figures)) for contact in log.open_block(secret, block)]
        wanted = [(unhexlify(contact["address"]), unhexlify(contact["figures"])) for contact in one["contacts"]]
        equal(opened, wanted, "contacts")
    (broken,) = log.blocks(unhexlify(v["broken_record"]["block"]))
    addresses = [contact["address"] for contact in v["blocks"][0]["contacts"]]
    wanted = [unhexlify(addresses[i]) for i in v["broken_record"]["opens"]]
    equal([contact.address for contact in log.open_block(secret, broken)], wanted, "contacts beside a broken one")
    for one in v["damaged"]:
        items = list(log.blocks(unhexlify(one["log"])))
        equal((len(items) - 1, items[-1].offset), (one["good_blocks"], one["offset"]), one["why"])


def check_session(v):
    owner_key, advertised = unhexlify(v["owner_key"]), unhexlify(v["advertised"])
    companion = session.CompanionSession(owner_key, advertised, unhexlify(v["companion_ephemeral"]))
    badge = session.BadgeSession(owner_key, advertised, unhexlify(v["badge_ephemeral"]))
    first = companion.open()
    equal(first, unhexlify(v["companion_handshake"]), "the companion's handshake")
    for at in range(0, len(first), 20):
        equal(badge.receive(memoryview(first)[at : at + 20]), [], "plaintexts of a handshake")
    second = badge.open()
    equal(second, unhexlify(v["badge_handshake"]), "the badge's handshake")
    equal(companion.receive(second), [], "plaintexts of a handshake")
    assert badge.established and companion.established
    for one in v["exchange"]:
        sender, receiver = (companion, badge) if one["from"] == "companion" else (badge, companion)
        plaintext, frame = unhexlify(one["plaintext"]), unhexlify(one["frame"])
        equal(sender.send(plaintext), frame, "frame")
        received = []
        for at in range(0, len(frame), 244):
            received += receiver.receive(frame[at : at + 244])
        equal(received, [plaintext], "plaintext")
    stranger = session.CompanionSession(bytes(32), advertised)
    for recorded, on_air in ((stranger.open(), advertised), (first, bytes(20))):
        again = session.BadgeSession(owner_key, on_air)
        assert refused(again.receive, recorded)
        equal(again.state, session.CLOSED, "state")
    assert refused(badge.receive, b"\xd1\x03"), "a frame of 977"


def check_commands(v):
    for one in v["requests"]:
        op, plaintext = one["op"], unhexlify(one["plaintext"])
        values = one["values"]
        if op == commands.PROVISION:
            values = [commands.Provision(**{name: as_bytes(value) for name, value in values.items()})]
            (read,) = commands.decode_request(plaintext)[1]
            for name, value in one["values"].items():
                equal(getattr(read, name), as_bytes(value), name)
        else:
            values = [as_bytes(value) for value in values]
            equal(commands.decode_request(plaintext), (op, tuple(values)), one["name"])
        equal(commands.encode_request(op, *values), plaintext, one["name"])
    for one in v["responses"]:
        op, status, plaintext = one["op"], one["status"], unhexlify(one["plaintext"])
        values = tuple([as_bytes(value) for value in one["values"]])
        equal(commands.encode_response(op, status, *values), plaintext, one["name"])
        read = commands.decode_response(plaintext)
        if op == commands.INFO:
            values = (values,)
        elif op == commands.LOG_LIST:
            values = ([tuple(segment) for segment in values[0]],)
        equal(tuple(read), (op, status, values), one["name"])
    for one in v["refused_requests"]:
        assert refused(commands.decode_request, unhexlify(one["plaintext"])), one["why"]
    for one in v["refused_responses"]:
        assert refused(commands.decode_response, unhexlify(one["plaintext"])), one["why"]
    # struct wraps on one interpreter and raises on the other: here both refuse
    for op, value in ((commands.SET_TIME, -1), (commands.SET_TIME, 1 << 64), (commands.HORIZON, 1 << 32)):
        assert refused(commands.encode_request, op, value), value


def as_bytes(value):
    """Values in the vectors: strings are bytes in hex, numbers and nothing are themselves."""
    if isinstance(value, list):
        return [as_bytes(one) for one in value]
    return unhexlify(value) if isinstance(value, str) else value


def check_challenge(v):
    secret, public = unhexlify(v["slot_secret"]), unhexlify(v["slot_public_key"])
    n, question, answer = unhexlify(v["question_secret"]), unhexlify(v["question"]), unhexlify(v["answer"])
    address, slot = unhexlify(v["contact_address"]), v["slot"]
    equal(challenge.question(n), question, "question")
    equal(challenge.answer(secret, public, question, slot), answer, "answer")
    for near in v["accepted_in"]:
        challenge.verify(n, question, answer, address, near)
    for far in v["refused_in"]:
        assert refused(challenge.verify, n, question, answer, address, far), far
    for one in v["refused"]:
        assert refused(challenge.verify, n, question, unhexlify(one["answer"]), address, slot), one["why"]
    low = v["low_order"]
    assert refused(challenge.answer, secret, public, unhexlify(low["question"]), slot)
    forged = unhexlify(low["question"]) + bytes(16)
    assert refused(challenge.verify, n, question, forged, unhexlify(low["contact_address"]), slot)


CHECKS = (
    ("schedule", check_schedule),
    ("advert", check_advert),
    ("figures", check_figures),
    ("log", check_log),
    ("session", check_session),
    ("session", check_commands),
    ("challenge", check_challenge),
)


def main(folder):
    for name, check in CHECKS:
        with open(folder + "/" + name + ".json") as file:  # noqa: PTH123, MicroPython has no pathlib
            check(json.load(file))


if __name__ == "__main__":
    main(sys.argv[1])
