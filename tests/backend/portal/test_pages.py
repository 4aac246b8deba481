"""The portal's pages: who sees which, what its forms do, and what it takes no part in."""

import csv
import io
import os
import re
import time
from collections.abc import Iterator
from importlib import resources

import pytest
from anontrace.backend import config
from anontrace.backend.portal import laboratory
from anontrace.backend.portal.app import portal
from anontrace.backend.staff.rights import RIGHTS, Right, Role
from anontrace.pages import catalogue
from anontrace.wire import commitment
from anontrace.wire.result import Reason, State
from anontrace_shared.slots import slot_of
from babel.messages.extract import extract_from_dir
from fastapi import Depends

from tests.backend.client import Client
from tests.backend.portal.browser import Browser, code_of, invited, read
from tests.backend.signed_in import PASSWORD
from tests.patience import eventually

REPORT, TOKEN = "00" * 8, "00" * 16
# What each page needs; of a form, what it is filled in with: so much that it gets past the door, and does nothing then.
TABLE: dict[tuple[str, str], tuple[Right | None, dict[str, str]]] = {
    ("GET", "/tokens"): (Right.SEE_TOKENS, {}),
    ("GET", f"/tokens/{TOKEN}"): (Right.SEE_TOKENS, {}),
    ("POST", "/tokens"): (Right.ISSUE, {"disease": "none"}),
    ("POST", "/tokens/file"): (Right.ISSUE, {}),
    ("POST", "/tokens/results"): (Right.ISSUE, {}),
    ("POST", f"/tokens/{TOKEN}/result"): (Right.ISSUE, {"result": "negative"}),
    ("POST", f"/tokens/{TOKEN}/withdrawal"): (Right.ISSUE, {}),
    ("GET", "/cases"): (Right.SEE_CASES, {}),
    ("GET", f"/cases/{REPORT}"): (Right.SEE_CASES, {}),
    ("POST", f"/cases/{REPORT}/proposal"): (Right.PROPOSE, {"act": "refuse"}),
    ("POST", f"/cases/{REPORT}/decision"): (Right.DECIDE, {"act": "refuse"}),
    ("POST", f"/cases/{REPORT}/approval"): (Right.DECIDE, {"proposal": "none"}),
    ("GET", f"/cases/{REPORT}/answers"): (Right.READ_ANSWERS, {}),
    ("POST", f"/cases/{REPORT}/answers/{TOKEN}/letter"): (Right.WRITE_BACK, {"message": "Come"}),
    ("GET", "/limit"): (Right.SEE_CASES, {}),
    ("POST", "/limit"): (Right.DECIDE, {"growth": "none"}),
    ("POST", "/sending"): (Right.STOP, {"sending": "neither"}),
    ("GET", "/numbers"): (Right.SEE_NUMBERS, {}),
    ("GET", "/numbers.csv"): (Right.SEE_NUMBERS, {}),
    ("GET", "/accounts"): (Right.SEE_ACCOUNTS, {}),
    ("POST", "/accounts"): (Right.CHANGE_ACCOUNTS, {"name": "No Name", "role": "auditor"}),
    ("POST", "/accounts/nobody/invitation"): (Right.CHANGE_ACCOUNTS, {}),
    ("POST", "/accounts/nobody/role"): (Right.CHANGE_ACCOUNTS, {"role": "auditor"}),
    ("POST", "/accounts/nobody/withdrawal"): (Right.CHANGE_ACCOUNTS, {}),
    ("GET", "/settings"): (Right.SEE_SETTINGS, {}),
    ("POST", "/settings"): (Right.CHANGE_SETTINGS, {"four_eyes": "no"}),
    ("GET", "/audit"): (Right.SEE_AUDIT, {}),
    ("GET", "/audit.jsonl"): (Right.SEE_AUDIT, {}),
    ("GET", "/me"): (None, {}),
    ("GET", "/me/passkey"): (None, {}),
    ("POST", "/me/passkey"): (None, {"passkey": "none"}),
    ("POST", "/me/recovery"): (None, {}),
    ("POST", "/me/password"): (None, {"old": "wrong", "password": "one", "again": "another"}),
    ("POST", "/me/passkey/removal"): (None, {"id": "none"}),
}
OPEN = {("GET", "/login"), ("GET", "/invitation"), ("POST", "/login"), ("POST", "/invitation"), ("POST", "/language")}
ON_THE_WAY = {("GET", "/second"), ("POST", "/second"), ("GET", "/set-up"), ("POST", "/set-up")}


