"""The backend of a replay, in one process: the roles' own code over one store, and mixes that hold nothing back."""

import asyncio
import os
import random
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from anontrace import clock
from anontrace.backend.authority.tokens import Origin, Result, Tokens
from anontrace.backend.mix.items import Onward, queue_to
from anontrace.backend.nymserver.cases import Cases
from anontrace.backend.nymserver.judging import Judge
from anontrace.backend.nymserver.kept import OPEN, Kept
from anontrace.backend.nymserver.limit import Limit
from anontrace.backend.nymserver.nyms import Nyms, Outcome, Outgoing
from anontrace.backend.nymserver.opening import Opener
from anontrace.backend.nymserver.records import Decision, LimitSettings
from anontrace.backend.nymserver.reports import Reports
from anontrace.backend.nymserver.sending import SEND
from anontrace.backend.nymserver.uploads import Uploads
from anontrace.backend.nymserver.wearers import Wearers
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Store, open_store
from anontrace.mixnet import blob, keydays, packet, surb, swap
from anontrace.mixnet.packet import Delivery, Relay
from anontrace.mixnet.path import Hop
from anontrace.mixnet.swap import Swap
from anontrace.wire import onetime, upload
from anontrace.wire.result import Question
from anontrace.wire.upload import UPLOAD_ID, PermitAuthorization, State, Upload
from anontrace_primitives import x25519_base
from nacl.signing import SigningKey

from tools.replay.wearers import Address

MIXES = (1, 2, 3, 4)
MAILBOX_SERVER = 5
_ON_THE_WAY = 3  # mixes before the mailbox server
_KEEP_DAYS = 45
_CHAIN_DAYS = 14
_UPLOAD_LIMIT = 1 << 26  # bytes
_HOURS = 240
_AT_ONCE = 1024  # swaps, sends and unwrapped messages
_FOREVER = 1e12
_NO_LIMIT = 10**9
DISEASE = "U07.1"


class ReplayError(Exception):
    """The chain itself failed, which says nothing of who was told."""


