"""A small network with keys of its own: what the tests of signed documents have in common."""

import os
from typing import Any

from anontrace.mixnet import keydays
from anontrace.wire import directory, keylist
from anontrace.wire.directory import Edition
from anontrace.wire.fields import Role
from anontrace.wire.keylist import KeyList, MixKey
from anontrace.wire.network import Named, Network, PinnedMix, Service
from anontrace.wire.signed import Signed
from anontrace_primitives import x25519_base
from nacl.signing import SigningKey

NOW = 1_650_000_000
SEEDS = {number: os.urandom(32) for number in (1, 2, 3, 4, 5, 6)}
ROLES: dict[int, tuple[Role, ...]] = dict.fromkeys(SEEDS, ("mix",)) | {
    5: ("mix", "nymserver"),
    6: ("mix", "mailbox"),
}
DISCOVERY = os.urandom(32)


def verify_key(seed: bytes) -> bytes:
    return bytes(SigningKey(seed).verify_key)


NETWORK = Network(
    network=Named(name='The "first" network, für alle'),
    discovery=Service(url="http://127.0.0.1:8000", key=verify_key(DISCOVERY)),
    authority=Service(url="https://authority.example", key=os.urandom(32)),
    mix=tuple(PinnedMix(number=n, key=verify_key(seed), roles=ROLES[n]) for n, seed in SEEDS.items()),
)
KEYS = {
    number: tuple(MixKey(day=day, key=x25519_base(os.urandom(32))) for day in keydays.published_days(NOW))
    for number in SEEDS
}


def fields(number: int, **changes: Any) -> dict[str, Any]:
    """The fields of a mix's key list, with changes."""
    nymserver = {"log_key": x25519_base(os.urandom(32)), "bucket_bits": 8} if "nymserver" in ROLES[number] else {}
    return {
        "number": number,
        "name": f"mix {number}",
        "roles": ROLES[number],
        "url": f"http://127.0.0.1:80{number:02}",
        "issued": NOW - 60,
        "expires": NOW + 86400,
        "keys": KEYS[number],
        **nymserver,
        **changes,
    }


def key_list(number: int, **changes: Any) -> KeyList:
    return KeyList(**fields(number, **changes))


def key_lists(**changes: Any) -> dict[int, KeyList]:
    return {number: key_list(number, **changes) for number in SEEDS}


def signed_list(number: int, **changes: Any) -> Signed:
    return keylist.sign(key_list(number, **changes), SEEDS[number])


def edition(sequence: int, previous: bytes | None, lists: list[Signed], issued: int = NOW) -> Edition:
    return directory.make(sequence, previous, issued, lists, DISCOVERY)