@pytest.fixture(scope="module")
def browsers(client: Client) -> Iterator[dict[Role, Browser]]:
    folder = client.servers.folder / "authority"
    made = {role: Browser.of(folder, role) for role in Role}
    yield made
    for each in made.values():
        each.close()


def places(client: Client) -> set[tuple[str, str]]:
    """Every page and form of the portal."""

    class Office:
        """Nobody asks it for anything."""

        def __getattr__(self, _: str) -> "Office":
            return self

    server = config.load(client.servers.folder / "authority")
    app = portal(server.config, Office(), "net", Depends(lambda: None))  # type: ignore[arg-type]
    return {
        (method.upper(), path.format(report=REPORT, token=TOKEN, answer=TOKEN, name="nobody"))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


def test_the_table_has_every_page_and_form(client: Client) -> None:
    assert places(client) == set(TABLE) | OPEN | ON_THE_WAY | {("GET", "/"), ("POST", "/logout")}


@pytest.mark.parametrize("role", [*Role, None])
def test_each_role_sees_its_pages_and_no_other(
    client: Client, browsers: dict[Role, Browser], role: Role | None
) -> None:
    browser = Browser(client.servers.folder / "authority") if role is None else browsers[role]
    guard = "" if role is None else browser.guard()
    for (method, place), (right, fields) in TABLE.items():
        answer = browser.http.request(
            method, place, data={"form": guard, **fields} if method == "POST" else None, follow_redirects=False
        )
        if role is None:
            assert answer.status_code == (303 if method == "GET" else 401), place
        elif right is None or right in RIGHTS[role]:
            assert answer.status_code in (200, 303, 404, 409, 422), (place, answer.status_code)
        else:
            assert answer.status_code == 403, (place, answer.status_code)


@pytest.mark.parametrize("role", Role)
def test_the_links_at_the_top_lead_where_the_role_may_go(browsers: dict[Role, Browser], role: Role) -> None:
    first = browsers[role].http.get("/", follow_redirects=True)
    assert first.status_code == 200
    named = re.search(r"<nav.*?</nav>", first.text, re.DOTALL)
    assert named
    for place in re.findall(r'href="(/[a-z]+)"', named[0]):
        browsers[role].page(place)


def test_a_form_that_does_not_come_from_the_portal_is_refused(browsers: dict[Role, Browser]) -> None:
    admin = browsers[Role.ADMINISTRATOR]
    guard, good = admin.guard(), {"four_eyes": "no"}
    assert admin.http.post("/settings", data={"form": guard, **good}).status_code == 303
    for fields in (good, {"form": "", **good}, {"form": "00" * 32, **good}, {"form": "\u00e9", **good}):
        assert admin.http.post("/settings", data=fields).status_code == 403
    for origin in ("https://evil.example", "null", "", "http://localhost"):
        answer = admin.http.post("/settings", data={"form": guard, **good}, headers={"Origin": origin})
        assert answer.status_code == 403, origin
    other = browsers[Role.AUDITOR].guard()
    assert admin.http.post("/settings", data={"form": other, **good}).status_code == 403
    del admin.http.headers["Origin"]
    try:
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
            answer = admin.http.post("/settings", data={"form": guard, **good}, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == status
    finally:
        admin.http.headers["Origin"] = admin.origin


def test_every_answer_keeps_strangers_out_of_the_page(browsers: dict[Role, Browser]) -> None:
    for place in ("/login", "/nowhere", "/static/portal.css", "/audit"):
        headers = browsers[Role.AUDITOR].get(place).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    answer = browsers[Role.AUDITOR].http.get("/login", headers={"Host": "evil.example"})
    assert answer.status_code == 421


def test_somebody_who_is_invited_sets_the_account_up_and_signs_in(client: Client) -> None:
    folder = client.servers.folder / "authority"
    name = f"ada-{os.urandom(4).hex()}"
    code = invited(folder, name, Role.DECIDER)
    browser = Browser(folder)

    def fill(place: str, **fields: str) -> str:
        form = next(each for each in browser.page(place).forms if each.action == place)
        answer = browser.http.post(place, data=form.fields | fields, follow_redirects=True)
        return answer.text

    assert "That did not work" not in fill("/invitation", name=name, invitation=code)
    page = browser.get("/set-up").text
    secret = re.search(r"<code>([A-Z2-7]+)</code>", page)
    assert secret and "<svg" in page
    assert "not the same" in fill("/set-up", password=PASSWORD, again="another", code=code_of(secret[1]))
    assert "12 characters" in fill("/set-up", password="short", again="short", code=code_of(secret[1]))
    recovery = re.findall(
        r"<code>([a-z0-9-]+)</code>", fill("/set-up", password=PASSWORD, again=PASSWORD, code=code_of(secret[1]))
    )
    assert len(recovery) == 10
    assert browser.get("/me").status_code == 200
    browser.post("/logout")
    assert browser.http.get("/me", follow_redirects=False).status_code == 303

    assert "not right" in fill("/login", name=name, password="wrong")
    fill("/login", name=name, password=PASSWORD)
    assert browser.http.get("/me", follow_redirects=False).status_code == 303  # half in is not in
    assert "not right" in fill("/second", code="000000")
    assert "Cases" in fill("/second", code=recovery[0])
    assert browser.get("/me").status_code == 200
    browser.close()


def test_a_new_password_ends_all_other_sessions(client: Client) -> None:
    folder = client.servers.folder / "authority"
    browser = Browser.of(folder, Role.AUDITOR)
    other = Browser(folder)
    for fields, status in (
        ({"old": "wrong", "password": "x" * 12 + "other", "again": "x" * 12 + "other"}, 403),
        ({"old": PASSWORD, "password": "four other words", "again": "four other word"}, 422),
        ({"old": PASSWORD, "password": "short", "again": "short"}, 422),
    ):
        assert browser.post("/me/password", fields).status_code == status
    form = other.page("/login").forms[-1]
    other.http.post("/login", data=form.fields | {"name": browser.name, "password": PASSWORD})
    waiting = other.http.cookies["staff"]
    new = {"old": PASSWORD, "password": "four other words", "again": "four other words"}
    assert browser.post("/me/password", new).status_code == 303
    assert browser.get("/me").status_code == 200
    other.http.cookies.set("staff", waiting)
    assert other.http.get("/second", follow_redirects=False).status_code == 303
    assert "password changed" in browser.get("/audit").text
    browser.close()
    other.close()


def test_a_token_is_shown_once_found_by_its_reference_and_withdrawn(
    client: Client, browsers: dict[Role, Browser]
) -> None:
    site, reference = browsers[Role.TEST_SITE], f"Sample <{os.urandom(4).hex()}>"
    answer = site.post("/tokens", {"disease": "u07.1", "reference": reference})
    token = re.search(r'<p class="token">([0-9A-Z-]{19})</p>', answer.text)
    assert token and "<svg" in answer.text
    found = site.http.get("/tokens", params={"reference": f"  {reference.upper()} "})
    read(found.text)
    assert token[1] not in found.text and reference.replace("<", "&lt;").replace(">", "&gt;") in found.text
    place = re.search(r'href="(/tokens/[0-9a-f]{32})"', found.text)
    assert place
    assert "open" in site.get(place[1]).text
    other = Browser.of(client.servers.folder / "authority", Role.TEST_SITE)
    assert other.get(place[1]).status_code == 404  # another site's
    assert other.post(f"{place[1]}/withdrawal").status_code == 404
    other.close()
    assert site.post(f"{place[1]}/withdrawal").status_code == 303
    assert "withdrawn" in site.get(place[1]).text
    assert client.redeem(token[1], b"log").reason is Reason.WITHDRAWN
    assert site.post(f"{place[1]}/withdrawal").status_code == 409


def test_a_laboratorys_file_comes_back_with_a_token_in_each_line(client: Client, browsers: dict[Role, Browser]) -> None:
    site = browsers[Role.TEST_SITE]
    marks = [f"{os.urandom(4).hex()}-{number}" for number in range(40)]
    data = ("reference\r\n" + "".join(f"{each}\r\n" for each in [*marks, "=1+1"])).encode()
    answer = site.post("/tokens/file", {"disease": "U07.1", "as": "csv"}, files={"file": ("lab.csv", data)})
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["reference", "token", "id"]
    assert [row[0] for row in rows[1:]] == [*marks, "'=1+1"]
    assert client.redeem(rows[1][1], b"log").state is State.NOT_YET
    assert "<dd>open</dd>" in site.get(f"/tokens/{rows[1][2]}").text
    slips = site.post("/tokens/file", {"disease": "U07.1", "as": "slips"}, files={"file": ("lab.csv", data)})
    assert slips.text.count('class="token"') == 41


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the first line"),
        (b"reference\n", "no line below"),
        (b"name,reference\na,b\n", "the first line"),
        (b"reference\na\nb,c\n", "line 3: it has 2 columns instead of 1"),
        (b"reference\na\nb\nA\n", "line 4: the same reference as in line 2"),
        (b"reference\n" + b"x" * 41 + b"\n", "line 2: a reference"),
        (b'reference\n"a\n', "no CSV"),
        (b"reference\n\xff\xfe\n", "no text in UTF-8"),
        (b"reference\n" + b"".join(b"%d\n" % n for n in range(100_000)), "100000 lines"),
        (b"reference\n" + b"\0\n", "line 2"),
        (b"x" * (laboratory.MAX_BYTES + 1), "more than"),
    ],
)
def test_a_file_that_is_not_right_is_refused_with_its_line_and_nothing_is_issued(
    client: Client, browsers: dict[Role, Browser], data: bytes, told: str
) -> None:
    before = client.servers.count("authority", "tokens_issued")
    answer = browsers[Role.TEST_SITE].post("/tokens/file", {"disease": "U07.1"}, files={"file": ("lab.csv", data)})
    assert (answer.status_code, told.lower() in answer.text.lower()) == (422, True)
    assert client.servers.count("authority", "tokens_issued") == before


