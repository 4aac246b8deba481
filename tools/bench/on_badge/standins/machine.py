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

    def value(self, level=None):
        return 1

    on = off = irq = init = feed


class Pin(_Silent):
    IN = OUT = PULL_UP = PULL_DOWN = IRQ_FALLING = IRQ_RISING = 1


class ADC(_Silent):
    ATTN_11DB = 3


RTC = WDT = _Silent


def freq(hz=None):
    return 80000000


def reset():
    raise SystemExit


def reset_cause():
    return PWRON_RESET
