"""Advertises, sleeps lightly with the radio on, then without it; a button on pin 0 ends a sleep, on pin 5 it cannot."""

import time

import bluetooth
import machine

ble = bluetooth.BLE()
button = machine.Pin(0, machine.Pin.IN, machine.Pin.PULL_UP)
button.irq(lambda pin: print("edge"), machine.Pin.IRQ_FALLING)
button.irq(trigger=machine.Pin.WAKE_LOW, wake=machine.SLEEP)
try:
    machine.Pin(5).irq(trigger=machine.Pin.WAKE_LOW, wake=machine.SLEEP)
except ValueError as error:
    print("ValueError", error)


def sleep(ms):
    began, clock = time.ticks_ms(), time.time_ns()
    machine.lightsleep(ms)
    print("slept", time.ticks_diff(time.ticks_ms(), began), (time.time_ns() - clock) // 1000000, button.value())


ble.active(True)
ble.gap_advertise(100000, b"\x02\x01\x06")
time.sleep_ms(1000)
sleep(10000)
time.sleep_ms(1000)
ble.active(False)
for _ in range(2):
    try:
        ble.active(True)
        print("up")
    except OSError as error:
        print("errno", error.errno)
ble.gap_advertise(100000, b"\x02\x01\x06")
time.sleep_ms(1000)
ble.active(False)
sleep(60000)
while not button.value():
    time.sleep_ms(10)
sleep(60000)
time.sleep_ms(3600000)
