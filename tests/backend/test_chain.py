"""The chain through real servers: token, upload, decision, notification, and on to the second generation."""

import os
import time
from contextlib import suppress
from dataclasses import replace
from zlib import crc32

from anontrace.mixnet.notification import Kind
from anontrace.wire import places
from anontrace.wire.places import Note, Places
from anontrace.wire.upload import ChainAuthorization, Reason, State
from anontrace_primitives import x25519_base
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
    assert answer["notifications"] == 2
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


def test_what_a_log_says_of_places_is_read_if_it_makes_sense_and_told_as_staff_decide(client: Client) -> None:
    slot = now_slot()
    met = client.register(slot)
    records = client.make_log(slot, [met])
    log_key = client.known[client.nymserver].log_key
    assert log_key is not None
    plain = Places("Inn", "lodging", (Note(slot, 1, "Bar"),)).encode()
    row = 1 + places.LABEL
    broken = {
        "sealed to somebody else": places.seal(x25519_base(os.urandom(32)), plain),
        "no kind that there is": places.seal(log_key, b"\xff" + plain[1:]),
        "a kind and no name": places.seal(log_key, plain[:1] + bytes(places.LABEL) + plain[row:]),
        "a name with a zero byte in it": places.seal(log_key, plain[:2] + b"\0" + plain[3:]),
        "a name that moves the cursor": places.seal(log_key, plain[:2] + b"\r" + plain[3:]),
        "a note of no slots": places.seal(log_key, plain[: row + 4] + bytes(2) + plain[row + 6 :]),
        "notes of one slot": places.seal(log_key, plain[: row + 48] + plain[row : row + 48] + plain[row + 96 :]),
        "something behind the last note": places.seal(log_key, plain[:-1] + b"x"),
        "too short": places.seal(log_key, plain[:-1]),
    }

    def handed_in(block: bytes) -> bytes:
        permit = client.permit(records + block)
        assert client.upload(permit, records + block).state is State.ACCEPTED
        return permit.permit[1:17]  # the case

    cases = {what: handed_in(block) for what, block in broken.items()}
    for what, case in cases.items():
        report = client.report_with(case, 0)
        assert (report["place"], report["notes"], report["log"]["damaged"]) == (None, [], 1), what
        assert [each["at"] for each in report["exposures"]] == [None], what

    said = client.report_with(handed_in(places.seal(log_key, plain)), 0)
    assert said["place"] == {"name": "Inn", "kind": "lodging"} and said["log"]["damaged"] == 0
    assert said["notes"] == [{"label": "Bar", "day": slot // 288, "minutes": 5}]
    assert [each["at"] for each in said["exposures"]] == ["Bar"]
    client.servers.authority("approve", said["report"], "--minutes", "1", "--person")
    assert not client.told(met).of_place
