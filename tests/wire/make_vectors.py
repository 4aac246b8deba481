"""Writes tests/vectors/{poll,upload,tokens,keylist}.json from the reference and fixed inputs.

    python -m tests.wire.make_vectors

`test_vectors.py` fails when the files are not what this makes. Bytes are hex strings.
"""

import json
from typing import Any

from tests.mixnet.make_vectors import notification
from tests.shared.make_vectors import FOLDER, SLOT, fixed
from tests.shared.reference import contact_address, number, public, sha256
from tests.wire import reference as r

NOW = SLOT * 300
DAY = SLOT // 288
ROLES = {1: ["mix"], 2: ["mix", "nymserver"], 255: ["mix", "mailbox"]}


def poll() -> dict[str, Any]:
    mailboxes = [(fixed(f"mailbox {i}"), skip) for i, skip in enumerate((0, 0, 2, 255))]
    payloads = [fixed(f"held {i}", 239) for i in range(3)]
    found = [(0, payloads[:1]), (2, payloads[1:])]
    return {
        "mailboxes": [{"address": address.hex(), "skip": skip} for address, skip in mailboxes],
        "request": r.poll_request(mailboxes, 0).hex(),
        "found": [{"index": index, "payloads": [each.hex() for each in held]} for index, held in found],
        "reply": r.poll_reply(found, 0).hex(),
        "room": 5,
        "request_with_room": r.poll_request(mailboxes, 5).hex(),
        "reply_with_room": r.poll_reply(found, 5).hex(),
    }


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
        },
        "by_chain": {
            "log": "byte i is i * i mod 251, for i from 0 to 19999",
            "case_id": fixed("case", 16).hex(),
            "address": address.hex(),
            "slot": SLOT,
            "chain_token": chain["token"],
            "upload_sha256": sha256(by_chain).hex(),
            "chunk_sha256": [sha256(chunk).hex() for chunk in r.chunks(upload_id, by_chain)],
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
    }
    seed = fixed("authority")
    made = r.permit(seed, fixed("case", 16), "U07.1", sha256(fixed("a log", 200)), NOW, NOW + 3600)
    return {
        "tokens": [
            {"random": each.hex(), "token": r.token(each), "hash": r.token_hash(r.token(each)).hex()}
            for each in randoms
        ],
        "permit": {
            "signing_key": seed.hex(),
            "verify_key": r.ed25519_public(seed).hex(),
            **permit,
            "permit": made.hex(),
        },
    }


def key_list(mix: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": 1,
        "number": mix,
        "name": f"Mix № {mix}",
        "roles": ROLES[mix],
        "url": f"https://mix-{mix}.example:8443",
        "issued": NOW,
        "expires": NOW + 2 * 86400,
        "keys": [{"day": day, "key": public(fixed(f"mix {mix} day {day}")).hex()} for day in (DAY - 1, DAY, DAY + 1)],
        "losses": {"255": 0.25} if mix == 1 else {},
    }
    if "nymserver" in ROLES[mix]:
        document |= {"log_key": public(fixed("log secret")).hex(), "bucket_bits": 12}
    return document


def keylist() -> dict[str, Any]:
    discovery = fixed("discovery")
    seeds = {mix: fixed(f"long-term {mix}") for mix in ROLES}
    lists = [r.signed("anontrace/1 key list", key_list(mix), seed) for mix, seed in seeds.items()]
    directories = [r.directory(1, "", NOW - 60, lists[:2], discovery)]
    for issued in (NOW - 30, NOW):
        directories.append(r.directory(len(directories) + 1, r.digest(directories[-1]), issued, lists, discovery))
    return {
        "now": NOW,
        "mixes": [
            {"number": mix, "roles": ROLES[mix], "signing_key": seed.hex(), "key": r.ed25519_public(seed).hex()}
            for mix, seed in seeds.items()
        ],
        "discovery": {"signing_key": discovery.hex(), "key": r.ed25519_public(discovery).hex()},
        "directories": directories,
        "page_0": {"heads": [each["document"] for each in directories[:2]]},
        "log_key": public(fixed("log secret")).hex(),
    }


ALL = {"poll.json": poll, "upload.json": upload, "tokens.json": tokens, "keylist.json": keylist}


def text(name: str) -> str:
    """The content of one vector file."""
    return json.dumps(ALL[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for file in ALL:
        (FOLDER / file).write_text(text(file), encoding="utf-8")
