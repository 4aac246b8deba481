"""Writes the files of `ALL` in tests/vectors from the reference.

    python -m tests.mixnet.make_vectors

`test_vectors.py` fails when the files are not what this makes. Bytes are hex strings.
"""

import json
from typing import Any

from nacl.signing import SigningKey

from tests.mixnet import reference as r
from tests.mixnet.reference import HopState, Mix
from tests.shared.make_vectors import FOLDER, SLOT, fixed
from tests.shared.reference import contact_address, number, nym_key, public

MIXES = [Mix(number, select, fixed(f"mix {number}")) for number, select in ((7, 153), (255, 153), (1, 154), (42, 0))]
MAILBOX = fixed("mailbox")
PAYLOAD = fixed("payload", 239)
LONG = "Bitte lassen Sie sich am Montag zwischen 8 und 12 Uhr im Gesundheitsamt testen, Lindenstraße 3."


def lioness() -> dict[str, Any]:
    key = fixed("stream key")
    cases = []
    for size in (33, 174, 239):
        keys, block = fixed("lioness keys", 128), fixed(f"block {size}", size)
        cases.append({"keys": keys.hex(), "plain": block.hex(), "encrypted": r.lioness_encrypt(keys, block).hex()})
    return {
        "key": key.hex(),
        "keystream": r.keystream(key, 302).hex(),
        "expanded": r.expanded(key, 302).hex(),
        "cases": cases,
    }


def _hop(state: HopState, message: bytes) -> dict[str, Any]:
    return {
        "mix": state.mix.number,
        "scalar": state.scalar.hex(),
        "alpha": state.alpha.hex(),
        "shared": state.shared.hex(),
        "seed": state.seed.hex(),
        "tag_key": state.tag_key.hex(),
        "pad": state.pad.hex(),
        "blinding": state.blinding.hex(),
        "lioness_keys": state.lioness.hex(),
        "received": message.hex(),
        "tag": message[r.TAG].hex(),
        "replay_tag": r.replay_tag(message).hex(),
    }


