"""Who may do what, as a table: every call of staff by every role, and by nobody."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace.backend.staff.rights import RIGHTS, Right, Role
from anontrace.wire import permit
from anontrace_shared.slots import slot_of

from tests.backend import signed_in
from tests.backend.client import Client
from tests.patience import eventually

SITE, WORKER, DECIDER, ADMIN, AUDITOR = Role
REPORT, TOKEN = "00" * 8, "00" * 16
# What each call needs, and with which body it is made: one that gets past the door, and does nothing behind it.
TABLE: dict[tuple[str, str], tuple[Right, Any]] = {
    ("GET", "tokens"): (Right.SEE_TOKENS, None),
    ("POST", "tokens"): (Right.ISSUE, {"disease": "none"}),
    ("POST", f"tokens/{TOKEN}/result"): (Right.ISSUE, {"result": "negative"}),
    ("POST", "tokens/results"): (Right.ISSUE, {"results": [{"id": TOKEN, "result": "negative"}]}),
    ("POST", f"tokens/{TOKEN}/withdrawal"): (Right.ISSUE, {}),
    ("GET", "reports"): (Right.SEE_CASES, None),
    ("GET", f"reports/{REPORT}"): (Right.SEE_CASES, None),
    ("POST", f"reports/{REPORT}/proposal"): (Right.PROPOSE, {"act": "refuse"}),
    ("POST", f"reports/{REPORT}/decision"): (Right.DECIDE, {"approve": False}),
    ("POST", f"reports/{REPORT}/approval"): (Right.DECIDE, {"proposal": "none"}),
    ("POST", f"reports/{REPORT}/retraction"): (Right.DECIDE, {}),
    ("GET", f"reports/{REPORT}/answers"): (Right.READ_ANSWERS, None),
    ("POST", f"reports/{REPORT}/answers/{TOKEN}/letter"): (Right.WRITE_BACK, {"message": "Come"}),
    ("POST", "sending"): (Right.STOP, {"stopped": False}),
    ("GET", "limit"): (Right.SEE_CASES, None),
    ("POST", "limit"): (Right.DECIDE, {}),
    ("GET", "accounts"): (Right.SEE_ACCOUNTS, None),
    ("POST", "accounts"): (Right.CHANGE_ACCOUNTS, {"name": "No Name", "role": "auditor"}),
    ("POST", "accounts/nobody/invitation"): (Right.CHANGE_ACCOUNTS, {}),
    ("POST", "accounts/nobody/withdrawal"): (Right.CHANGE_ACCOUNTS, {}),
    ("POST", "accounts/nobody/role"): (Right.CHANGE_ACCOUNTS, {"role": "auditor"}),
    ("GET", "settings"): (Right.SEE_SETTINGS, None),
    ("POST", "settings"): (Right.CHANGE_SETTINGS, {"four_eyes": False}),
    ("GET", "audit"): (Right.SEE_AUDIT, None),
}


def ask(client: Client, method: str, path: str, body: Any, session: str) -> int:
    headers = {"Authorization": f"Bearer {session}"} if session else {}
    door = client.servers.for_staff("authority")
    return door.request(method, f"/v1/staff/{path}", json=body, headers=headers).status_code


def test_the_table_has_every_call_of_staff(client: Client) -> None:
    described = client.servers.for_staff("authority").get("/openapi.json").json()["paths"]
    named = {
        (
            method.upper(),
            path.removeprefix("/v1/staff/").format(report=REPORT, token=TOKEN, answer=TOKEN, name="nobody"),
        )
        for path, methods in described.items()
        if path.startswith("/v1/staff/")
        for method in methods
    }
    open_to_all = {("POST", each) for each in ("login", "logout", "invitation", "set-up")}
    assert named - open_to_all == set(TABLE)


@pytest.mark.parametrize("role", [*Role, None])
def test_each_role_does_what_it_may_and_nothing_else(client: Client, role: Role | None) -> None:
    session = "" if role is None else signed_in.session(client.servers.folder / "authority", role)
    for (method, path), (right, body) in TABLE.items():
        answer = ask(client, method, path, body, session)
        if role is None:
            assert answer == 401, path
        elif right in RIGHTS[role]:
            assert answer in (200, 404, 409, 422), (path, answer)
        else:
            assert answer == 403, (path, answer)


def test_an_auditor_changes_nothing_and_an_administrator_sees_no_case() -> None:
    assert all(right.name.startswith("SEE_") for right in RIGHTS[AUDITOR])
    assert not RIGHTS[ADMIN] & {Right.SEE_CASES, Right.PROPOSE, Right.DECIDE, Right.STOP, Right.ISSUE, Right.SEE_TOKENS}
    assert RIGHTS[SITE] == {Right.SEE_TOKENS, Right.ISSUE}
    assert Right.DECIDE not in RIGHTS[WORKER]


@pytest.fixture
def report(client: Client) -> Iterator[str]:
    """A report that waits; refused in the end, if it still does."""
    contact = client.register(slot_of(time.time()))
    contact_log = client.make_log(contact.slot, [contact])
    permitted = client.permit(contact_log)
    client.upload(permitted, contact_log)
    found = client.report_with(permit.case_of(permitted.permit), 0)["report"]
    yield str(found)
    if client.staff("GET", f"reports/{found}").json()["state"] == "pending":
        client.refuse(found)


@pytest.fixture
def four_eyes(client: Client) -> Iterator[list[str]]:
    """Two deciders' sessions, where nobody decides alone."""
    folder = client.servers.folder / "authority"
    admins = [signed_in.make(folder, f"admin-{os.urandom(4).hex()}", ADMIN)[0] for _ in range(2)]
    deciders = [signed_in.make(folder, f"decider-{os.urandom(4).hex()}", DECIDER)[0] for _ in range(2)]
    assert ask(client, "POST", "settings", {"four_eyes": True}, admins[0]) == 200
    yield deciders
    assert ask(client, "POST", "settings", {"four_eyes": False}, admins[0]) == 200  # waits now
    assert ask(client, "POST", "settings", {"four_eyes": False, "confirm": True}, admins[0]) == 403
    assert ask(client, "POST", "settings", {"four_eyes": False, "confirm": True}, admins[1]) == 200
    assert ask(client, "POST", "settings", {"four_eyes": False, "confirm": True}, admins[1]) == 409


