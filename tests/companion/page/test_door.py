"""The page's door, tried by who has no business behind it: other users of this computer, and web sites."""

import http.client
import json
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from anontrace.companion.errors import BusyError
from anontrace.companion.page import serving
from anontrace.companion.page.app import FORMS, PAGES
from anontrace.companion.page.door import MAX_BODY, POLICY, Door
from anontrace.companion.page.life import FIRST_SECONDS, LINGER_SECONDS, Life
from starlette.requests import Request

from tests.backend.portal.browser import read
from tests.companion.page.conftest import Served, free_at
from tests.patience import eventually

STATIC = ("/static/page.css", "/static/page.js", "/static/pages.css", "/static/icon.svg", "/events")
CASE = "00" * 16
GET = [place.format(case=CASE) for place in PAGES]
POST = [place.format(case=CASE) for place in FORMS]


def level(served: Served) -> str | None:
    with served.context.reading() as state:
        return state.timetable.level()


def test_without_the_cookie_every_place_gives_the_same_answer_and_no_form_does_anything(served, wearer):
    with served.client() as stranger:
        answers = [stranger.get(place) for place in (*GET, *STATIC, "/nowhere", "/open/", "/open/wrong")]
        answers += [stranger.post(place, data=served.form(level="high", sure="erase")) for place in POST]
        answers += [
            stranger.get("/", headers={"Cookie": f"anontrace={wrong}"}) for wrong in ("", "x" * 43, "\\\\", '"')
        ]
        answers.append(stranger.get(f"/open/{served.site.door.secret}"))  # which was used
    assert {(each.status_code, each.text) for each in answers} == {(403, answers[0].text)}
    assert served.origin not in answers[0].text
    assert served.context.folder.exists()
    assert level(served) is None


def test_a_wrong_secret_a_thousand_times_ends_nothing_and_the_right_one_works_once():
    door = Door()
    assert all(door.exchange(f"{number}").status_code == 403 for number in range(1000))
    assert door.exchange(door.secret + " ").status_code == 403
    assert door.exchange("\ud800").status_code == 403
    assert not door.is_used
    first, again = door.exchange(door.secret), door.exchange(door.secret)
    assert (first.status_code, again.status_code) == (200, 403)
    assert "set-cookie" not in again.headers
    kept = first.headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=strict" in kept and "domain" not in kept
    cookie = first.headers["set-cookie"].partition(";")[0].encode("latin-1")
    scope = {"type": "http", "headers": [(b"cookie", b"other=1"), (b"cookie", cookie)]}
    assert door.knows(scope)
    assert not door.knows({"type": "http", "headers": [(b"cookie", cookie[:-1])]})
    assert len({door.secret, door.form, cookie}) == 3
    assert isinstance(Request(scope), Request)


NAMES = ("evil.example", "127.0.0.1", "localhost", "127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "")


@pytest.mark.parametrize("host", NAMES)
def test_a_name_that_is_not_the_pages_own_is_answered_with_nothing(served, wearer, host):
    """As a web site whose name was made to lead here would name it, the wearer's cookie included."""
    answer = wearer.get("/settings", headers={"Host": host.format(port=served.port)})
    assert answer.status_code in (400, 421)
    assert "Settings" not in answer.text


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {"level": "high"}),
        ({}, {"level": "high", "form": ""}),
        ({}, {"level": "high", "form": "x" * 43}),
        ({}, {"level": "high", "form": "\u00e9"}),
        ({"Origin": "https://evil.example"}, None),
        ({"Origin": "null"}, None),
        ({"Origin": "http://127.0.0.1:80"}, None),
        ({"Origin": ""}, None),
        ({"Origin": None, "Sec-Fetch-Site": "cross-site"}, None),
        ({"Origin": None, "Sec-Fetch-Site": "same-site"}, None),  # another port of the same name
    ],
)
def test_a_form_of_another_site_changes_nothing_though_the_browser_brings_the_cookie(served, wearer, headers, fields):
    request = wearer.build_request("POST", "/settings/level", data=fields or served.form(level="high"))
    for name, value in headers.items():
        request.headers.pop(name, None)
        if value is not None:
            request.headers[name] = value
    assert wearer.send(request).status_code == 403
    assert level(served) is None


def test_no_script_or_picture_of_another_site_can_read_a_page(wearer):
    for place in (*GET, *STATIC[:-1]):
        headers = wearer.get(place, follow_redirects=False).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "access-control-allow-origin" not in headers
    assert "unsafe" not in POLICY and "*" not in POLICY and "http" not in POLICY


def test_pages_have_nothing_that_the_policy_forbids_and_no_address_of_theirs_holds_a_secret(served, wearer):
    for place in GET:
        answer = wearer.get(place)
        assert answer.status_code in (200, 303, 409), place
        read(answer.text)
        assert served.site.door.secret not in answer.text
        assert served.site.door.form not in str(answer.url)
        links = [part.partition('"')[0] for part in answer.text.split('href="')[1:]]
        assert not any(served.site.door.form in link for link in links)


@pytest.mark.parametrize("length", [str(MAX_BODY + 1), "-1", "x", None])
def test_a_form_that_is_too_long_or_does_not_say_how_long_it_is_is_refused_before_it_is_read(served, wearer, length):
    raw = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    raw.putrequest("POST", "/settings/level", skip_host=True)
    for name in ("Host", "Origin", "Cookie"):
        raw.putheader(name, wearer.headers[name])
    raw.putheader(*(("Transfer-Encoding", "chunked") if length is None else ("Content-Length", length)))
    raw.endheaders()
    assert raw.getresponse().status in (400, 413)
    raw.close()
    assert level(served) is None


