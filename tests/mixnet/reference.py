"""Sections 6 and 7 of docs/protocol.md a second time, written from the page alone.

What the vectors are made with, so that they check the packet format and not itself. Plain and slow on purpose: its own
ChaCha20, byte loops, and the scalars of a header hop by hop instead of by arithmetic modulo the group order. Only
well-formed input, no errors.
"""

import hashlib
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.shared.reference import Hpke, number, public, sha256, x25519

L = 2**252 + 27742317777372353535851937790883648493

# Where the fields of a message lie: key select is its first byte.
ALPHA, TAG, ROUTING, PAYLOAD = slice(1, 33), slice(33, 49), slice(49, 141), slice(141, 380)


@dataclass
class Mix:
    number: int
    key_select: int
    secret: bytes

    @property
    def key(self) -> bytes:
        return public(self.secret)


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def blake2b(size: int, data: bytes, key: bytes = b"", person: bytes = b"") -> bytes:
    return hashlib.blake2b(data, digest_size=size, key=key, person=person.ljust(16, b"\0")).digest()


# RFC 8439, section 2.3


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = (state[x] + state[y]) & 0xFFFFFFFF
        mixed = state[z] ^ state[x]
        state[z] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF


def _rounds(state: list[int]) -> None:
    for _ in range(10):
        for column in range(4):
            _quarter(state, column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            _quarter(state, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)


_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    start = [*_CONSTANTS, *struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce)]
    state = list(start)
    _rounds(state)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, start, strict=True)))


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    state = [*_CONSTANTS, *struct.unpack("<8I", key), *struct.unpack("<4I", nonce)]
    _rounds(state)
    return struct.pack("<8I", *state[:4], *state[12:])