def test_a_laboratory_enters_codes_and_later_results_and_each_is_told(
    client: Client, browsers: dict[Role, Browser]
) -> None:
    site, marks = browsers[Role.TEST_SITE], [os.urandom(4).hex() for _ in range(3)]
    code = commitment.commit(b"", 5_900_000, os.urandom(32)).code
    data = f"Reference;Commitment\r\n{marks[0]};{commitment.text(code).lower()}\r\n{marks[1]};\r\n".encode()
    answer = site.post("/tokens/file", {"disease": "U07.1", "as": "csv"}, files={"file": ("lab.csv", data)})
    (_, first, one), (_, second, other) = list(csv.reader(io.StringIO(answer.text, newline="")))[1:]
    wrong = [
        ("reference,result\nnobody,positive", "line 2: no token with this reference"),
        (f"reference,result\n{marks[0]},perhaps", "line 2: result"),
        (f"id,result\n{one},positive\n{one.upper()},negative", "line 3: the same token as in line 2"),
        (f"id,result,name\n{one},positive,x", "the first line"),
    ]
    for text, told in wrong:
        answer = site.post("/tokens/results", {}, files={"file": ("r.csv", text.encode())})
        assert (answer.status_code, told in answer.text.lower()) == (422, True), text
    assert client.redeem(first).state is State.NOT_YET
    done = f"reference,result\n{marks[0]},positive\n{marks[1]},negative".encode()
    for said in ("Entered: 2. Known before: 0.", "Entered: 0. Known before: 2."):
        shown = site.post("/tokens/results", {}, files={"file": ("r.csv", done)}).text
        assert said in shown
    read(shown)
    assert (client.redeem(first).state, client.redeem(first).commitment) == (State.POSITIVE, code)
    assert client.redeem(second).state is State.NEGATIVE
    page = site.get(f"/tokens/{other}").text
    assert "negative" in page
    assert site.post(f"/tokens/{one}/result", {"result": "negative"}).status_code == 303
    assert client.redeem(first).state is State.NEGATIVE
    assert site.post(f"/tokens/{one}/result", {"result": "positive"}).status_code == 409  # it was told
    assert "result entered" in browsers[Role.AUDITOR].get("/audit").text

    # Nothing of a file counts that holds a result which comes too late.
    data = f"Reference\r\n{marks[2]}\r\n".encode()
    answer = site.post("/tokens/file", {"disease": "U07.1", "as": "csv"}, files={"file": ("lab.csv", data)})
    (_, third, _) = list(csv.reader(io.StringIO(answer.text, newline="")))[1]
    late = f"reference,id,result\n{marks[2]},,positive\n,{one},positive".encode()
    answer = site.post("/tokens/results", {}, files={"file": ("r.csv", late)})
    assert (answer.status_code, "line 3: this token is told its result" in answer.text.lower()) == (422, True)
    assert client.redeem(third).state is State.NOT_YET


