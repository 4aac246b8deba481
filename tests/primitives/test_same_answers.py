"""Property: the badge's primitives and the host's give the same answer, or the same refusal, to the same input."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import anontrace_primitives as host
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.patience import HANG_SECONDS

SCRIPT = Path(__file__).parent / "on_badge" / "answer.py"
P = 2**255 - 19
REFUSED = "ValueError"

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def badge(micropython: list[str], badge_environment: dict[str, str]) -> Iterator[Ask]:
    """badge(name, *arguments): the answer of one MicroPython process that serves the whole module, in hex."""
    with subprocess.Popen(
        [*micropython, str(SCRIPT)], env=badge_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        stdin, stdout = process.stdin, process.stdout

        def ask(name: str, *arguments: bytes) -> str:
            stdin.write(" ".join([name, *(argument.hex() for argument in arguments)]) + "\n")
            stdin.flush()
            return stdout.readline().rstrip("\n")

        yield ask
        stdin.close()
        assert process.wait(HANG_SECONDS) == 0


def on_host(name: str, *arguments: bytes) -> str:
    try:
        answer: bytes = getattr(host, name)(*arguments)
    except ValueError:
        return REFUSED
    return answer.hex()


def few(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The process is shared by all examples: they do not influence each other."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def words(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return numbers.map(lambda n: n.to_bytes(32, "little"))


KEYS = st.binary(min_size=32, max_size=32)
EDGES = st.sampled_from([0, 1, 9, P // 2, P - 1, P, 2**255 - 1, 2**255, 2**255 + P, 2**256 - 1, 2**128, 2**254])
AROUND_AN_EDGE = st.builds(lambda edge, step: (edge + step) % 2**256, EDGES, st.integers(-40, 40))
SPARSE = st.lists(st.integers(0, 255), max_size=6).map(lambda bits: sum(1 << bit for bit in set(bits)))
SCALARS = KEYS | words(SPARSE) | words(SPARSE.map(lambda n: 2**256 - 1 - n))
POINTS = KEYS | words(AROUND_AN_EDGE) | words(SPARSE) | words(SPARSE.map(lambda n: 2**256 - 1 - n))
LOW_ORDER = st.sampled_from(
    [
        bytes(32),
        (1).to_bytes(32, "little"),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        (P - 1).to_bytes(32, "little"),
        P.to_bytes(32, "little"),
        (P + 1).to_bytes(32, "little"),
    ]
)
LENGTHS = st.sampled_from([n + d for n in (0, 16, 32, 64, 128, 192, 960) for d in (-1, 0, 1) if n + d >= 0])
DATA = LENGTHS.flatmap(lambda n: st.binary(min_size=n, max_size=n)) | st.binary(max_size=200)
# Poly1305's carries: blocks and keys of ones
ONES = st.integers(0, 130).map(lambda n: b"\xff" * n)


@few(300)
@given(scalar=SCALARS, point=POINTS)
def test_x25519(badge: Ask, scalar: bytes, point: bytes) -> None:
    assert badge("x25519", scalar, point) == on_host("x25519", scalar, point)


@few(60)
@given(scalar=SCALARS)
def test_public_keys(badge: Ask, scalar: bytes) -> None:
    assert badge("x25519_base", scalar) == on_host("x25519_base", scalar)


@few(40)
@given(scalar=SCALARS, point=LOW_ORDER, top=st.booleans())
def test_points_of_low_order_are_refused(badge: Ask, scalar: bytes, point: bytes, top: bool) -> None:
    point = point[:31] + bytes([point[31] | top << 7])
    assert badge("x25519", scalar, point) == on_host("x25519", scalar, point) == REFUSED


@few(200)
@given(key=KEYS, nonce=st.binary(min_size=12, max_size=12), plaintext=DATA | ONES, aad=DATA | ONES)
def test_sealing(badge: Ask, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> None:
    sealed = host.aead_seal(key, nonce, plaintext, aad)
    assert badge("aead_seal", key, nonce, plaintext, aad) == sealed.hex()
    assert badge("aead_open", key, nonce, sealed, aad) == plaintext.hex()


@few(100)
@given(key=KEYS, plaintext=st.binary(max_size=70), aad=st.binary(max_size=20), data=st.data())
def test_altered_bytes_do_not_open(badge: Ask, key: bytes, plaintext: bytes, aad: bytes, data: st.DataObject) -> None:
    sealed = bytearray(host.aead_seal(key, bytes(12), plaintext, aad))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    assert badge("aead_open", key, bytes(12), bytes(sealed), aad) == REFUSED
    assert on_host("aead_open", key, bytes(12), bytes(sealed), aad) == REFUSED


@few(100)
@given(sealed=st.binary(max_size=40))
def test_arbitrary_bytes_do_not_open(badge: Ask, sealed: bytes) -> None:
    assert badge("aead_open", bytes(32), bytes(12), sealed, b"") == REFUSED
    assert on_host("aead_open", bytes(32), bytes(12), sealed, b"") == REFUSED


@few(150)
@given(key=DATA, data=DATA)
def test_hashes(badge: Ask, key: bytes, data: bytes) -> None:
    assert badge("hmac_sha256", key, data) == on_host("hmac_sha256", key, data)
    assert badge("sha256", data) == on_host("sha256", data)


@few(60)
@given(sizes=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_wrong_sizes_are_refused_alike(badge: Ask, sizes: tuple[int, int]) -> None:
    first, second = (b"\x05" * size for size in sizes)
    for name, arguments in (
        ("x25519", (first, second)),
        ("x25519_base", (first,)),
        ("aead_seal", (first, second, b"x")),
        ("aead_open", (first, second, bytes(17))),
    ):
        assert badge(name, *arguments) == on_host(name, *arguments)
