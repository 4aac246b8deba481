"""Sections 8 and 10 of docs/protocol.md a second time, written from the page alone, on `cryptography` and `base64`.

What the vectors are made with. Plain and slow on purpose; only well-formed input, no errors.
"""

import base64
import hashlib
import zlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.mixnet.reference import fragment
from tests.shared.reference import Hpke, number, sha256

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def ed25519_public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, data: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(data)


def look_request(
    room: tuple[int, int, int], seed: bytes, groups: list[tuple[bytes, int, int]], old: list[tuple[bytes, int]]
) -> bytes:
    body = number(room[0], 2) + number(room[1], 1) + number(room[2], 1) + seed + number(len(groups), 1)
    body += b"".join(address + number(start, 2) + number(known, 2) for address, start, known in groups)
    return body + b"".join(address + number(skip, 1) for address, skip in old)


def message_digest(row: bytes) -> bytes:
    return sha256(b"anontrace/2 message" + row)[:6]


def gf_256(one: int, other: int) -> int:
    """A product modulo x^8 + x^4 + x^3 + x + 1: bit by bit, and then reduced."""
    whole = 0
    for bit in range(8):
        whole ^= (one << bit) * (other >> bit & 1)
    for bit in range(14, 7, -1):
        if whole >> bit & 1:
            whole ^= 0x11B << bit - 8
    return whole


def look_sum(seed: bytes, j: int, covered: list[list[bytes]]) -> bytes:
    """Sum j over the messages of all groups that it goes over."""
    total = [0] * 243
    for place, rows in enumerate(covered):
        drawn = hashlib.shake_256(b"anontrace/2 sums" + seed + number(j, 1) + number(place, 1)).digest(len(rows))
        for i, row in enumerate(rows):
            factor = drawn[i]
            if j % 4 == 3 and hashlib.sha256(b"anontrace/2 message" + row).digest()[0] % 16:
                factor = 0
            total = [old ^ gf_256(factor, each) for old, each in zip(total, row, strict=True)]
    return bytes(total)


def look_answer(
    request: bytes,
    room: tuple[int, int, int],
    told: list[list[bytes]],
    covered: list[list[bytes]],
    plain: list[tuple[int, bytes]],
) -> bytes:
    digests = [message_digest(row) for rows in told for row in rows]
    body = sha256(b"anontrace/2 look" + request)[:16] + b"".join(number(len(rows), 2) for rows in told)
    body += b"".join(digests) + bytes(6 * (room[0] - len(digests)))
    body += b"".join(look_sum(request[4:20], j, covered) for j in range(room[1]))
    body += b"".join(number(place, 2) + row for place, row in plain)
    return body + (b"\xff\xff" + bytes(243)) * (room[2] - len(plain))


def upload(authorization: bytes, log: bytes) -> bytes:
    return authorization + number(len(log), 4) + log


def chunks(upload_id: bytes, data: bytes) -> list[bytes]:
    result = []
    for at in range(0, len(data), 16358):
        part = data[at : at + 16358]
        chunk = upload_id + number(len(data), 4) + number(at, 4) + number(len(part), 2) + part
        result.append(chunk + bytes(16384 - len(chunk)))
    return result


def fragments(upload_id: bytes, authorization: bytes, log: bytes) -> list[bytes]:
    parts = [
        upload(authorization, log)[: len(authorization) + 4],
        *(log[at : at + 218] for at in range(0, len(log), 218)),
    ]
    return [fragment(upload_id, at, part) for at, part in enumerate(parts)]


def places(kind: int, name: str, notes: list[tuple[int, int, str]]) -> bytes:
    plain = number(kind, 1) + name.encode().ljust(42, b"\0")
    for first, slots, label in notes:
        plain += number(first, 4) + number(slots, 2) + label.encode().ljust(42, b"\0")
    return plain.ljust(1579, b"\0")


def places_block(log_key: bytes, ephemeral: bytes, plain: bytes) -> bytes:
    hpke = Hpke(log_key, b"anontrace/1 places", ephemeral)
    data = b"\4" + hpke.enc + hpke.seal(0, plain, b"\4")
    return data + number(zlib.crc32(data), 4)


def reply(state: int, next_offset: int, reason: int) -> bytes:
    return number(state, 1) + number(next_offset, 4) + number(reason, 1) + bytes(26)


def times_x(value: int, power: int) -> int:
    """An element of GF(32), modulo x^5 + x^2 + 1, times a power of x."""
    for _ in range(power):
        value = value * 2 if value < 16 else (value * 2 - 32) ^ 0b101
    return value


def token(random: bytes) -> str:
    """15 symbols of the first 75 bits of 10 bytes, and the check symbol."""
    symbols = base64.b32encode(random).decode()[:15].translate(str.maketrans(RFC_4648, CROCKFORD))
    check = 0
    for place, symbol in enumerate(symbols):
        check ^= times_x(CROCKFORD.index(symbol), 15 - place)
    whole = symbols + CROCKFORD[check]
    return f"{whole[0:4]}-{whole[4:8]}-{whole[8:12]}-{whole[12:16]}"


def token_hash(printed: str) -> bytes:
    return sha256(b"anontrace/1 token" + printed.encode())


def permit(
    seed: bytes, case: bytes, disease: str, log_hash: bytes, issued: int, expires: int, code: bytes = bytes(10)
) -> bytes:
    data = b"\2" + case + disease.encode().ljust(8, b"\0") + log_hash + number(issued, 4) + number(expires, 4) + code
    return data + ed25519_sign(seed, b"anontrace/2 permit" + data)


