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


volts = {}  # microvolts by pin


class Pin:
    def __init__(self, id):
        if id > 39:
            raise ValueError("invalid pin")
        self.id = id


class ADC:
    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        calls.append(("adc", pin.id, atten))
        self.id = pin.id

    def read_uv(self):
        return volts[self.id]


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
