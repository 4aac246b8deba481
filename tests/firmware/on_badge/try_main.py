"""What MicroPython runs after boot, with a badge that only notes that it was started."""

import sys

from bluetooth import BLE

order = []


class Badge:
    class app:
        def main():
            order.append("badge")


def test_the_radio_is_switched_on_before_the_badge_is_loaded():
    def active(self, on):
        order.append(on)
        assert "badge" not in sys.modules
        sys.modules["badge"] = Badge

    BLE.active = active
    import main  # noqa: F401

    assert order == [True, "badge"]


def test_a_radio_that_does_not_come_up_is_left_to_the_badge():
    def active(self, on):
        sys.modules["badge"] = Badge
        raise OSError(12)

    BLE.active = active
    import main  # noqa: F401

    assert order == ["badge"]
