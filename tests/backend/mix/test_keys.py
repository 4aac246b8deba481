"""A mix's daily keys, as they lie in a store."""

import asyncio
import os
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.mix.keys import MixKeys

from tests.backend.places import Place


def test_keys_that_another_storage_key_sealed_are_told_with_the_file_and_not_made_anew(place: Place) -> None:
    own, other, file = os.urandom(32), os.urandom(32), Path("mix-1") / "storage.key"

    async def published(storage_key: bytes) -> list[bytes]:
        store = await place.open()
        try:
            keys = MixKeys(store, storage_key, retire=False, key_file=file)
            await keys.roll(clock.now())
            return [key.public for key in keys.all()]
        finally:
            await store.close()

    made = asyncio.run(published(own))
    with pytest.raises(StoreError, match=str(file)):
        asyncio.run(published(other))
    assert asyncio.run(published(own)) == made