def test_both_families_of_loopback_are_taken_and_no_other_address(served):
    addresses = {each.getsockname()[0] for each in served.sockets}
    assert "127.0.0.1" in addresses and addresses <= {"127.0.0.1", "::1"}
    assert not free_at(served.port)
    assert served.origin.startswith("http://a") and ".localhost:" in served.origin  # no other program has this name


def test_the_page_lives_while_it_is_open_and_a_little_longer():
    now = [0.0]
    life = Life(lambda: now[0])
    now[0] = FIRST_SECONDS
    assert not life.is_over
    now[0] += 1
    assert life.is_over  # nobody came
    life.seen()
    with life.held():
        now[0] += 1e6
        assert not life.is_over
    now[0] += LINGER_SECONDS
    assert not life.is_over  # the next page
    now[0] += 1
    assert life.is_over


def test_a_task_ends_though_its_page_is_closed_and_only_one_goes_at_a_time(served, wearer):
    goes_on, done = threading.Event(), []

    def work(_: object) -> None:
        goes_on.wait(30)
        done.append(True)

    site = served.site
    site.tasks.start("long", work)
    with pytest.raises(BusyError, match="something else is going on"):
        site.tasks.start("another", work)
    assert wearer.post("/poll", data=served.form()).status_code == 409
    site.life._last -= 1e6  # the page was closed long ago
    assert not site.is_over
    goes_on.set()
    eventually("it has ended", lambda: not site.tasks.is_busy)
    assert done == [True]
    site.life._last -= 1e6
    assert site.is_over
    site.life.seen()


def test_a_page_that_hears_of_tasks_keeps_the_server(served, wearer):
    with wearer.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        eventually("it is held", lambda: served.site.life._pages == 1)
        served.site.life._last -= 1e6
        assert not served.site.is_over
    eventually("it is let go", lambda: served.site.life._pages == 0)


def test_a_port_that_another_has_on_one_family_is_not_used(monkeypatch):
    """Somebody who sits on the port of ::1 would be given the secret by a browser that tries it first."""
    real, taken = serving._bind, []

    def bind(family, host, port):
        if host == "::1" and not taken:
            taken.append(port)
            raise OSError("in use")
        return real(family, host, port)

    monkeypatch.setattr(serving, "_bind", bind)
    sockets, origin = serving.bound()
    assert str(taken[0]) not in origin
    for each in sockets:
        each.close()


def test_the_other_users_of_this_computer_see_no_secret_in_the_browsers_arguments(cli, tmp_path):
    """The browser is led by a file that is the wearer's alone."""
    seen = tmp_path / "seen"
    seen.mkdir()
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {seen}/argument\npath="${{1#file://}}"\ncp "$path" {seen}/file\n'
        f'stat -c %a "$(dirname "$path")" > {seen}/mode.new\nmv {seen}/mode.new {seen}/mode\n'
    )
    browser.chmod(0o755)
    cli.environment |= {"BROWSER": f"{browser} %s &", "HOME": str(tmp_path)}
    with cli.piped("open") as served:
        said = served.stdout.readline()
        eventually("the browser was started", (seen / "mode").exists, served)
        address = said.split()[-1]
        secret = address.rpartition("/")[2]
        assert len(secret) == 43
        argument = (seen / "argument").read_text()
        assert argument.startswith("file://") and secret not in argument
        assert (seen / "mode").read_text().strip() == "700"
        assert f"url={address}" in (seen / "file").read_text()
        host = address.split("/")[2]
        port = host.rpartition(":")[2]
        let_in = httpx.get(f"http://127.0.0.1:{port}/open/{secret}", headers={"Host": host})
        assert let_in.status_code == 200
        folder = Path(urlsplit(argument.strip()).path).parent
        assert folder.parent == tmp_path  # not hidden, for browsers that are shut in
        eventually("what has led there is gone", lambda: not folder.exists(), served)
        cookie = let_in.headers["set-cookie"].partition(";")[0]
        again = httpx.get(f"http://127.0.0.1:{port}/open/{secret}", headers={"Host": host, "Cookie": cookie})
        assert (again.status_code, again.headers["location"]) == (303, "/")
        served.send_signal(15)
        assert served.wait(60) == 0
        assert served.stderr.read() == ""


def test_without_a_browser_the_address_is_printed(cli):
    cli.environment |= {"BROWSER": "/nowhere/at/all", "PATH": "/nowhere", "DISPLAY": ""}
    with cli.piped("open") as served:
        assert served.stdout.readline().startswith("There is no browser here that could be opened")
        assert ".localhost:" in served.stdout.readline()
        began = time.monotonic()
        served.send_signal(2)
        assert served.wait(60) == 130
        assert time.monotonic() - began < 30


def test_ctrl_c_ends_it_quietly_though_a_page_is_open(cli):
    with cli.piped("--json", "open", "--no-browser") as served:
        address = json.loads(served.stdout.readline())["address"]
        _, _, host, _, secret = address.split("/")
        url = f"http://127.0.0.1:{host.rpartition(':')[2]}"
        cookie = httpx.get(f"{url}/open/{secret}", headers={"Host": host}).headers["set-cookie"].partition(";")[0]
        with httpx.stream("GET", f"{url}/events", headers={"Host": host, "Cookie": cookie}, timeout=60) as stream:
            assert stream.status_code == 200
            served.send_signal(2)
            assert served.wait(60) == 130
        assert served.stderr.read().strip() == "anontrace: interrupted; what was done is kept"
