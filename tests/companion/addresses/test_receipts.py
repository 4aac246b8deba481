"""Receipts: what is asked, to which mailbox the answer comes, what it is known by, and fetching answers by hand."""

import os

import pytest
from anontrace import clock
from anontrace.companion.addresses import receipts, registration
from anontrace.companion.addresses.receipts import Looks
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.expected import DUMMY, RECEIPT
from anontrace.mixnet import receipt
from anontrace.mixnet.receipt import NymAnswer, NymQuestion, Receipt, UploadAnswer, UploadQuestion, UploadState
from anontrace.mixnet.surb import SurbSecrets
from anontrace.mixnet.swap import fingerprint
from anontrace.wire import look
from anontrace.wire.levels import NORMAL
from anontrace_shared.schedule import nym_key

from tests.companion.paper import NYMSERVER, START, Time, Wearer

DAY = 86400
UPLOAD_ID = bytes(range(16))


@pytest.fixture
def wearer(tmp_path, monkeypatch):
    """A companion with some addresses, of whose swaps the first few are at the nymserver."""
    now = Time()
    monkeypatch.setattr(clock, "now", lambda: now.now)
    made = Wearer(tmp_path / "paper", now, monkeypatch, NORMAL)
    slot = START // 300
    with made._servers(made.state) as servers:
        registration.make(made.state, servers, made.state.badges.get(), slot, slot + 5, lambda *_: None)
    for item in made.state.addresses.pending()[:3]:
        made.network.nyms[nym_key(item.address.contact_address, item.address.slot)] = item.blob
    yield made
    made.close()


@pytest.fixture
def servers(wearer):
    with wearer._servers(wearer.state) as opened:
        yield opened


def ask(wearer: Wearer, servers: Servers, times: int = 1, deliver: bool = True) -> list[tuple[int, bytes]]:
    """So many receipts about each swap, each the number of its mailbox and what was sent."""
    state, group = wearer.state, registration.group_of_today(wearer.state, servers)
    with state.transaction():
        made = [receipts.ask_nym(state, servers, group, item) for item in state.addresses.pending() * times]
    if deliver:
        for _, payload in made:
            wearer.network._deliver(NYMSERVER, bytes(32), 0, payload)
    return made


def ask_upload(wearer: Wearer, servers: Servers) -> tuple[int, bytes]:
    state, group = wearer.state, registration.group_of_today(wearer.state, servers)
    number = state.uploads.add("report", bytes(32), UPLOAD_ID, b"log", START).number
    with state.transaction():
        return receipts.ask_upload(state, servers, group, number, UPLOAD_ID)


def row(wearer: Wearer, mailbox: int) -> dict[str, object]:
    return dict(wearer.state._db.row("SELECT * FROM mailboxes WHERE id = ?", mailbox))


def test_a_receipt_asks_for_a_swaps_blob_and_its_answer_has_four_days_and_keys_that_live_for_two(
    wearer, servers, monkeypatch
):
    asked_for, path_to = [], Servers.path_to
    monkeypatch.setattr(Servers, "path_to", lambda *given: asked_for.append(given[1:]) or path_to(*given))
    for (mailbox, payload), item in zip(ask(wearer, servers), wearer.state.addresses.pending(), strict=True):
        key = nym_key(item.address.contact_address, item.address.slot)
        assert Receipt.decode(payload).question == NymQuestion(key, fingerprint(key, item.blob))
        assert row(wearer, mailbox)["until"] == START + 4 * DAY
    group = registration.group_of_today(wearer.state, servers)
    assert asked_for == [(group.server, 2)] * 5
    mailbox, payload = ask_upload(wearer, servers)
    assert Receipt.decode(payload).question == UploadQuestion(UPLOAD_ID)
    assert row(wearer, mailbox)["mail_group"] == group.number
    assert row(wearer, mailbox)["address"][:16] == group.address


