"""What the authority decided, within its budgets, and taken back."""

import os
from collections.abc import Sequence
from typing import Any

import pytest
from anontrace.backend.nymserver import retraction
from anontrace.backend.nymserver.retraction import Notified
from anontrace.mixnet.notification import Kind
from anontrace.wire.upload import ChainAuthorization, State
from anontrace_shared.errors import AuthenticationError

from tests.backend.client import Client, Registered
from tests.backend.servers import command
from tests.backend.test_chain import now_slot
from tests.patience import eventually


def reported(client: Client, contacts: Sequence[Registered]) -> dict[str, Any]:
    """A patient's report of having met these."""
    contact_log = client.make_log(now_slot(), contacts)
    client.upload(client.permit(contact_log), contact_log)
    return client.report_with(None, 0)


def test_a_retraction_reaches_exactly_those_who_were_notified(client: Client) -> None:
    first, second, spared = client.register_all(now_slot(), 3)
    report = reported(client, [first, second, spared])
    chosen = [each["id"] for each in report["exposures"]][:2]
    assert client.approve(report["report"], exposures=chosen) == 2
    eventually("two were told", lambda: sum(len(client.poll(who.mailbox)) for who in (first, second, spared)) == 2)
    told = [who for who in (first, second, spared) if client.poll(who.mailbox)]
    client.send_swap(client.arm(told[0]))
    eventually("one address has a new SURB", lambda: client.is_stored(told[0]))
    before = told[1].blob

    answer = client.servers.authority("retract", report["report"], "--message", "It was a mistake")
    assert answer == {"notifications": 2}
    back = client.told(told[0], skip=1)
    assert (back.kind, back.report_id.hex(), back.case_id.hex()) == (Kind.RETRACTION, report["report"], report["case"])
    assert (back.message, back.chain_token) == ("It was a mistake", bytes(96))
    assert told[1].blob == before and len(client.poll(told[1].mailbox)) == 1
    client.send_swap(client.arm(told[1]))
    assert client.told(told[1], skip=1).kind is Kind.RETRACTION
    (third,) = [who for who in (first, second, spared) if who not in told]
    client.send_swap(client.arm(third))
    eventually("its swap is there", lambda: client.is_stored(third))
    assert client.poll(third.mailbox) == []

    assert {each["report"]: each["state"] for each in client.reports()}[report["report"]] == "retracted"
    where = ("--config", client.servers.folder / "authority")
    assert command("authority", "retract", report["report"], *where).returncode == 1


def test_a_notification_that_still_waits_is_cancelled_with_its_retraction(client: Client) -> None:
    contact = client.register(now_slot())
    first, second = reported(client, [contact]), None
    client.approve(first["report"])
    client.told(contact)
    second = reported(client, [contact])
    waiting = client.servers.count("nymserver", "notification_waiting")
    client.approve(second["report"])
    eventually("it waits", lambda: client.servers.count("nymserver", "notification_waiting") == waiting + 1)
    cancelled = client.servers.count("nymserver", "notification_cancelled")
    client.servers.authority("retract", second["report"])
    eventually("it is cancelled", lambda: client.servers.count("nymserver", "notification_cancelled") == cancelled + 1)
    client.servers.authority("retract", first["report"])
    eventually("the other waits", lambda: client.servers.count("nymserver", "notification_waiting") == waiting + 2)
    client.send_swap(client.arm(contact))
    back = client.told(contact, skip=1)
    assert (back.kind, back.report_id.hex()) == (Kind.RETRACTION, first["report"])


def test_a_retracted_case_goes_no_further(client: Client) -> None:
    contact, next_one = client.register(now_slot()), client.register(now_slot())
    report = reported(client, [contact])
    client.approve(report["report"], depth=5)
    told = client.told(contact)
    chain = ChainAuthorization(told.case_id, contact.address, contact.slot, told.chain_token)
    assert client.upload(chain, client.make_log(now_slot(), [next_one])).state is State.ACCEPTED
    pending = client.report_with(told.case_id, 1)
    client.servers.authority("retract", report["report"])
    answer = client.staff("POST", f"reports/{pending['report']}/decision", {"approve": True})
    assert (answer.status_code, "retracted" in answer.json()["error"]) == (409, True)
    client.refuse(pending["report"])


def test_what_was_not_approved_cannot_be_retracted(client: Client) -> None:
    report = reported(client, [])
    answer = client.staff("POST", f"reports/{report['report']}/retraction", {})
    assert (answer.status_code, "not decided here" in answer.json()["error"]) == (404, True)
    client.refuse(report["report"])
    answer = client.staff("POST", f"reports/{report['report']}/retraction", {"surprise": 1})
    assert answer.status_code == 422


def test_the_list_of_the_notified_opens_with_its_key_only() -> None:
    key, report = os.urandom(32), os.urandom(8)
    notified = [Notified(os.urandom(20), slot) for slot in range(3)]
    sealed = retraction.seal(key, report, notified)
    assert retraction.unseal(key, report, sealed) == notified
    assert not any(each.address in sealed for each in notified)
    for wrong_key, wrong_report in ((os.urandom(32), report), (key, os.urandom(8))):
        with pytest.raises(AuthenticationError):
            retraction.unseal(wrong_key, wrong_report, sealed)


def test_budgets_of_case_and_day_hold_over_all_reports_of_the_case(client: Client) -> None:
    everyone = client.register_all(now_slot(), 4)
    report = reported(client, everyone)
    assert client.approve(report["report"], depth=9, case_budget=4, day_budget=3) == 3
    eventually("three were told", lambda: sum(len(client.poll(who.mailbox)) for who in everyone) == 3)
    told = next(who for who in everyone if client.poll(who.mailbox))
    notice = client.told(told)
    chain = ChainAuthorization(notice.case_id, told.address, told.slot, notice.chain_token)
    others = client.register_all(now_slot(), 3)
    client.upload(chain, client.make_log(now_slot(), others))
    onward = client.report_with(notice.case_id, 1)
    assert client.approve(onward["report"], day_budget=100) == 1
