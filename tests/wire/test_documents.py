"""What mixes publish, and the directory of it: what is believed, and what is not."""

import os

import pytest
from anontrace.wire import announcement, catching_up, content, description, directory, mixes, x25519_keys
from anontrace.wire.catching_up import WHOLE, Caught
from anontrace.wire.content import Content
from anontrace.wire.description import MAX_DESCRIPTION
from anontrace.wire.directory import FIRST, KEPT_DAYS, Difference, Directory, ForkError, Head
from anontrace_primitives import x25519, x25519_base
from anontrace_shared.errors import AuthenticationError, FormatError
from pydantic import ValidationError

from tests.wire import samples
from tests.wire.samples import DAYS, DISCOVERY, KEYS, NETWORK, NOW, ROLES, SEEDS, TODAY, described, edition, verify_key

DISCOVERY_KEY = verify_key(DISCOVERY)
DAY = 86400


@pytest.mark.parametrize("number", SEEDS)
def test_a_description_survives_encoding(number: int) -> None:
    for made in (described(number), described(number, retiring=True, name="№ ü" * 9)):
        assert description.parse(made.encode()) == made


def test_the_longest_description_is_as_long_as_the_bound_says() -> None:
    longest = described(5, name="ü" * 32, url="http://x/" + "a" * 191, bucket_bits=32)
    assert len(longest.encode()) == MAX_DESCRIPTION
    with pytest.raises(ValidationError, match="at most 64 bytes"):
        described(1, name="ü" * 33)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({0: 0}, "number"),
        ({1: 8}, "flags"),
        ({1: 3}, "not both"),
        ({6: 0}, "too short"),
        ({6: 255}, "too short"),
        ({7: 0xFF}, "UTF-8"),
        ({7: 10}, "name"),
        ({13: ord("f")}, "url"),
    ],
)
def test_a_malformed_description_is_refused_in_one_line(changes: dict[int, int], complaint: str) -> None:
    text = bytearray(described(5).encode())
    for at, value in changes.items():
        text[at] = value
    with pytest.raises(FormatError, match=complaint) as caught:
        description.parse(bytes(text))
    assert str(caught.value).startswith("description of ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [*range(30), -1, -2, -33])
def test_a_description_that_is_cut_off_is_refused(size: int) -> None:
    whole = described(5, bucket_bits=None).encode()
    with pytest.raises(FormatError):
        description.parse(whole[:size])
    with pytest.raises(FormatError):
        description.parse(whole + bytes(2))


@pytest.mark.parametrize("bits", [33, 255])
def test_buckets_that_no_nymserver_can_have_are_refused(bits: int) -> None:
    with pytest.raises(FormatError, match="bucket_bits"):
        description.parse(described(5).encode()[:-1] + bytes((bits,)))


def announced(number: int = 1, *, lossy: tuple[int, ...] = (), key: bytes | None = None, day: int = TODAY) -> bytes:
    text = described(number).encode()
    return announcement.sign(number, day, key or KEYS[number][day], lossy, text, SEEDS[number]).encode()


def test_an_announcement_survives_signing_and_sending() -> None:
    for lossy in ((), (2,), (2, 255)):
        made = announced(lossy=lossy)
        assert len(made) == announcement.SIZE == 99
        parsed = announcement.parse(made, TODAY)
        assert (parsed.number, parsed.key, parsed.lossy) == (1, KEYS[1][TODAY], lossy)
        announcement.check(parsed, described(1).encode(), verify_key(SEEDS[1]))


@pytest.mark.parametrize("told", [b"\2\0", b"\3\2", b"\2\2", b"\1\2", b"\0\1"])
def test_an_announcement_accuses_by_rising_number_and_not_itself(told: bytes) -> None:
    made = announced()
    with pytest.raises(FormatError, match="accuses"):
        announcement.parse(made[:33] + told + made[35:], TODAY)


def test_an_announcement_of_another_length_or_of_no_mix_is_refused() -> None:
    made = announced()
    for wrong in (made[:-1], made + b"\0", b"\0" + made[1:], b""):
        with pytest.raises(FormatError, match="another length, or no mix's number"):
            announcement.parse(wrong, TODAY)


def test_points_of_low_order_are_no_keys() -> None:
    """What X25519 refuses is refused in a directory already: such a key would spoil every path through its mix."""
    assert {0, 1, (1 << 255) - 20} < x25519_keys.LOW_ORDER and len(x25519_keys.LOW_ORDER) == 5
    for u in (*sorted(x25519_keys.LOW_ORDER), (1 << 255) - 19, (1 << 255) - 18, (1 << 256) - 1):
        key = u.to_bytes(32, "little")
        if u in x25519_keys.LOW_ORDER:
            with pytest.raises(ValueError, match="low order"):
                x25519(os.urandom(32), key)
        with pytest.raises(FormatError, match="not an X25519"):
            announcement.parse(announced(key=key), TODAY)
        with pytest.raises(ValidationError, match="not an X25519"):
            described(5, log_key=key)
    for _ in range(20):
        announcement.parse(announced(key=x25519_base(os.urandom(32))), TODAY)


def verified(made: Content, number: int = 1, now: float = NOW) -> mixes.Mix:
    return mixes.verified(made, number, NETWORK.pins, now)


def test_a_mix_is_believed_by_its_description_and_all_it_announced() -> None:
    for number in SEEDS:
        made = samples.content([number], lossy={number: (7, 8)})
        found = verified(made, number)
        assert (found.number, found.roles, found.lossy) == (number, ROLES[number], (7, 8))
        assert [(key.day, key.key) for key in found.keys] == [(day, KEYS[number][day]) for day in DAYS]


def changed(made: bytes, at: int) -> bytes:
    return made[:at] + bytes((made[at] ^ 2,)) + made[at + 1 :]


def test_an_announcement_holds_for_its_mix_day_and_description_alone() -> None:
    made = samples.content([1])
    text, days = made.descriptions[1], made.announcements[1]
    other = described(1, name="other").encode()
    wrong = [
        Content({1: other}, {1: days}),
        Content({1: text}, {1: {TODAY: days[TODAY], TODAY + 2: days[TODAY + 1]}}),
        *(Content({1: text}, {1: {**days, TODAY: changed(days[TODAY], at)}}) for at in (1, 34, 98)),
        Content({1: text}, {1: {TODAY: b"\1" + announced(2)[1:]}}),
    ]
    for each in wrong:
        with pytest.raises(AuthenticationError, match="signature of this announcement of mix 1 for day"):
            verified(each)


def test_a_mix_that_is_not_pinned_or_has_other_roles_is_refused() -> None:
    made = samples.content([1])
    pins = {number: pin for number, pin in NETWORK.pins.items() if number != 1}
    with pytest.raises(FormatError, match="mix 1: this number is not pinned"):
        mixes.verified(made, 1, pins, NOW)
    with pytest.raises(FormatError, match="roles are not those"):
        verified(samples.content([1], roles=("mix", "mailbox")))


def test_a_description_from_the_future_is_refused() -> None:
    verified(samples.content([1], issued=NOW + 600))
    with pytest.raises(FormatError, match="future"):
        verified(samples.content([1], issued=NOW + 601))


def test_a_mix_is_in_force_until_the_end_of_the_last_day_that_it_announced() -> None:
    midnight = TODAY * DAY
    days = [(number, (TODAY - 1,)) for number in (1, 2)] + [(3, DAYS), (4, (TODAY + 1, TODAY + 2))]
    found = [samples.mix(number, days=some) for number, some in days]
    found.append(samples.mix(5, days=(TODAY - 29,), retiring=True))
    assert sorted(mixes.in_force(found, midnight - 1)) == [1, 2, 3, 5]  # mix 4 only tells of days to come
    assert sorted(mixes.in_force(found, midnight)) == [3, 4, 5]
    assert [key.day for key in mixes.in_force(found, midnight)[4].keys] == [TODAY + 1]
    assert sorted(mixes.in_force(found, midnight + DAY)) == [3, 4]  # and with its last key who retires is gone


def test_what_one_mix_has_wrong_costs_only_itself() -> None:
    made = samples.content()
    broken = {
        **made.announcements,
        2: {TODAY: changed(made.announcements[2][TODAY], 50)},
        3: {TODAY: bytes((3,)) + bytes(98)},
    }
    whole = directory.parse(edition(1, None, Content(made.descriptions, broken)).encode(), DISCOVERY_KEY)
    found = mixes.known(whole.content, NETWORK.pins, NOW)
    assert sorted(found.mixes) == [1, 4, 5, 6]
    assert [line.split(":")[0] for line in found.refused] == [
        f"the signature of this announcement of mix 2 for day {TODAY} does not hold",
        "announcement of mix 3",
    ]


def test_a_directory_survives_sending_and_a_difference_makes_the_next_of_it() -> None:
    old = edition(FIRST, None, samples.content([1, 2, 3]))
    assert directory.parse(old.encode(), DISCOVERY_KEY) == old
    new = edition(2, old.head.digest, samples.content([1, 2, 4], days=(TODAY + 1, TODAY + 2)))
    text = {4: new.content.descriptions[4]}
    news = {
        n: {d: each for d, each in new.content.announcements[n].items() if d > TODAY + 1 or n == 4} for n in (1, 2, 4)
    }
    sent = Difference([old.head, new.head], new.signature, frozenset((1, 2, 4)), Content(text, news)).encode()
    found = directory.parse_difference(sent, DISCOVERY_KEY)
    assert [head.seen for head in found.heads] == [old.seen, new.seen]
    assert found.applied_to(old.content) == new
    assert found.applied_to(Content()) is None  # who lacks more than is new notices


@pytest.mark.parametrize("at", [0, 8, 40, 48, 80, 143, 144, 150, -1])
def test_a_directory_that_is_not_as_it_was_signed_is_refused(at: int) -> None:
    whole = edition(2, bytes(31) + b"\1", samples.content([1, 2])).encode()
    with pytest.raises((FormatError, AuthenticationError)):
        directory.parse(changed(whole, at % len(whole)), DISCOVERY_KEY)


def test_a_directory_of_another_signer_is_refused() -> None:
    whole = edition(1, None)
    for data, parse in ((whole.encode(), directory.parse), (difference([whole]), directory.parse_difference)):
        with pytest.raises(AuthenticationError, match="signature of this directory"):
            parse(data, verify_key(SEEDS[1]))


@pytest.mark.parametrize(("sequence", "previous"), [(0, bytes(32)), (1, b"\1" * 32), (2, bytes(32))])
def test_a_head_that_has_no_place_in_a_chain_is_refused(sequence: int, previous: bytes) -> None:
    made = edition(sequence, previous)
    with pytest.raises(FormatError, match="only that, is number 1"):
        directory.parse(made.encode(), DISCOVERY_KEY)
    with pytest.raises(FormatError, match="only that, is number 1"):
        directory.parse_difference(difference([made]), DISCOVERY_KEY)


def encoded(descriptions: list[bytes], groups: list[tuple[int, list[bytes]]]) -> bytes:
    parts = [bytes((len(descriptions),)), *(len(each).to_bytes(2, "little") + each for each in descriptions)]
    parts.append(len(groups).to_bytes(2, "little"))
    parts += [day.to_bytes(4, "little") + bytes((len(some),)) + b"".join(some) for day, some in groups]
    return b"".join(parts)


ONE, TWO = announced(1), announced(2)


@pytest.mark.parametrize(
    ("descriptions", "groups", "complaint"),
    [
        ([b"\2x", b"\1x"], [], "do not rise"),
        ([b"\1x", b"\1y"], [], "do not rise"),
        ([b"\0x"], [], "no number"),
        ([b""], [], "0 bytes"),
        ([bytes(MAX_DESCRIPTION + 1)], [], "bytes"),
        ([], [(5, [ONE]), (5, [ONE])], "days"),
        ([], [(5, [ONE]), (4, [ONE])], "days"),
        ([], [(1 << 16, [ONE])], "days"),
        ([], [(5, [])], "days"),
        ([], [(5, [TWO, ONE])], "do not rise"),
        ([], [(5, [ONE, ONE])], "do not rise"),
        ([], [(5, [bytes(99)])], "no number"),
        ([], [(5, [ONE]), (6, [ONE]), (7, [ONE])], "more than 2 announcements of mix 1"),
        ([], [(5, [ONE[:-1]])], "cut off"),
        ([], [(5, [ONE + b"x"])], "more after its end"),
    ],
)
def test_content_out_of_order_or_form_is_refused(
    descriptions: list[bytes], groups: list[tuple[int, list[bytes]]], complaint: str
) -> None:
    with pytest.raises(FormatError, match=complaint) as caught:
        content.parse(encoded(descriptions, groups))
    assert "\n" not in str(caught.value)


def test_a_mix_that_announces_without_a_description_has_no_place_in_a_directory() -> None:
    made = samples.content([1, 2])
    for each in (Content({1: made.descriptions[1]}, made.announcements), Content(made.descriptions, {})):
        with pytest.raises(FormatError, match="described and announces nothing"):
            directory.parse(edition(1, None, each).encode(), DISCOVERY_KEY)


def difference(editions: list[Directory], news: Content | None = None, present: frozenset[int] | None = None) -> bytes:
    """What is new since the first of them."""
    newest = editions[-1]
    there = frozenset(newest.content.descriptions) if present is None else present
    return Difference([each.head for each in editions], newest.signature, there, news or newest.content).encode()


@pytest.mark.parametrize("cut", [0, 41, 42, 60, 81, 82, 146, 177, 178, -1])
def test_a_difference_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises((FormatError, AuthenticationError)):
        directory.parse_difference(difference(chain(1))[:cut], DISCOVERY_KEY)


def test_a_difference_with_a_mix_0_or_no_heads_is_refused() -> None:
    whole = chain(1)
    with pytest.raises(FormatError, match="no mix 0"):
        directory.parse_difference(difference(whole, present=frozenset((0, 1))), DISCOVERY_KEY)
    none = difference(whole)
    with pytest.raises(FormatError, match="cut off"):
        directory.parse_difference(none[:40] + bytes(2) + none[42:], DISCOVERY_KEY)


def chain(length: int, seed: str = "", after: Directory | None = None, issued: int = NOW) -> list[Directory]:
    """Directories that follow on each other."""
    made: list[Directory] = [] if after is None else [after]
    while len(made) < length:
        sequence, previous = (made[-1].head.sequence + 1, made[-1].head.digest) if made else (FIRST, None)
        held = samples.content([1], name=f"mix{seed} {sequence}")
        made.append(edition(sequence, previous, held, issued))
    return made


def heads(some: list[Directory]) -> list[Head]:
    return [each.head for each in some]


def test_a_client_follows_the_chain_of_directories() -> None:
    made = chain(6)
    assert directory.follow(None, heads(made[3:4]), NOW)
    assert directory.follow(made[0].seen, heads(made[:1]), NOW)
    assert directory.follow(made[0].seen, heads(made[1:2]), NOW)
    assert directory.follow(made[2].seen, heads(made), NOW)
    assert directory.follow(made[2].seen, heads(made[3:]), NOW)


def test_a_fork_is_noticed() -> None:
    made, fork = chain(7), chain(7, " of a fork")
    other_branch = chain(6, " of a fork", after=made[0])  # 1, then others: it leaves the way before 3 was seen
    with pytest.raises(ForkError, match="back from directory 2 to 1"):
        directory.follow(made[1].seen, heads(made[:1]), NOW)
    with pytest.raises(ForkError, match="two directories 2"):
        directory.follow(made[1].seen, heads(fork[1:2]), NOW)
    for shown in (fork, fork[3:], other_branch, other_branch[3:]):
        newest = shown[-1].head.sequence
        with pytest.raises(ForkError, match=f"{newest} does not continue the directory 3 seen before"):
            directory.follow(made[2].seen, heads(shown), NOW)


def test_after_30_days_discovery_need_not_show_what_was_missed_and_the_client_knows_that_it_was_not_checked() -> None:
    made = chain(4)
    last_moment = (NOW // DAY + KEPT_DAYS + 1) * DAY - 1
    with pytest.raises(ForkError, match="does not show how directory 4 follows 1"):
        directory.follow(made[0].seen, heads(made[2:]), last_moment)
    assert directory.follow(made[0].seen, heads(made), last_moment)
    assert not directory.follow(made[0].seen, heads(made[2:]), last_moment + 1)
    with pytest.raises(ForkError, match="back from"):
        directory.follow(made[3].seen, heads(made[:1]), last_moment + 1)


def led(known: Directory | None, answers: dict[str, bytes | None], now: float = NOW) -> tuple[list[str], Caught]:
    """What is asked for, and what comes of the answers."""
    asked: list[str] = []
    asking = catching_up.catch_up(known, DISCOVERY_KEY, now)
    try:
        path = next(asking)
        while True:
            asked.append(path)
            path = asking.send(answers[path])
    except StopIteration as end:
        return asked, end.value


def test_who_knows_nothing_asks_for_all_and_who_knows_a_day_for_what_is_new_since() -> None:
    made = chain(3)
    day = f"{WHOLE}/{TODAY + 1}"
    assert led(None, {WHOLE: made[0].encode()}) == ([WHOLE], Caught(made[0], True))
    assert led(made[0], {day: difference(made)}) == ([day], Caught(made[2], True))
    assert led(made[2], {day: difference(made, Content())}) == ([day], Caught(made[2], True))


def test_who_is_not_shown_all_that_is_new_asks_for_the_whole() -> None:
    made = chain(3)
    day = f"{WHOLE}/{TODAY + 1}"
    short = difference(made, Content())
    assert led(made[0], {day: short, WHOLE: made[2].encode()}) == ([day, WHOLE], Caught(made[2], True))
    with pytest.raises(ForkError, match="back from directory 3 to 2"):
        led(made[0], {day: short, WHOLE: made[1].encode()})
    assert led(made[1], {day: None, WHOLE: made[2].encode()}) == ([day, WHOLE], Caught(made[2], True))
    with pytest.raises(ForkError, match="does not show"):
        led(made[0], {day: None, WHOLE: made[2].encode()})
    with pytest.raises(ForkError, match="does not continue"):
        led(made[1], {day: None, WHOLE: chain(3, " of a fork")[2].encode()})


def test_who_was_away_for_more_than_30_days_asks_for_the_whole_and_knows_that_it_is_not_checked() -> None:
    made, later = chain(3), NOW + (KEPT_DAYS + 2) * DAY
    assert led(made[0], {WHOLE: made[2].encode()}, later) == ([WHOLE], Caught(made[2], False))


def test_the_day_of_a_directory_is_the_last_that_most_mixes_have_announced() -> None:
    def day(*newest: int) -> int:
        return Content({}, {number: {each: b""} for number, each in enumerate(newest)}).day

    assert day() == 0
    assert (day(5), day(5, 6), day(5, 6, 6), day(5, 5, 6, 6), day(1, 9, 9, 9, 1, 1, 9)) == (5, 5, 6, 5, 9)
