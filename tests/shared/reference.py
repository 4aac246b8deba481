"""Sections 1 to 5 of docs/protocol.md a second time, written from the page alone, on `cryptography` and `hashlib`.

What the vectors are made with, so that they check the shared modules and not themselves. Plain and slow on purpose;
only well-formed input, no errors.
"""

import hashlib
import hmac
import zlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

Contact = tuple[bytes, bytes]  # contact address, packed figures


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little", signed=value < 0)


def x25519(scalar: bytes, point: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(scalar).exchange(X25519PublicKey.from_public_bytes(point))


def public(scalar: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, ikm, "sha256")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(prk)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# Section 1


def day_key(key: bytes, days: int) -> bytes:
    for _ in range(days):
        key = expand(key, b"anontrace/1 day key", 32)
    return key


def slot_secret(key: bytes, slot: int) -> bytes:
    return expand(key, b"anontrace/1 slot secret" + number(slot, 4), 32)


def contact_address(slot_public_key: bytes) -> bytes:
    return sha256(b"anontrace/1 contact address" + slot_public_key)[0:20]


def nym_key(address: bytes, slot: int) -> bytes:
    return sha256(b"anontrace/1 nym key" + address + number(slot, 4))


# Section 2


def beacon_key(owner_key: bytes) -> bytes:
    return expand(owner_key, b"anontrace/2 beacon key", 32)


def beacon(owner_key: bytes, content: bytes) -> bytes:
    key = beacon_key(owner_key)
    mac = hmac.digest(key, content, "sha256")[0:12]
    pad = hmac.digest(key, mac, "sha256")[0:8]
    return bytes(a ^ b for a, b in zip(content, pad, strict=True)) + mac


def beacon_content(slot_or_period: int, boot: int, random: bytes) -> bytes:
    return number(slot_or_period, 4) + number(boot, 2) + random


def beacon_of_version_1(owner_key: bytes, nonce: bytes) -> bytes:
    return nonce + hmac.digest(expand(owner_key, b"anontrace/1 beacon key", 32), nonce, "sha256")[0:12]


def advert(tx_power: int, address: bytes) -> bytes:
    return bytes.fromhex("020106 1916cea7 01") + tx_power.to_bytes(1, "little", signed=True) + address


# Section 3


def sightings_least(code: int) -> int:
    if code < 32:
        return code
    e, m = divmod(code - 32, 4)
    return int((4 + m) * 2 ** (e + 3))


def figures(
    verified: bool, first: int, last: int, present: int, strongest: int, mean: int, tx_power: int, sightings: int
) -> bytes:
    fields = [
        (int(verified), 1),
        (first, 4),
        (last, 4),
        (present, 4),
        (max(0, min(31, (strongest + 100) // 2)), 5),
        (max(0, min(31, (mean + 100) // 2)), 5),
        (max(0, min(7, (tx_power + 12) // 3)), 3),
        (max(code for code in range(64) if sightings_least(code) <= sightings), 6),
    ]
    bits = "".join(f"{value:0{width}b}" for value, width in reversed(fields))
    return int(bits, 2).to_bytes(4, "little")


class Hpke:
    """RFC 9180 base mode, sender's side, with a given ephemeral key."""

    def __init__(self, receiver: bytes, info: bytes, ephemeral: bytes) -> None:
        kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
        self.enc = public(ephemeral)
        prk = extract(b"", b"HPKE-v1" + kem + b"eae_prk" + x25519(ephemeral, receiver))
        secret = expand(prk, b"\x00\x20HPKE-v1" + kem + b"shared_secret" + self.enc + receiver, 32)
        psk_id_hash = extract(b"", b"HPKE-v1" + suite + b"psk_id_hash")
        info_hash = extract(b"", b"HPKE-v1" + suite + b"info_hash" + info)
        context = b"\x00" + psk_id_hash + info_hash
        secret = extract(secret, b"HPKE-v1" + suite + b"secret")
        self.key = expand(secret, b"\x00\x20HPKE-v1" + suite + b"key" + context, 32)
        self.base_nonce = expand(secret, b"\x00\x0cHPKE-v1" + suite + b"base_nonce" + context, 12)

    def seal(self, sequence: int, plaintext: bytes, aad: bytes) -> bytes:
        nonce = bytes(a ^ b for a, b in zip(self.base_nonce, sequence.to_bytes(12, "big"), strict=True))
        return ChaCha20Poly1305(self.key).encrypt(nonce, plaintext, aad)


def checked(data: bytes) -> bytes:
    return data + number(zlib.crc32(data), 4)


def block(log_key: bytes, kind: int, slot_field: bytes, contacts: list[Contact], ephemeral: bytes) -> bytes:
    aad = number(kind, 1) + slot_field
    hpke = Hpke(log_key, b"anontrace/1 log", ephemeral)
    sealed = [hpke.seal(i, address + packed, aad) for i, (address, packed) in enumerate(contacts)]
    return checked(aad + number(len(contacts), 2) + hpke.enc + b"".join(sealed))


def anchor(boot: int, uptime: int, unix: int) -> bytes:
    return checked(number(3, 1) + number(boot, 2) + number(uptime, 4) + number(unix, 4))


# Section 4


class Noise:
    """Noise_NNpsk0_25519_ChaChaPoly_SHA256 as a transcript: both handshake messages, then both transport keys."""

    def __init__(self, psk: bytes, prologue: bytes, initiator: bytes, responder: bytes) -> None:
        self.ck = self.h = sha256(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256")
        self.key = b""
        self.mix_hash(prologue)
        self.ck, psk_hash, self.key = self.hkdf(psk, 3)  # -> psk
        self.mix_hash(psk_hash)
        self.first = self.ephemeral(initiator) + self.empty_payload()  # -> e
        second = self.ephemeral(responder)  # <- e
        self.mix_key(x25519(initiator, public(responder)))  # <- ee
        self.second = second + self.empty_payload()
        self.to_responder, self.to_initiator = self.hkdf(b"", 2)

    def hkdf(self, ikm: bytes, count: int) -> list[bytes]:
        output = expand(extract(self.ck, ikm), b"", 32 * count)
        return [output[i * 32 : i * 32 + 32] for i in range(count)]

    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h + data)

    def mix_key(self, ikm: bytes) -> None:
        self.ck, self.key = self.hkdf(ikm, 2)

    def ephemeral(self, secret: bytes) -> bytes:
        self.mix_hash(public(secret))
        self.mix_key(public(secret))
        return public(secret)

    def empty_payload(self) -> bytes:
        tag = ChaCha20Poly1305(self.key).encrypt(bytes(12), b"", self.h)
        self.mix_hash(tag)
        return tag


def transport(key: bytes, sequence: int, plaintext: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(4) + number(sequence, 8), plaintext, b"")


def frame(body: bytes) -> bytes:
    return number(len(body), 2) + body


# Section 5


def answer(slot_secret: bytes, question: bytes, slot: int) -> bytes:
    p = public(slot_secret)
    key = extract(b"anontrace/1 challenge", x25519(slot_secret, question))
    return p + hmac.digest(key, question + p + number(slot, 4), "sha256")[0:16]
