"""Sections 8 and 10 of docs/protocol.md a second time, written from the page alone, on `cryptography` and `base64`.

What the vectors are made with. Plain and slow on purpose; only well-formed input, no errors.
"""

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.shared.reference import number, sha256

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def ed25519_public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, data: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(data)


def poll_request(mailboxes: list[tuple[bytes, int]], room: int) -> bytes:
    return number(room, 2) + b"".join(address + number(skip, 1) for address, skip in mailboxes)


def poll_reply(found: list[tuple[int, list[bytes]]], room: int) -> bytes:
    messages = [number(index, 2) + each for index, held in found for each in held]
    return b"".join(messages + [b"\xff\xff" + bytes(239)] * (room - len(messages)))


def upload(authorization: bytes, log: bytes) -> bytes:
    return authorization + number(len(log), 4) + log


def chunks(upload_id: bytes, data: bytes) -> list[bytes]:
    result = []
    for at in range(0, len(data), 16358):
        part = data[at : at + 16358]
        chunk = upload_id + number(len(data), 4) + number(at, 4) + number(len(part), 2) + part
        result.append(chunk + bytes(16384 - len(chunk)))
    return result


def reply(state: int, next_offset: int, reason: int) -> bytes:
    return number(state, 1) + number(next_offset, 4) + number(reason, 1) + bytes(26)


def token(random: bytes) -> str:
    """15 symbols of the first 75 bits of 10 bytes, and the check symbol."""
    symbols = base64.b32encode(random).decode()[:15].translate(str.maketrans(RFC_4648, CROCKFORD))
    value = 0
    for symbol in symbols:
        value = value * 32 + CROCKFORD.index(symbol)
    whole = symbols + (CROCKFORD + "*~$=U")[value % 37]
    return f"{whole[0:4]}-{whole[4:8]}-{whole[8:12]}-{whole[12:16]}"


def token_hash(printed: str) -> bytes:
    return sha256(b"anontrace/1 token" + printed.encode())


def permit(seed: bytes, case: bytes, disease: str, log_hash: bytes, issued: int, expires: int) -> bytes:
    data = b"\1" + case + disease.encode().ljust(8, b"\0") + log_hash + number(issued, 4) + number(expires, 4)
    return data + ed25519_sign(seed, b"anontrace/1 permit" + data)


def signed(label: str, document: dict[str, Any], seed: bytes) -> dict[str, str]:
    text = json.dumps(document)
    return {"document": text, "signature": ed25519_sign(seed, f"{label}\n{text}".encode()).hex()}


def digest(envelope: dict[str, Any]) -> str:
    return hashlib.sha256(envelope["document"].encode()).hexdigest()


def directory(sequence: int, previous: str, issued: int, lists: list[dict[str, str]], seed: bytes) -> dict[str, Any]:
    covered = b"".join(bytes.fromhex(digest(each) + each["signature"]) for each in lists)
    head = {"version": 1, "sequence": sequence, "previous": previous, "issued": issued, "lists": sha256(covered).hex()}
    return {**signed("anontrace/1 directory", head, seed), "lists": lists}
