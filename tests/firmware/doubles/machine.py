"""The machine module as far as modules of the firmware need it on their own: what they ask for is written down."""

calls = []
rtc_set = []


class RTC:
    def datetime(self, moment):
        rtc_set.append(moment)


class WDT:
    def __init__(self, id=0, timeout=5000):
        calls.append(("wdt", timeout))

    def feed(self):
        pass


hz = 160000000


def freq(wanted=None):
    global hz
    if wanted is None:
        return hz
    hz = wanted


WDT_RESET = 3
cause = 1


def reset_cause():
    return cause


def reset():
    calls.append(("reset",))
    raise SystemExit