def keystream(key: bytes, length: int) -> bytes:
    blocks = [chacha20_block(key, counter, bytes(12)) for counter in range(1, 2 + length // 64)]
    return b"".join(blocks)[:length]


# Section 6


def expanded(key: bytes, length: int) -> bytes:
    return hashlib.shake_256(key).digest(length)


def lioness_encrypt(keys: bytes, block: bytes) -> bytes:
    k1, k2, k3, k4 = (keys[i : i + 32] for i in range(0, 128, 32))
    left, right = block[:32], block[32:]
    right = xor(right, keystream(xor(left, k1), len(right)))
    left = xor(left, blake2b(32, right, k2))
    right = xor(right, keystream(xor(left, k3), len(right)))
    left = xor(left, blake2b(32, right, k4))
    return left + right


def lioness_decrypt(keys: bytes, block: bytes) -> bytes:
    k1, k2, k3, k4 = (keys[i : i + 32] for i in range(0, 128, 32))
    left, right = block[:32], block[32:]
    left = xor(left, blake2b(32, right, k4))
    right = xor(right, keystream(xor(left, k3), len(right)))
    left = xor(left, blake2b(32, right, k2))
    right = xor(right, keystream(xor(left, k1), len(right)))
    return left + right


def clamp(scalar: bytes) -> bytes:
    return bytes([scalar[0] & 0xF8]) + scalar[1:31] + bytes([scalar[31] & 0x7F | 0x40])


@dataclass
class HopState:
    """Everything about one hop of one message, as its maker knows it."""

    mix: Mix
    alpha: bytes
    shared: bytes
    seed: bytes
    stream: bytes
    scalar: bytes

    @property
    def tag_key(self) -> bytes:
        return self.stream[0:32]

    @property
    def pad(self) -> bytes:
        return self.stream[32:142]

    @property
    def blinding(self) -> bytes:
        return self.stream[142:174]

    @property
    def lioness(self) -> bytes:
        return self.stream[174:302]


def hops(path: list[Mix], first_secret: bytes) -> list[HopState]:
    """Each alpha and s by a chain of X25519 as the mixes make it; `scalar` by whole numbers modulo L beside it."""
    result: list[HopState] = []
    x = int.from_bytes(clamp(first_secret), "little")
    scalar = clamp(first_secret)
    alpha = public(first_secret)
    for mix in path:
        shared = mix.key
        for before in result:
            shared = x25519(before.blinding, shared)
        shared = x25519(first_secret, shared)
        seed = blake2b(32, mix.key, shared, b"anontrace/1 hop")
        result.append(HopState(mix, alpha, shared, seed, expanded(seed, 302), scalar))
        blinding = result[-1].blinding
        alpha = x25519(blinding, alpha)
        x = x * int.from_bytes(clamp(blinding), "little") % L
        eighth = x * pow(8, -1, L) % L
        scalar = next(8 * m for m in (eighth, L - eighth) if 2**251 <= m < 2**252).to_bytes(32, "little")
    return result


def tag(state: HopState, routing: bytes) -> bytes:
    return blake2b(16, routing, state.tag_key, b"anontrace/1 tag")


def padding_size(hop_count: int) -> int:
    return 92 - 18 * (hop_count - 1) - 38


def header(states: list[HopState], mailbox: bytes, padding: bytes) -> bytes:
    filler = b""
    for i, state in enumerate(states[:-1]):
        filler = xor(filler + bytes(18), state.pad[110 - 18 * (i + 1) : 110])
    plain = bytes(2) + mailbox + bytes(4) + padding
    routing = xor(plain, states[-1].pad[: len(plain)]) + filler
    for i in range(len(states) - 2, -1, -1):
        following = states[i + 1]
        plain = bytes([following.mix.key_select, following.mix.number]) + tag(following, routing) + routing[0:74]
        routing = xor(plain, states[i].pad[0:92])
    first = states[0]
    return bytes([first.mix.key_select]) + first.alpha + tag(first, routing) + routing


def wrap(states: list[HopState], payload: bytes) -> bytes:
    for state in reversed(states):
        payload = lioness_encrypt(state.lioness, payload)
    return payload


def replay_tag(message: bytes) -> bytes:
    return blake2b(16, message[33:141], person=b"anontrace/1 once")


def unwrap(mix: Mix, message: bytes) -> tuple[int, bytes]:
    """Number of the next mix and the message for it; or 0, and mailbox and payload."""
    alpha, claimed, routing, payload = message[ALPHA], message[TAG], message[ROUTING], message[PAYLOAD]
    seed = blake2b(32, mix.key, x25519(mix.secret, alpha), b"anontrace/1 hop")
    stream = expanded(seed, 302)
    assert blake2b(16, routing, stream[0:32], b"anontrace/1 tag") == claimed
    plain = xor(routing + bytes(18), stream[32:142])
    payload = lioness_decrypt(stream[174:302], payload)
    if plain[0:2] == bytes(2):
        return 0, plain[2:34] + payload
    return plain[1], plain[0:1] + x25519(stream[142:174], alpha) + plain[2:110] + payload


# Section 7


def blob(address: bytes, slot: int, surb: bytes) -> bytes:
    return lioness_encrypt(expanded(blake2b(32, number(slot, 4), address, b"anontrace/1 blob"), 128), surb)


def authentication(stored_blob: bytes) -> bytes:
    return sha256(b"anontrace/1 swap" + stored_blob)


def fingerprint(nym_key: bytes, stored_blob: bytes) -> bytes:
    return sha256(b"anontrace/1 fingerprint" + nym_key + stored_blob)[0:8]


def notification(message_key: bytes, content: bytes, ephemeral: bytes) -> bytes:
    hpke = Hpke(message_key, b"anontrace/1 notification", ephemeral)
    mask = expanded(blake2b(32, b"", message_key, b"anontrace/1 note"), 128)
    return lioness_encrypt(mask, hpke.enc + hpke.seal(0, content, b""))


def content(
    kind: int,
    case: bytes,
    report: bytes,
    token: bytes,
    disease: str,
    present: int,
    attenuation: int,
    rule: int,
    text: str,
) -> bytes:
    data = number(kind, 1) + case + report + token + disease.encode().ljust(8, b"\0")
    data += number(present, 1) + number(attenuation, 1) + number(rule, 2)
    return data + text.encode().ljust(58, b"\0")


def chain_token(key: bytes, nonce: bytes, case: bytes, nym_key: bytes, generation: int, expiry_day: int) -> bytes:
    plain = case + nym_key + number(generation, 1) + number(expiry_day, 4) + bytes(3)
    inner = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return nonce + inner.encrypt(bytes(4) + nonce[16:], plain, b"anontrace/1 chain")


def receipt(question: bytes, reply_block: bytes, padding: bytes) -> bytes:
    """`question`: subject, and what is asked about."""
    return question + reply_block + padding + b"\1"


def nym_question(nym_key: bytes, stored_blob: bytes) -> bytes:
    return b"\0" + nym_key + fingerprint(nym_key, stored_blob)


def upload_question(upload_id: bytes, first: int) -> bytes:
    return b"\1" + upload_id + number(first, 4) + bytes(20)


def contact_answer_question(tag: bytes, identity: bytes) -> bytes:
    return number(2, 1) + tag + identity + bytes(16)


def nym_answer(held: bool) -> bytes:
    return number(int(held), 1) + bytes(222)


def upload_answer(state: int, reason: int, missing: list[tuple[int, int]]) -> bytes:
    data = number(state, 1) + number(reason, 1) + number(len(missing), 2)
    for first, count in missing:
        data += number(first, 4) + number(count, 4)
    return data.ljust(223, b"\0")


def answer(key: bytes, content: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), content, None)


def relay(first_mix: int, header: bytes, seed: bytes, padding: bytes) -> bytes:
    return bytes([first_mix]) + header + seed + padding + b"\2"


def fragment(upload_id: bytes, at: int, data: bytes) -> bytes:
    return upload_id + number(at, 4) + data.ljust(218, b"\0") + b"\3"


def montgomery(verify_key: bytes) -> bytes:
    """The X25519 public key of an Ed25519 one: u = (1 + y) / (1 - y) modulo p (RFC 7748, section 4.1)."""
    p = 2**255 - 19
    y = int.from_bytes(verify_key, "little") & ((1 << 255) - 1)
    return ((1 + y) * pow(1 - y, -1, p) % p).to_bytes(32, "little")


def authority_secret(seed: bytes) -> bytes:
    """The first half of the expanded Ed25519 key (RFC 8032, section 5.1.5), an X25519 scalar."""
    return hashlib.sha512(seed).digest()[:32]


def blind(address: bytes, slot: int, report: bytes) -> bytes:
    return blake2b(32, number(slot, 4) + report, address, b"anontrace/2 hide")


def words_key(secret: bytes, blinded: bytes) -> bytes:
    return expanded(blake2b(32, b"", x25519(secret, blinded), b"anontrace/2words"), 64)


def aes_siv(key: bytes, about: bytes, plain: bytes) -> bytes:
    """RFC 5297 with one string of associated data, from AES-CMAC and AES-CTR."""

    def mac(data: bytes) -> bytes:
        made = cmac.CMAC(algorithms.AES(key[:32]))
        made.update(data)
        return made.finalize()

    def double(block: bytes) -> bytes:
        value = int.from_bytes(block, "big") << 1
        return (value & ((1 << 128) - 1) ^ (0x87 if value >> 128 else 0)).to_bytes(16, "big")

    inner = xor(double(mac(bytes(16))), mac(about))
    iv = mac(plain[:-16] + xor(plain[-16:], inner))
    masked = bytearray(iv)
    masked[8] &= 0x7F
    masked[12] &= 0x7F
    encryptor = Cipher(algorithms.AES(key[32:]), modes.CTR(bytes(masked))).encryptor()
    return iv + encryptor.update(plain) + encryptor.finalize()


def words(secret: bytes, blinded: bytes, report: bytes, kind: int, text: str) -> bytes:
    return aes_siv(words_key(secret, blinded), report + number(kind, 1), text.encode().ljust(42, b"\0"))


def told_tag(case: bytes, report: bytes) -> bytes:
    return blake2b(8, b"", case + report, b"anontrace/2 told")


def contact_answer_keys(secret: bytes, other: bytes, ephemeral: bytes, authority: bytes) -> tuple[bytes, bytes]:
    keys = expanded(blake2b(32, ephemeral + authority, x25519(secret, other), b"anontrace/2 answ"), 128)
    return keys[:64], keys[64:]


def telephone(text: str) -> bytes:
    halves = [0xA if each == "+" else int(each) for each in text] + [0xF] * (16 - len(text))
    return bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))


