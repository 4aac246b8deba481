"""The health authority's words: for one contact alone, from the authority alone, whoever passes them on."""

import os
from typing import Any

import pytest
from anontrace.mixnet import surb, words
from anontrace.mixnet.notification import Kind
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import AuthenticationError, FormatError
from nacl.signing import SigningKey

from tests.mixnet.test_surb import NUMBERS, path

SEED = os.urandom(32)
AUTHORITY = words.key_of(bytes(SigningKey(SEED).verify_key))
SECRET = words.secret_of(SEED)
MESSAGE_SECRET, ADDRESS, SLOT, REPORT = os.urandom(32), os.urandom(20), 7, os.urandom(8)
BLINDED = words.blinded(x25519_base(MESSAGE_SECRET), ADDRESS, SLOT, REPORT)


def opened(sealed: bytes, **other: Any) -> str:
    given = {
        "message_secret": MESSAGE_SECRET, "authority": AUTHORITY, "address": ADDRESS, "slot": SLOT,
        "report_id": REPORT, "kind": Kind.NOTIFICATION,
    }  # fmt: skip
    return words.open(**(given | other), sealed=sealed)


@pytest.mark.parametrize("text", ["", "Call 555 0100", "K\u00f6ln \u260e \u5065\u5eb7", "x" * 42])
def test_the_contact_reads_what_the_authority_wrote(text: str) -> None:
    sealed = words.seal(SECRET, BLINDED, REPORT, Kind.NOTIFICATION, text)
    assert len(sealed) == 58
    assert opened(sealed) == text


def test_nobody_else_reads_it_and_nothing_of_it_can_be_used_elsewhere() -> None:
    sealed = words.seal(SECRET, BLINDED, REPORT, Kind.NOTIFICATION, "Call 555 0100")
    others: list[dict[str, Any]] = [
        {"message_secret": os.urandom(32)},
        {"authority": words.key_of(bytes(SigningKey(os.urandom(32)).verify_key))},
        {"address": os.urandom(20)},
        {"slot": SLOT + 1},
        {"report_id": os.urandom(8)},
        {"kind": Kind.RETRACTION},
    ]
    for other in others:
        with pytest.raises(AuthenticationError):
            opened(sealed, **other)


def test_a_nymserver_that_alters_or_makes_words_is_noticed() -> None:
    """It knows address, slot, report, both public keys and so the blinding, and no secret of the two."""
    sealed = words.seal(SECRET, BLINDED, REPORT, Kind.NOTIFICATION, "Stay at home")
    for at in range(len(sealed)):
        with pytest.raises(AuthenticationError):
            opened(sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :])
    blinding = words._blind(ADDRESS, SLOT, REPORT)
    for guess in (BLINDED, AUTHORITY, x25519(blinding, AUTHORITY), x25519_base(blinding), x25519(blinding, BLINDED)):
        key = words._key(guess)
        made = words.AESSIV(key).encrypt(b"Go out".ljust(42, b"\0"), [words._about(REPORT, Kind.NOTIFICATION)])
        with pytest.raises(AuthenticationError):
            opened(made)
        with pytest.raises(words.InvalidTag):
            words.AESSIV(key).decrypt(sealed, [words._about(REPORT, Kind.NOTIFICATION)])


def test_the_same_words_look_different_to_each_and_nothing_shows_whether_there_are_any() -> None:
    keys = [words.blinded(x25519_base(os.urandom(32)), ADDRESS, SLOT, REPORT) for _ in range(20)]
    sealed = [words.seal(SECRET, key, REPORT, Kind.NOTIFICATION, text) for key in keys for text in ("", "Call us")]
    assert len(set(sealed)) == 40
    assert len({each[:4] for each in sealed}) == len({each[-4:] for each in sealed}) == 40


def test_two_reports_show_the_authority_two_keys_of_one_address() -> None:
    public = x25519_base(MESSAGE_SECRET)
    shown = {words.blinded(public, ADDRESS, SLOT, os.urandom(8)) for _ in range(20)}
    assert len(shown) == 20
    assert public not in shown


def test_a_key_of_low_order_is_none() -> None:
    with pytest.raises(ValueError, match="zero"):
        words.blinded(bytes(32), ADDRESS, SLOT, REPORT)
    with pytest.raises(ValueError, match="zero"):
        words.seal(SECRET, bytes(32), REPORT, Kind.NOTIFICATION, "")


@pytest.mark.parametrize("text", ["x" * 43, "a\0b", "\x1b[2J", "a\u202eb"])
def test_what_does_not_fit_or_does_not_show_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        words.seal(SECRET, BLINDED, REPORT, Kind.NOTIFICATION, text)


def test_an_address_keeps_its_message_key_when_it_gets_another_surb() -> None:
    (first, kept), (other, _) = surb.make_many([path(NUMBERS[:2])] * 2, [bytes(32)] * 2)
    ((again, secrets),) = surb.make_many([path(NUMBERS[1:3])], [bytes(32)], message_secrets=[kept.message_secret])
    keys = [surb.parse(each).message_key for each in (first, again, other)]
    assert keys[0] == keys[1] != keys[2]
    assert secrets.seeds != kept.seeds
