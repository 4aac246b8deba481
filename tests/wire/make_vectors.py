"""Writes the vectors of bodies and documents to tests/vectors, from the reference and fixed inputs.

    python -m tests.wire.make_vectors

`test_vectors.py` fails when the files are not what this makes. Bytes are hex strings.
"""

import json
import zlib
from typing import Any

from tests.mixnet.make_vectors import notification
from tests.shared.make_vectors import FOLDER, SLOT, fixed
from tests.shared.reference import contact_address, number, public, sha256
from tests.wire import reference as r

NOW = SLOT * 300
DAY = SLOT // 288
ROLES = {1: ["mix"], 2: ["mix", "nymserver"], 255: ["mix", "mailbox", "retiring"]}


def look() -> dict[str, Any]:
    """Two groups and an empty one, of which some messages are known; three mailboxes of their own."""
    groups = [(fixed(f"group {i}", 16), start, known) for i, (start, known) in enumerate(((1, 3), (0, 0), (0, 2)))]
    old = [(fixed(f"mailbox {i}"), skip) for i, skip in enumerate((0, 2, 255))]
    held = [[fixed(f"group {i} message {n}", 243) for n in range(count)] for i, count in enumerate((6, 0, 3))]
    alone = [fixed(f"held {i}", 239) for i in range(2)]
    room, seed = (9, 8, 4), fixed("seed", 16)
    told = [rows[known:] for rows, (_, _, known) in zip(held, groups, strict=True)]
    covered = [rows[start:] for rows, (_, start, _) in zip(held, groups, strict=True)]
    plain = [(1, bytes(4) + each) for each in alone] + [(0x200, row) for row in held[0][1:3]]
    request = r.look_request(room, seed, groups, old)
    return {
        "digests": room[0], "sums": room[1], "plain": room[2], "seed": seed.hex(),
        "groups": [{"address": address.hex(), "from": start, "known": known} for address, start, known in groups],
        "old": [{"address": address.hex(), "skip": skip} for address, skip in old],
        "request": request.hex(),
        "held": [[row.hex() for row in rows] for rows in held],
        "alone": [each.hex() for each in alone],
        "answer": r.look_answer(request, room, told, covered, plain).hex(),
    }  # fmt: skip


def upload() -> dict[str, Any]:
    log, upload_id = fixed("a log", 200), fixed("upload", 16)
    long_log = bytes(i * i % 251 for i in range(20000))
    permit = r.permit(fixed("authority"), fixed("case", 16), "U07.1", sha256(log), NOW, NOW + 3600)
    address = contact_address(public(fixed("slot secret")))
    chain = notification()["chain"]
    by_permit = r.upload(b"\1" + permit, log)
    by_chain = r.upload(b"\2" + fixed("case", 16) + address + number(SLOT, 4) + bytes.fromhex(chain["token"]), long_log)
    return {
        "log": log.hex(),
        "upload_id": upload_id.hex(),
        "by_permit": {
            "permit": permit.hex(),
            "upload": by_permit.hex(),
            "chunk_without_padding": r.chunks(upload_id, by_permit)[0].rstrip(b"\0").hex(),
            "fragments": [each.hex() for each in r.fragments(upload_id, b"\1" + permit, log)],
        },
        "by_chain": {
            "log": "byte i is i * i mod 251, for i from 0 to 19999",
            "case_id": fixed("case", 16).hex(),
            "address": address.hex(),
            "slot": SLOT,
            "chain_token": chain["token"],
            "upload_sha256": sha256(by_chain).hex(),
            "chunk_sha256": [sha256(chunk).hex() for chunk in r.chunks(upload_id, by_chain)],
            "fragments_sha256": sha256(b"".join(r.fragments(upload_id, by_chain[:137], long_log))).hex(),
        },
        "replies": [
            {"state": state, "next_offset": offset, "reason": reason, "reply": r.reply(state, offset, reason).hex()}
            for state, offset, reason in ((0, 16358, 0), (1, 0, 0), (2, 0, 4))
        ],
    }