def contact_answer(said: int, day: int, phone: str, near: list[int], own_log: int, note: str, way: bytes) -> bytes:
    head = number(said, 1) + number(day, 2) + telephone(phone) + bytes(near) + number(own_log, 1)
    return head + note.encode().ljust(24, b"\0") + way


def sealed_contact_answer(secret: bytes, authority: bytes, tag: bytes, content: bytes) -> bytes:
    key, _ = contact_answer_keys(secret, authority, public(secret), authority)
    return tag + public(secret) + aes_siv(key, tag, content) + b"\4"


def letter(key: bytes, tag: bytes, text: str) -> bytes:
    return aes_siv(key, tag, text.encode().ljust(223, b"\0"))


PART_PRIME = 2**312 - 203


def part(text: str, place: int) -> bytes:
    """A text in parts of 38 bytes, each the coefficient of a power of the place."""
    data = text.encode()
    count = -(-len(data) // 38)
    data = data.ljust(38 * count, b"\0")
    value = sum(int.from_bytes(data[38 * i : 38 * i + 38], "big") * place**i for i in range(count)) % PART_PRIME
    return number(count, 1) + number(place, 2) + value.to_bytes(39, "big")


def words_of_part(secret: bytes, blinded: bytes, report: bytes, kind: int, content: bytes) -> bytes:
    return aes_siv(words_key(secret, blinded), report + number(kind, 1), content)
