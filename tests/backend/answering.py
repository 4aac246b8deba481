"""Somebody who was told of a report at real servers and answers, and what staff do with that."""

import os
from typing import Any

from anontrace.mixnet import contact_answer, packet, surb, words
from anontrace.mixnet.contact_answer import ContactAnswer, Said
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.notification import Notification
from anontrace.mixnet.surb import SurbSecrets

from tests.backend.client import Client
from tests.backend.test_chain import now_slot
from tests.patience import eventually


class Told:
    """A report that was approved, and who was told of it."""

    def __init__(self, client: Client, report: str, told: Notification) -> None:
        self.client, self.report = client, report
        self.tag = contact_answer.told_tag(told.case_id, told.report_id)
        self.authority = words.key_of(client.network.authority.key)

    @classmethod
    def of_a_report(cls, client: Client) -> "Told":
        """Of a new report, with one contact."""
        contact = client.register(now_slot())
        contact_log = client.make_log(now_slot(), [contact])
        client.upload(client.permit(contact_log), contact_log)
        report = str(client.report_with(None, 0)["report"])
        client.approve(report)
        return cls(client, report, client.told(contact))

    def answer(self, said: Said, back: bytes = b"", **other: Any) -> tuple[bytes, bytes]:
        """Send an answer through the mixes; its payload, and the key of what comes back."""
        payload, key = self.made(said, back, **other)
        self.send(payload)
        return payload, key

    def made(self, said: Said, back: bytes = b"", **other: Any) -> tuple[bytes, bytes]:
        """An answer as it is sent (239), and the key of what comes back by this reply block."""
        way = (0, b"") if not back else surb.parse(back)[:2]
        made = ContactAnswer(said, 20000, first_mix=way[0], header=way[1], **other)
        return contact_answer.seal(self.authority, self.tag, made)

    def send(self, payload: bytes) -> None:
        way = self.client.path(self.client.nymserver)
        assert self.client.post(way[0].number, packet.forward(way, NO_MAILBOX, payload)) == 202

    def way_back(self) -> tuple[bytes, SurbSecrets, bytes]:
        mailbox = os.urandom(32)
        block, kept = surb.make_reply(self.client.path(self.client.mailbox), mailbox)
        return block, kept, mailbox

    def answers(self) -> dict[str, Any]:
        return dict(self.client.staff("GET", f"reports/{self.report}/answers").json())

    def wait(self, count: int) -> dict[str, Any]:
        def listed() -> bool:
            found = self.answers()
            return len(found["answers"]) + int(found["unreadable"]) >= count

        eventually("the answers are there", listed)
        return self.answers()

    def write(self, answer: str, message: str) -> Any:
        return self.client.staff("POST", f"reports/{self.report}/answers/{answer}/letter", {"message": message})
