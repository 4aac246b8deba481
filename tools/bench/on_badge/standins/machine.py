"""The chip's peripherals, as far as the firmware asks for them: they do nothing."""

PWRON_RESET = 1
WDT_RESET = 3


class _Silent:
    def __init__(self, *arguments, **settings):
        pass

    def datetime(self, moment):
        pass

    def feed(self):
        pass


RTC = WDT = _Silent


def freq(hz=None):
    return 80000000


def reset():
    raise SystemExit


def reset_cause():
    return PWRON_RESET
