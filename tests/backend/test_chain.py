"""The chain through real servers: token, upload, decision, notification, and on to the second generation."""

import os
import time
from contextlib import suppress
from dataclasses import replace
from zlib import crc32

from anontrace.mixnet.notification import Kind
from anontrace.wire.upload import ChainAuthorization, Reason, State
from anontrace_shared.slots import slot_of

from tests.patience import eventually

from .client import Client, Registered


def now_slot() -> int:
    return slot_of(time.time())


def test_a_report_is_told_to_its_contacts_and_the_chain_goes_as_deep_as_the_authority_says(client: Client) -> None:
    slot = now_slot()
    near, drifted, stranger = client.register(slot), client.register(slot - 1), Registered(os.urandom(20), slot)
    contact_log = client.make_log(slot, [near, drifted, stranger], present=6)
    permit = client.permit(contact_log)

    assert client.upload(permit, contact_log).state is State.ACCEPTED
    report = client.report_with(None, 0)
    assert report["disease"] == "U07.1"
    assert report["log"] == {
        "blocks": 1,
        "records": 3,
        "broken": 0,
        "misdated": 0,
        "unregistered": 1,
        "damaged": 0,
    }
    figures = [{key: each[key] for key in ("minutes", "attenuation", "verified")} for each in report["exposures"]]
    assert figures == [{"minutes": 2.0, "attenuation": 63, "verified": True}] * 2

    answer = client.servers.authority(
        "approve", report["report"], "--minutes", "2", "--depth", "2", "--message", "Please call 116117"
    )
    assert answer == {"notifications": 2}
    told = client.told(near)
    assert told.kind is Kind.NOTIFICATION
    assert (told.case_id.hex(), told.report_id.hex()) == (report["case"], report["report"])
    assert (told.disease, told.present, told.attenuation, told.rule_minutes) == ("U07.1", 6, 63, 2)
    assert told.message == "Please call 116117"
    assert client.told(drifted).report_id == told.report_id

    # The contact passes it on; the second generation is told; the third is not.
    second = client.register(slot)
    own_log = client.make_log(slot, [second])
    chain = ChainAuthorization(told.case_id, near.address, near.slot, told.chain_token)
    assert client.upload(chain, own_log).state is State.ACCEPTED
    onward = client.report_with(told.case_id, 1)
    assert onward["disease"] == "U07.1"
    client.approve(onward["report"])
    last = client.told(second)
    assert last.case_id == told.case_id

    def on_disk() -> bool:
        folder = client.servers.folder / "nymserver" / "store"
        found = b""
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                found += path.read_bytes() if path.is_file() else b""
        words = [word for who in (near, drifted, second) for word in (who.address, who.address.hex().encode())]
        return any(word in found for word in words)

    eventually("no contact address is on the nymserver's disk", lambda: not on_disk())

    third = ChainAuthorization(last.case_id, second.address, second.slot, last.chain_token)
    before = client.servers.count("nymserver", "uploads_not_followed")
    assert client.upload(third, own_log).state is State.ACCEPTED
    eventually("it was not followed", lambda: client.servers.count("nymserver", "uploads_not_followed") == before + 1)


def test_a_chain_token_counts_once_for_its_own_address_and_case_and_nobody_hears_of_it(client: Client) -> None:
    slot = now_slot()
    contact, other = client.register(slot), client.register(slot)
    contact_log = client.make_log(slot, [contact])
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)
    client.approve(report["report"], depth=9)
    told = client.told(contact)
    good = ChainAuthorization(told.case_id, contact.address, contact.slot, told.chain_token)
    for wrong in (
        replace(good, address=other.address),
        replace(good, slot=slot - 1),
        replace(good, case_id=os.urandom(16)),
        replace(good, chain_token=os.urandom(96)),
    ):
        assert client.upload(wrong, contact_log).state is State.ACCEPTED
    assert client.upload(good, contact_log).state is State.ACCEPTED
    first = client.report_with(told.case_id, 1)
    before = client.servers.count("nymserver", "uploads_not_followed")
    assert client.upload(good, contact_log).state is State.ACCEPTED
    eventually(
        "the second was not followed", lambda: client.servers.count("nymserver", "uploads_not_followed") > before
    )
    client.refuse(first["report"])
    ours = [each for each in client.reports() if each["case"] == told.case_id.hex()]
    assert [each["state"] for each in ours] == ["approved", "refused"]


def test_a_second_notification_waits_for_a_new_surb(client: Client) -> None:
    slot = now_slot()
    contact = client.register(slot)
    reports = []
    for _ in range(2):
        contact_log = client.make_log(slot, [contact])
        client.upload(client.permit(contact_log), contact_log)
        reports.append(client.report_with(None, 0)["report"])
        client.approve(reports[-1])
    assert client.told(contact).report_id.hex() == reports[0]
    eventually("the second waits", lambda: client.servers.count("nymserver", "notification_waiting") >= 1)
    assert client.poll(contact.mailbox, 1) == []
    client.send_swap(client.arm(contact))
    assert client.told(contact, skip=1).report_id.hex() == reports[1]


def test_a_permit_is_for_one_upload_of_one_log(client: Client) -> None:
    contact_log = client.make_log(now_slot(), [])
    permit = client.permit(contact_log)
    assert client.upload(permit, contact_log + contact_log).reason is Reason.LOG_DOES_NOT_MATCH
    assert client.upload(permit, contact_log).state is State.ACCEPTED
    assert client.upload(permit, contact_log).reason is Reason.ALREADY_USED
    client.refuse(client.report_with(None, 0)["report"])


def test_broken_misdated_and_cut_records_are_counted_and_the_rest_is_reported(client: Client) -> None:
    slot = now_slot()
    contact = client.register(slot)
    good, old = client.make_log(slot, [contact, contact]), client.make_log(slot - 288 * 40, [contact])
    broken = bytearray(client.make_log(slot, [contact, contact]))
    broken[45] ^= 1
    broken[-4:] = _crc(bytes(broken[:-4]))
    contact_log = old + good + bytes(broken) + good[:50]
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)
    assert report["log"] == {
        "blocks": 3,
        "records": 5,
        "broken": 1,
        "misdated": 1,
        "unregistered": 0,
        "damaged": 1,
    }
    assert [each["minutes"] for each in report["exposures"]] == [3.0]
    client.refuse(report["report"])
    assert client.poll(contact.mailbox) == []


def _crc(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "little")
