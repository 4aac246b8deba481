"""Signed key lists and the directory: what is believed, and what is not."""

import json
import os
from typing import Any

import pytest
from anontrace.mixnet.keydays import published_days
from anontrace.wire import directory, keylist, signed
from anontrace.wire.directory import KEPT_DAYS, MOST_HEADS, PAGE, Directory, Edition, ForkError, Seen
from anontrace.wire.signed import Signed
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import AuthenticationError, FormatError

from tests.wire.samples import (
    DISCOVERY,
    KEYS,
    NETWORK,
    NOW,
    SEEDS,
    edition,
    key_list,
    signed_list,
    verify_key,
)

DISCOVERY_KEY = verify_key(DISCOVERY)


def test_a_list_survives_signing_and_sending() -> None:
    for number in SEEDS:
        made = key_list(number, losses={2: 0.5})
        sent = keylist.sign(made, SEEDS[number]).to_json()
        assert keylist.verify(signed.read(sent), NETWORK.pins, NOW) == made


def altered(mix: int, /, **changes: Any) -> Signed:
    """A list whose JSON was changed after validation, but rightly signed: what a faulty mix may send."""
    document = json.loads(key_list(mix).to_json())
    for name, value in changes.items():
        if value is None:
            document.pop(name)
        else:
            document[name] = value
    return signed.sign(keylist.LABEL, json.dumps(document), SEEDS[mix])


KEY = {"day": 19097, "key": "2a" * 32}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"number": 0}, "number"),
        ({"number": 256}, "number"),
        ({"number": "1"}, "number"),
        ({"name": ""}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": None}, "name: Field required"),
        ({"roles": []}, "roles"),
        ({"roles": ["nymserver"]}, "roles"),
        ({"roles": ["mix", "mix"]}, "roles"),
        ({"roles": ["mix", "emperor"]}, "roles"),
        ({"roles": ["mix", "nymserver", "mailbox"]}, "not both"),
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://xn--"}, "url"),
        ({"url": "http://[v1.x]"}, "url"),
        ({"url": "http://user@x"}, "url"),
        ({"url": "http://x:99999"}, "url"),
        ({"expires": NOW - 60}, "expires"),
        ({"issued": -1}, "issued"),
        ({"issued": 1.5}, "issued"),
        ({"keys": []}, "keys"),
        ({"keys": [KEY, KEY]}, "days must rise"),
        ({"keys": [{**KEY, "day": 19060}, KEY]}, "within 31 days"),
        ({"keys": [KEY, {**KEY, "day": 19098}]}, "two days"),
        ({"keys": [{**KEY, "day": 19000 + n, "key": f"{n:064x}"} for n in range(2, 34)]}, "keys"),
        ({"keys": [{**KEY, "key": "aa" * 31}]}, "64 hex digits"),
        ({"keys": [{**KEY, "key": "zz" * 32}]}, "64 hex digits"),
        ({"keys": [{**KEY, "key": "a " * 32}]}, "64 hex digits"),
        ({"keys": [{**KEY, "key": "00" * 32}]}, "not an X25519 public key"),
        ({"keys": [{**KEY, "key": "ff" * 32}]}, "not an X25519 public key"),
        ({"log_key": "aa" * 32, "bucket_bits": 4}, "no other mix has any"),
        ({"log_key": "aa" * 32}, "nymserver"),
        ({"losses": {"0": 0.5}}, "losses"),
        ({"losses": {"256": 0.5}}, "losses"),
        ({"losses": {"2": 1.5}}, "losses"),
        ({"losses": {"2": "much"}}, "losses"),
        ({"emperor": 1}, "emperor"),
    ],
)
def test_a_malformed_list_is_refused_in_one_line(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as caught:
        keylist.verify(altered(1, **changes), NETWORK.pins, NOW)
    assert str(caught.value).startswith("key list: ")
    assert "\n" not in str(caught.value)


def test_a_nymserver_without_its_log_key_is_refused() -> None:
    with pytest.raises(FormatError, match="log_key"):
        keylist.verify(altered(5, log_key=None), NETWORK.pins, NOW)


def test_points_of_low_order_are_no_keys() -> None:
    """What X25519 refuses is refused in a list already: such a key would spoil every path through its mix."""
    for u in sorted(keylist.LOW_ORDER):
        with pytest.raises(ValueError, match="low order"):
            x25519(os.urandom(32), u.to_bytes(32, "little"))
        with pytest.raises(FormatError, match="not an X25519"):
            keylist.read(altered(1, keys=[{"day": 1, "key": u.to_bytes(32, "little").hex()}]).document)


def test_a_list_signed_by_another_key_is_refused() -> None:
    made = keylist.sign(key_list(1), SEEDS[2])
    with pytest.raises(AuthenticationError, match="signature of this key list"):
        keylist.verify(made, NETWORK.pins, NOW)


def test_a_changed_list_is_refused() -> None:
    made = signed_list(1)
    with pytest.raises(AuthenticationError):
        keylist.verify(
            Signed(document=made.document.replace("mix 1", "mix I"), signature=made.signature), NETWORK.pins, NOW
        )


def test_a_signature_counts_under_its_label_only() -> None:
    made = signed.sign(directory.LABEL, key_list(1).to_json(), SEEDS[1])
    with pytest.raises(AuthenticationError):
        keylist.verify(made, NETWORK.pins, NOW)


def test_a_mix_that_is_not_pinned_is_refused() -> None:
    pins = {number: pin for number, pin in NETWORK.pins.items() if number != 1}
    with pytest.raises(FormatError, match="mix 1: this number is not pinned"):
        keylist.verify(signed_list(1), pins, NOW)


def test_a_mix_with_a_role_that_is_not_pinned_is_refused() -> None:
    with pytest.raises(FormatError, match="roles are not those"):
        keylist.verify(signed_list(1, roles=("mix", "mailbox")), NETWORK.pins, NOW)


def test_a_list_counts_from_its_issue_to_its_expiry() -> None:
    made = signed_list(1)
    keylist.verify(made, NETWORK.pins, NOW + 86399)
    with pytest.raises(FormatError, match="mix 1: it has expired"):
        keylist.verify(made, NETWORK.pins, NOW + 86400)
    keylist.verify(made, NETWORK.pins, NOW - 60 - 600)
    with pytest.raises(FormatError, match="future"):
        keylist.verify(made, NETWORK.pins, NOW - 60 - 601)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"document": "x"}', '{"document": 1, "signature": "00"}', '{"document": "\\ud800"}', "{"],
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="signed document: "):
        signed.read(text)