def test_staff_see_in_words_whether_a_log_was_committed_and_take_what_came_later_by_a_tick(
    client: Client, browsers: dict[Role, Browser]
) -> None:
    slot, decider = slot_of(time.time()) - 4, browsers[Role.DECIDER]
    people = [client.register_all(each, 1)[0] for each in (slot, slot + 2)]
    log = client.make_log(slot, people[:1])
    made, handed_in = commitment.commit(log, slot, os.urandom(32)), log + client.make_log(slot + 2, people[1:])
    for handed, code, words in (
        (made.prove(handed_in) + handed_in, made.code, "1 of 2 exposures were in the log by then"),
        (handed_in, commitment.NONE, "whoever held the token could hand in any log"),
    ):
        client.upload(client.permit(handed, code=code), handed)
        report = str(client.report_with(None, 0)["report"])
        page = decider.get(f"/cases/{report}").text
        assert words in page and "by the word of the log" in page
        read(page)
        if code != commitment.NONE:
            assert "takes 1 of 2 exposures" in page
            assert "takes 2 of 2 exposures" in decider.get(f"/cases/{report}?later=yes").text
        client.refuse(report)


def test_a_rule_is_tried_before_anybody_is_told_and_then_decided(client: Client, browsers: dict[Role, Browser]) -> None:
    contacts = client.register_all(slot_of(time.time()), 3)
    contact_log = client.make_log(contacts[0].slot, contacts)
    client.upload(client.permit(contact_log), contact_log)
    report = str(client.report_with(None, 0)["report"])
    decider, worker, place = browsers[Role.DECIDER], browsers[Role.CASE_WORKER], f"/cases/{report}"
    assert report in decider.get("/cases").text
    for query, taken, people in (
        ("", 3, 0), ("?minutes=1", 3, 3), ("?attenuation=1", 0, 0), ("?minutes=0&attenuation=", 3, 3),
        ("?minutes=1&onset=2020-01-01", 0, 0), ("?minutes=1&far_weight=0&near=1", 0, 0), ("?minutes=3&least=1", 3, 1),
    ):  # fmt: skip
        text = decider.get(place + query).text
        read(text)
        assert f"takes {taken} of 3 exposures" in text and f"at most {people} people" in text, query
        assert text.count("<svg") == 5
    for query in ("?minutes=x", "?onset=yesterday", "?minutes=99999", "?weight-5=x", "?attenuation=-1"):
        assert decider.get(place + query).status_code == 422
    none = {"act": "approve", "minutes": "1", "onset": "2020-01-01"}
    assert decider.post(f"{place}/decision", none).status_code == 422

    wanted = {"act": "approve", "minutes": "1", "attenuation": "", "depth": "2", "message": "Call <b>555</b>"}
    assert worker.post(f"{place}/decision", wanted).status_code == 403
    assert worker.post(f"{place}/proposal", wanted).status_code == 303
    page = decider.get(place).text
    assert "Call &lt;b&gt;555&lt;/b&gt;" in page
    form = next(each for each in read(page).forms if each.action == f"{place}/approval")
    assert decider.post(f"{place}/approval", {"proposal": "00" * 8}).status_code == 409
    assert decider.post(f"{place}/approval", form.fields).status_code == 303
    assert decider.post(f"{place}/decision", wanted).status_code == 409
    assert client.told(contacts[0]).message == "Call <b>555</b>"
    eventually("all are sent", lambda: "<dt>Sent</dt><dd>3</dd>" in decider.get(place).text)
    assert decider.post(f"{place}/decision", {"act": "retract", "message": "Sorry"}).status_code == 303
    assert "retracted" in decider.get(place).text


