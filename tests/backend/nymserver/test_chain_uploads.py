"""What a chain token is worth once its upload is here: a report of the next generation, once, or nothing."""

import os
from dataclasses import replace

from anontrace import clock
from anontrace.backend.nymserver.chain_uploads import ChainUploads, Origin
from anontrace.backend.nymserver.records import Decision, Retraction, Tally
from anontrace.backend.store import Store
from anontrace.mixnet import chain, keydays
from anontrace.wire.upload import ChainAuthorization
from anontrace_shared.schedule import nym_key

from tests.backend.nymserver.kinds import TOKEN_KEY, Worker
from tests.backend.places import Place, within

CASE, UPLOAD = bytes(range(16)), bytes(16)
ADDRESS, SLOT = bytes(range(20)), 5_900_000
UPLOAD_DAYS, CASE_DAYS = 30, 120
KEY = os.urandom(32)


def shown(generation: int = 1, days: int = 0) -> ChainAuthorization:
    """What a contact shows who was told `generation` from the patient; its token is good for so many days more."""
    last_day = keydays.day_at(clock.now()) + days
    claim = chain.ChainClaim(CASE, nym_key(ADDRESS, SLOT), generation, last_day)
    return ChainAuthorization(CASE, ADDRESS, SLOT, chain.seal(TOKEN_KEY, claim))


async def chains(store: Store, depth: int = 3) -> tuple[ChainUploads, Worker]:
    """A case whose patient's report was approved, with contacts told as far as this generation."""
    worker = Worker(store)
    await worker.reports.add(bytes(8), CASE, 0, "U07.1", [], Tally())
    await worker.reports.decide(bytes(8), Decision(approve=True, depth=depth, retraction_key=KEY))
    return ChainUploads(store, worker.reports, TOKEN_KEY), worker


def test_a_genuine_token_makes_a_report_of_its_case_and_generation_below_the_depth(place: Place) -> None:
    async def body(store: Store) -> None:
        uploads, _ = await chains(store, depth=3)
        for generation in (1, 2):
            found = await uploads.origin(shown(generation), os.urandom(16))
            assert found == Origin(CASE, generation, "U07.1")
            assert CASE.hex() not in repr(found) and "case" not in repr(found)
        assert await uploads.origin(shown(3), UPLOAD) is None

    within(place, body)


def test_what_is_not_the_token_of_this_address_and_case_makes_none(place: Place) -> None:
    good = shown()

    async def body(store: Store) -> None:
        uploads, _ = await chains(store)
        for wrong in (
            replace(good, chain_token=os.urandom(96)),
            replace(good, case_id=os.urandom(16)),
            replace(good, address=os.urandom(20)),
            replace(good, slot=SLOT + 1),
            replace(good, slot=1 << 32),
        ):
            assert await uploads.origin(wrong, UPLOAD) is None
        assert await uploads.origin(good, UPLOAD) is not None

    within(place, body)


def test_a_token_had_to_be_good_when_an_upload_of_thirty_days_began(place: Place) -> None:
    async def body(store: Store) -> None:
        uploads, _ = await chains(store)
        assert await uploads.origin(shown(days=-UPLOAD_DAYS - 1), UPLOAD) is None
        assert await uploads.origin(shown(days=-UPLOAD_DAYS), UPLOAD) is not None

    within(place, body)


def test_a_case_that_is_unknown_or_was_retracted_goes_no_further(place: Place) -> None:
    async def body(store: Store) -> None:
        worker = Worker(store)
        assert await ChainUploads(store, worker.reports, TOKEN_KEY).origin(shown(), UPLOAD) is None
        uploads, worker = await chains(store)
        await worker.reports.retract(bytes(8), Retraction(key=KEY))
        assert await uploads.origin(shown(), UPLOAD) is None

    within(place, body)


def test_a_token_is_for_one_upload_as_long_as_its_case_is_known_and_that_one_may_ask_again(place: Place) -> None:
    async def body(store: Store) -> None:
        uploads, worker = await chains(store)
        token, today = shown(), keydays.day_at(clock.now())
        assert await uploads.origin(token, UPLOAD) == await uploads.origin(token, UPLOAD) is not None
        assert await uploads.origin(token, os.urandom(16)) is None
        await store.expire(today + CASE_DAYS)
        assert await uploads.origin(token, os.urandom(16)) is None
        await store.expire(today + CASE_DAYS + 1)
        assert await worker.reports.case(CASE) is None

    within(place, body)
