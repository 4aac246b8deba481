"""The servers of the network as a companion uses them: paths through the mixes, and each service as a method.

Builds on the directory and the HTTP client. Never builds a message, and remembers only which mixes failed to answer.
"""

import secrets
from collections.abc import Sequence
from functools import cached_property, lru_cache
from types import TracebackType

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.companion.errors import (
    AnswerError,
    CertificateError,
    DirectoryError,
    NoSuchThingError,
    OfflineError,
    RefusedError,
    SetupError,
)
from anontrace.companion.network.client import Client
from anontrace.companion.network.directory import FRESH_SECONDS, fresh, mixes_in_force
from anontrace.companion.store.carried import Carried
from anontrace.companion.store.network import NetworkStore
from anontrace.mixnet.path import Hop
from anontrace.mixnet.sizes import MAX_HOPS
from anontrace.wire import mixes, network, permit, upload
from anontrace.wire import result as results
from anontrace.wire.choosing_paths import NoPathError, Paths
from anontrace.wire.look import Answer, Look
from anontrace.wire.mixes import Mix
from anontrace.wire.network import Network
from anontrace.wire.result import Question

_PATH_TRIES = 32

_random = secrets.SystemRandom()


@lru_cache(maxsize=1)  # `run` opens its state folder hundreds of times a day
def _parsed(file: str) -> Network:
    return network.parse(file, "the stored network file")


