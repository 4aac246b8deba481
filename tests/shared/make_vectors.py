"""Writes tests/vectors/{schedule,advert,figures,log,session,challenge}.json from the reference and fixed inputs.

    python -m tests.shared.make_vectors

`test_vectors.py` fails when the files are not what this makes. Bytes are hex strings.
"""

import json
from pathlib import Path
from typing import Any

from tests.shared import reference as r

FOLDER = Path(__file__).parent.parent / "vectors"

LOG_SECRET = bytes(range(64, 96))
OWNER_KEY = bytes(range(128, 160))
SLOT = 5_500_123  # in April 2022
FIRST_SLOT = 5_785_632  # of 2025: what a beacon says below is no slot


def fixed(label: str, size: int = 32) -> bytes:
    """Bytes that look random and are always the same."""
    return r.expand(r.sha256(b"anontrace vectors"), label.encode(), size)


def schedule() -> dict[str, Any]:
    key = fixed("day key")
    day = SLOT // 288
    slots = []
    for slot in (day * 288, SLOT, day * 288 + 287):
        secret = r.slot_secret(key, slot)
        address = r.contact_address(r.public(secret))
        slots.append(
            {
                "slot": slot,
                "slot_secret": secret.hex(),
                "slot_public_key": r.public(secret).hex(),
                "contact_address": address.hex(),
                "nym_key": r.nym_key(address, slot).hex(),
            }
        )
    nonce = fixed("nonce", 8)
    return {
        "moments": [
            {"unix": unix, "slot": unix // 300, "day": unix // 86400}
            for unix in (0, 299, 300, 86399, 86400, 1_650_000_000, 4_294_967_295)
        ],
        "day_key": key.hex(),
        "day": day,
        "next_day_key": r.day_key(key, 1).hex(),
        "day_key_after_30_days": r.day_key(key, 30).hex(),
        "slots": slots,
        "owner_key": OWNER_KEY.hex(),
        "beacon_key": r.beacon_key(OWNER_KEY).hex(),
        "beacons": [
            {
                "slot": slot,
                "period": period,
                "boot": boot,
                "content": content.hex(),
                "beacon": r.beacon(OWNER_KEY, content).hex(),
            }
            for slot, period, boot in (
                (FIRST_SLOT, None, 1),
                (2**32 - 1, None, 65535),
                (None, 0, 1),
                (None, 41, 513),
                (None, FIRST_SLOT - 1, 0),
            )
            for content in [r.beacon_content(period if slot is None else slot, boot, fixed(f"boot {boot}", 2))]
        ],
        "nonce": nonce.hex(),
        "beacon_without_owner": r.beacon(bytes(32), nonce).hex(),
        "beacon_of_version_1": r.beacon_of_version_1(OWNER_KEY, nonce).hex(),
    }


def advert() -> dict[str, Any]:
    address = fixed("address", 20)
    good = r.advert(-7, address)
    refused = {
        "empty": b"",
        "one byte short": good[:-1],
        "one byte long": good + b"\x00",
        "another version": good[:7] + b"\x02" + good[8:],
        "another service": good[:5] + b"\xcf" + good[6:],
        "service data of another length": good[:3] + b"\x1a" + good[4:],
        "other flags": good[:2] + b"\x04" + good[3:],
        "31 bytes of a stranger": fixed("stranger", 31),
        "29 bytes of a stranger": fixed("stranger", 29),
    }
    return {
        "adverts": [
            {"tx_power": tx_power, "address": address.hex(), "advert": r.advert(tx_power, address).hex()}
            for tx_power in (-128, -40, -7, -1, 0, 9, 127)
        ],
        "refused": [{"why": why, "data": data.hex()} for why, data in refused.items()],
    }


def figures() -> dict[str, Any]:
    names = ("verified", "first", "last", "present", "strongest", "mean", "tx_power", "sightings")
    cases: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [  # what is packed, what it is read as
        ((False, 0, 0, 1, -100, -100, -12, 1), (False, 0, 0, 1, -100, -100, -12, 1)),
        ((True, 0, 14, 15, -38, -38, 9, 31), (True, 0, 14, 15, -38, -38, 9, 31)),
        ((True, 3, 11, 4, -61, -74, 4, 32), (True, 3, 11, 4, -62, -74, 3, 32)),
        ((False, 14, 14, 1, -127, -127, -40, 55), (False, 14, 14, 1, -100, -100, -12, 48)),
        ((False, 1, 2, 2, 20, 0, 20, 56), (False, 1, 2, 2, -38, -38, 9, 56)),
        ((False, 7, 9, 3, -99, -99, -11, 1000), (False, 7, 9, 3, -100, -100, -12, 896)),
        ((False, 0, 14, 2, -39, -41, 8, 7168), (False, 0, 14, 2, -40, -42, 6, 7168)),
        ((False, 0, 14, 2, -39, -41, 8, 65535), (False, 0, 14, 2, -40, -42, 6, 7168)),
    ]
    refused = {
        "present in no third": 0,
        "first is 15": 1 << 9 | 15 << 5 | 15 << 1,
        "last is 15": 1 << 9 | 15 << 5,
        "last before first": 1 << 9 | 2 << 5 | 3 << 1,
        "present more often than fits": 3 << 9 | 4 << 5 | 3 << 1,
        "mean above the strongest": 1 << 9 | 5 << 13 | 6 << 18,
    }
    return {
        "figures": [
            {
                "packed": r.figures(*values).hex(),
                "of": dict(zip(names, values, strict=True)),
                "read": dict(zip(names, read, strict=True)),
            }
            for values, read in cases
        ],
        "sightings": [r.sightings_least(code) for code in range(64)],
        "refused": [{"why": why, "data": r.number(bits, 4).hex()} for why, bits in refused.items()],
    }


def log() -> dict[str, Any]:
    log_key = r.public(LOG_SECRET)
    contacts = [
        (fixed("met first", 20), r.figures(True, 0, 14, 15, -50, -60, 0, 100)),
        (fixed("met second", 20), r.figures(False, 3, 3, 1, -90, -90, -12, 2)),
        (fixed("met third", 20), r.figures(False, 5, 9, 2, -80, -84, 9, 7)),
    ]

    def described(kind: int, field: bytes, met: list[r.Contact], label: str) -> dict[str, Any]:
        ephemeral = fixed(label)
        return {
            "kind": kind,
            "slot_field": int.from_bytes(field, "little"),
            "ephemeral": ephemeral.hex(),
            "contacts": [{"address": address.hex(), "figures": packed.hex()} for address, packed in met],
            "block": r.block(log_key, kind, field, met, ephemeral).hex(),
        }

    boot, period, uptime, unix = 7, 3, 1234, 1_650_000_000
    known = described(1, r.number(SLOT, 4), contacts, "known")
    empty = described(1, r.number(SLOT + 1, 4), [], "empty")
    unknown = described(2, r.number(boot, 2) + r.number(period, 2), contacts[:1], "unknown")
    anchor = r.anchor(boot, uptime, unix)
    whole = b"".join(bytes.fromhex(b["block"]) for b in (known, empty, unknown)) + anchor
    first, second = len(known["block"]) // 2, len(empty["block"]) // 2

    broken = bytearray(bytes.fromhex(known["block"])[:-4])
    broken[39 + 40] ^= 1  # in the second of three records, under a CRC that holds
    damaged = {
        "bad CRC": (whole[:first] + whole[first : first + 10] + b"\xff" + whole[first + 11 :], 1, first),
        "cut short": (whole[: first + second + 20], 2, first + second),
        "unknown kind": (whole[:first] + b"\x04" + whole[first:], 1, first),
        "garbage": (fixed("garbage", 200), 0, 0),
        "more records than bytes": (bytes.fromhex("01000000 00ffff"), 0, 0),
    }
    return {
        "log_secret_key": LOG_SECRET.hex(),
        "log_public_key": log_key.hex(),
        "blocks": [known, empty, unknown],
        "anchor": {"boot": boot, "uptime": uptime, "unix": unix, "block": anchor.hex()},
        "resolved_slots": [SLOT, SLOT + 1, (unix - uptime + period * 300) // 300],
        "broken_record": {"block": r.checked(bytes(broken)).hex(), "opens": [0, 2]},
        "damaged": [
            {"why": why, "log": data.hex(), "good_blocks": good, "offset": offset}
            for why, (data, good, offset) in damaged.items()
        ],
    }


def session() -> dict[str, Any]:
    companion, badge = fixed("companion ephemeral"), fixed("badge ephemeral")
    advertised = fixed("advertised", 20)
    noise = r.Noise(OWNER_KEY, b"anontrace/2 session" + advertised, companion, badge)
    log_key, day_key = r.public(LOG_SECRET), fixed("day key")
    addresses = [fixed(f"listed {i}", 20) for i in range(3)]
    n = r.number

    # name, op, values, body; bytes among the values are hex strings, as in the rest of these files
    requests: list[tuple[str, int, Any, bytes]] = [
        ("info", 1, [], b""),
        ("set time", 2, [1_650_000_000_123], n(1_650_000_000_123, 8)),
        (
            "provision, ratchet",
            3,
            {"mode": 1, "log_key": log_key.hex(), "horizon": SLOT, "day": SLOT // 288, "day_key": day_key.hex()},
            n(1, 1) + log_key + n(SLOT, 4) + n(SLOT // 288, 4) + day_key,
        ),
        (
            "provision, list",
            3,
            {"mode": 2, "log_key": log_key.hex(), "horizon": 0, "day": None, "day_key": None},
            n(2, 1) + log_key + n(0, 4),
        ),
        ("addresses", 4, [SLOT, [a.hex() for a in addresses]], n(SLOT, 4) + n(3, 1) + b"".join(addresses)),
        ("horizon", 5, [SLOT + 288], n(SLOT + 288, 4)),
        ("log list", 6, [0], n(0, 4)),
        ("log read", 7, [3, 958, 65536], n(3, 4) + n(958, 4) + n(65536, 4)),
        ("log free", 8, [4], n(4, 4)),
        ("log rotate", 9, [], b""),
        ("set", 10, [3, 600], n(3, 1) + n(600, 4)),
        ("erase", 11, [], b"ERASE"),
        ("crash log", 12, [], b""),
        ("restart", 13, [], b""),
        ("own", 14, [OWNER_KEY.hex()], OWNER_KEY),
    ]
    info = [0, 1, 2, 0xC0FFEE, 3, 1_650_000_000, 4321, 7, SLOT + 288, 2, 5, 70000, 9, 3870]
    sizes = [1, 1, 1, 4, 2, 4, 4, 2, 4, 4, 4, 4, 4, 2]
    responses: list[tuple[str, int, int, Any, bytes]] = [
        ("info", 1, 0, info, b"".join(n(value, size) for value, size in zip(info, sizes, strict=True))),
        ("set time", 2, 0, [-1500], n(-1500, 4)),
        ("provision", 3, 0, [], b""),
        ("addresses, not provisioned", 4, 2, [], b""),
        ("horizon", 5, 0, [], b""),
        ("log list", 6, 0, [[[2, 65000], [5, 5000]]], n(2, 4) + n(65000, 4) + n(5, 4) + n(5000, 4)),
        ("log read, more to come", 7, 6, [b"part of a log".hex()], b"part of a log"),
        ("log read, the end", 7, 0, [""], b""),
        ("log read, no such segment", 7, 4, [], b""),
        ("log free", 8, 0, [3], n(3, 4)),
        ("log rotate", 9, 0, [6], n(6, 4)),
        ("set, malformed", 10, 1, [], b""),
        ("erase", 11, 0, [], b""),
        ("crash log", 12, 0, ["Überhitzt".encode().hex()], "Überhitzt".encode()),
        ("restart, refused", 13, 3, [], b""),
        ("own", 14, 0, [], b""),
        ("own, refused", 14, 3, [], b""),
    ]
    refused_requests = {
        "nothing at all": b"",
        "unknown operation": b"\x0f",
        "operation 0": b"\x00",
        "info with a body": b"\x01\x00",
        "time of 7 bytes": b"\x02" + bytes(7),
        "provision with an unknown mode": b"\x03\x03" + bytes(36),
        "provision by list with a day": b"\x03\x02" + bytes(36 + 36),
        "provision by ratchet without a day": b"\x03\x01" + bytes(36),
        "no addresses": b"\x04" + bytes(5),
        "47 addresses": b"\x04" + n(SLOT, 4) + n(47, 1) + bytes(47 * 20),
        "addresses cut short": b"\x04" + n(SLOT, 4) + n(2, 1) + bytes(39),
        "addresses past the last slot": b"\x04" + n(2**32 - 1, 4) + n(2, 1) + bytes(40),
        "erase without its word": b"\x0b",
        "erase with another word": b"\x0berase",
        "owner key of 31 bytes": b"\x0e" + bytes(31),
        "owner key of 33 bytes": b"\x0e" + bytes(33),
    }
    refused_responses = {
        "no status": b"\x01",
        "unknown status": b"\x05\x07",
        "unknown operation": b"\x0f\x00",
        "own with a body": b"\x0e\x00\x00",
        "more of what has one frame": b"\x05\x06",
        "failure with a body": b"\x05\x03\x00",
        "info cut short": b"\x01\x00" + bytes(40),
        "half a list entry": b"\x06\x00" + bytes(4),
        "101 list entries": b"\x06\x00" + bytes(808),
    }
    exchange = []
    sent = {"companion": 0, "badge": 0}
    for side, plaintext in (
        ("companion", b"\x01"),
        ("badge", b"\x01\x02"),
        ("companion", b"\x07" + n(1, 4) + n(0, 4) + n(2000, 4)),
        ("badge", b"\x07\x06" + fixed("log data", 958)),
        ("badge", b"\x07\x00"),
    ):
        key = noise.to_responder if side == "companion" else noise.to_initiator
        body = r.transport(key, sent[side], plaintext)
        sent[side] += 1
        exchange.append({"from": side, "plaintext": plaintext.hex(), "frame": r.frame(body).hex()})
    return {
        "owner_key": OWNER_KEY.hex(),
        "advertised": advertised.hex(),
        "companion_ephemeral": companion.hex(),
        "badge_ephemeral": badge.hex(),
        "companion_handshake": r.frame(noise.first).hex(),
        "badge_handshake": r.frame(noise.second).hex(),
        "exchange": exchange,
        "requests": [
            {"name": name, "op": op, "values": values, "plaintext": (n(op, 1) + body).hex()}
            for name, op, values, body in requests
        ],
        "responses": [
            {
                "name": name,
                "op": op,
                "status": status,
                "values": values,
                "plaintext": (bytes([op, status]) + body).hex(),
            }
            for name, op, status, values, body in responses
        ],
        "refused_requests": [{"why": why, "plaintext": data.hex()} for why, data in refused_requests.items()],
        "refused_responses": [{"why": why, "plaintext": data.hex()} for why, data in refused_responses.items()],
    }


def challenge() -> dict[str, Any]:
    secret = r.slot_secret(fixed("day key"), SLOT)
    n = fixed("question secret")
    question = r.public(n)
    answer = r.answer(secret, question, SLOT)
    low_order = bytes(32)
    other = r.answer(r.slot_secret(fixed("day key"), SLOT + 1), question, SLOT)
    refused = {
        "a bit of the MAC": answer[:-1] + bytes([answer[-1] ^ 1]),
        "a bit of P": bytes([answer[0] ^ 1]) + answer[1:],
        "another badge's answer": other,
        "its MAC under this P": answer[:32] + other[32:],
        "an answer to another question": r.answer(secret, r.public(fixed("another")), SLOT),
        "two slots late": r.answer(secret, question, SLOT + 2),
        "one byte short": answer[:-1],
        "one byte long": answer + b"\x00",
        "empty": b"",
    }
    return {
        "slot": SLOT,
        "slot_secret": secret.hex(),
        "slot_public_key": r.public(secret).hex(),
        "contact_address": r.contact_address(r.public(secret)).hex(),
        "question_secret": n.hex(),
        "question": question.hex(),
        "answer": answer.hex(),
        "accepted_in": [SLOT - 1, SLOT, SLOT + 1],
        "refused_in": [SLOT - 2, SLOT + 2],
        "refused": [{"why": why, "answer": data.hex()} for why, data in refused.items()],
        "low_order": {"question": low_order.hex(), "contact_address": r.contact_address(low_order).hex()},
    }


ALL = {f"{make.__name__}.json": make for make in (schedule, advert, figures, log, session, challenge)}


def text(name: str) -> str:
    """The content of one vector file."""
    return json.dumps(ALL[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for file in ALL:
        (FOLDER / file).write_text(text(file), encoding="utf-8")
