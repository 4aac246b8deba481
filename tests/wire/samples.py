"""A small network with keys of its own: what the tests of the directory have in common."""

import os
from collections.abc import Iterable
from typing import Any

from anontrace.mixnet import keydays
from anontrace.wire import announcement, directory
from anontrace.wire.content import Content
from anontrace.wire.description import Description
from anontrace.wire.directory import Directory
from anontrace.wire.fields import Role
from anontrace.wire.mixes import Mix, MixKey
from anontrace.wire.network import Named, Network, PinnedMix, Service
from anontrace_primitives import x25519_base
from nacl.signing import SigningKey

NOW = 1_650_000_000
TODAY = keydays.day_at(NOW)
DAYS = (TODAY, TODAY + 1)
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
KEYS = {number: {day: x25519_base(os.urandom(32)) for day in range(TODAY - 29, TODAY + 4)} for number in SEEDS}
LOG_KEY = x25519_base(os.urandom(32))


def described(number: int, **changes: Any) -> Description:
    """A mix's description, with changes."""
    fields: dict[str, Any] = {
        "number": number,
        "roles": ROLES[number],
        "issued": NOW - 60,
        "name": f"mix {number}",
        "url": f"http://127.0.0.1:80{number:02}",
    }
    nymserver = {"log_key": LOG_KEY, "bucket_bits": 8} if "nymserver" in ROLES[number] else {}
    return Description(**(fields | nymserver | changes))


def content(
    numbers: Iterable[int] = SEEDS,
    days: Iterable[int] = DAYS,
    lossy: dict[int, tuple[int, ...]] | None = None,
    **changes: Any,
) -> Content:
    """What these mixes announce for these days; `lossy`: whom they accuse."""
    texts = {number: described(number, **changes).encode() for number in numbers}
    announced = {
        number: {
            day: announcement.sign(
                number, day, KEYS[number][day], (lossy or {}).get(number, ()), text, SEEDS[number]
            ).encode()
            for day in days
        }
        for number, text in texts.items()
    }
    return Content(texts, announced)


def mix(number: int, days: Iterable[int] = DAYS, lossy: tuple[int, ...] = (), **changes: Any) -> Mix:
    """A mix whose word is believed already."""
    return Mix(described(number, **changes), tuple(MixKey(day, KEYS[number][day]) for day in days), lossy)


def mixes(**changes: Any) -> dict[int, Mix]:
    return {number: mix(number, **changes) for number in SEEDS}


def edition(sequence: int, previous: bytes | None, made: Content | None = None, issued: int = NOW) -> Directory:
    return directory.make(sequence, previous, issued, made or Content(), DISCOVERY)