def _travel(states: list[HopState], message: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """What each hop receives, and what the last one delivers: mailbox and payload."""
    trace = []
    for state in states:
        trace.append(_hop(state, message))
        _, message = r.unwrap(state.mix, message)
    return trace, message


def mix() -> dict[str, Any]:
    cases: list[dict[str, Any]] = []
    for count in range(1, 5):
        secret, padding = fixed(f"first secret {count}"), fixed(f"padding {count}", r.padding_size(count))
        states = r.hops(MIXES[:count], secret)
        message = r.header(states, MAILBOX, padding) + r.wrap(states, PAYLOAD)
        trace, delivered = _travel(states, message)
        cases.append(
            {
                "mailbox": MAILBOX.hex(),
                "payload": PAYLOAD.hex(),
                "first_secret": secret.hex(),
                "padding": padding.hex(),
                "message": message.hex(),
                "hops": trace,
                "delivered": delivered.hex(),
            }
        )
    message = bytes.fromhex(cases[3]["message"])
    flipped = {offset: bytearray(message) for offset in (1, 32, 33, 49, 140)}
    for offset, altered in flipped.items():
        altered[offset] ^= 0x80
    dropped = [{"why": f"a bit of byte {offset} is flipped", "message": m.hex()} for offset, m in flipped.items()]
    for u in (0, 1):
        altered = bytearray(message)
        altered[r.ALPHA] = u.to_bytes(32, "little")
        dropped.append({"why": "the key is a point of low order", "message": altered.hex()})
    return {
        "mixes": [
            {"number": m.number, "key_select": m.key_select, "secret": m.secret.hex(), "public_key": m.key.hex()}
            for m in MIXES
        ],
        "cases": cases,
        "dropped": dropped,
    }


def surb() -> dict[str, Any]:
    secret, message_secret, padding = fixed("surb first secret"), fixed("message secret"), fixed("surb padding", 0)
    states = r.hops(MIXES, secret)
    header = r.header(states, MAILBOX, padding)
    made = bytes([MIXES[0].number]) + header + public(message_secret)
    address = contact_address(public(fixed("slot secret")))
    sent = fixed("sent", 239)
    trace, delivered = _travel(states, header + sent)
    return {
        "mixes": [m.number for m in MIXES],
        "mailbox": MAILBOX.hex(),
        "message_secret": message_secret.hex(),
        "first_secret": secret.hex(),
        "padding": padding.hex(),
        "surb": made.hex(),
        "seeds": [state.seed.hex() for state in states],
        "address": address.hex(),
        "slot": SLOT,
        "blob": r.blob(address, SLOT, made).hex(),
        "sent": sent.hex(),
        "hops": trace,
        "delivered": delivered.hex(),
    }


def swap() -> dict[str, Any]:
    address = contact_address(public(fixed("slot secret")))
    key, old, new = nym_key(address, SLOT), fixed("old blob", 174), fixed("new blob", 174)
    return {
        "key": key.hex(),
        "first": {"blob": old.hex(), "payload": (key + bytes(32) + old + b"\0").hex()},
        "second": {
            "blob": new.hex(),
            "authentication": r.authentication(old).hex(),
            "payload": (key + r.authentication(old) + new + b"\0").hex(),
        },
        "fingerprint": r.fingerprint(key, new).hex(),
    }


def _arrived(states: list[HopState], payload: bytes) -> bytes:
    for state in states:
        payload = r.lioness_decrypt(state.lioness, payload)
    return payload


def receipt() -> dict[str, Any]:
    key, secret, fill = fixed("reply key"), fixed("reply first secret"), fixed("receipt padding", 23)
    states = r.hops(MIXES, secret)
    block = bytes([MIXES[0].number]) + r.header(states, MAILBOX, b"") + key
    nym, blob, upload_id = fixed("some nym key"), fixed("new blob", 174), fixed("upload", 16)
    last, tag, identity = (1 << 32) - 1, fixed("told tag", 8), fixed("identity", 16)
    questions: list[tuple[dict[str, Any], bytes]] = [
        ({"nym_key": nym.hex(), "fingerprint": r.fingerprint(nym, blob).hex()}, r.nym_question(nym, blob)),
        ({"upload_id": upload_id.hex(), "first": 0}, r.upload_question(upload_id, 0)),
        ({"upload_id": upload_id.hex(), "first": last}, r.upload_question(upload_id, last)),
        ({"tag": tag.hex(), "identity": identity.hex()}, r.contact_answer_question(tag, identity)),
    ]
    many = [(10 * i, 1 + i % 9) for i in range(27)]
    answers: list[tuple[dict[str, Any], bytes]] = [({"held": held}, r.nym_answer(held)) for held in (False, True)]
    for state, reason, missing in ((0, 0, []), (1, 0, [(4, 1), (9, last)]), (1, 0, many), (2, 0, []), (3, 4, [])):
        told = {"state": state, "reason": reason, "missing": missing}
        answers.append((told, r.upload_answer(state, reason, missing)))
    return {
        "mixes": [m.number for m in MIXES],
        "mailbox": MAILBOX.hex(),
        "key": key.hex(),
        "first_secret": secret.hex(),
        "reply_block": block.hex(),
        "seeds": [state.seed.hex() for state in states],
        "padding": fill.hex(),
        "questions": [told | {"payload": r.receipt(question, block, fill).hex()} for told, question in questions],
        "answers": [
            told
            | {
                "content": content.hex(),
                "sent": r.answer(key, content).hex(),
                "arrived": _arrived(states, r.answer(key, content)).hex(),
            }
            for told, content in answers
        ],
    }


def relay() -> dict[str, Any]:
    surbs = surb()
    old, seed, fill = bytes.fromhex(surbs["surb"]), fixed("relay seed"), fixed("relay padding", 64)
    header, sent = old[1:142], r.expanded(seed, 239)
    states = r.hops(MIXES, fixed("surb first secret"))
    return {
        "surb": surbs["surb"],
        "seeds": surbs["seeds"],
        "seed": seed.hex(),
        "padding": fill.hex(),
        "payload": r.relay(old[0], header, seed, fill).hex(),
        "message": (header + sent).hex(),
        "arrived": _arrived(states, sent).hex(),
    }


def fragment() -> dict[str, Any]:
    upload_id, full = fixed("upload", 16), fixed("fragment", 218)
    cases = [(0, full), (1, full), ((1 << 32) - 1, bytes(218))]
    return {
        "upload_id": upload_id.hex(),
        "cases": [
            {"number": at, "data": data.hex(), "payload": r.fragment(upload_id, at, data).hex()} for at, data in cases
        ],
    }


def notification() -> dict[str, Any]:
    case, report = fixed("case", 16), fixed("report", 8)
    chain_key, nonce, key = fixed("chain key"), fixed("chain nonce", 24), fixed("some nym key")
    token = r.chain_token(chain_key, nonce, case, key, 3, SLOT // 288 + 14)
    message_secret, ephemeral, sender = fixed("message secret"), fixed("ephemeral"), fixed("surb first secret")
    states = r.hops(MIXES, sender)
    cases = []
    for kind, text in ((1, "Bitte zu Hause bleiben, wir melden uns: 0800 111 6117 ☎"), (2, ""), (3, "Cafe Sol")):
        chained = bytes(96) if kind == 2 else token
        content = r.content(kind, case, report, chained, "U07.1", 4, 62, 15, text)
        sealed = r.notification(public(message_secret), content, ephemeral)
        arrived = _arrived(states, sealed)
        cases.append(
            {
                "kind": kind,
                "case_id": case.hex(),
                "report_id": report.hex(),
                "chain_token": chained.hex(),
                "disease": "U07.1",
                "present": 4,
                "attenuation": 62,
                "rule_minutes": 15,
                "message": text,
                "content": content.hex(),
                "sealed": sealed.hex(),
                "arrived": arrived.hex(),
            }
        )
    return {
        "message_secret": message_secret.hex(),
        "message_key": public(message_secret).hex(),
        "ephemeral": ephemeral.hex(),
        "seeds": [state.seed.hex() for state in states],
        "cases": cases,
        "chain": {
            "key": chain_key.hex(),
            "nonce": nonce.hex(),
            "case_id": case.hex(),
            "nym_key": key.hex(),
            "generation": 3,
            "expiry_day": SLOT // 288 + 14,
            "token": token.hex(),
        },
    }


def words() -> dict[str, Any]:
    seed, message_secret = fixed("authority seed"), fixed("message secret")
    verify_key = bytes(SigningKey(seed).verify_key)
    address, report = fixed("contact address", 20), fixed("report", 8)
    secret = r.authority_secret(seed)
    blinded = r.x25519(r.blind(address, SLOT, report), public(message_secret))
    cases = [
        {"kind": kind, "text": text, "sealed": r.words(secret, blinded, report, kind, text).hex()}
        for kind, text in ((1, "Bitte rufen Sie uns an: 0800 111 6117 ☎"), (1, ""), (2, "A mistake"))
    ]
    return {
        "authority_seed": seed.hex(),
        "authority_verify_key": verify_key.hex(),
        "authority_key": r.montgomery(verify_key).hex(),
        "contact_address": address.hex(),
        "slot": SLOT,
        "report_id": report.hex(),
        "message_secret": message_secret.hex(),
        "message_key": public(message_secret).hex(),
        "blinded_key": blinded.hex(),
        "cases": cases,
        "long": {
            "text": LONG,
            "parts": [
                {
                    "place": place,
                    "part": (made := r.part(LONG, place)).hex(),
                    "sealed": r.words_of_part(secret, blinded, report, 1, made).hex(),
                }
                for place in (1, 2, 300, 65535, 0)
            ],
        },
    }


def contact_answer() -> dict[str, Any]:
    seed, secret = fixed("authority seed"), fixed("answer ephemeral")
    authority = r.montgomery(bytes(SigningKey(seed).verify_key))
    case, report = fixed("case", 16), fixed("report", 8)
    tag = r.told_tag(case, report)
    states = r.hops(MIXES, fixed("reply first secret"))
    header = r.header(states, MAILBOX, b"")
    _, reply_key = r.contact_answer_keys(secret, authority, public(secret), authority)
    cases = []
    for said, phone, near, own_log, note, is_back in (
        (1 | 2 | 16, "+4930123456", [3, 1, 0, 6], 2, "Ada Ł., ab 17 Uhr", True),
        (4, "", [0, 0, 0, 0], 0, "", True),
        (1 | 16, "", [0, 0, 0, 2], 3, "", True),
        (8 | 1, "", [0, 0, 0, 0], 0, "", False),
    ):
        way = number(MIXES[0].number if is_back else 0, 1) + (header if is_back else fixed("no way back", 141))
        content = r.contact_answer(said, 20788, phone, near, own_log, note, way)
        cases.append(
            {
                "said": said,
                "day": 20788,
                "number": phone,
                "nearness": near,
                "own_log": own_log,
                "note": note,
                "first_mix": way[0],
                "header": way[1:].hex(),
                "content": content.hex(),
                "payload": (payload := r.sealed_contact_answer(secret, authority, tag, content)).hex(),
                "identity": r.blake2b(16, payload[8:-1], b"", b"anontrace/2 said").hex(),
            }
        )
    text = "Kommen Sie morgen um 9 Uhr in die Lindenstraße 3, bitte nüchtern."
    sent = r.letter(reply_key, tag, text)
    return {
        "authority_seed": seed.hex(),
        "case_id": case.hex(),
        "report_id": report.hex(),
        "tag": tag.hex(),
        "ephemeral_secret": secret.hex(),
        "cases": cases,
        "letter": {
            "text": text,
            "reply_key": reply_key.hex(),
            "sent": sent.hex(),
            "seeds": [state.seed.hex() for state in states],
            "arrived": _arrived(states, sent).hex(),
        },
    }


ALL = {
    "lioness.json": lioness,
    "mix.json": mix,
    "surb.json": surb,
    "swap.json": swap,
    "receipt.json": receipt,
    "relay.json": relay,
    "fragment.json": fragment,
    "notification.json": notification,
    "words.json": words,
    "contact_answer.json": contact_answer,
}


def text(name: str) -> str:
    """What the file must hold."""
    return json.dumps(ALL[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in ALL:
        (FOLDER / name).write_text(text(name), encoding="utf-8")
