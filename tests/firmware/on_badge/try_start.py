"""A start that fails: the chip is reset, whatever it was."""

import machine
from badge import app, moving, sectors, store

OWNER = bytes(range(32))


def ends_with_a_reset():
    machine.calls.clear()
    try:
        app.main()
    except SystemExit:  # the double's reset
        return machine.calls[-1] == ("reset",)
    return False


def test_a_take_over_that_fails_is_a_crash_that_is_counted():
    with open("owner.key", "wb") as file:
        file.write(OWNER)

    def failing(state):
        raise OSError(5)

    moving.take_over = failing
    for number in range(1, 3):
        assert ends_with_a_reset()
        assert store.Store().crashes == number


def test_a_flash_that_is_gone_is_no_reason_to_stand_still(slept=[]):  # noqa: B006
    def failing():
        raise OSError(5)

    sectors.newest = failing
    app.time.sleep = slept.append
    assert ends_with_a_reset() and slept == [60]