def test_answers_that_can_be_known_beforehand_are_expected(wearer, servers):
    state = wearer.state
    about_nym, _ = ask(wearer, servers, deliver=False)[0]
    about_upload, _ = ask_upload(wearer, servers)
    known = {
        about_nym: [NymAnswer(True), NymAnswer(False)],
        about_upload: [UploadAnswer(UploadState.ACCEPTED), UploadAnswer(UploadState.UNKNOWN)],
    }
    for stored in state.receipts.open():
        kept = SurbSecrets.from_bytes(stored.secrets)
        for answer in known.get(stored.mailbox, ()):
            payload = receipt.expected(kept, answer)
            found = state.expected.find(stored.group, look.digest(stored.box + payload))
            assert (found.kind, found.mailbox.number, found.payload) == (RECEIPT, stored.mailbox, payload)


def test_by_hand_each_answer_is_fetched_once_page_by_page_from_where_the_last_look_ended(wearer, servers):
    ask(wearer, servers, times=26)  # 130
    looks = Looks(wearer.state, servers)
    looks.look()
    held = [receipts.is_held(each) for each in wearer.state.receipts.answered()]
    assert (len(held), held.count(True), held.count(False)) == (130, 78, 52)
    assert [each.groups[0].known for each in wearer.network.looks] == [0, 64, 128]
    assert [each.groups[0].start for each in wearer.network.looks] == [0, 64, 128]
    looks.look()
    assert len(wearer.network.looks) == 3  # nothing is waited for
    ask(wearer, servers)
    looks.look()
    assert [each.groups[0].known for each in wearer.network.looks] == [0, 64, 128, 130]
    assert len(wearer.state.receipts.answered()) == 135


def test_just_a_page_full_is_looked_behind_once(wearer, servers):
    ask(wearer, servers, times=12)
    ask(wearer, servers, deliver=False)
    wearer.network._deliver(NYMSERVER, bytes(32), 0, ask(wearer, servers, deliver=False)[0][1])
    for _ in range(3):
        wearer.network.arrive(registration.group_of_today(wearer.state, servers).address + os.urandom(16), bytes(239))
    Looks(wearer.state, servers).look()
    assert [each.groups[0].known for each in wearer.network.looks] == [0, 64]
    assert len(wearer.state.receipts.answered()) == 61


def test_what_comes_for_others_than_receipts_is_left_for_a_poll(wearer, servers):
    state, group = wearer.state, registration.group_of_today(wearer.state, servers)
    ask(wearer, servers, deliver=False)
    mailbox = state._db.row("SELECT s.mailbox, m.address FROM surbs s JOIN mailboxes m ON m.id = s.mailbox")
    payload = os.urandom(239)
    with state.transaction():
        state.expected.expect(mailbox["mailbox"], payload, DUMMY, 1)
    wearer.network.arrive(mailbox["address"], payload)
    wearer.network.arrive(group.address + os.urandom(16), os.urandom(239))
    Looks(state, servers).look()
    assert state.receipts.answered() == [] and state.expected.came(DUMMY) == []


def test_an_answer_about_an_upload_that_nobody_could_compute_is_known_by_its_box(wearer, servers):
    ask(wearer, servers, deliver=False)
    mailbox, _ = ask_upload(wearer, servers)
    others = [each for each in wearer.state.receipts.open() if each.upload is None]
    (stored,) = [each for each in wearer.state.receipts.open() if each.upload is not None]
    answer = UploadAnswer(UploadState.RECEIVING, 0, ((1, 3),))
    for each in (stored, others[0]):  # one that asked for a swap is not answered so
        payload = receipt.expected(SurbSecrets.from_bytes(each.secrets), answer)
        wearer.network.arrive(row(wearer, each.mailbox)["address"], payload)
    Looks(wearer.state, servers).look()
    (found,) = wearer.state.receipts.answered()
    assert found.mailbox == mailbox
    assert UploadAnswer.decode(receipts.content(found)) == answer


def test_what_is_no_answer_to_a_receipt_says_nothing_of_its_swap(wearer, servers):
    (one, _), (other, _), *_ = ask(wearer, servers, deliver=False)
    kept = {each.mailbox: SurbSecrets.from_bytes(each.secrets) for each in wearer.state.receipts.open()}
    with wearer.state.transaction():
        wearer.state.receipts.set_answer(one, receipt.expected(kept[other], NymAnswer(True)))
        wearer.state.receipts.set_answer(other, receipt.expected(kept[other], UploadAnswer(UploadState.ACCEPTED)))
    assert [receipts.is_held(each) for each in wearer.state.receipts.answered()] == [None, None]
