"""The table of contacts: figures, crowds beyond its size, sealing while new contacts are heard."""

import micropython
from anontrace_shared import figures
from badge.contacts import MAX_CONTACTS, Contacts


def cell(number, rssi=-60, tx_power=3):
    return bytearray(number.to_bytes(20, "little") + bytes((tx_power + 128, rssi + 128)))


def third_of(third):
    """Some moment in this third of a minute, in ms."""
    return third * 20000 + 7000


def taken(contacts):
    found = {}
    while contacts.waiting:
        address, packed = contacts.take()
        found[int.from_bytes(address, "little")] = figures.unpack(packed)
    return found


def test_a_contact_has_the_figures_of_what_was_heard():
    contacts = Contacts()
    for third, rssi in ((2, -70), (2, -60), (5, -80), (9, -74)):
        contacts.hear(cell(7, rssi), 0, third_of(third))
    assert contacts.heard == 1
    assert contacts.close() == 0
    assert taken(contacts) == {7: figures.Figures(False, 2, 9, 3, -60, -72, 3, 4)}
    assert contacts.heard == 0 and contacts.waiting == 0


def test_a_board_that_hears_too_weakly_has_that_added_before_the_figures_are_packed_and_when_it_looks_for_the_near():
    for added, strongest, mean in ((6, -54, -66), (-20, -80, -92), (20, -40, -52), (-40, -100, -100), (40, -38, -38)):
        contacts = Contacts()
        contacts.rssi = added
        for third, rssi in ((2, -70), (5, -80), (9, -74), (9, -64), (9, -60), (9, -84)):
            contacts.hear(cell(7, rssi), 0, third_of(third))
        assert (contacts.candidate(3, -75) is None) == (added < -15)
        contacts.close()
        assert taken(contacts)[7][4:] == (strongest, mean, 3, 6)


def test_every_third_can_be_present():
    contacts = Contacts()
    for third in range(figures.THIRDS):
        contacts.hear(cell(1), 0, third_of(third))
    contacts.close()
    assert taken(contacts)[1][1:4] == (0, 14, 15)


def test_near_the_edges_of_a_slot_only_addresses_already_heard_count():
    contacts = Contacts()
    for since_ms in (-5, 0, 999, 299000, 299999):
        contacts.hear(cell(1), 0, since_ms)
    assert contacts.heard == 0
    contacts.hear(cell(1), 0, 1000)
    contacts.hear(cell(1), 0, 299999)
    contacts.hear(cell(1), 0, -5)  # the clock has been set forward a little
    contacts.close()
    assert taken(contacts)[1][1:4] == (0, 14, 2)


def test_a_crowd_of_512_is_kept_whole():
    contacts = Contacts()
    for number in range(MAX_CONTACTS):
        contacts.hear(cell(number * 7919 + 1), 0, third_of(number % 15))
    for number in range(MAX_CONTACTS):
        contacts.hear(cell(number * 7919 + 1), 0, third_of(14))
    assert contacts.heard == MAX_CONTACTS
    assert contacts.close() == 0
    found = taken(contacts)
    assert sorted(found) == [number * 7919 + 1 for number in range(MAX_CONTACTS)]
    assert all(found[n * 7919 + 1].present == (1 if n % 15 == 14 else 2) for n in range(MAX_CONTACTS))


def test_beyond_512_the_strongest_stay_and_the_dropped_are_counted():
    contacts = Contacts()
    for number in range(MAX_CONTACTS):
        contacts.hear(cell(number << 8 | 5, -90 if number < 100 else -70), 0, third_of(0))
    for number in range(1000, 1060):
        contacts.hear(cell(number << 8 | 5, -50), 0, third_of(0))
    for number in range(2000, 2030):
        for _ in range(3):
            contacts.hear(cell(number << 8 | 5, -95), 0, third_of(0))
    assert contacts.close() == 90
    found = taken(contacts)
    assert len(found) == MAX_CONTACTS
    assert len([n for n in found if n >> 8 >= 1000]) == 60
    assert len([n for n in found if 100 <= n >> 8 < 1000]) == MAX_CONTACTS - 100
    assert not [n for n in found if n >> 8 >= 2000]


def test_addresses_that_share_their_first_bytes_are_told_apart():
    contacts = Contacts()
    for number in range(40):
        contacts.hear(cell(number << 152 | 3), 0, third_of(1))
    assert contacts.heard == 40


def test_sealing_and_hearing_go_on_side_by_side():
    contacts = Contacts()
    for number in range(MAX_CONTACTS):
        contacts.hear(cell(number), 0, third_of(0))
    contacts.close()
    contacts.hear(cell(9999), 0, third_of(0))
    assert contacts.heard == 0  # no room yet: it is not dropped, only not heard yet
    old = 0
    for number in range(300):
        contacts.take()
        contacts.hear(cell(10000 + number), 0, third_of(1))
    assert contacts.heard == 300 and contacts.waiting == MAX_CONTACTS - 300
    while contacts.waiting:
        address, _ = contacts.take()
        old += int.from_bytes(address, "little") < MAX_CONTACTS
    assert old == MAX_CONTACTS - 300
    assert contacts.close() == 0
    assert sorted(taken(contacts)) == [10000 + number for number in range(300)]


def test_many_slots_leave_no_entry_behind():
    contacts = Contacts()
    for slot in range(20):
        for number in range(400):
            contacts.hear(cell(slot << 16 | number), 0, third_of(0))
        contacts.close()
        if slot % 3 == 0:
            contacts.discard()
        else:
            assert len(taken(contacts)) == 400


def test_what_was_taken_is_wiped():
    contacts = Contacts()
    marker = b"\xab\xcd\xef" * 6 + b"\xab\xcd"
    contacts.hear(bytearray(marker + b"\x80\x80"), 0, third_of(0))
    contacts.close()
    contacts.take()
    assert marker not in bytes(contacts.table)


def test_hearing_allocates_nothing():
    contacts = Contacts()
    cells = [cell(number) for number in range(30)]
    contacts.hear(cells[0], 0, third_of(0))

    def hear_all():
        for one in cells:
            contacts.hear(one, 0, third_of(3))

    hear_all()
    micropython.heap_lock()
    hear_all()
    micropython.heap_unlock()
    assert contacts.heard == 30


def test_sightings_stop_counting_before_they_overflow():
    contacts = Contacts()
    one = cell(1, -40)
    for _ in range(70000):
        contacts.hear(one, 0, third_of(0))
    contacts.close()
    found = taken(contacts)[1]
    assert found.mean == -40 and found.sightings == 7168  # the highest that the code can say


def test_the_nearest_who_stayed_is_challenged_and_its_record_says_what_came_of_it():
    contacts = Contacts()
    for number, rssi, thirds in ((1, -60, 2), (2, -70, 3), (3, -65, 4), (4, -80, 9)):
        for third in range(thirds):
            contacts.hear(cell(number, rssi), 0, third_of(third))
    for number in (3, 2):
        address = number.to_bytes(20, "little")
        assert contacts.candidate(3, -75) == address
        contacts.mark(address, False)
    contacts.mark(address, True)
    contacts.mark(bytes(20), True)  # gone meanwhile
    assert contacts.candidate(3, -75) is None
    contacts.close()
    assert contacts.candidate(3, -100) is None
    found = taken(contacts)
    assert [number for number in found if found[number].verified] == [2]
    assert found[2] == figures.Figures(True, 0, 2, 3, -70, -70, 3, 3)
