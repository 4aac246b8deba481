"""Handing messages over by hand: behind which mixes, how many a request, and what becomes of those that none takes."""

import pytest
from anontrace import clock
from anontrace.companion.addresses import messages
from anontrace.companion.errors import OfflineError
from anontrace.mixnet import kinds
from anontrace.mixnet.sizes import MESSAGE
from anontrace.wire.levels import NORMAL

from tests.companion.paper import Time, Wearer, make_transparent

MOST = 256  # that a mix takes at once


@pytest.fixture
def wearer(tmp_path, monkeypatch):
    now = Time()
    monkeypatch.setattr(clock, "now", lambda: now.now)
    make_transparent(monkeypatch)
    made = Wearer(tmp_path / "paper", now, monkeypatch, NORMAL)
    made.network.transparent = True
    yield made
    made.close()


def handed_over(wearer: Wearer, monkeypatch, count: int, silent=(), **given: int):
    """What was said to have gone, and what was sent to whom: mix and number of messages, in order."""
    sent, post = [], wearer.network.post

    def watched(server, url, body):
        mix = int(url.split("/")[2])
        if mix in silent:
            raise OfflineError(f"{server} does not answer")
        sent.append((mix, len(body) // MESSAGE))
        return post(server, url, body)

    monkeypatch.setattr(wearer.network, "post", watched)
    gone: list[int] = []
    with wearer._servers(wearer.state) as servers:
        for some in messages.hand_over(servers, [(n, kinds.cover()) for n in range(count)], **given):
            assert len(some) == sent[-1][1]  # said at once, so that it can be noted before the next is sent
            gone += some
    return gone, sent


def test_all_go_in_random_order_behind_two_first_mixes_256_at_a_time(wearer, monkeypatch):
    gone, sent = handed_over(wearer, monkeypatch, 600)
    assert sorted(gone) == list(range(600)) != gone
    assert len({mix for mix, _ in sent}) == 2
    assert sum(size for _, size in sent) == wearer.network.cover == 600 and max(size for _, size in sent) == MOST


def test_receipts_go_behind_one_first_mix(wearer, monkeypatch):
    _, sent = handed_over(wearer, monkeypatch, 60, first_mixes=1)
    assert len(sent) == 1 and sent[0][1] == 60


def test_a_message_more_than_a_mix_takes_at_once_is_a_request_more(wearer, monkeypatch):
    for count, sizes in ((256, [256]), (257, [1, 256])):
        _, sent = handed_over(wearer, monkeypatch, count, first_mixes=1)
        assert sorted(size for _, size in sent) == sizes


def test_what_a_mix_does_not_take_goes_over_other_paths_and_is_said_to_have_gone_once(wearer, monkeypatch):
    gone, sent = handed_over(wearer, monkeypatch, 100, silent=(1, 2, 3, 4))
    assert sorted(gone) == list(range(100)) and wearer.network.cover == 100
    assert not {mix for mix, _ in sent} & {1, 2, 3, 4}


def test_when_no_mix_takes_any_that_is_an_error(wearer, monkeypatch):
    with pytest.raises(OfflineError, match="none of the mixes"):
        handed_over(wearer, monkeypatch, 3, silent=range(1, 8))


def test_of_nothing_nothing_is_sent(wearer, monkeypatch):
    assert handed_over(wearer, monkeypatch, 0) == ([], [])
