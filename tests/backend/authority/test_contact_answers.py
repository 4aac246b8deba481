"""A contact answers, staff read it and write back: real servers, from the contact to the desk and home again."""

import os
import threading

import pytest
from anontrace.backend.staff.rights import Role
from anontrace.mixnet import contact_answer, kinds, letter, words
from anontrace.mixnet.contact_answer import ContactAnswer, OwnLog, Said

from tests.backend import signed_in
from tests.backend.answering import Told
from tests.backend.client import Client
from tests.backend.portal.browser import Browser, read
from tests.backend.servers import command
from tests.patience import eventually

NUMBER, NOTE, WORDS = "+493012345678", "Ask for Ada Lovelace", "Come at nine to the old fire station"


@pytest.fixture(scope="module")
def told(client: Client) -> Told:
    return Told.of_a_report(client)


def files_with(client: Client, text: str) -> list[str]:
    """The servers that have this text somewhere in their files."""
    return sorted(
        {
            path.relative_to(client.servers.folder).parts[0]
            for path in client.servers.folder.rglob("*")
            if path.is_file() and text.encode() in path.read_bytes()
        }
    )


def test_staff_read_an_answer_and_write_back_once_and_no_server_has_either_in_clear(told: Told) -> None:
    client, (block, kept, mailbox) = told.client, told.way_back()
    _, key = told.answer(
        Said.TEST | Said.CALL | Said.NEARNESS, block, number=NUMBER, note=NOTE, nearness=(3, 0, 0, 6),
        own_log=OwnLog.PARTLY,
    )  # fmt: skip
    (shown,) = told.wait(1)["answers"]
    assert shown["call"] == NUMBER and shown["note"] == NOTE and shown["test"] and not shown["result"]
    assert [(each["attenuation_to"], each["minutes_over"], each["minutes_to"]) for each in shown["nearness"]] == [
        (55, 15, 30), (None, 120, None),
    ]  # fmt: skip
    assert (shown["own_log"], shown["reachable"], shown["letter"]) == ("partly", True, None)
    (listed,) = [each for each in client.reports() if each["report"] == told.report]
    assert listed["answers"] == 1

    assert told.write(shown["id"], WORDS).is_success
    (arrived,) = eventually("the letter arrived", lambda: client.poll(mailbox))
    assert letter.open(kept, key, told.tag, arrived) == WORDS
    for again in (WORDS, "Something else"):
        assert told.write(shown["id"], again).status_code == 409
    assert told.wait(1)["answers"][0]["letter"]["sent"]
    assert len(client.poll(mailbox)) == 1

    assert "nymserver" in files_with(client, told.report)  # so what is searched for would be found
    for text in (NUMBER, NOTE, WORDS):
        assert files_with(client, text) == []

    auditor = {"Authorization": f"Bearer {signed_in.session(client.servers.folder / 'authority', Role.AUDITOR)}"}

    def acts() -> list[str]:
        answer = client.servers.for_staff("authority").request("GET", "/v1/staff/audit", headers=auditor)
        return [each["what"] for each in answer.json()["entries"] if each["about"].get("report") == told.report]

    eventually("the audit has it", lambda: "letter sent" in acts())
    assert {"answers read", "letter asked for", "letter sent"} <= set(acts())