def test_a_stop_is_one_click_and_shown_on_every_case(client: Client, browsers: dict[Role, Browser]) -> None:
    decider = browsers[Role.DECIDER]
    assert decider.post("/sending", {"sending": "stop"}).status_code == 303
    assert "All sending is stopped" in browsers[Role.CASE_WORKER].get("/cases").text
    assert decider.post("/sending", {"sending": "resume"}).status_code == 303
    assert "All sending is stopped" not in decider.get("/cases").text


def test_the_limit_over_all_cases_is_seen_and_set(browsers: dict[Role, Browser]) -> None:
    decider = browsers[Role.DECIDER]
    try:
        assert decider.post("/limit", {"a_day": "1234", "growth": "1.5"}).status_code == 303
        page = browsers[Role.CASE_WORKER].page("/limit")
        assert "<dd>1234</dd>" in decider.get("/limit").text and len(page.forms) == 2  # none to change it
        for wrong in ({"a_day": "-1"}, {"growth": "0"}, {"growth": "nan"}, {"a_day": "9" * 12}, {"growth": "x"}):
            assert decider.post("/limit", wrong).status_code == 422
        assert "<dd>1234</dd>" in decider.get("/limit").text
    finally:
        assert decider.post("/limit", {"a_day": "", "growth": ""}).status_code == 303


