"""What board.json says, and the battery that it names."""

import machine
from badge import board

asked = []
microvolts = 0


class Pin:
    def __init__(self, id):
        if id > 39:
            raise ValueError("invalid pin")
        self.id = id


class ADC:
    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        asked.append((pin.id, atten))

    def read_uv(self):
        return microvolts


machine.Pin, machine.ADC = Pin, ADC


def write(text):
    with open("board.json", "w") as file:
        file.write(text)


def test_a_board_without_a_file_has_nothing():
    assert board.load() == {} and board.battery_mv() == 0


def test_a_broken_file_is_told_from_a_good_one_and_measures_nothing():
    fields = ["", "light", "[]", "5", '{"led": "5"}', '{"button": null}', '{"divider": "2"}', '{"battery": 3.5}']
    fields.append('{"rssi": "3"}')
    for text in fields:
        write(text)
        try:
            board.load()
            raise AssertionError(text)
        except ValueError:
            pass
        assert board.battery_mv() == 0, text


def test_the_battery_is_measured_behind_its_divider_and_only_when_asked():
    global microvolts
    write('{"battery": 35, "divider": 2, "led": 5}')
    microvolts = 1_935_000
    assert board.load()["led"] == 5 and asked == []
    assert board.battery_mv() == 3870
    assert asked == [(35, 3)]
    write('{"battery": 35, "divider": 1.5}')
    assert board.battery_mv() == 2902
    write('{"battery": 35, "divider": 1000}')
    assert board.battery_mv() == 65535
    write('{"battery": 35')  # cut off
    assert board.battery_mv() == 0
    write('{"battery": 99, "divider": 2}')  # no such pin
    assert board.battery_mv() == 0