def test_a_directory_gives_the_lists_that_hold() -> None:
    lists = [signed_list(1), signed_list(2, expires=NOW - 1, issued=NOW - 2), signed_list(5)]
    lists.append(keylist.sign(key_list(3), SEEDS[4]))
    lists.append(signed.sign(keylist.LABEL, "not even JSON", SEEDS[6]))
    made = edition(1, None, lists)
    verified = directory.verify(directory.read(made.to_json()), DISCOVERY_KEY)
    usable = directory.usable(verified, NETWORK.pins, NOW)
    assert sorted(usable.lists) == [1, 5]
    assert len(usable.refused) == 3
    assert "mix 2: it has expired" in usable.refused[0]


def test_a_directory_with_one_mix_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="two key lists of mix 1"):
        directory.verify(edition(1, None, [signed_list(1), signed_list(1)]), DISCOVERY_KEY)


def test_a_directory_of_another_signer_is_refused() -> None:
    with pytest.raises(AuthenticationError, match="signature of this directory"):
        directory.verify(edition(1, None, []), verify_key(SEEDS[1]))


@pytest.mark.parametrize("lists", [[], [2], [2, 1], [1, 2, 3]], ids=str)
def test_a_directory_with_other_lists_than_were_signed_is_refused(lists: list[int]) -> None:
    by_number = {number: signed_list(number) for number in (1, 2, 3)}
    made = edition(1, None, [by_number[1], by_number[2]])
    with pytest.raises(FormatError, match="not those that were signed"):
        directory.verify(made.model_copy(update={"lists": tuple(by_number[n] for n in lists)}), DISCOVERY_KEY)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sequence": 0}, "sequence"),
        ({"sequence": 1 << 53}, "sequence"),
        ({"sequence": 2}, "previous"),
        ({"previous": "00" * 32}, "previous"),
        ({"previous": "00"}, "previous"),
        ({"lists": "00"}, "lists"),
        ({"more": 1}, "more"),
    ],
)
def test_a_malformed_head_is_refused(changes: dict[str, Any], complaint: str) -> None:
    document = {"version": 1, "sequence": 1, "previous": "", "issued": NOW, "lists": "00" * 32} | changes
    made = signed.sign(directory.LABEL, json.dumps(document), DISCOVERY)
    with pytest.raises(FormatError, match=complaint) as caught:
        directory.verify(Edition(document=made.document, signature=made.signature, lists=()), DISCOVERY_KEY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"lists": [{"document": "", "signature": "00" * 64}] * 256},
        {"lists": [{"document": ""}]},
        {"lists": {}},
        {"signature": "00"},
        {"more": 1},
    ],
    ids=["256 lists", "no signature", "no array", "short signature", "surprise"],
)
def test_what_is_no_directory_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="directory: ") as caught:
        directory.read(json.dumps({"document": "{}", "signature": "00" * 64, "lists": []} | changes))
    assert "\n" not in str(caught.value)


