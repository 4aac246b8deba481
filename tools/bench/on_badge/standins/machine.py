"""The chip's peripherals, as far as the firmware asks for them: they do nothing."""

WDT_RESET = 3


class RTC:
    def __init__(self, *arguments, **settings):
        pass

    def datetime(self, *moment):
        pass

    def feed(self):
        pass


WDT = RTC


def freq(*hz):
    return 80000000


def reset():
    raise SystemExit


def reset_cause():
    return 1  # power on