class Backend:
    """Nymserver, authority, mixes and mailbox server; use as an asynchronous context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seed, self._log_secret, self._token_key = os.urandom(32), os.urandom(32), os.urandom(32)
        self.log_key = x25519_base(self._log_secret)
        self._secrets = {number: os.urandom(32) for number in (*MIXES, MAILBOX_SERVER)}
        self._publics = {number: x25519_base(secret) for number, secret in self._secrets.items()}
        self._seen: set[bytes] = set()
        self._random = random.SystemRandom()

    async def __aenter__(self) -> "Backend":
        self._store: Store = await open_store(self._folder)
        counters, store = Counters(), self._store
        key = SigningKey(self._seed).verify_key.encode()
        judge = Judge(store, counters, key, self._token_key, _UPLOAD_LIMIT)
        kept = Kept(store, counters, judge, lambda _: None)
        self._uploads = Uploads(kept, judge, counters)
        self._nyms = Nyms(store, counters, self._secrets.__contains__, _KEEP_DAYS)
        limit = Limit(store, counters, Cases(store), Wearers(store, counters), lambda _: None, None, 0.0)
        await limit.set(LimitSettings(a_day=_NO_LIMIT))  # a replay's days go by in one of ours
        self._reports = Reports(store, counters, self._token_key, _CHAIN_DAYS, lambda _: None, limit)
        self._opener = Opener(
            store, counters, kept, self._nyms, self._reports, key, self._log_secret, self._token_key
        )  # fmt: skip
        self._tokens = Tokens(store, counters, self._seed, _HOURS, _HOURS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()

    async def arm(self, addresses: Sequence[Address]) -> None:
        """A SURB for each address, stored in place of the one before."""
        select = keydays.key_select(keydays.day_at(clock.now()))
        for start in range(0, len(addresses), _AT_ONCE):
            some = addresses[start : start + _AT_ONCE]
            mailboxes = [os.urandom(32) for _ in some]
            paths = [
                [
                    Hop(number, select, self._publics[number])
                    for number in (*self._random.sample(MIXES, _ON_THE_WAY), MAILBOX_SERVER)
                ]
                for _ in some
            ]
            swaps = []
            for each, mailbox, (made, secrets) in zip(some, mailboxes, surb.make_many(paths, mailboxes), strict=True):
                shown = swap.authentication(each.blob) if each.blob else swap.NEW
                each.mailbox, each.secrets = mailbox, secrets
                each.blob = blob.seal(each.contact_address, each.slot, made)
                swaps.append(Swap(each.key, shown, each.blob).encode())
            await asyncio.gather(*(self._nyms.swap(Swap.decode(each)) for each in swaps))

    async def hand_in(self, log: bytes) -> bytes:
        """A positive test: token, permit and upload of a log; the ID of the report that comes of it."""
        issued = await self._tokens.issue(DISEASE, Origin(result=Result.POSITIVE))
        answer = await self._tokens.answer(Question(onetime.token_hash(issued.token), sha256(log).digest()))
        body = Upload(PermitAuthorization(answer.permit), log).encode()
        for chunk in upload.chunks(body, os.urandom(UPLOAD_ID)):
            reply = await self._uploads.receive(chunk)
        if reply.state is not State.ACCEPTED:
            raise ReplayError(f"the nymserver does not take the log: {reply.reason.name}")
        (item,) = await self._taken(OPEN)
        await self._opener.open([item])
        return item[UPLOAD_ID:]

    async def approve(self, report: bytes, minutes: int) -> tuple[bytes, int]:
        """Tell all contacts of a report by a rule; the case-ID, and how many notifications that are."""
        number = await self._reports.decide(report, Decision(approve=True, minutes=minutes))
        (case,) = {each.case for each in await self._reports.all() if each.report == report}
        return case, number

    async def deliver(self) -> list[tuple[bytes, bytes]]:
        """Send what is to be sent, through all mixes: mailbox (32) and payload (239) of each that arrives."""
        items = await self._taken(SEND)
        for start in range(0, len(items), _AT_ONCE):
            some = [Outgoing.decode(item) for item in items[start : start + _AT_ONCE]]
            for outcome, _ in await asyncio.gather(*map(self._nyms.send, some)):
                if outcome is not Outcome.SENT:
                    raise ReplayError(f"a notification is {outcome.value} instead of sent")
        arrived: list[tuple[bytes, bytes]] = []
        waiting = {number: await self._queued(number) for number in MIXES}
        while any(waiting.values()):
            at, waiting = waiting, {}
            for number, messages in at.items():
                for result in self._unwrap(number, messages):
                    if isinstance(result, Relay):
                        waiting.setdefault(result.next_mix, []).append(result.message)
                    else:
                        arrived.append((result.mailbox, result.payload))
        return arrived

    def _unwrap(self, number: int, messages: Sequence[bytes]) -> Iterable[Relay | Delivery]:
        keys = self._secrets[number], self._publics[number]
        for start in range(0, len(messages), _AT_ONCE):
            some = messages[start : start + _AT_ONCE]
            for result in packet.unwrap_many([keys] * len(some), some):
                if not isinstance(result, Relay | Delivery):
                    raise ReplayError(f"mix {number} drops a message: {result}")
                if result.replay_tag in self._seen:
                    raise ReplayError(f"mix {number} sees a message again")
                self._seen.add(result.replay_tag)
                yield result

    async def _queued(self, number: int) -> list[bytes]:
        return [Onward.decode(item).message for item in await self._taken(queue_to(number))]

    async def _taken(self, queue: str) -> list[bytes]:
        """All entries of a queue, which is empty then."""
        items = []
        while taken := (await self._store.take(queue, _FOREVER, _AT_ONCE, _FOREVER)).entries:
            items += [each.item for each in taken]
            await self._store.done(queue, [each.id for each in taken])
        return items
