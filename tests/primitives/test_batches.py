"""X25519 in batches: every implementation that this machine has gives the answers of the vectors, in every lane."""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace_primitives import multibuffer, x25519_base_many, x25519_batches, x25519_many
from anontrace_primitives.x25519_batches import Implementation, UnavailableError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.primitives.test_same_answers import LOW_ORDER, POINTS, SCALARS
from tools.set_up import pinned

FOLDER = Path(__file__).parent.parent / "vectors"
VECTORS = json.loads((FOLDER / "x25519.json").read_text(encoding="utf-8"))
WYCHEPROOF = json.loads((FOLDER / "x25519_wycheproof.json").read_text(encoding="utf-8"))
SIZES = (1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 130)
HAS_IFMA = sys.platform == "linux" and bool({"avx512ifma", "avx_ifma"} & multibuffer.processor_flags())


def h(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.fixture(params=x25519_batches.NAMES)
def way(request: pytest.FixtureRequest) -> Iterator[Implementation]:
    """Each implementation, in force."""
    before = x25519_batches.chosen().name
    try:
        yield x25519_batches.choose(request.param)
    except UnavailableError as error:
        pytest.skip(str(error))
    finally:
        x25519_batches.choose(before)


def test_eight_at_a_time_is_had_and_taken_where_the_processor_can() -> None:
    if not HAS_IFMA:
        pytest.skip("this processor has neither AVX512-IFMA nor AVX-IFMA")
    assert x25519_batches.choose().name == "ifma"


@pytest.mark.parametrize("size", SIZES)
def test_the_published_products_in_every_lane(way: Implementation, size: int) -> None:
    cases = [VECTORS["products"][n % len(VECTORS["products"])] for n in range(size)]
    found = x25519_many([h(each["scalar"]) for each in cases], [h(each["point"]) for each in cases])
    assert found == [h(each["result"]) for each in cases]


def test_the_published_iterations(way: Implementation) -> None:
    lanes = 8 if way.name == "ifma" else 1
    scalars = points = [bytes([9]) + bytes(31)] * lanes
    expected = {each["times"]: h(each["result"]) for each in VECTORS["iterations"]}
    for number in range(1, max(expected) + 1):
        scalars, points = x25519_many(scalars, points), scalars  # type: ignore[assignment]
        if number in expected:
            assert scalars == [expected[number]] * lanes


def test_the_products_of_wycheproof_whatever_the_lane(way: Implementation) -> None:
    """Points of low order, on the twist, not reduced, and such that values on the way are at their limits."""
    cases = [tuple(map(h, each)) for each in WYCHEPROOF["products"]]
    assert len(cases) == 518
    for turn in range(8 if way.name == "ifma" else 1):
        some = cases[turn:] + cases[:turn]
        found = x25519_many([scalar for scalar, _, _ in some], [point for _, point, _ in some])
        assert found == [product if any(product) else None for _, _, product in some]


def test_points_that_the_library_gets_wrong_are_edges(way: Implementation) -> None:
    """Near a multiple of the prime, or of an eighth of it; what is next to them in a batch is right all the same."""
    prime, good = 2**255 - 19, VECTORS["products"][0]
    near = [
        (part * prime // 8 + side * (1 << size)) % 2**256
        for part in range(17)
        for size in (0, 3, 6, 10, 40, 100, 218)
        for side in (-1, 1)
    ]
    points = [number.to_bytes(32, "little") for number in near]
    assert all(map(multibuffer.is_edge, points))
    mixed = [each for point in points for each in (point, h(good["point"]))]
    scalars = [h(good["scalar"])] * len(mixed)
    assert x25519_many(scalars, mixed) == x25519_batches.named("sodium").many(scalars, mixed)


def test_an_edge_does_not_keep_the_others_from_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one message would make a whole batch cost what it costs one by one."""
    if not HAS_IFMA:
        pytest.skip("this processor has neither AVX512-IFMA nor AVX-IFMA")
    filled: list[int] = []
    computed = multibuffer.Lanes.many

    def counted(lanes: Any, scalars: Any, points: Any) -> Any:
        filled.append(len(points))
        return computed(lanes, scalars, points)

    monkeypatch.setattr(multibuffer.Lanes, "many", counted)
    x25519_batches.named.cache_clear()
    way = x25519_batches.named("ifma")
    filled.clear()
    good = VECTORS["products"][0]
    points = [h(good["point"])] * 64
    points[5] = points[40] = bytes(32)
    found = way.many([h(good["scalar"])] * 64, points)
    assert filled == [62] and found.count(None) == 2
    x25519_batches.named.cache_clear()


@pytest.mark.parametrize("size", SIZES)
def test_the_published_public_keys(way: Implementation, size: int) -> None:
    agreement = VECTORS["agreement"]
    secrets = [h(agreement["secret_a" if n % 3 else "secret_b"]) for n in range(size)]
    assert x25519_base_many(secrets) == [h(agreement["public_a" if n % 3 else "public_b"]) for n in range(size)]


@pytest.mark.parametrize("size", SIZES)
def test_a_point_of_low_order_is_told_and_harms_no_other(way: Implementation, size: int) -> None:
    good, low = VECTORS["products"][0], [h(each) for each in VECTORS["low_order"]]
    for bad in {0, size // 2, size - 1}:
        points = [low[n % len(low)] if n == bad else h(good["point"]) for n in range(size)]
        found = x25519_many([h(good["scalar"])] * size, points)
        assert found == [None if n == bad else h(good["result"]) for n in range(size)]
    some = [low[n % len(low)] for n in range(size)]
    assert x25519_many([h(good["scalar"])] * size, some) == [None] * size


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(SCALARS, POINTS | LOW_ORDER), min_size=2, max_size=20))
def test_any_batch_gives_the_bytes_of_libsodium(way: Implementation, pairs: list[tuple[bytes, bytes]]) -> None:
    scalars, points = [scalar for scalar, _ in pairs], [point for _, point in pairs]
    plain = x25519_batches.named("sodium")
    assert way.many(scalars, points) == plain.many(scalars, points)
    assert way.base_many(scalars) == plain.base_many(scalars)


def test_what_is_not_32_bytes_is_refused(way: Implementation) -> None:
    good = [bytes([9]) + bytes(31)] * 3
    for bad in (b"", bytes(31), bytes(33)):
        for scalars, points in (([*good[:2], bad], good), (good, [bad, *good[:2]]), (good, good[:2])):
            with pytest.raises(ValueError, match="32 bytes"):
                x25519_many(scalars, points)
        with pytest.raises(ValueError, match="32 bytes"):
            x25519_base_many([*good, bad])
    assert x25519_many([], []) == x25519_base_many([]) == []


def test_many_threads_do_not_mix_up_their_batches(way: Implementation) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        secrets = [os.urandom(32) for _ in range(70)]
        publics = x25519_batches.named("sodium").base_many(secrets)
        products = x25519_batches.named("sodium").many(secrets, publics)
        for _ in range(3):
            if way.base_many(secrets) != publics or way.many(secrets, publics) != products:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_no_secret_stays_in_the_lanes() -> None:
    if not HAS_IFMA:
        pytest.skip("this processor has neither AVX512-IFMA nor AVX-IFMA")
    lanes = multibuffer.load()
    for size in SIZES:
        lanes.many([os.urandom(32) for _ in range(size)], [h(VECTORS["products"][0]["point"])] * size)
        assert not any(lanes._room._scalars) and not any(lanes._room._results)
        lanes.base_many([os.urandom(32) for _ in range(size)])
        assert not any(lanes._room._scalars) and not any(lanes._room._results)


def test_what_is_named_and_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANONTRACE_X25519", "avx1024")
    with pytest.raises(UnavailableError, match="ANONTRACE_X25519: 'avx1024' is none of ifma, hacl, sodium"):
        x25519_batches.choose()


@pytest.fixture
def fresh() -> Iterator[None]:
    """What was found before is forgotten, now and afterwards."""
    before = x25519_batches.chosen().name
    x25519_batches.named.cache_clear()
    yield
    x25519_batches.named.cache_clear()
    x25519_batches.choose(before)


def _processor_that_cannot(patch: pytest.MonkeyPatch, folder: Path) -> str:
    (folder / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    patch.setattr(multibuffer, "_PROCESSOR", folder / "cpuinfo")
    return "neither AVX512-IFMA nor AVX-IFMA"


def _no_processor_file(patch: pytest.MonkeyPatch, folder: Path) -> str:
    patch.setattr(multibuffer, "_PROCESSOR", folder / "missing")
    return "neither AVX512-IFMA nor AVX-IFMA"


def _other_machine(patch: pytest.MonkeyPatch, folder: Path) -> str:
    patch.setattr(multibuffer.platform, "machine", lambda: "aarch64")
    return "Linux on x86-64"


def _not_installed(patch: pytest.MonkeyPatch, folder: Path) -> str:
    patch.setattr(multibuffer, "PACKAGE", "no-such-package-of-ours")
    return r"not installed: pip install 'anontrace\[fast\]'"


def _altered(patch: pytest.MonkeyPatch, folder: Path) -> str:
    altered = bytearray(multibuffer._installed().read_bytes())
    altered[-1] ^= 1
    (folder / "altered.so").write_bytes(altered)
    patch.setattr(multibuffer, "_installed", lambda: folder / "altered.so")
    return "is not the one of ipp-crypto"


def _no_room(patch: pytest.MonkeyPatch, folder: Path) -> str:
    def refused(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    patch.setattr(os, "memfd_create", refused)
    return "cannot be loaded: .*not permitted"


def _wrong_answers(patch: pytest.MonkeyPatch, folder: Path) -> str:
    patch.setattr(multibuffer, "_SHARED", bytes(32))
    return "answers wrong"


@pytest.mark.parametrize(
    "cause",
    [_processor_that_cannot, _no_processor_file, _other_machine, _not_installed, _altered, _no_room, _wrong_answers],
)
def test_where_eight_at_a_time_cannot_be_had_it_is_said_and_another_is_taken(
    cause: Any, fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not HAS_IFMA and cause not in (_processor_that_cannot, _no_processor_file):
        pytest.skip("this processor has neither AVX512-IFMA nor AVX-IFMA")
    said = cause(monkeypatch, tmp_path)
    assert x25519_batches.choose().name in ("hacl", "sodium")
    assert re.search(f"^(hacl|sodium); ifma cannot be had here: .*{said}", x25519_batches.told())
    monkeypatch.setenv("ANONTRACE_X25519", "ifma")
    with pytest.raises(UnavailableError, match=f"ANONTRACE_X25519: ifma cannot be had here: .*{said}"):
        x25519_batches.choose()


@pytest.mark.parametrize("data", [b"", b"\x7fELF", os.urandom(4096), b"\x7fELF" + bytes(4096), b"\xff" * 4096])
def test_what_is_no_such_library_is_refused(data: bytes) -> None:
    with pytest.raises(UnavailableError, match="laid out otherwise"):
        multibuffer.without_unused(data)


def test_of_the_library_nothing_changes_but_four_names() -> None:
    if not HAS_IFMA:
        pytest.skip("this processor has neither AVX512-IFMA nor AVX-IFMA")
    before = multibuffer._installed().read_bytes()
    after = multibuffer.without_unused(before)
    assert len(after) == len(before)
    assert 4 <= len({at // 16 for at in range(len(before)) if before[at] != after[at]}) <= 4


def test_the_hash_in_the_code_is_that_of_the_pinned_version() -> None:
    assert f"ipp-crypto=={multibuffer.VERSION} " in pinned()["ipp-crypto"]
    if HAS_IFMA:
        assert x25519_batches.named("ifma")


@pytest.mark.parametrize(("factor", "faster"), [(0.5, True), (0.99, False), (1.5, False)])
def test_hacl_is_taken_only_where_it_is_clearly_faster(
    factor: float, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = [0.0]

    def taking(name: str, seconds: float) -> Implementation:
        def many(scalars: Any, points: Any) -> list[bytes | None]:
            spent[0] += seconds * len(scalars)
            return []

        return Implementation(name, many, lambda scalars: [])

    monkeypatch.setattr(x25519_batches.time, "thread_time", lambda: spent[0])
    assert x25519_batches._is_faster(taking("hacl", factor), taking("sodium", 1.0)) is faster
