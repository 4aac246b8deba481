"""A nymserver's deliveries over a store of either kind, and what a wearer's companion makes for them."""

import os
from collections import Counter
from hashlib import sha256
from typing import Any

from anontrace import clock
from anontrace.backend.mix.items import Arrived, Onward
from anontrace.backend.nymserver.cases import Cases
from anontrace.backend.nymserver.contact_answers import ContactAnswers, Letters
from anontrace.backend.nymserver.deliveries import Deliveries
from anontrace.backend.nymserver.fragments import Fragments
from anontrace.backend.nymserver.headers import Headers
from anontrace.backend.nymserver.judging import Judge
from anontrace.backend.nymserver.kept import Kept
from anontrace.backend.nymserver.limit import Limit
from anontrace.backend.nymserver.nyms import Nyms
from anontrace.backend.nymserver.opening import Opener
from anontrace.backend.nymserver.reports import Reports
from anontrace.backend.nymserver.uploads import Uploads
from anontrace.backend.nymserver.wearers import Wearers
from anontrace.backend.observing.counters import Counters
from anontrace.mixnet import keydays, receipt, surb
from anontrace.mixnet.path import Hop
from anontrace.mixnet.receipt import Question, Receipt, UploadAnswer, UploadQuestion
from anontrace.mixnet.surb import SurbSecrets
from anontrace.wire import commitment, permit
from anontrace.wire.upload import PermitAuthorization, Upload
from anontrace_primitives import x25519_base
from nacl.signing import SigningKey

SEED, TOKEN_KEY = bytes(32), bytes(range(32))
FIRST, TO_FIRST, OTHER = 7, "to-7", 8
LIMIT = 1 << 20  # bytes of an upload
QUEUE_LIMIT = 1000


def reports_in(
    store: Any, counters: Counters, token_key: bytes, spread: float = 0.0, ceiling: int | None = None
) -> Reports:
    """The reports of one process, and the limit that they wait for."""

    def wake(queue: str) -> None:
        pass

    limit = Limit(store, counters, Cases(store), Wearers(store, counters), wake, ceiling, spread)
    return Reports(store, counters, token_key, 14, wake, limit)


class Worker:
    """One process of a nymserver, without its mix."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.counters = Counters()
        key = SigningKey(SEED).verify_key.encode()
        known = (FIRST, OTHER).__contains__
        judge = Judge(store, self.counters, key, TOKEN_KEY, LIMIT)
        self.kept = Kept(store, self.counters, judge, lambda _: None)
        self.uploads = Uploads(self.kept, judge, self.counters)
        self.fragments = Fragments(store, self.counters, self.kept, judge)
        self.nyms = Nyms(store, self.counters, known, 45)
        self.reports = reports_in(store, self.counters, TOKEN_KEY)
        self.opener = Opener(store, self.counters, self.kept, self.nyms, self.reports, key, os.urandom(32), TOKEN_KEY)
        headers = Headers(store, known)
        self.answers = ContactAnswers(store, self.counters)
        self.letters = Letters(store, self.counters, headers, lambda _: None)
        self.deliveries = Deliveries(
            store, self.counters, self.nyms, self.fragments, self.answers, headers, QUEUE_LIMIT
        )

    async def take(self, *payloads: bytes) -> None:
        """What arrives at once."""
        await self.deliveries.deliver([Arrived(os.urandom(32), payload) for payload in payloads])

    async def sent(self, queue: str = TO_FIRST) -> list[bytes]:
        """The messages (380) for a mix that were queued since the last look."""
        taking = await self.store.take(queue, 1e12, 10_000, 1e12)
        return [Onward.decode(entry.item).message for entry in taking.entries]

    async def asked(self, question: Question) -> bytes:
        """The content of the answer to a receipt, as its maker opens it."""
        block, secrets = reply_block()
        before = {message[:141] for message in await self.sent()}
        await self.take(Receipt(question, block).encode())
        (message,) = [each for each in await self.sent() if each[:141] not in before]
        assert message[:141] == surb.parse(block).header
        return receipt.open(secrets, secrets.arrives(message[141:]))

    async def stands(self, upload_id: bytes, first: int = 0) -> UploadAnswer:
        """How an upload stands, by a receipt."""
        return UploadAnswer.decode(await self.asked(UploadQuestion(upload_id, first)))

    def counted(self) -> dict[str, int]:
        """All counters that are not 0."""
        return +Counter(self.counters.snapshot())


def way(first: int = FIRST, day: int | None = None) -> list[Hop]:
    """A path of one mix."""
    today = keydays.day_at(clock.now())
    return [Hop(first, keydays.key_select(today if day is None else day), x25519_base(os.urandom(32)))]


def reply_block(first: int = FIRST, day: int | None = None) -> tuple[bytes, SurbSecrets]:
    return surb.make_reply(way(first, day), os.urandom(32))


def by_permit(log: bytes, signed_for: bytes | None = None, age: int = 0, code: bytes = commitment.NONE) -> Upload:
    """An upload of a log with a permit, by default for that log, issued `age` seconds ago and live for 1000; `code`: of
    the log that was committed at the test."""
    issued = int(clock.now()) - age
    log_hash = sha256(log if signed_for is None else signed_for).digest()
    made = permit.Permit(os.urandom(16), "U07.1", log_hash, issued, issued + 1000, code)
    return Upload(PermitAuthorization(made.sign(SEED)), log)
