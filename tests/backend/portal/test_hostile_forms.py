"""Every form and address of the portal with nonsense: no 5xx, no trace, nothing half done."""

from collections.abc import Iterator

import pytest
from anontrace.backend.staff.rights import Role
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backend.client import Client
from tests.backend.conftest import SLOW, STEADY
from tests.backend.portal.browser import Browser
from tests.backend.portal.test_pages import OPEN, REPORT, TABLE, TOKEN
from tests.backend.servers import Servers

NAMES = (
    "form", "name", "password", "code", "passkey", "invitation", "disease", "reference", "file", "as", "act", "minutes",
    "attenuation", "onset", "before", "after", "near", "near_weight", "far_weight", "least", "weight-1", "weight-99999",
    "depth", "budget", "case_budget", "day_budget", "message", "told_as", "proposal", "sending", "role", "site",
    "a_day", "growth",
    "four_eyes", "confirm", "language", "back", "day", "again",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ("", "0", "-1", "1e9", "9" * 400, "\0", "\u0661", "<script>", "{{7*7}}", "%s", "../..",
         "approve", "refuse", "retract", "stop",
         "2026-11-30", "0000-00-00", "9999-12-31", "decider", "{}", '{"id": "x", "type": "public-key"}', "yes", REPORT)
    ),
)  # fmt: skip
PART = b'--x\r\nContent-Disposition: form-data; name="file"'
FORMS = sorted({place for method, place in (*TABLE, *OPEN) if method == "POST"})
PLACES = sorted({place for method, place in TABLE if method == "GET"})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A network of its own: nonsense sets limits, stops sending, and uses up the tries of this address."""
    servers = Servers(tmp_path_factory.mktemp("hostile") / "net", "--delay", "0.02", "--pace", "0.01")
    try:
        servers.start_apart(STEADY, SLOW)
        servers.ready((*STEADY, *SLOW))
        yield Client(servers)
    finally:
        servers.close()


@pytest.fixture(scope="module")
def browsers(client: Client) -> Iterator[list[Browser]]:
    """Of each role somebody, and a stranger."""
    folder = client.servers.folder / "authority"
    made = [*(Browser.of(folder, role) for role in Role), Browser(folder)]
    yield made
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def guards(browsers: list[Browser]) -> list[str]:
    return [*(each.guard() for each in browsers[:-1]), ""]


def sound(status: int, text: str) -> bool:
    return status < 500 and "Traceback" not in text and "anontrace." not in text.lower().replace("anontrace.org", "")


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    who=st.integers(0, len(Role)),
    place=st.sampled_from(FORMS),
    fields=st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=8),
    is_ours=st.booleans(),
)
def test_forms_filled_in_with_anything_are_answered(
    browsers: list[Browser], guards: list[str], who: int, place: str, fields: dict[str, str], is_ours: bool
) -> None:
    given = {**fields, **({"form": guards[who]} if is_ours else {})}
    answer = browsers[who].http.post(place, data={k: v.encode(errors="replace") for k, v in given.items()})
    assert sound(answer.status_code, answer.text), (place, answer.status_code, answer.text)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    who=st.integers(0, len(Role) - 1),
    place=st.sampled_from([*PLACES, f"/tokens/{TOKEN[:-1]}x", "/cases/x", "/static/../app.py", "/%00"]),
    query=st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=6),
)
def test_addresses_with_anything_in_them_are_answered(
    browsers: list[Browser], who: int, place: str, query: dict[str, str]
) -> None:
    answer = browsers[who].http.get(place, params={k: v.encode(errors="replace") for k, v in query.items()})
    assert sound(answer.status_code, answer.text), (place, answer.status_code, answer.text)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", PART + b'; filename="a"\r\n\r\n'),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", (PART + b"\r\n\r\n1\r\n") * 1000 + b"--x--"),
        ("application/x-www-form-urlencoded", b"a=1&" * 5000),
        ("application/x-www-form-urlencoded", b"\xff\xfe=%zz&&&=="),
        ("application/json", b"{"),
        ("text/plain", b"form=x"),
        ("application/x-www-form-urlencoded", b"x" * (3 << 20)),
    ],
)  # fmt: skip
def test_bodies_that_are_no_form_are_refused(browsers: list[Browser], kind: str, body: bytes) -> None:
    for place in ("/tokens/file", "/login", "/settings"):
        answer = browsers[0].http.post(place, content=body, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, (place, answer.status_code, answer.text)
        assert "Traceback" not in answer.text
