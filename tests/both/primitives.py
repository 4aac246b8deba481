"""Holds primitives, HKDF, HPKE and Noise to published vectors in tests/vectors/, on whichever interpreter runs this."""

import json
import sys
from binascii import unhexlify

from anontrace_primitives import (
    aead_open,
    aead_seal,
    equal,
    hmac_sha256,
    random_bytes,
    sha256,
    wipe,
    x25519,
    x25519_base,
)
from anontrace_shared import hkdf, hpke, noise
from anontrace_shared.errors import AuthenticationError, FormatError


def raises(error, function, *arguments):
    """Whether this call ends in this error; any other passes through."""
    try:
        function(*arguments)
    except error:
        return True
    return False


def altered(data):
    """Every way to change, cut or grow these bytes by a little."""
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        yield bytes(changed)
    yield data[:-1]
    yield data + b"\x00"
    yield b""


def check_x25519(v):
    for one in v["products"]:
        assert x25519(unhexlify(one["scalar"]), unhexlify(one["point"])) == unhexlify(one["result"]), one["scalar"]
    wanted = {one["times"]: unhexlify(one["result"]) for one in v["iterations"]}
    scalar = point = b"\x09" + bytes(31)
    for turn in range(1, max(wanted) + 1):
        scalar, point = x25519(scalar, point), scalar
        assert scalar == wanted.get(turn, scalar), f"iteration {turn}"
    keys = v["agreement"]
    secret_a, secret_b = unhexlify(keys["secret_a"]), unhexlify(keys["secret_b"])
    assert x25519_base(secret_a) == unhexlify(keys["public_a"])
    assert x25519_base(secret_b) == unhexlify(keys["public_b"])
    assert x25519(secret_a, x25519_base(secret_b)) == unhexlify(keys["shared"])
    assert x25519(bytearray(secret_b), memoryview(x25519_base(secret_a))) == unhexlify(keys["shared"])
    for point in v["low_order"]:
        assert raises(ValueError, x25519, secret_a, unhexlify(point)), point
    for size in (0, 31, 33):
        assert raises(ValueError, x25519, bytes(size), bytes(32))
        assert raises(ValueError, x25519, secret_a, bytes(size))
        assert raises(ValueError, x25519_base, bytes(size))


def check_aead(v):
    for one in v["cases"]:
        key, nonce, aad = unhexlify(one["key"]), unhexlify(one["nonce"]), unhexlify(one["aad"])
        plaintext, sealed = unhexlify(one["plaintext"]), unhexlify(one["sealed"])
        assert aead_seal(key, nonce, plaintext, aad) == sealed
        assert aead_seal(bytearray(key), nonce, memoryview(plaintext), bytearray(aad)) == sealed
        assert aead_open(key, nonce, sealed, aad) == plaintext
        assert aead_open(bytearray(key), bytearray(nonce), memoryview(sealed), memoryview(aad)) == plaintext
        for changed in altered(sealed):
            assert raises(ValueError, aead_open, key, nonce, changed, aad)
        for changed in altered(aad):
            assert raises(ValueError, aead_open, key, nonce, sealed, changed)
        for size in (0, 16, 31, 33):
            assert raises(ValueError, aead_seal, bytes(size), nonce, plaintext)
            assert raises(ValueError, aead_open, bytes(size), nonce, sealed)
        for size in (0, 8, 11, 13, 24):
            assert raises(ValueError, aead_seal, key, bytes(size), plaintext)
            assert raises(ValueError, aead_open, key, bytes(size), sealed)


def check_hmac(v):
    for one in v["cases"]:
        mac = unhexlify(one["mac"])
        assert hmac_sha256(unhexlify(one["key"]), unhexlify(one["data"]))[: len(mac)] == mac, one["key"]
    # RFC 2104: a key that fills the block stands as it is, a longer one is hashed first
    block = bytes(range(64))
    assert hmac_sha256(block, b"x") != hmac_sha256(sha256(block), b"x")
    assert hmac_sha256(block + b"\x00", b"x") == hmac_sha256(sha256(block + b"\x00"), b"x")


