"""What staff write, from their command to the contact: the nymserver has it in its hands and cannot read it."""

import json
from itertools import permutations

from anontrace.backend.keys import keyfiles
from anontrace.backend.nymserver.records import Keys
from anontrace.mixnet import parts
from anontrace.mixnet.notification import Kind
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.backend.client import Client, signed_by
from tests.backend.test_chain import now_slot
from tests.patience import eventually

WORDS = "Ring the ward on 555-0199, please"


def keys_of(client: Client, report: str) -> Keys:
    """The blinded keys of a report's contacts, as the authority gets them."""
    seed = keyfiles.read(client.servers.folder / "authority", keyfiles.SIGNING)
    path, body = f"/v1/reports/{report}/keys", b"{}"
    headers = signed_by(Ed25519PrivateKey.from_private_bytes(seed), "POST", path, body)
    headers["Content-Type"] = "application/json"
    return Keys.model_validate_json(
        client.http.post(client.servers.url("nymserver") + path, content=body, headers=headers).content
    )


def test_the_contacts_read_the_words_and_the_nymserver_has_them_nowhere(client: Client) -> None:
    first, second = client.register_all(now_slot(), 2)
    contact_log = client.make_log(now_slot(), [first, second])
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)
    assert client.approve(report["report"], message=WORDS) == 2
    told = [client.told(each) for each in (first, second)]
    assert [each.message for each in told] == [WORDS, WORDS]

    client.servers.authority("retract", report["report"], "--message", WORDS[::-1])
    for each in (first, second):
        client.send_swap(client.arm(each))  # under another SURB, and the same message key
        back = client.told(each, skip=1)
        assert (back.kind, back.message) == (Kind.RETRACTION, WORDS[::-1])

    written = [path.read_bytes() for path in (client.servers.folder / "nymserver").rglob("*") if path.is_file()]
    assert any(bytes.fromhex(report["case"]) in each for each in written)  # so what is searched for would be found
    for text in (WORDS, WORDS[::-1]):
        assert sum(part.encode() in each for part in (text, text[:12], text[-12:]) for each in written) == 0


def test_longer_words_come_in_the_notifications_that_the_contact_gets_anyway(client: Client) -> None:
    """One person in three slots, told by a rule of fifteen minutes: no message more than with short words."""
    slot, text = (
        now_slot(),
        "Come to the old fire station on Monday between 8 and 12, and bring nobody. Ring 555 0100 ☎",
    )
    everyone = [client.register(slot - back) for back in range(3)]
    sent = client.servers.count("nymserver", "notification_sent")
    contact_log = b"".join(client.make_log(each.slot, [each], present=15) for each in everyone)
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)["report"]
    assert client.staff("POST", f"reports/{report}/decision", {"approve": True, "message": text}).status_code == 422
    assert client.approve(report, message=text, minutes=15) == 3
    found = [client.told_in(each) for each in everyone]
    for some in permutations(found):
        assert parts.join(some).text == text
    assert parts.join(found[:2]) == parts.Joined(None, 2, 3)
    assert client.servers.count("nymserver", "notification_sent") == sent + 3


def test_words_reach_an_address_that_was_re_armed_after_they_were_sealed(client: Client) -> None:
    contact = client.register(now_slot())
    waiting = client.servers.count("nymserver", "notification_waiting")
    for text in ("words 1", "words 2"):
        contact_log = client.make_log(now_slot(), [contact])
        client.upload(client.permit(contact_log), contact_log)
        client.approve(client.report_with(None, 0)["report"], message=text)
        assert client.told(contact).message == "words 1"
    eventually("it waits", lambda: client.servers.count("nymserver", "notification_waiting") == waiting + 1)
    client.send_swap(client.arm(contact))
    assert client.told(contact, skip=1).message == "words 2"


def test_the_nymserver_takes_no_words_that_it_could_read(client: Client) -> None:
    contact = client.register(now_slot())
    contact_log = client.make_log(now_slot(), [contact])
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)["report"]
    seed = keyfiles.read(client.servers.folder / "authority", keyfiles.SIGNING)
    own = Ed25519PrivateKey.from_private_bytes(seed)
    for decision in ({"approve": True, "message": WORDS}, {"approve": True, "words": {"1": "5a" * 57}}):
        path, body = f"/v1/reports/{report}/decision", json.dumps(decision).encode()
        headers = signed_by(own, "POST", path, body) | {"Content-Type": "application/json"}
        answer = client.http.post(client.servers.url("nymserver") + path, content=body, headers=headers)
        assert answer.status_code == 422
    assert client.staff("POST", f"reports/{report}/decision", {"approve": True, "message": "x" * 43}).status_code == 422
    client.refuse(report)


def test_the_authority_sees_other_keys_of_the_same_address_in_each_report(client: Client) -> None:
    contact = client.register(now_slot())
    found = []
    for _ in range(2):
        contact_log = client.make_log(now_slot(), [contact])
        client.upload(client.permit(contact_log), contact_log)
        report = client.report_with(None, 0)["report"]
        found += keys_of(client, report).keys.values()
        assert keys_of(client, report).keys == {"1": found[-1]}
        client.refuse(report)
    assert len(set(found)) == 2