def test_an_administrator_invites_changes_and_withdraws(client: Client, browsers: dict[Role, Browser]) -> None:
    admin, name = browsers[Role.ADMINISTRATOR], f"bob-{os.urandom(4).hex()}"
    first = admin.post("/accounts", {"name": name, "role": "case-worker"}).text
    again = admin.post(f"/accounts/{name}/invitation").text
    codes = [re.search(r'<p class="token">([a-z0-9-]+)</p>', each) for each in (first, again)]
    assert codes[0] and codes[1] and codes[0][1] != codes[1][1]
    assert admin.post(f"/accounts/{name}/role", {"role": "auditor"}).status_code == 303
    assert admin.post(f"/accounts/{name}/withdrawal").status_code == 303
    assert admin.post(f"/accounts/{name}/withdrawal").status_code == 404
    assert admin.post(f"/accounts/{admin.name}/withdrawal").status_code == 409
    for what in ("account added", "account invited anew", "role changed", "account withdrawn"):
        eventually("it is in the audit", lambda what=what: what in browsers[Role.AUDITOR].get("/audit").text)
    lines = browsers[Role.AUDITOR].get("/audit.jsonl").text
    for secret in (codes[0][1], codes[1][1]):
        assert secret not in lines


def test_the_pages_are_in_the_language_that_is_asked_for(browsers: dict[Role, Browser]) -> None:
    auditor = browsers[Role.AUDITOR]
    answer = auditor.http.get("/audit", headers={"Accept-Language": "fr, de-AT;q=0.8"})
    assert '<html lang="de">' in answer.text and "Prüfprotokoll" in answer.text
    assert '<html lang="en">' in auditor.http.get("/audit", headers={"Accept-Language": "fr"}).text
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"):
        answer = auditor.http.post("/language", data={"language": "de", "back": back})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert '<html lang="de">' in auditor.get("/audit").text  # from the cookie
    auditor.http.post("/language", data={"language": "en", "back": "/audit"})


def test_every_text_of_the_pages_has_its_german() -> None:
    folder = str(resources.files("anontrace.backend.portal"))
    methods = [("**.html", "jinja2"), ("**.py", "python")]
    options = {"**.html": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
    words = {"_": None, "say": None}
    found = {each[2] for each in extract_from_dir(folder, methods, options, words)}
    assert len(found) > 150
    german = catalogue.translations("anontrace.backend.portal", "de")
    same = {each for each in found if german.gettext(str(each)) == each}
    assert same <= {"Code", "Generation", "Hash", "Name", "Passkeys"}