def tokens() -> dict[str, Any]:
    randoms = [bytes(10), b"\xff" * 10, fixed("token", 10), fixed("another token", 10)]
    permit = {
        "case_id": fixed("case", 16).hex(),
        "disease": "U07.1",
        "log_hash": sha256(fixed("a log", 200)).hex(),
        "issued": NOW,
        "expires": NOW + 3600,
        "commitment": fixed("code", 10).hex(),
    }
    seed = fixed("authority")
    log_hash = sha256(fixed("a log", 200))
    made = r.permit(seed, fixed("case", 16), "U07.1", log_hash, NOW, NOW + 3600, fixed("code", 10))
    return {
        "tokens": [
            {"random": each.hex(), "token": r.token(each), "hash": r.token_hash(r.token(each)).hex()}
            for each in randoms
        ],
        "permit_up_to_0.2": r.old_permit(seed, fixed("case", 16), "U07.1", log_hash, NOW, NOW + 3600).hex(),
        "permit": {
            "signing_key": seed.hex(),
            "verify_key": r.ed25519_public(seed).hex(),
            **permit,
            "permit": made.hex(),
        },
    }


def commitment() -> dict[str, Any]:
    """Blocks of three slots, two of one of them, and one that has none; then what is left out, and what comes later."""
    seed, log_key = fixed("seed of a code"), public(fixed("log secret"))

    def block(kind: int, head: bytes, name: str) -> bytes:
        data = number(kind, 1) + head + number(1, 2) + log_key + fixed(name, 40)
        return data + number(zlib.crc32(data), 4)

    placed = {
        SLOT - 4095: [block(1, number(SLOT - 4095, 4), "oldest")],
        SLOT - 7: [block(1, number(SLOT - 7, 4), "one"), block(1, number(SLOT - 7, 4), "another")],
        SLOT: [block(1, number(SLOT, 4), "last")],
    }
    loose = [block(2, number(3, 2) + number(9, 2), "of no slot")]
    later = block(1, number(SLOT + 2, 4), "later")
    levels, listed = r.commit_levels(SLOT, seed, placed), r.commit_loose(seed, loose)
    tries, code = r.commit_code(SLOT, levels, listed)
    whole = [*(each for blocks in placed.values() for each in blocks), *loose]
    shown = [SLOT - 7, SLOT]
    handed_in = [*placed[SLOT - 7], *placed[SLOT], *loose, later]
    typed = r.symbols(code)
    return {
        "slot": SLOT, "seed": seed.hex(), "log": b"".join(whole).hex(), "root": levels[-1][0].hex(), "tries": tries,
        "code": code.hex(), "text": "-".join(typed[at : at + 4] for at in range(0, 16, 4)),
        "handed_in": b"".join(handed_in).hex(), "proof": r.commit_proof(SLOT, tries, levels, listed, shown).hex(),
        "made_up": block(1, number(SLOT - 1, 4), "made up").hex(),
    }  # fmt: skip


def result() -> dict[str, Any]:
    seed, token = fixed("authority"), r.token_hash(r.token(fixed("token", 10)))
    statement = r.statement(seed, token, "U07.1", DAY)
    permit = r.permit(seed, fixed("case", 16), "U07.1", sha256(fixed("a log", 200)), NOW, NOW + 3600)
    positive = b"U07.1".ljust(8, b"\0") + fixed("code", 10)
    contents = [(0, b""), (1, statement), (2, positive), (3, permit), (4, b"\2")]
    return {
        "token_hash": token.hex(), "log_hash": sha256(fixed("a log", 200)).hex(),
        "question": (token + sha256(fixed("a log", 200))).hex(), "verify_key": r.ed25519_public(seed).hex(),
        "statement": {"disease": "U07.1", "day": DAY, "statement": statement.hex()},
        "answers": [r.answer(state, content).hex() for state, content in contents],
    }  # fmt: skip


