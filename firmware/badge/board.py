"""What a board has beside the chip: light, button, battery, as board.json on the badge tells (docs/badge.md).

    {"led": 5, "led_on": 0, "button": 0, "pressed": 0, "battery": 35, "divider": 2, "rssi": 0, "tx": 0}

Each optional, in pairs: a pin with the level of the lit light or of the pressed button, or with what divides the
battery's voltage. `rssi` is added to what the board hears, in dB; of `tx` a badge knows nothing.
"""

import json

import machine
from micropython import const

FILE = "board.json"
_SAMPLES = const(16)
_MAX_MV = const(0xFFFF)


def load():
    """The file as a dict; empty if there is none, ValueError if it is broken."""
    try:
        with open(FILE) as file:
            board = json.load(file)
    except OSError:
        return {}
    if not isinstance(board, dict):
        raise ValueError("no object")
    for name in ("led", "led_on", "button", "pressed", "battery", "rssi"):
        if not isinstance(board.get(name, 0), int):
            raise ValueError(name)
    if not isinstance(board.get("divider", 1), (int, float)):
        raise ValueError("divider")
    return board


def battery_mv():
    """The battery's millivolts now, 0 where the board does not show them."""
    try:
        board = load()
        if "battery" not in board:
            return 0
        adc = machine.ADC(machine.Pin(board["battery"]), atten=machine.ADC.ATTN_11DB)
        total = 0
        for _ in range(_SAMPLES):  # it is a noisy one
            total += adc.read_uv()
        return min(max(int(total * board["divider"] / (_SAMPLES * 1000)), 0), _MAX_MV)
    except (ValueError, KeyError):  # a broken file, or a pin that this chip does not have
        return 0