def test_the_portal_and_the_command_show_an_answer_as_plain_text_and_write_back(told: Told) -> None:
    folder = told.client.servers.folder / "authority"
    block, kept, mailbox = told.way_back()
    before = told.answers()
    _, key = told.answer(Said.POSITIVE | Said.NEARNESS, block, note="<b>Ada</b>", nearness=(1, 0, 0, 0))
    shown = told.wait(len(before["answers"]) + int(before["unreadable"]) + 1)["answers"][-1]
    worker, place = Browser.of(folder, Role.CASE_WORKER), f"/cases/{told.report}/answers"
    try:
        assert place in worker.get(f"/cases/{told.report}").text
        text = worker.get(place).text
        read(text)
        assert "&lt;b&gt;Ada&lt;/b&gt;" in text and "up to 5 minutes, up to 55 dB" in text and "positive" in text
        assert "answers: authority answers" in command("authority", "show", told.report, "--config", folder).stdout
        said = command("authority", "answers", told.report, "--config", folder).stdout
        assert shown["id"] in said and "tested positive" in said and "up to 5 minutes at up to 55 dB" in said
        assert worker.post(f"{place}/{shown['id']}/letter", {"message": " "}).status_code == 422
        assert worker.post(f"{place}/{shown['id']}/letter", {"message": WORDS}).status_code == 303
        assert "Written back" in worker.get(place).text
    finally:
        worker.close()
    (arrived,) = eventually("the letter arrived", lambda: told.client.poll(mailbox))
    assert letter.open(kept, key, told.tag, arrived) == WORDS
    assert told.client.servers.authority("answers", told.report)["answers"][-1]["letter"]["sent"]


def test_an_answer_without_a_way_back_and_letters_that_cannot_be(told: Told) -> None:
    before = len(told.answers()["answers"])
    told.answer(Said.NEGATIVE)
    shown = told.wait(before + 1)["answers"][-1]
    assert (shown["result"], shown["reachable"], shown["nearness"]) == ("negative", False, None)
    for answer, message, status in (
        (shown["id"], WORDS, 409),
        ("5a" * 16, WORDS, 404),
        (shown["id"], " ", 422),
        (shown["id"], "x" * 224, 422),
        ("no", WORDS, 422),
    ):
        assert told.write(answer, message).status_code == status, (answer, message)
    block, _, _ = told.way_back()
    told.answer(Said.POSITIVE, block)
    shown = told.wait(before + 2)["answers"][-1]
    assert told.write(shown["id"], "\x1b[2J").status_code == 422
    assert told.write(shown["id"], "Come").is_success


def test_what_is_made_up_replayed_or_for_another_report_shows_as_what_it_is(told: Told) -> None:
    before = told.answers()
    payload, _ = told.answer(Said.TEST)
    told.wait(len(before["answers"]) + int(before["unreadable"]) + 1)
    tag, sealed = contact_answer.split(payload)
    other = contact_answer.told_tag(os.urandom(16), os.urandom(8))
    for made in (
        payload,  # once more, in another message
        kinds.mark(kinds.Kind.CONTACT_ANSWER, other + sealed),
        kinds.mark(kinds.Kind.CONTACT_ANSWER, tag + os.urandom(230)),  # by one who knows the report, but not the format
        kinds.mark(kinds.Kind.CONTACT_ANSWER, tag + bytes(32) + sealed[32:]),
        contact_answer.seal(words.key_of(bytes.fromhex("58" + "66" * 31)), tag, ContactAnswer(Said.TEST, 1))[0],
    ):
        told.send(made)
    found = told.wait(len(before["answers"]) + int(before["unreadable"]) + 4)
    assert len(found["answers"]) == len(before["answers"]) + 1
    assert found["unreadable"] == before["unreadable"] + 3


def test_of_two_who_write_at_once_one_does(told: Told) -> None:
    before = told.answers()
    block, kept, mailbox = told.way_back()
    _, key = told.answer(Said.TEST, block)
    shown = told.wait(len(before["answers"]) + int(before["unreadable"]) + 1)["answers"][-1]
    statuses: list[int] = []
    texts = [f"letter {number}" for number in range(6)]
    writing = [
        threading.Thread(target=lambda t=text: statuses.append(told.write(shown["id"], t).status_code))
        for text in texts
    ]
    for each in writing:
        each.start()
    for each in writing:
        each.join()
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    eventually("the letter arrived", lambda: told.client.poll(mailbox))
    assert [letter.open(kept, key, told.tag, each) in texts for each in told.client.poll(mailbox)] == [True]