class Servers:
    """A context manager. `fresh_seconds`: for how long a directory is good."""

    def __init__(self, store: NetworkStore, fresh_seconds: int = FRESH_SECONDS) -> None:
        self._fresh_seconds = fresh_seconds
        stored = store.get()
        if stored is None:
            raise SetupError("no network is set; begin with: anontrace init NETWORK.toml")
        try:
            self._network = _parsed(stored.file)
        except AnontraceError as error:
            raise SetupError(f"{error}; run anontrace init again") from error
        self._store = store
        self._client = Client(stored.proxy, self._network.network.ca)
        # Mixes that took no messages, and why: not a first hop again.
        self._silent: dict[int, OfflineError | RefusedError] = {}

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, traceback)

    def take_carried(self) -> Carried:
        """What was asked and answered since the last call."""
        found, self._client.carried = self._client.carried, [0, 0, 0]
        return Carried(*found)

    @cached_property
    def _stored(self) -> dict[int, Mix] | None:
        """The mixes in force, by number, if discovery need not be asked."""
        return fresh(self._store, self._network, self._fresh_seconds)

    def catch_up(self) -> bool:
        """Have the directory at hand; whether discovery was asked for it just now."""
        was_there = "_mixes" in vars(self)
        return bool(self._mixes) and not was_there and self._stored is None

    @cached_property
    def _mixes(self) -> dict[int, Mix]:
        """The mixes in force that have a key alive, by number."""
        now = clock.now()
        found = self._stored
        if found is None:
            found = mixes_in_force(self._store, self._network, self._client, self._fresh_seconds)
        return {number: mix for number, mix in found.items() if mixes.usable_key(mix, now) is not None}

    @cached_property
    def _paths(self) -> Paths:
        return Paths(self._mixes, clock.now(), self._ends)

    def check_clock(self) -> None:
        """DirectoryError unless mixes are in force by this computer's clock."""
        if not self._mixes:
            raise DirectoryError("no key of the servers is in force; is this computer's clock right?")

    @cached_property
    def _ends(self) -> frozenset[int]:
        """Nymservers and mailbox servers: no relay for others where there are mixes enough without them."""
        ends = frozenset(number for number, each in self._mixes.items() if set(each.roles) != {"mix"})
        return ends if len(self._mixes) - len(ends) >= MAX_HOPS - 1 else frozenset()

    @cached_property
    def nymserver(self) -> Mix:
        (number,) = self._with_role("nymserver")
        return self._mixes[number]

    def random_mailbox_server(self) -> int:
        return _random.choice(self.mailbox_servers)

    @property
    def mailbox_servers(self) -> list[int]:
        return self._with_role("mailbox")

    @property
    def first_mixes(self) -> list[int]:
        """The mixes to which messages may be handed; OfflineError or RefusedError when none takes any."""
        ends = {number for number, each in self._mixes.items() if set(each.roles) != {"mix"}}
        mixes = sorted(self._mixes.keys() - ends - self._silent.keys())
        if not mixes:
            raise self._no_mix()
        return mixes

    def _no_mix(self) -> OfflineError | RefusedError:
        """Why there is no mix to hand messages to."""
        for kind in (CertificateError, RefusedError):
            for error in self._silent.values():
                if isinstance(error, kind):
                    return error
        return OfflineError("none of the mixes can be reached; nothing is lost, try again when you are online")

    def _with_role(self, role: str) -> list[int]:
        numbers = [number for number, each in self._mixes.items() if role in each.roles]
        if not numbers:
            raise DirectoryError(f"the directory has no {role} in force at the moment; try again later")
        return numbers

    @property
    def log_key(self) -> bytes:
        """The public key to which badges seal their logs."""
        key = self.nymserver.log_key
        assert key is not None  # a nymserver's description has one
        return key

    def path_to(self, last: int, minimum_days: int = 0) -> list[Hop]:
        """A random path that ends at mix `last`; its keys live for `minimum_days` whole days after today."""
        try:
            for _ in range(_PATH_TRIES):
                path = self._paths.choose(last, minimum_days=minimum_days)
                if path[0].number not in self._silent:
                    return path
        except NoPathError as error:
            raise DirectoryError(str(error)) from error
        raise self._no_mix()

    def path_from(self, first: int, last: int) -> list[Hop]:
        """A random path that begins at mix `first` and ends at mix `last`."""
        path = self.path_to(last)
        numbers = [hop.number for hop in path]
        if first in numbers:
            at = numbers.index(first)
            path[0], path[at] = path[at], path[0]
        else:
            path[0] = self._paths.hop(first)
        return path

    def send_messages(self, mix: int, messages: Sequence[bytes]) -> bool:
        """Hand messages to their first mix; False when it does not take them, and is not to be a first hop again: one
        that is broken or hostile keeps nobody from sending by the others."""
        try:
            self._client.post(f"mix {mix}", f"{self._mixes[mix].url}/v1/messages", b"".join(messages))
        except (OfflineError, RefusedError) as error:
            self._silent[mix] = error
            return False
        return True

    def look(self, server: int, asked: Look) -> Answer:
        """What a mailbox server answers to a look."""
        return self.read(server, asked, self.fetch(server, asked))

    def fetch(self, server: int, asked: Look) -> bytes:
        """The same, to be `read`."""
        if server not in self._mixes:
            raise OfflineError(f"mailbox server {server} is not in the directory at the moment; try again later")
        url = f"{self._mixes[server].url}/v2/look"
        try:
            return self._client.post(f"mailbox server {server}", url, asked.encode())
        except NoSuchThingError as error:
            raise RefusedError(
                f"mailbox server {server} is older than this companion; its operator has to bring it up to date"
            ) from error

    @staticmethod
    def read(server: int, asked: Look, body: bytes) -> Answer:
        """What a mailbox server has answered to a look."""
        try:
            return Answer.parse(asked, body)
        except AnontraceError as error:
            raise AnswerError(f"mailbox server {server}: {error}") from error

    def result(self, asked: Question) -> results.Answer:
        """How a test stands, by what the health authority has signed; a question without a token is one like others."""
        return self.read_result(asked, self.fetch_result(asked))

    def fetch_result(self, asked: Question) -> bytes:
        """The same, to be `read_result`."""
        url = f"{self._network.authority.url}/v2/result"
        try:
            return self._client.post("the health authority", url, asked.encode())
        except NoSuchThingError as error:
            raise RefusedError(
                "the health authority is older than this companion; its operator has to bring it up to date"
            ) from error

    def read_result(self, asked: Question, body: bytes) -> results.Answer:
        """What the health authority has answered to a question."""
        key = self._network.authority.key
        try:
            answer = results.Answer.parse(body)
            is_other = False
            if answer.state is results.State.PERMIT:
                is_other = permit.verify(answer.permit, key).log_hash != asked.log_hash
            elif answer.state is results.State.NEGATIVE:
                is_other = results.verify(answer.statement, key).serial != results.serial(asked.token_hash)
        except AnontraceError as error:
            raise AnswerError(f"the health authority's answer cannot be used: {error}") from error
        if is_other:
            raise AnswerError("the health authority's answer is for another log, or another test")
        return answer

    def statement(self, data: bytes) -> results.Statement:
        """What a statement (93) says. AnontraceError unless this network's health authority has signed it."""
        return results.verify(data, self._network.authority.key)

    def upload(self, chunk: bytes) -> upload.Reply:
        """Hand one chunk to the nymserver."""
        body = self._client.post("the nymserver", f"{self.nymserver.url}/v1/upload", chunk)
        try:
            return upload.parse_reply(body)
        except AnontraceError as error:
            raise AnswerError(f"the nymserver: {error}") from error
