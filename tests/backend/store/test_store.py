"""What every implementation of the store promises."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anontrace.backend.background import Drain
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Entry, Put, Store, Taking, partitions
from redis.crc import key_slot

from tests.backend.places import Place, SharedCluster, within


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    """For what only the embedded store promises."""
    return Place(tmp_path / "db")


def test_what_was_put_is_there_after_reopening(place: Place) -> None:
    async def write(store: Store) -> None:
        await store.put_many("plain", [(b"a", b"1"), (b"b", b"2")])
        await store.put_many("daily", [(b"a", b"3")], expires=100)

    async def read(store: Store) -> None:
        assert await store.get_many("plain", [b"b", b"missing", b"a"]) == [b"2", None, b"1"]
        assert await store.get_many("daily", [b"a"]) == [b"3"]

    within(place, write)
    within(place, read)


def test_put_if_absent_stores_a_key_once_across_days_and_within_one_call(place: Place) -> None:
    async def body(store: Store) -> None:
        puts = [Put(b"k", b"1"), Put(b"l", b"2"), Put(b"k", b"3")]
        assert await store.put_if_absent_many("once", puts, expires=7) == [True, True, False]
        assert await store.put_if_absent_many("once", [Put(b"k", b"4"), Put(b"m", b"5")], expires=8) == [False, True]
        assert await store.get_many("once", [b"k", b"l", b"m"]) == [b"1", b"2", b"5"]

    within(place, body)


def test_of_many_concurrent_swaps_of_one_value_exactly_one_wins(place: Place) -> None:
    async def body(store: Store) -> None:
        assert await store.compare_and_swap("t", b"k", None, b"first", expires=3)
        wins = await asyncio.gather(
            *(store.compare_and_swap("t", b"k", b"first", b"%d" % i, expires=9) for i in range(100))
        )
        assert sum(wins) == 1
        assert await store.get_many("t", [b"k"]) == [b"%d" % wins.index(True)]
        assert not await store.compare_and_swap("t", b"k", None, b"squat")

    within(place, body)


def test_a_key_keeps_the_day_it_was_created_with(place: Place) -> None:
    async def body(store: Store) -> None:
        await store.compare_and_swap("t", b"old", None, b"1", expires=10)
        await store.compare_and_swap("t", b"old", b"1", b"2", expires=20)
        await store.put_many("t", [(b"young", b"3")], expires=20)
        assert await store.expire(11) == 1
        assert await store.get_many("t", [b"old", b"young"]) == [None, b"3"]

    within(place, body)


def test_a_whole_day_is_dropped_and_stays_dropped(place: Place) -> None:
    async def body(store: Store) -> None:
        await store.append_many("boxes", [(b"a", b"x")], limit=5, expires=10)
        assert await store.expire(10) == 0
        assert await store.expire(11) == 1

    async def after(store: Store) -> None:
        assert await store.get_lists("boxes", [b"a"]) == [[]]
        assert await store.expire(11) == 0

    within(place, body)
    within(place, after)


def test_append_keeps_order_skips_repeats_and_stops_at_the_limit(place: Place) -> None:
    async def body(store: Store) -> None:
        items = [(b"a", b"1"), (b"a", b"22"), (b"b", b""), (b"a", b"1"), (b"a", b"333"), (b"a", b"4")]
        assert await store.append_many("boxes", items, limit=3, expires=10) == [True, True, True, True, True, False]
        assert await store.get_lists("boxes", [b"a", b"b", b"c"]) == [[b"1", b"22", b"333"], [b""], []]

    within(place, body)


@pytest.mark.parametrize("bits", [0, 1, 8, 32])
def test_a_bucket_holds_the_keys_with_its_leading_bits_and_no_other(place: Place, bits: int) -> None:
    keys = [os.urandom(32) for _ in range(200)] + [b"\x00" * 32, b"\xff" * 32]

    async def body(store: Store) -> None:
        await store.put_many("nyms", [(key, key[:1]) for key in keys[:100]], expires=1)
        await store.put_many("nyms", [(key, key[:1]) for key in keys[100:]], expires=2)
        for probe in keys[-3:]:
            index = int.from_bytes(probe[:4], "big") >> (32 - bits)
            expected = {key for key in keys if int.from_bytes(key[:4], "big") >> (32 - bits) == index}
            assert {key for key, _ in await store.bucket("nyms", bits, index)} == expected

    within(place, body)


def test_queue_entries_come_in_order_of_their_time_and_only_when_due(place: Place) -> None:
    async def body(store: Store) -> None:
        await store.enqueue(
            [Entry("q", 30.0, b"c"), Entry("q", 10.0, b"a"), Entry("q", 20.0, b"b"), Entry("r", 1.0, b"r")]
        )
        taking = await store.take("q", now=20.0, limit=10, lease=5.0)
        assert [entry.item for entry in taking.entries] == [b"a", b"b"]
        assert taking.next_due == 30.0
        assert (await store.take("q", now=20.0, limit=10, lease=5.0)).entries == []
        await store.done("q", [taking.entries[0].id])
        assert [e.item for e in (await store.take("q", now=25.0, limit=10, lease=5.0)).entries] == [b"b"]
        assert await store.backlog() == {"q": 2, "r": 1}

    within(place, body)


def test_what_is_looked_at_stays_as_it_is_and_is_shown_in_order_whenever_it_is_due(place: Place) -> None:
    async def body(store: Store) -> None:
        numbers = [3e12, 7.5, 2.0, 9e9, 2.25]
        await store.enqueue([Entry("q", number, b"%r" % number) for number in numbers])
        await store.enqueue([Entry("r", 1.0, b"of another queue")])
        (leased,) = (await store.take("q", 3.0, 1, 3.0)).entries
        assert leased.item == b"2.0"  # and is due when its lease ends, at 6.0
        in_order = [b"2.25", b"2.0", b"7.5", b"9000000000.0", b"3000000000000.0"]
        assert [each.item for each in await store.peek("q", 10)] == in_order
        assert [each.id for each in await store.peek("q", 2)] == [each.id for each in await store.peek("q", 9)][:2]
        assert await store.peek("nothing", 5) == []
        assert len((await store.take("q", 8.0, 10, 1.0)).entries) == 3
        await store.done("q", [leased.id])
        assert leased.id not in [each.id for each in await store.peek("q", 10)]
        assert await store.backlog() == {"q": 4, "r": 1}

    within(place, body)


def test_leased_entries_come_back_after_a_restart_and_done_ones_do_not(place: Place) -> None:
    async def body(store: Store) -> None:
        await store.enqueue([Entry("q", 1.0, b"done"), Entry("q", 2.0, b"leased")])
        taking = await store.take("q", now=2.0, limit=10, lease=1000.0)
        await store.done("q", [entry.id for entry in taking.entries if entry.item == b"done"])

    async def after(store: Store) -> None:
        assert [entry.item for entry in (await store.take("q", 2.0, 10, 1.0)).entries] == [b"leased"]

    within(place, body)
    within(place, after)


def test_an_entry_that_was_put_back_is_due_when_it_was_said_to_be(place: Place) -> None:
    async def body(store: Store) -> None:
        await store.enqueue([Entry("q", 1.0, b"x")])
        taken = await store.take("q", 1.0, 1, 1000.0)
        await store.again("q", [taken.entries[0].id], 7.0)
        assert (await store.take("q", 6.9, 1, 1.0)).next_due == 7.0
        assert len((await store.take("q", 7.0, 1, 1.0)).entries) == 1

    within(place, body)


def test_a_renewed_entry_stays_leased_and_comes_back_when_nobody_renews_it(place: Place) -> None:
    async def body(store: Store) -> None:
        other = await place.open() if place.cluster else store  # another worker, where there may be one
        await store.enqueue([Entry("q", 1.0, b"x")])
        taken = await store.take("q", 1.0, 1, 10.0)
        await store.renew("q", [taken.entries[0].id], 20.0)
        assert await other.take("q", 19.9, 1, 10.0) == Taking([], 20.0)
        assert (await other.take("q", 20.0, 1, 10.0)).entries == taken.entries
        await other.done("q", [taken.entries[0].id])
        await store.renew("q", [taken.entries[0].id], 50.0)
        assert await store.take("q", 100.0, 1, 10.0) == Taking([], None)
        if other is not store:
            await other.close()

    within(place, body)


def test_a_worker_keeps_what_it_has_in_hand_for_as_long_as_that_takes(place: Place) -> None:
    async def body(store: Store) -> None:
        finish, began = asyncio.Event(), asyncio.Event()

        async def handler(items: Sequence[bytes]) -> None:
            began.set()
            await finish.wait()

        await store.enqueue([Entry("q", 1.0, b"x")])
        drain = asyncio.create_task(Drain(store, "q", handler, 1, lambda: False, lease=0.3).run())
        await began.wait()
        ends = [(await store.take("q", 0.0, 1, 1.0)).next_due]
        while len(ends) < 4:
            await asyncio.sleep(0.01)
            ends += [end for end in [(await store.take("q", 0.0, 1, 1.0)).next_due] if end != ends[-1]]
        assert ends == sorted(end for end in ends if end is not None)
        finish.set()
        while await store.backlog():
            await asyncio.sleep(0.01)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)

    within(place, body)


@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_what_was_queued_while_the_clock_was_ahead_or_behind_is_handed_over(place: Place, delay: float) -> None:
    async def body(store: Store) -> None:
        handed: list[bytes] = []

        async def handler(items: Sequence[bytes]) -> None:
            handed.extend(items)

        now, month = time.time(), 30 * 86400
        late = [Entry("q", now + month + i, b"ahead %d" % i) for i in range(1500)]
        await store.enqueue([*late, Entry("q", now - month, b"behind"), Entry("q", now + 300, b"later")])
        await store.enqueue([Entry("other", now + month, b"of another queue")])
        assert len(await store.late("q", now + 600, 10)) == 10
        assert await store.late("none", now, 10) == []
        drain = asyncio.create_task(Drain(store, "q", handler, 64, lambda: False, delay=delay).run())
        while (await store.backlog())["q"] > 1:
            await asyncio.sleep(0.01)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)
        assert sorted(handed) == sorted([b"behind", *(entry.item for entry in late)])
        assert await store.late("q", now + 299, 10) and not await store.late("q", now + 301, 10)

    within(place, body)


def test_entries_that_become_due_one_by_one_are_gathered(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    gather, rested = 3600.0, asyncio.Event()
    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        await (rested.wait() if seconds == gather else sleep(seconds))

    monkeypatch.setattr("anontrace.backend.background.asyncio.sleep", rest)

    async def body(store: Store) -> None:
        handed: list[list[bytes]] = []

        async def handler(items: Sequence[bytes]) -> None:
            handed.append(sorted(items))

        async def all_handed() -> None:
            while await store.backlog():
                await sleep(0.01)

        drain = Drain(store, "q", handler, 2, lambda: False, gather=gather)
        await store.enqueue([Entry("q", float(i), b"%d" % i) for i in range(5)])
        draining = asyncio.create_task(drain.run())
        await all_handed()  # full ones follow each other
        for item in (b"one", b"two"):
            await store.enqueue([Entry("q", 9.0, item)])
            drain.wake()
        assert len(handed) == 3
        rested.set()
        await all_handed()
        assert handed[2:] == [[b"4"], [b"one", b"two"]]
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)

    within(folder, body)


def test_a_queue_entry_exists_only_if_its_condition_held(place: Place) -> None:
    async def body(store: Store) -> None:
        entry = Entry("q", 0.0, b"x")
        await store.put_if_absent_many("t", [Put(b"k", b"v", entry), Put(b"k", b"v", entry)])
        assert await store.backlog() == {"q": 1}
        assert not await store.compare_and_swap("t", b"k", b"other", b"w", then=[entry])
        assert await store.backlog() == {"q": 1}
        assert await store.compare_and_swap("t", b"k", b"v", None, then=[entry, entry])
        assert await store.backlog() == {"q": 3}
        assert await store.get_many("t", [b"k"]) == [None]

    within(place, body)


def test_every_name_in_a_cluster_lies_in_the_hash_slot_of_its_shard(redis_cluster: SharedCluster) -> None:
    """Scripts make names that they do not declare, which is right as long as it holds of each."""
    corner = replace(redis_cluster.corner(), buckets={"nyms": 8})

    async def body(store: Store) -> None:
        keys = [os.urandom(8) for _ in range(64)]
        for table in ("nyms", "plain"):
            await store.put_many(table, [(key, b"v") for key in keys[:32]])
            await store.put_if_absent_many(table, [Put(key, b"v", Entry("q", 1.0, key)) for key in keys], expires=3)
            await store.compare_and_swap(table, keys[0], b"v", b"w", then=[Entry("r", 1.0, b"x")])
        await store.append_many("boxes", [(key, b"x") for key in keys], 5, expires=4)
        await store.enqueue([Entry("q", 2.0, b"y")])

    within(Place(Path(), corner), body)
    names = redis_cluster.names(corner.prefix)
    assert len(names) > 3 * corner.shards
    shards = {key_slot(f"{{{corner.prefix}.{shard}}}".encode()) for shard in range(corner.shards)}
    assert {key_slot(name) for name in names} == shards
    assert all(name.startswith(b"{%b." % corner.prefix.encode()) for name in names)


def test_a_second_process_cannot_open_the_same_folder(folder: Place) -> None:
    async def body(_: Store) -> None:
        with pytest.raises(StoreError, match="db"):
            await folder.open()

    within(folder, body)


def test_what_was_acknowledged_survives_kill_9(folder: Place) -> None:
    script = """
        import asyncio, sys
        from pathlib import Path
        from anontrace.backend.store import Entry, Put, open_store

        async def main():
            store = await open_store(Path(sys.argv[1]))
            number = 0
            while True:
                key = number.to_bytes(4, "big")
                await store.put_if_absent_many("once", [Put(key, b"v", Entry("q", 0.0, key))], expires=5)
                print(number, flush=True)
                number += 1

        asyncio.run(main())
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(folder.folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    async def after(store: Store) -> None:
        keys = [number.to_bytes(4, "big") for number in acknowledged]
        assert None not in await store.get_many("once", keys)
        taken = await store.take("q", 1.0, 10_000, 1.0)
        assert set(keys) <= {entry.item for entry in taken.entries}

    within(folder, after)


def files_with(folder: Path, what: bytes) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file() and what in path.read_bytes())