def old_permit(seed: bytes, case: bytes, disease: str, log_hash: bytes, issued: int, expires: int) -> bytes:
    """As an authority up to 0.2 made it."""
    data = b"\1" + case + disease.encode().ljust(8, b"\0") + log_hash + number(issued, 4) + number(expires, 4)
    return data + ed25519_sign(seed, b"anontrace/1 permit" + data)


def statement(seed: bytes, token: bytes, disease: str, day: int) -> bytes:
    serial = sha256(b"anontrace/2 statement" + token)[:16]
    data = b"\1" + serial + disease.encode().ljust(8, b"\0") + number(day, 4)
    return data + ed25519_sign(seed, b"anontrace/2 statement" + data)


def answer(state: int, content: bytes) -> bytes:
    return (number(state, 1) + content).ljust(160, b"\0")


def short(label: str, data: bytes) -> bytes:
    return sha256(f"anontrace/2 commit {label}".encode() + data)[:16]


def commit_levels(slot: int, seed: bytes, placed: dict[int, list[bytes]]) -> list[list[bytes]]:
    """All hashes of the tree, leaves first. `placed`: blocks by their slots."""
    leaves = []
    for place in range(4096):
        blocks = placed.get(slot - 4095 + place)
        if blocks is None:
            leaves.append(short("empty", seed + number(place, 2)))
        else:
            leaves.append(short("slot", b"".join(sorted(short("block", each) for each in blocks))))
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([short("node", below[at] + below[at + 1]) for at in range(0, len(below), 2)])
    return levels


def commit_loose(seed: bytes, blocks: list[bytes]) -> list[bytes]:
    size = 64
    while size < len(blocks):
        size *= 2
    filler = [short("filler", seed + number(i, 2)) for i in range(size - len(blocks))]
    return sorted([short("block", each) for each in blocks] + filler)


def commit_code(slot: int, levels: list[list[bytes]], loose: list[bytes]) -> tuple[int, bytes]:
    """The first number of tries that gives a code whose symbols sum up to 1, and that code."""
    for tries in range(65536):
        head = b"anontrace/2 commitment" + number(slot, 4) + number(tries, 2)
        code = sha256(head + levels[-1][0] + sha256(b"".join(loose)))[:10]
        total = 0
        for place, symbol in enumerate(symbols(code)):
            total ^= times_x(CROCKFORD.index(symbol), 15 - place)
        if total == 1:
            return tries, code
    raise AssertionError


def symbols(data: bytes) -> str:
    return base64.b32encode(data).decode().translate(str.maketrans(RFC_4648, CROCKFORD))


def commit_proof(slot: int, tries: int, levels: list[list[bytes]], loose: list[bytes], shown: list[int]) -> bytes:
    """`shown`: the slots of which blocks are in the log."""
    places = [each - slot + 4095 for each in shown]

    def covers(level: int, at: int) -> list[bytes]:
        if not any(place >> level == at for place in places):
            return [levels[level][at]]
        return covers(level - 1, 2 * at) + covers(level - 1, 2 * at + 1) if level else []

    nodes = covers(12, 0)
    data = b"\5" + number(slot, 4) + number(tries, 2) + number(len(nodes), 2) + number(len(loose), 2)
    data += b"".join(nodes) + b"".join(loose)
    return data + number(zlib.crc32(data), 4)


def description(
    mix: int, roles: list[str], name: str, url: str, issued: int, log_key: bytes = b"", bucket_bits: bytes = b""
) -> bytes:
    flags = 1 * ("nymserver" in roles) + 2 * ("mailbox" in roles) + 4 * ("retiring" in roles)
    texts = b"".join(number(len(text.encode()), 1) + text.encode() for text in (name, url))
    return number(mix, 1) + number(flags, 1) + number(issued, 4) + texts + log_key + bucket_bits


def announcement(mix: int, day: int, key: bytes, lossy: list[int], described: bytes, seed: bytes) -> bytes:
    accused = bytes([0, 0, *sorted(lossy)][-2:])
    covered = number(mix, 1) + number(day, 4) + key + accused + sha256(described)
    return number(mix, 1) + key + accused + ed25519_sign(seed, b"anontrace/2 announcement" + covered)


def content(descriptions: list[bytes], announced: dict[int, list[bytes]]) -> bytes:
    parts = [number(len(descriptions), 1)]
    parts += [number(len(each), 2) + each for each in descriptions]
    parts.append(number(len(announced), 2))
    parts += [number(day, 4) + number(len(some), 1) + b"".join(some) for day, some in announced.items()]
    return b"".join(parts)


def head(sequence: int, previous: bytes, issued: int, made: bytes) -> bytes:
    return number(sequence, 8) + previous + number(issued, 8) + sha256(made)


def directory(head: bytes, seed: bytes, made: bytes) -> bytes:
    return head + ed25519_sign(seed, b"anontrace/2 directory" + head) + made


def difference(heads: list[bytes], seed: bytes, present: list[int], news: bytes) -> bytes:
    links = b"".join(each[40:80] for each in heads)
    signature = ed25519_sign(seed, b"anontrace/2 directory" + heads[-1])
    first = heads[0][8:40] + heads[0][0:8] + number(len(heads), 2)
    return first + links + signature + number(sum(2**mix for mix in present), 32) + news
