"""The chain token holds what it was made for to the last value that has room in it, and nothing else is sealed."""

from dataclasses import replace

import pytest
from anontrace.mixnet import chain
from anontrace.mixnet.chain import ChainClaim
from anontrace.mixnet.sizes import CASE_ID, CHAIN_TOKEN, KEY, NYM_KEY
from anontrace_shared.errors import AuthenticationError, FormatError

SECRET = bytes(range(KEY))
CLAIM = ChainClaim(b"c" * CASE_ID, b"n" * NYM_KEY, 1, 20_000)


@pytest.mark.parametrize(("generation", "expiry_day"), [(0, 0), (1, 256), (255, (1 << 32) - 1), (7, 1 << 31)])
def test_what_was_sealed_is_what_is_opened(generation: int, expiry_day: int) -> None:
    claim = replace(CLAIM, generation=generation, expiry_day=expiry_day)
    token = chain.seal(SECRET, claim)
    assert len(token) == CHAIN_TOKEN and chain.open(SECRET, token) == claim


@pytest.mark.parametrize(
    "wrong",
    [
        {"generation": -1}, {"generation": 256}, {"expiry_day": -1}, {"expiry_day": 1 << 32},
        {"case_id": CLAIM.case_id[1:]}, {"case_id": CLAIM.case_id + b"c"},
        {"nym_key": CLAIM.nym_key[1:]}, {"nym_key": CLAIM.nym_key + b"n"},
    ],
    ids=str,
)  # fmt: skip
def test_what_has_no_room_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        chain.seal(SECRET, replace(CLAIM, **wrong))  # type: ignore[arg-type]


def test_only_who_sealed_it_opens_it_and_no_bit_of_it_can_be_changed() -> None:
    token = chain.seal(SECRET, CLAIM)
    for key in (SECRET[1:], SECRET + b"\0"):
        with pytest.raises(FormatError):
            chain.open(key, token)
        with pytest.raises(FormatError):
            chain.seal(key, CLAIM)
    for size in (CHAIN_TOKEN - 1, CHAIN_TOKEN + 1):
        with pytest.raises(FormatError):
            chain.open(SECRET, (token + b"\0")[:size])
    changed = [token[:at] + bytes((token[at] ^ 1,)) + token[at + 1 :] for at in range(CHAIN_TOKEN)]
    for key, each in [(SECRET[::-1], token), *((SECRET, each) for each in changed)]:
        with pytest.raises(AuthenticationError):
            chain.open(key, each)