def test_what_was_deleted_or_dropped_is_in_no_file_once_the_store_was_scrubbed(folder: Place) -> None:
    deleted, done, dropped, kept = (os.urandom(32) for _ in range(4))

    async def body(store: Store) -> None:
        for flushed_before in (True, False):
            await store.put_many("contacts", [(b"a", deleted), (b"b", kept)], expires=10)
            await store.put_many(f"key-{flushed_before}", [(b"secret", dropped)], expires=9)
            await store.enqueue([Entry("send", 0.0, done)])
            if flushed_before:
                await store.scrub()
            assert all(files_with(folder.folder, each) for each in (deleted, done, dropped, kept))
            await store.delete_many("contacts", [b"a"])
            taken = (await store.take("send", 1.0, 9, 1.0)).entries
            await store.done("send", [each.id for each in taken])
            await store.expire(10)
            await store.scrub()
            for each in (deleted, done, dropped):
                assert files_with(folder.folder, each) == []
            assert files_with(folder.folder, kept)
        assert await store.get_many("contacts", [b"a", b"b"]) == [None, kept]

    within(folder, body)


def test_a_deleted_key_is_in_no_file_once_the_store_was_scrubbed(folder: Place) -> None:
    """Files are named in the engine's manifest by the first and the last key that they hold."""
    keys = sorted(os.urandom(32) for _ in range(200))
    deleted = keys[:71] + keys[-70:]

    async def body(store: Store) -> None:
        for day, each in enumerate(keys):
            await store.put_many("nyms", [(each, os.urandom(200))], expires=10 + day % 45)
        await store.scrub()
        assert all(files_with(folder.folder, each) for each in (keys[0], keys[-1]))
        for some in (deleted[:30], deleted[30:]):
            await store.delete_many("nyms", some)
            await store.scrub()
            for each in some:  # a block repeats no beginning that a key shares with the one before
                assert files_with(folder.folder, each[-16:]) == []
        await store.expire(30)
        await store.scrub()
        for day, each in enumerate(keys):
            kept = each not in deleted and 10 + day % 45 >= 30
            assert bool(files_with(folder.folder, each[-16:])) == kept

    within(folder, body)