def chain(length: int, seed: str = "", after: Directory | None = None, issued: int = NOW) -> list[Directory]:
    """Directories that follow on each other."""
    made: list[Directory] = [] if after is None else [after]
    while len(made) < length:
        sequence, previous = (made[-1].head.sequence + 1, made[-1].seen.digest) if made else (1, None)
        lists = [signed_list(1, name=f"mix{seed} {sequence}")]
        made.append(directory.verify(edition(sequence, previous, lists, issued), DISCOVERY_KEY))
    return made


def texts(some: list[Directory]) -> list[str]:
    return [each.head_text for each in some]


def test_a_client_follows_the_chain_of_directories() -> None:
    made = chain(6)
    assert directory.follow(None, made[3], [], NOW)
    assert directory.follow(made[0].seen, made[0], [], NOW)
    assert directory.follow(made[0].seen, made[1], [], NOW)
    for heads in (texts(made[1:5]), texts(made)[::-1], [*texts(made), "rubbish"]):
        assert directory.follow(made[0].seen, made[5], heads, NOW)


def test_a_client_asks_for_the_pages_that_it_missed_and_no_other() -> None:
    def asked(seen: int, sequence: int, now: int = NOW) -> list[int]:
        made = directory.verify(edition(sequence, bytes(32), []), DISCOVERY_KEY)
        return list(directory.pages(Seen(seen, bytes(32), NOW), made, now))

    assert list(directory.pages(None, chain(1)[0], NOW)) == []
    assert asked(5, 5) == asked(5, 6) == asked(9, 7) == []
    assert asked(5, 7) == [0]
    assert asked(PAGE - 2, PAGE) == [0]
    assert asked(PAGE - 1, PAGE + 1) == [1]
    assert asked(5, 3 * PAGE + 1) == [0, 1, 2, 3]
    assert asked(5, 3 * PAGE) == [0, 1, 2]
    assert len(asked(1, MOST_HEADS)) == MOST_HEADS // PAGE
    assert asked(1, directory.MOST_SEQUENCE) == []
    assert asked(5, 7, NOW + (KEPT_DAYS + 1) * 86400) == []


def test_a_fork_is_noticed() -> None:
    made = chain(3)
    with pytest.raises(ForkError, match="back from directory 2 to 1"):
        directory.follow(made[1].seen, made[0], [], NOW)
    with pytest.raises(ForkError, match="two directories 2"):
        directory.follow(made[1].seen, chain(2, " of a fork")[1], [], NOW)
    with pytest.raises(ForkError, match="3 does not continue the directory 2 seen"):
        directory.follow(made[1].seen, chain(3, " of a fork")[2], [], NOW)


def test_a_fork_behind_what_was_missed_is_noticed() -> None:
    made, fork = chain(7), chain(7, " of a fork")
    other_branch = chain(6, " of a fork", after=made[0])  # 1, then others: it leaves the way before 3 was seen
    for shown in (fork, other_branch):
        newest = shown[-1]
        with pytest.raises(ForkError, match=f"{newest.head.sequence} does not continue the directory 3 seen before"):
            directory.follow(made[2].seen, newest, texts(shown), NOW)
        for heads in ([], texts(made), texts(shown)[-2:], ["rubbish"]):
            with pytest.raises(ForkError, match="does not show how"):
                directory.follow(made[2].seen, newest, heads, NOW)


def test_a_chain_whose_numbers_jump_is_a_fork() -> None:
    first = chain(1)[0]
    skipped = directory.verify(edition(3, first.seen.digest, []), DISCOVERY_KEY)
    last = directory.verify(edition(4, skipped.seen.digest, []), DISCOVERY_KEY)
    with pytest.raises(ForkError, match="3 continues a directory 1"):
        directory.follow(first.seen, last, texts([first, skipped]), NOW)


def test_after_30_days_discovery_need_not_show_what_was_missed_and_the_client_knows_that_it_was_not_checked() -> None:
    made = chain(4)
    last_moment = (NOW // 86400 + KEPT_DAYS + 1) * 86400 - 1
    with pytest.raises(ForkError, match="does not show"):
        directory.follow(made[0].seen, made[3], texts(made[2:]), last_moment)
    assert directory.follow(made[0].seen, made[3], texts(made), last_moment)
    assert not directory.follow(made[0].seen, made[3], texts(made[2:]), last_moment + 1)
    with pytest.raises(ForkError, match="back from"):
        directory.follow(made[3].seen, made[0], [], last_moment + 1)


def test_a_list_of_all_published_days_fits() -> None:
    assert [key.day for key in KEYS[1]] == list(published_days(NOW))
    assert len(key_list(1).keys) == 31


def test_an_ordinary_public_key_is_accepted() -> None:
    for _ in range(20):
        keylist.MixKey(day=1, key=x25519_base(os.urandom(32)))