def check_hkdf(v):
    for one in v["cases"]:
        prk = hkdf.extract(unhexlify(one["salt"]), unhexlify(one["ikm"]))
        assert prk == unhexlify(one["prk"])
        assert hkdf.expand(prk, unhexlify(one["info"]), one["length"]) == unhexlify(one["okm"])
    assert hkdf.expand(prk, b"", 0) == b""
    assert len(hkdf.expand(prk, b"", 255 * 32)) == 255 * 32
    assert raises(ValueError, hkdf.expand, prk, b"", 255 * 32 + 1)


def check_hpke(v):
    info, plaintext = unhexlify(v["info"]), unhexlify(v["plaintext"])
    secret_key, public_key, enc = unhexlify(v["secret_key"]), unhexlify(v["public_key"]), unhexlify(v["enc"])
    sender = hpke.Sender(public_key, info, unhexlify(v["ephemeral"]))
    recipient = hpke.Recipient(secret_key, enc, info)
    assert sender.enc == enc and len(enc) == hpke.ENC
    assert hpke.kem_secret(x25519(secret_key, enc), enc, public_key) == unhexlify(v["shared_secret"])
    for context in (sender, recipient):
        assert context._key == unhexlify(v["key"])
        assert context._base_nonce == unhexlify(v["base_nonce"])
    wanted = {one["sequence"]: unhexlify(one["sealed"]) for one in v["messages"]}
    for sequence in range(max(wanted) + 1):
        aad = b"Count-%d" % sequence
        sealed = sender.seal(plaintext, aad)
        assert sealed == wanted.get(sequence, sealed), f"sequence number {sequence}"
        assert len(sealed) == len(plaintext) + hpke.TAG
        assert raises(AuthenticationError, recipient.open, sealed, b"other aad")
        assert recipient.open(sealed, aad) == plaintext
        assert raises(AuthenticationError, recipient.open, sealed, aad), "a message opens once"
    for other in (hpke.Recipient(bytes(31) + b"\x40", enc, info), hpke.Recipient(secret_key, enc, info + b".")):
        assert raises(AuthenticationError, other.open, wanted[0], b"Count-0")


def check_hpke_contexts(v):
    info = unhexlify(v["info"])
    public_key = unhexlify(v["public_key"])
    first, second = hpke.Sender(public_key, info), hpke.Sender(public_key, info)
    assert first.enc != second.enc and first.seal(bytes(24)) != second.seal(bytes(24))
    context = hpke.Recipient(unhexlify(v["secret_key"]), first.enc, info)
    key = context._key
    for ended in (first, context):
        ended.wipe()
    assert key == bytes(32)
    assert raises(RuntimeError, first.seal, b"")
    assert raises(RuntimeError, context.open, bytes(16))
    second._sequence = hpke.MESSAGE_LIMIT - 1
    second.seal(b"")
    assert raises(RuntimeError, second.seal, b""), "no nonce comes twice"
    for bad in (b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31)):
        assert raises(FormatError, hpke.Sender, bad, info)
        assert raises(FormatError, hpke.Recipient, bytes(range(32)), bad, info)


def handshake(v):
    psk, prologue = unhexlify(v["psk"]), unhexlify(v["prologue"])
    return (
        noise.Initiator(psk, prologue, unhexlify(v["initiator_ephemeral"])),
        noise.Responder(psk, prologue, unhexlify(v["responder_ephemeral"])),
    )