def described(mix: int, name: str) -> bytes:
    is_nymserver = "nymserver" in ROLES[mix]
    log_key, bits = (public(fixed("log secret")), b"\x0c") if is_nymserver else (b"", b"")
    return r.description(mix, ROLES[mix], name, f"https://mix-{mix}.example:8443", NOW - 3600, log_key, bits)


def directory() -> dict[str, Any]:
    """Three editions: two mixes; a third one comes, which retires; tomorrow's keys of the two, one described anew."""
    discovery = fixed("discovery")
    seeds = {mix: fixed(f"long-term {mix}") for mix in ROLES}
    texts = {mix: described(mix, f"Mix № {mix}") for mix in ROLES}
    renamed = texts | {1: described(1, "Mix No. 1")}

    def announced(mix: int, day: int, of: dict[int, bytes]) -> bytes:
        lossy = [2, 255] if mix == 1 else [1] if mix == 2 else []
        return r.announcement(mix, day, public(fixed(f"mix {mix} day {day}")), lossy, of[mix], seeds[mix])

    two = {DAY: [announced(1, DAY, texts), announced(2, DAY, texts)]}
    three = {DAY - 3: [announced(255, DAY - 3, texts)], **two}
    newest = {
        DAY - 3: three[DAY - 3],
        DAY: [announced(mix, DAY, renamed) for mix in (1, 2)],
        DAY + 1: [announced(mix, DAY + 1, renamed) for mix in (1, 2)],
    }
    contents = [
        r.content([texts[1], texts[2]], two),
        r.content(list(texts.values()), three),
        r.content(list(renamed.values()), newest),
    ]
    heads: list[bytes] = []
    for sequence, made in enumerate(contents, 1):
        previous = sha256(heads[-1]) if heads else bytes(32)
        heads.append(r.head(sequence, previous, NOW - 90 + 30 * sequence, made))
    news = r.content(
        [renamed[1], renamed[255]],
        {DAY - 3: newest[DAY - 3], DAY: newest[DAY][:1], DAY + 1: newest[DAY + 1]},
    )
    return {
        "now": NOW,
        "day": DAY,
        "mixes": [
            {"number": mix, "roles": ROLES[mix][:2], "signing_key": seed.hex(), "key": r.ed25519_public(seed).hex()}
            for mix, seed in seeds.items()
        ],
        "discovery": {"signing_key": discovery.hex(), "key": r.ed25519_public(discovery).hex()},
        "log_key": public(fixed("log secret")).hex(),
        "description": texts[2].hex(),
        "announcement": newest[DAY + 1][0].hex(),
        "published": r.content([renamed[1]], {day: newest[day][:1] for day in (DAY, DAY + 1)}).hex(),
        "directories": [r.directory(head, discovery, made).hex() for head, made in zip(heads, contents, strict=True)],
        "since_the_first": r.difference(heads, discovery, sorted(ROLES), news).hex(),
    }


def places() -> dict[str, Any]:
    secret, ephemeral = fixed("log secret"), fixed("ephemeral of places")
    notes = [(SLOT - 3, 2, "Café Sol"), (SLOT - 1, 300, "ü" * 21)]
    cases = []
    for kind, name, noted in ((0, "", []), (2, "Café Sol, Hauptstraße 1", []), (0, "", notes), (11, "Inn", notes)):
        plain = r.places(kind, name, noted)
        block = r.places_block(public(secret), ephemeral, plain)
        cases.append({"kind": kind, "name": name, "notes": noted, "plain": plain.hex(), "block": block.hex()})
    keys = {"log_secret": secret.hex(), "log_key": public(secret).hex(), "ephemeral": ephemeral.hex()}
    return {**keys, "cases": cases}


ALL = {
    "look.json": look,
    "upload.json": upload,
    "places.json": places,
    "tokens.json": tokens,
    "commitment.json": commitment,
    "result.json": result,
    "directory.json": directory,
}


def text(name: str) -> str:
    """The content of one vector file."""
    return json.dumps(ALL[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for file in ALL:
        (FOLDER / file).write_text(text(file), encoding="utf-8")
