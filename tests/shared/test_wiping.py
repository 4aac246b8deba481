"""Ephemeral secrets are gone once they have done their work, whether or not it went well."""

import pytest
from anontrace_primitives import x25519_base
from anontrace_shared import badge_hpke, hpke, noise
from anontrace_shared.errors import AuthenticationError, FormatError

PSK = bytes(range(32))
LOW_ORDER = bytes(32)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """The very scalars that HPKE's sender multiplies by, as they are once it is done."""
    found: list[bytearray] = []
    real = badge_hpke.x25519

    def x25519(scalar: bytearray, point: bytes) -> bytes:
        assert isinstance(scalar, bytearray), "what cannot be overwritten cannot be wiped"
        assert any(scalar), "the ephemeral secret is not wiped before its use"
        found.append(scalar)
        return real(scalar, point)

    monkeypatch.setattr(badge_hpke, "x25519", x25519)
    return found


def test_the_ephemeral_secret_of_a_sealed_message_is_wiped(used: list[bytearray]) -> None:
    sender = hpke.Sender(x25519_base(bytes(range(1, 33))), b"info")
    assert used == [bytearray(32)]
    opened = hpke.Recipient(bytes(range(1, 33)), sender.enc, b"info").open(sender.seal(b"text"))
    assert opened == b"text"


def test_it_is_wiped_too_where_there_is_nobody_to_seal_to(used: list[bytearray]) -> None:
    with pytest.raises(FormatError):
        hpke.Sender(LOW_ORDER, b"info")
    assert used == [bytearray(32)]


def test_a_context_that_is_wiped_holds_no_key(used: list[bytearray]) -> None:
    sender = hpke.Sender(x25519_base(bytes(range(1, 33))), b"info")
    sender.wipe()
    assert sender._key == bytearray(32)
    with pytest.raises(RuntimeError, match="wiped"):
        sender.seal(b"text")


def test_the_ephemeral_secrets_of_a_handshake_are_wiped_on_both_sides() -> None:
    initiator, responder = noise.Initiator(PSK, b"prologue"), noise.Responder(PSK, b"prologue")
    assert any(initiator._ephemeral) and any(responder._ephemeral)
    responder.read(initiator.write())
    initiator.read(responder.write())
    assert initiator._ephemeral == responder._ephemeral == bytearray(32)
    transport = initiator.transport()
    transport.wipe()
    assert transport._sending._key == transport._receiving._key == bytearray(32)


def test_so_is_that_of_a_responder_whose_initiator_sent_a_key_of_low_order() -> None:
    responder = noise.Responder(PSK, b"prologue")
    forger = noise.Initiator(PSK, b"prologue")
    forger._mix_public(LOW_ORDER)
    responder.read(LOW_ORDER + forger._seal(b""))
    with pytest.raises(AuthenticationError, match="low order"):
        responder.write()
    assert responder._ephemeral == bytearray(32)


def test_and_that_of_an_initiator_whose_responder_did() -> None:
    initiator = noise.Initiator(PSK, b"prologue")
    initiator.write()
    with pytest.raises(AuthenticationError, match="low order"):
        initiator.read(LOW_ORDER + bytes(noise.TAG))
    assert initiator._ephemeral == bytearray(32)