def test_what_is_deleted_while_the_store_is_scrubbed_is_gone_the_next_time(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = os.urandom(32)

    async def body(store: Store) -> None:
        await store.put_many("contacts", [(b"a", deleted)], expires=10)
        loop, real, turns = asyncio.get_running_loop(), partitions._holds_deleted, 0

        def too_late(*about: Any) -> bool:
            nonlocal turns
            turns += 1
            found = real(*about)
            if turns == 2:  # of the two column families
                asyncio.run_coroutine_threadsafe(store.delete_many("contacts", [b"a"]), loop).result()
            return found

        monkeypatch.setattr(partitions, "_holds_deleted", too_late)
        await store.scrub()
        assert turns == 2 and files_with(folder.folder, deleted)
        await store.scrub()
        assert files_with(folder.folder, deleted) == []

    within(folder, body)


def test_a_store_that_is_scrubbed_all_the_time_is_written_dropped_and_closed_meanwhile(folder: Place) -> None:
    async def body(store: Store) -> None:
        async def scrub() -> None:
            while True:
                await store.scrub()

        scrubbing = [asyncio.create_task(scrub()) for _ in range(3)]
        for day in range(30):
            await store.put_many("daily", [(bytes((day,)), os.urandom(1000))], expires=day)
            await store.put_many("plain", [(bytes((day,)), os.urandom(1000))])
            await store.delete_many("plain", [bytes((day // 2,))])
            await store.expire(day - 1)
        assert not any(each.done() for each in scrubbing)
        for each in scrubbing:
            each.cancel()
        found = await store.get_many("daily", [bytes((day,)) for day in range(30)])
        assert [value is not None for value in found] == [False] * 28 + [True] * 2

    within(folder, body)


def test_scrubbing_after_a_restart_finds_what_was_deleted_before_it(folder: Place) -> None:
    deleted, kept = os.urandom(32), os.urandom(32)

    async def before(store: Store) -> None:
        await store.put_many("contacts", [(deleted, b"1"), (kept, b"2")], expires=10)
        await store.scrub()
        await store.delete_many("contacts", [deleted])

    async def after(store: Store) -> None:
        await store.scrub()
        assert files_with(folder.folder, deleted) == []
        assert await store.get_many("contacts", [deleted, kept]) == [None, b"2"]

    within(folder, before)
    within(folder, after)


def test_a_store_writes_no_file_because_it_has_many_tables_and_days_and_keeps_no_diary(folder: Place) -> None:
    """A column family for each would take a megabyte for each, and be written out at nearly every write."""

    async def body(store: Store) -> None:
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        files = set(folder.folder.iterdir())
        for day in range(400):
            for table in ("nyms", "mailboxes", f"key-{day}"):
                await store.put_many(table, [(os.urandom(32), os.urandom(200))], expires=day)
            await store.put_many(f"plain-{day}", [(b"k", b"v")])
        assert set(folder.folder.iterdir()) == files
        for day in range(1, 400, 100):
            await store.scrub()
            assert await store.expire(day) == (3 if day == 1 else 300)
            assert len(list(folder.folder.iterdir())) < len(files) + 10
        assert len(list(Path("/proc/self/fd").iterdir())) < descriptors + 10
        assert sum(path.stat().st_size for path in folder.folder.glob("MANIFEST*")) < 4096

    async def after(store: Store) -> None:
        assert await store.get_many("plain-7", [b"k"]) == [b"v"]
        assert sum(path.stat().st_size for path in folder.folder.glob("LOG*")) == 0

    within(folder, body)
    for _ in range(3):
        within(folder, after)