def check_noise(v):
    initiator, responder = handshake(v)
    payloads = [unhexlify(one["payload"]) for one in v["messages"]]
    messages = [unhexlify(one["ciphertext"]) for one in v["messages"]]
    assert initiator.write(payloads[0]) == messages[0]
    assert responder.read(messages[0]) == payloads[0]
    assert responder.write(payloads[1]) == messages[1]
    assert initiator.read(messages[1]) == payloads[1]
    assert initiator.handshake_hash == responder.handshake_hash == unhexlify(v["handshake_hash"])
    assert initiator._ephemeral == responder._ephemeral == bytes(32), "ephemeral keys are gone"
    sender, receiver = initiator.transport(), responder.transport()
    for payload, message in zip(payloads[2:], messages[2:]):  # noqa: B905, MicroPython's zip has no strict
        assert sender.encrypt(payload) == message
        assert raises(AuthenticationError, receiver.decrypt, message[:-1] + b"\x00")
        assert receiver.decrypt(message) == payload
        assert raises(AuthenticationError, receiver.decrypt, message), "a message opens once"
        sender, receiver = receiver, sender
    sender._sending._counter = noise.MESSAGE_LIMIT - 1
    sender.encrypt(b"")
    assert raises(RuntimeError, sender.encrypt, b""), "no nonce comes twice"
    receiver.wipe()
    assert raises(RuntimeError, receiver.encrypt, b"")
    assert raises(RuntimeError, receiver.decrypt, bytes(16))


def check_noise_refusals(v):
    psk, prologue = unhexlify(v["psk"]), unhexlify(v["prologue"])
    first = noise.Initiator(psk, prologue).write()
    assert len(first) == noise.HANDSHAKE == 48
    for other in (noise.Responder(bytes(32), prologue), noise.Responder(psk, prologue + b".")):
        assert raises(AuthenticationError, other.read, first)
        assert raises(RuntimeError, other.read, first), "a failed handshake stays failed"
        assert raises(RuntimeError, other.write)
        assert raises(RuntimeError, other.transport)
    for changed in altered(first):
        assert raises((AuthenticationError, FormatError), noise.Responder(psk, prologue).read, changed)
    initiator, responder = noise.Initiator(psk, prologue), noise.Responder(psk, prologue)
    responder.read(initiator.write())
    second = responder.write()
    assert raises(AuthenticationError, initiator.read, second[:-1] + bytes([second[-1] ^ 1]))
    assert raises(RuntimeError, initiator.transport)
    responder.transport()
    assert raises(RuntimeError, responder.transport), "one session from one handshake"
    assert raises(RuntimeError, noise.Initiator(psk, prologue).read, second), "an initiator writes first"
    assert raises(RuntimeError, noise.Responder(psk, prologue).write), "a responder reads first"
    assert raises(ValueError, noise.Initiator, psk[1:], prologue)
    # Whoever knows the psk may still send a point of low order: base point 0 in place of an ephemeral key
    forger = noise.Initiator(psk, prologue)
    forger._expect(noise.WRITE)
    forger._mix_public(bytes(32))
    responder = noise.Responder(psk, prologue)
    responder.read(bytes(32) + forger._seal(b""))
    assert raises(AuthenticationError, responder.write)


def check_buffers(_):
    assert equal(b"", b"") and equal(b"abc", bytearray(b"abc")) and equal(memoryview(b"abc"), b"abc")
    assert not equal(b"abc", b"abd") and not equal(b"abc", b"ab") and not equal(b"", b"\x00")
    assert len(random_bytes(32)) == 32 and random_bytes(32) != random_bytes(32)
    secret = bytearray(b"secret")
    wipe(secret)
    assert secret == bytes(6)


CHECKS = (
    ("x25519", check_x25519),
    ("chacha20poly1305", check_aead),
    ("hmac", check_hmac),
    ("hkdf", check_hkdf),
    ("hpke", check_hpke),
    ("hpke", check_hpke_contexts),
    ("noise", check_noise),
    ("noise", check_noise_refusals),
    ("x25519", check_buffers),
)


def main(folder):
    for name, check in CHECKS:
        with open(folder + "/" + name + ".json") as file:  # noqa: PTH123, MicroPython has no pathlib
            check(json.load(file))


if __name__ == "__main__":
    main(sys.argv[1])
