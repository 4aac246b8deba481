"""X25519 of many scalars and points at once, by the fastest of the implementations that this machine has.

    ifma    eight at a time, where the processor can and `ipp-crypto` is installed (`multibuffer`)
    hacl    one at a time by HACL*, where `pyhacl` is installed; on some processors faster than libsodium
    sodium  one at a time by libsodium, which is always there

All give the same bytes. One is chosen when it is first needed, or named by the environment variable ANONTRACE_X25519,
and stays for the life of the process. Measures only between `hacl` and `sodium`, for some ten milliseconds. Callers
hand over secrets as bytes, which Python cannot wipe; copies made here are wiped.
"""

import hmac
import importlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from nacl import bindings
from nacl.exceptions import CryptoError

ENVIRONMENT = "ANONTRACE_X25519"
NAMES = ("ifma", "hacl", "sodium")  # the first that can be had is taken, hacl only where it is faster than the last
KEY = 32
_SIZES = frozenset((KEY,))
_ZERO = bytes(KEY)
_ROUNDS, _CALLS = 5, 6  # of measuring
_GAIN = 0.97  # what hacl has to stay below to be taken


class UnavailableError(Exception):
    """This machine cannot compute so; the message says why."""


class Implementation(NamedTuple):
    """One way to compute; its functions do not check sizes."""

    name: str
    many: Callable[[Sequence[bytes], Sequence[bytes]], list[bytes | None]]
    base_many: Callable[[Sequence[bytes]], list[bytes]]


def x25519_many(scalars: Sequence[bytes], points: Sequence[bytes]) -> list[bytes | None]:
    """X25519 (32) of each scalar and the point of the same place (32 bytes each); None where the result is all zero,
    because the point is of low order: what else is in the batch does not matter.

    ValueError if there are not as many of both, or one has another size.
    """
    if len(scalars) != len(points) or not {*map(len, scalars), *map(len, points)} <= _SIZES:
        raise ValueError("X25519 takes as many scalars as points, of 32 bytes each")
    return chosen().many(scalars, points)


def x25519_base_many(scalars: Sequence[bytes]) -> list[bytes]:
    """The public key (32) of each scalar (32). ValueError if one has another size."""
    if not set(map(len, scalars)) <= _SIZES:
        raise ValueError("X25519 takes scalars of 32 bytes each")
    return chosen().base_many(scalars)


def choose(name: str | None = None) -> Implementation:
    """What this process computes by from now on: the one of this name, else of the name in the environment, else the
    fastest. UnavailableError, in a sentence, if one is named that is not known or not to be had here; else never."""
    global _chosen
    asked = os.environ.get(ENVIRONMENT)
    if name:
        _chosen = named(name)
    elif asked:
        try:
            _chosen = named(asked)
        except UnavailableError as error:
            raise UnavailableError(f"{ENVIRONMENT}: {error}") from None
    else:
        _chosen = _fastest()
    return _chosen


def chosen() -> Implementation:
    """What this process computes by; the first call chooses."""
    return _chosen or choose()


def told() -> str:
    """The name of what is chosen and, if that is not the fastest, why this is not to be had."""
    try:
        named("ifma")
    except UnavailableError as error:
        return f"{chosen().name}; {error}"
    return chosen().name


_chosen: Implementation | None = None


def _fastest() -> Implementation:
    with suppress(UnavailableError):
        return named("ifma")
    with suppress(UnavailableError):
        if _is_faster(found := named("hacl"), named("sodium")):
            return found
    return named("sodium")


@cache
def named(name: str) -> Implementation:
    """The implementation of this name. UnavailableError says why it cannot be had."""
    if name not in NAMES:
        raise UnavailableError(f"{name!r} is none of {', '.join(NAMES)}")
    try:
        return {"ifma": _ifma, "hacl": _hacl, "sodium": _sodium}[name]()
    except UnavailableError as error:
        raise UnavailableError(f"{name} cannot be had here: {error}") from None


def _ifma() -> Implementation:
    from . import multibuffer  # loads slowly, and most commands make no batch

    lanes, single = multibuffer.load(), _sodium()

    def many(scalars: Sequence[bytes], points: Sequence[bytes]) -> list[bytes | None]:
        if len(points) == 1:
            return single.many(scalars, points)
        if multibuffer.has_edges(points):  # which nobody sends but to try
            edges = {number for number, point in enumerate(points) if multibuffer.is_edge(point)}
            others = [number for number in range(len(points)) if number not in edges]
            found = dict(zip(others, many(*_at(others, scalars, points)), strict=True))
            found |= zip(edges, single.many(*_at(edges, scalars, points)), strict=True)
            return [found[number] for number in range(len(points))]
        # Eight lanes cost as much as one and a half of libsodium's, however many are filled.
        if len(points) % multibuffer.LANES != 1:
            return lanes.many(scalars, points)
        return lanes.many(scalars[:-1], points[:-1]) + single.many(scalars[-1:], points[-1:])

    return Implementation("ifma", many, lanes.base_many)


def _at(numbers: Collection[int], scalars: Sequence[bytes], points: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Those of both that have these numbers."""
    return [scalars[number] for number in numbers], [points[number] for number in numbers]


def _hacl() -> Implementation:
    try:
        multiply = importlib.import_module("pyhacl.diffie_hellman.curve25519").scalarmult
    except ImportError as error:
        raise UnavailableError(f"{error}: pip install 'anontrace[fast]'") from None

    def many(scalars: Sequence[bytes], points: Sequence[bytes]) -> list[bytes | None]:
        return [None if hmac.compare_digest(each, _ZERO) else each for each in map(multiply, scalars, points)]

    return Implementation("hacl", many, _sodium().base_many)


def _sodium() -> Implementation:
    return Implementation(
        "sodium",
        lambda scalars, points: list(map(_product, scalars, points)),
        lambda scalars: list(map(bindings.crypto_scalarmult_base, scalars)),
    )


def _product(scalar: bytes, point: bytes) -> bytes | None:
    try:
        return bindings.crypto_scalarmult(scalar, point)
    except CryptoError:
        return None


def _is_faster(one: Implementation, other: Implementation) -> bool:
    """Whether one takes clearly less processor time than the other, in turns, the least of each."""
    scalars, points = [b"\x05" * KEY] * _CALLS, [b"\x09" + bytes(KEY - 1)] * _CALLS
    least = dict.fromkeys((one.name, other.name), float("inf"))
    for _ in range(_ROUNDS):
        for each in (one, other):
            began = time.thread_time()
            each.many(scalars, points)
            least[each.name] = min(least[each.name], time.thread_time() - began)
    return least[one.name] < _GAIN * least[other.name]