def test_with_four_eyes_who_approves_is_another_one_than_who_proposed(
    client: Client, report: str, four_eyes: list[str]
) -> None:
    one, other = four_eyes
    decision = {"approve": True, "minutes": 1, "message": "Call"}
    assert ask(client, "POST", f"reports/{report}/decision", decision, one) == 403
    door = client.servers.for_staff("authority")

    def propose(minutes: int, session: str) -> str:
        wanted = {"act": "approve", "decision": decision | {"minutes": minutes}}
        headers = {"Authorization": f"Bearer {session}"}
        return str(door.post(f"/v1/staff/reports/{report}/proposal", json=wanted, headers=headers).json()["id"])

    first = propose(5, one)
    assert ask(client, "POST", f"reports/{report}/approval", {"proposal": first}, one) == 403
    second = propose(1, one)
    assert ask(client, "POST", f"reports/{report}/approval", {"proposal": first}, other) == 409  # not what holds now
    assert ask(client, "POST", f"reports/{report}/approval", {"proposal": second}, other) == 200
    assert ask(client, "POST", f"reports/{report}/approval", {"proposal": second}, other) == 409
    found = client.staff("GET", f"reports/{report}").json()
    assert (found["state"], found["effect"]["notifications"]) == ("approved", 1)


def audited(client: Client, about: str) -> list[tuple[str, str]]:
    """What the audit says of a report, as (what, who)."""
    folder = client.servers.folder / "authority"
    door = client.servers.for_staff("authority")
    headers = {"Authorization": f"Bearer {signed_in.session(folder, AUDITOR)}"}
    entries: list[Any] = []
    while part := door.get(f"/v1/staff/audit?start={len(entries)}", headers=headers).json()["entries"]:
        entries += part
    return [(each["what"], each["who"]) for each in entries if each["about"].get("report") == about]


def test_of_two_who_decide_a_report_at_once_one_does(client: Client, report: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    folder = client.servers.folder / "authority"
    sessions = [signed_in.make(folder, f"decider-{os.urandom(4).hex()}", DECIDER)[0] for _ in range(2)]
    decisions = ({"approve": True, "minutes": 1}, {"approve": False})
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda each: ask(client, "POST", f"reports/{report}/decision", each[1], each[0]),
                zip(sessions, decisions, strict=True),
            )
        )
    assert sorted(answers) == [200, 409]

    def ends() -> list[str]:
        return sorted(what.rpartition(" ")[2] for what, _ in audited(client, report))

    assert eventually("both are in the audit", lambda: len(ends()) == 4 and ends()) == ["done", "done", "for", "for"]


def test_a_decider_whose_account_is_withdrawn_meanwhile_decides_nothing(
    client: Client, report: str, tmp_path: Path
) -> None:
    folder = client.servers.folder / "authority"
    name = f"decider-{os.urandom(4).hex()}"
    session, _, _ = signed_in.make(folder, name, DECIDER)
    admin = signed_in.session(folder, ADMIN)
    assert ask(client, "POST", f"accounts/{name}/withdrawal", {}, admin) == 200
    assert ask(client, "POST", f"reports/{report}/decision", {"approve": True, "minutes": 1}, session) == 401
    assert client.staff("GET", f"reports/{report}").json()["state"] == "pending"


def test_a_stop_holds_at_once_and_what_waited_goes_out_after_it(client: Client, report: str) -> None:
    assert client.staff("POST", "sending", {"stopped": True}).json() == {"stopped": True}
    try:
        assert client.approve(report) == 1
        time.sleep(2)
        overview = client.staff("GET", "reports").json()
        (effect,) = [each["effect"] for each in overview["reports"] if each["report"] == report]
        assert (overview["stopped"], effect["progress"]["sent"]) == (True, 0)
    finally:
        client.staff("POST", "sending", {"stopped": False})

    def sent() -> int:
        return int(client.staff("GET", f"reports/{report}").json()["effect"]["progress"]["sent"])

    assert eventually("what waited is sent", sent) == 1
