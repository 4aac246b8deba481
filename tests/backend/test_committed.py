"""Tokens that cannot be sold: the attacker has a token, and a log that he made up; the network is a real one."""

import os
import time

import pytest
from anontrace.wire import commitment
from anontrace.wire.commitment import Commitment
from anontrace.wire.upload import PermitAuthorization, Reason, Reply, State
from anontrace_shared.slots import SLOT_SECONDS, slot_of

from tests.backend.client import Client, Registered

NO_PROOF = b""


@pytest.fixture(scope="module")
def slot() -> int:
    return slot_of(time.time()) - 4


@pytest.fixture(scope="module")
def people(client: Client, slot: int) -> list[Registered]:
    """One whom the patient met before the test, one after it, and one who was nowhere near."""
    return [client.register_all(each, 1)[0] for each in (slot, slot + 2, slot)]


def bought(client: Client, made: Commitment, log: bytes) -> tuple[Reply, bytes]:
    """What becomes of a log that is handed in with the token at whose test another was committed; and the case."""
    authorization = PermitAuthorization(client.redeem(client.token(made.code), log).permit)
    return client.upload(authorization, log), authorization.permit[1:17]


def patients(client: Client, slot: int, people: list[Registered]) -> tuple[bytes, Commitment]:
    """The log of who was tested, and what the test site had the code of."""
    log = client.make_log(slot, people[:1])
    return log, commitment.commit(log, slot, os.urandom(32))


def test_a_stranger_with_a_bought_token_and_a_log_of_his_own_is_refused_and_nobody_told(
    client: Client, slot: int, people: list[Registered]
) -> None:
    log, made = patients(client, slot, people)
    victim = people[2]
    made_up = client.make_log(slot, [victim])
    own = commitment.commit(made_up, slot, os.urandom(32))
    sold = made.prove(NO_PROOF)  # with which the seller shows that he has left out everything
    cases = []
    for handed_in in (
        made_up,  # the log alone
        own.prove(made_up) + made_up,  # it continues another code
        sold + made_up,  # what the seller can prove, with a block of that time
        sold[:-1] + bytes((sold[-1] ^ 1,)) + made_up,
        made.prove(log) + log + made_up,  # all that the seller has, and one more
    ):
        reply, case = bought(client, made, handed_in)
        assert (reply.state, reply.reason) == (State.REFUSED, Reason.NOT_COMMITTED)
        cases.append(case.hex())
    assert not {each["case"] for each in client.reports()} & set(cases)
    assert client.poll(victim.mailbox) == []


def test_what_comes_after_the_commitment_is_told_of_only_if_staff_say_so(
    client: Client, slot: int, people: list[Registered]
) -> None:
    """With all that the seller has, the buyer can make up what comes after the test: it is not bound, and staff see
    that of each exposure."""
    log, made = patients(client, slot, people)
    later = client.make_log(slot + 2, [people[1]])
    for name, handed_in, expected in (
        ("the patient's", log + later, [True, False]),
        ("the buyer's", later, [False]),
    ):
        reply, case = bought(client, made, made.prove(handed_in) + handed_in)
        assert reply.state is State.ACCEPTED, name
        report = client.report_with(case, 0)
        assert report["committed"] == {"until": (slot + 1) * SLOT_SECONDS}
        found = {each["committed"] for each in report["exposures"]}
        assert found == set(expected) and len(report["exposures"]) == len(expected), name
        assert client.approve(report["report"]) == expected.count(True), name


def test_without_a_commitment_whatever_is_handed_in_is_taken_and_staff_see_that(
    client: Client, slot: int, people: list[Registered]
) -> None:
    log, made = patients(client, slot, people)
    for handed_in in (log, made.prove(log) + log):  # what is shown and was not asked for says nothing
        assert client.upload(client.permit(handed_in), handed_in).state is State.ACCEPTED
        report = client.report_with(None, 0)
        assert report["committed"] is None
        assert [each["committed"] for each in report["exposures"]] == [None]
        assert client.approve(report["report"], exposures="committed") == 1
