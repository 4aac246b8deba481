"""The servers of the network as a companion uses them: paths through the mixes, and each service as a method.

Stands on the directory and the HTTP client. Never builds a message and never keeps anything but which mixes failed to
answer.
"""

import secrets
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.client import Client
from anontrace.companion.directory import FRESH_SECONDS, key_lists
from anontrace.companion.errors import AnswerError, DirectoryError, OfflineError, RefusedError, SetupError
from anontrace.companion.store.network import NetworkStore
from anontrace.mixnet import keydays
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MOST_HOPS
from anontrace.wire import network, paths, permit, poll, redeem, upload
from anontrace.wire.keylist import KeyList
from anontrace.wire.permit import Permit

_FINGERPRINT = 8
_PATH_TRIES = 32

_random = secrets.SystemRandom()


class Servers:
    """A context manager: connections are closed with it. `fresh_seconds`: for how long a directory is good."""

    def __init__(self, store: NetworkStore, fresh_seconds: int = FRESH_SECONDS) -> None:
        self._fresh_seconds = fresh_seconds
        stored = store.get()
        if stored is None:
            raise SetupError("no network is set; begin with: anontrace init NETWORK.toml")
        try:
            self._network = network.parse(stored.file, "the stored network file")
        except AnontraceError as error:
            raise SetupError(f"{error}; run anontrace init again") from error
        self._store = store
        self._client = Client(stored.proxy, self._network.network.ca)
        self._silent: set[int] = set()  # mixes that did not answer: not a first hop again

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, traceback)

    @cached_property
    def _lists(self) -> dict[int, KeyList]:
        """The key lists in force, each with its newest key alone: the one that paths are made of."""
        now = clock.now()
        lists = {}
        for number, each in key_lists(self._store, self._network, self._client, self._fresh_seconds).items():
            newest = paths.usable_key(each, now)
            if newest is not None:
                lists[number] = each.model_copy(update={"keys": (newest,)})
        return lists

    @cached_property
    def _ends(self) -> frozenset[int]:
        """Nymservers and mailbox servers: no relay for others where there are mixes enough without them."""
        ends = frozenset(number for number, each in self._lists.items() if set(each.roles) != {"mix"})
        return ends if len(self._lists) - len(ends) >= MOST_HOPS - 1 else frozenset()

    @cached_property
    def nymserver(self) -> KeyList:
        numbers = self._with_role("nymserver")
        return self._lists[min(numbers)]

    def random_mailbox_server(self) -> int:
        return _random.choice(self.mailbox_servers)

    @property
    def mailbox_servers(self) -> list[int]:
        return self._with_role("mailbox")

    @property
    def first_mixes(self) -> list[int]:
        """The mixes to which messages may be handed; OfflineError when none answers."""
        ends = {number for number, each in self._lists.items() if set(each.roles) != {"mix"}}
        mixes = sorted(self._lists.keys() - ends - self._silent)
        if not mixes:
            raise OfflineError("none of the mixes can be reached; nothing is lost, try again when you are online")
        return mixes

    def _with_role(self, role: str) -> list[int]:
        numbers = [number for number, each in self._lists.items() if role in each.roles]
        if not numbers:
            raise DirectoryError(f"the directory has no {role} in force at the moment; try again later")
        return numbers

    @property
    def log_key(self) -> bytes:
        """The public key to which badges seal their logs."""
        key = self.nymserver.log_key
        assert key is not None  # a nymserver's key list has one
        return key

    @property
    def bucket_bits(self) -> int:
        bits = self.nymserver.bucket_bits
        assert bits is not None  # likewise
        return bits

    def path_to(self, last: int, minimum_days: int = 0) -> list[Hop]:
        """A random path that ends at mix `last`; its keys live for `minimum_days` whole days after today."""
        try:
            for _ in range(_PATH_TRIES):
                path = paths.choose(self._lists, last, clock.now(), minimum_days=minimum_days, exclude=self._ends)
                if path[0].number not in self._silent:
                    return path
        except paths.NoPathError as error:
            raise DirectoryError(str(error)) from error
        raise OfflineError("none of the mixes can be reached; nothing is lost, try again when you are online")

    def path_from(self, first: int, last: int) -> list[Hop]:
        """A random path that begins at mix `first` and ends at mix `last`."""
        path = self.path_to(last)
        numbers = [hop.number for hop in path]
        if first in numbers:
            at = numbers.index(first)
            path[0], path[at] = path[at], path[0]
        else:
            key = self._lists[first].keys[0]
            path[0] = Hop(first, keydays.key_select(key.day), key.key)
        return path

    def send_messages(self, mix: int, messages: Sequence[bytes]) -> bool:
        """Hand messages to their first mix; False when it does not answer, and is not to be a first hop again."""
        try:
            self._client.post(f"mix {mix}", f"{self._lists[mix].url}/v1/messages", b"".join(messages))
        except OfflineError:
            self._silent.add(mix)
            return False
        return True

    def bucket(self, index: int) -> frozenset[bytes]:
        """The fingerprints of all swaps that the nymserver holds in a bucket."""
        body = self._client.get("the nymserver", f"{self.nymserver.url}/v1/buckets/{index}")
        if len(body) % _FINGERPRINT:
            raise AnswerError("the nymserver answers in a way that this program does not know")
        return frozenset(body[at : at + _FINGERPRINT] for at in range(0, len(body), _FINGERPRINT))

    def poll(self, server: int, mailboxes: Sequence[tuple[bytes, int]], room: int) -> dict[int, list[bytes]]:
        """What the mailboxes (address, messages known) of a mailbox server hold beyond that, by index.

        The answer has room for `room` messages, or as many as there are (poll.OPEN).
        """
        if server not in self._lists:
            raise OfflineError(f"mailbox server {server} is not in the directory at the moment; try again later")
        url = f"{self._lists[server].url}/v1/poll"
        body = self._client.post(f"mailbox server {server}", url, poll.encode_request(mailboxes, room))
        try:
            return poll.parse_reply(body, len(mailboxes), room)
        except AnontraceError as error:
            raise AnswerError(f"mailbox server {server}: {error}") from error

    def redeem(self, token: str, log_hash: bytes) -> tuple[bytes, Permit]:
        """The permit (129) for this log, checked; RefusedError when the health authority says no."""
        url = f"{self._network.authority.url}/v1/redeem"
        request = redeem.RedeemRequest(token=token, log_hash=log_hash).model_dump(mode="json")
        try:
            answer = redeem.read_reply(self._client.post_json("the health authority", url, request))
            checked = permit.verify(answer.permit, self._network.authority.key)
        except RefusedError as error:
            raise RefusedError(f"{error}; check the token, or ask for a new one") from error
        except AnontraceError as error:
            raise AnswerError(f"the health authority's answer cannot be used: {error}") from error
        if checked.log_hash != log_hash:
            raise AnswerError("the health authority's permit is for another log")
        return answer.permit, checked

    def upload(self, chunk: bytes) -> upload.Reply:
        """Hand one chunk to the nymserver."""
        body = self._client.post("the nymserver", f"{self.nymserver.url}/v1/upload", chunk)
        try:
            return upload.parse_reply(body)
        except AnontraceError as error:
            raise AnswerError(f"the nymserver: {error}") from error
