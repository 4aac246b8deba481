"""The badge's end of the wire to the air: frames over TCP, the virtual clock, and the wait that keeps it in lock-step.

Runs in the badge's MicroPython beside the firmware, so it is small. tools/simulator/frames.py describes the frames.
"""

import os
import socket
import struct
import sys

import micropython
from micropython import const

FOREVER = const(1 << 60)
_RESULTS = b"\x09\x0b\x0d\x0f"  # of a search, or a value read: the IRQ after each says that there is no more

now = 0  # microseconds of virtual time
boot = 0  # the same, when this boot began
rtc = 0  # microseconds from 2000-01-01 at now == 0; moved by RTC().datetime()
ppm = 0  # by which the chip's crystal is fast
sleep_ppm = 0  # the same of the oscillator that keeps the time in light sleep
slept = 0  # microseconds by which ticks() are ahead of the crystal for that one's sake
wakes = None  # whether a pin ends a light sleep now: () -> bool
asleep = False
cause = 1  # machine.reset_cause()
unique_id = b""
lock_heap = False  # lock the heap while an IRQ handler runs
handling = False  # whether one runs
read_window = 0  # microseconds for which a read outside a handler leaves an attribute empty before it copies
held = None  # (ticks in ms, in us) while the heap is locked: with words of 32 bits it takes heap to compute them
dispatch = None  # bluetooth's: (irq number, body) -> None
idle = None  # called when no task is ready, before time goes on
pin_changed = None  # machine's: (pin, level) -> None
watchdog = 0  # microseconds between feeds, 0 = none
fed = 0
fails_after = None  # bytes that can still be written to the flash, None: any number

_sock = None
_events = memoryview(bytearray(640))  # the body of the last RUN
_answer = memoryview(bytearray(160))  # the body of the last REPLY
_head = bytearray(3)
_idle = bytearray(b"\x08\x00\x02" + bytes(8))
_at = 0  # the next event in _events
_size = 0
_end = 0  # the air's time


def _read(view):
    got = 0
    while got < len(view):
        n = _sock.readinto(view[got:] if got else view)
        if not n:
            sys.exit(0)  # the air is gone: the badge has no world to live in
        got += n


def _frame(body, kind):
    """Read a frame of that kind into `body`; returns its length."""
    _read(_head)
    size = _head[0] | _head[1] << 8
    if _head[2] != kind:
        raise RuntimeError("the air sent frame %d instead of %d" % (_head[2], kind))
    if size:
        _read(body[:size])
    return size


def _send(kind, body):
    _sock.write(struct.pack("<HB", len(body), kind) + body)


def ticks():
    """Microseconds since this boot by the chip's crystal."""
    return (now - boot) * (1000000 + ppm) // 1000000 + slept


def enter_handler():
    """An IRQ handler runs from now on; virtual time stands still meanwhile."""
    global held, handling
    handling = True
    if lock_heap:
        us = ticks()
        held = us // 1000 & 0x3FFFFFFF, us & 0x3FFFFFFF
        micropython.heap_lock()


def leave_handler():
    """It has ended."""
    global held, handling
    handling = False
    if lock_heap:
        micropython.heap_unlock()
        held = None


def race():
    """Let the time between emptying and copying pass: events come in it."""
    until = now + read_window
    while now < until:
        wait(until)


def when(us):
    """The virtual time at which ticks() is `us`."""
    return boot - (us - slept) * 1000000 // -(1000000 + ppm)


def clock():
    """Microseconds since 2000 by the real-time clock, which goes by the same crystal."""
    return now * (1000000 + ppm) // 1000000 + rtc


def call(op, body=b""):
    """Ask the air for something; returns the answer (gone with the next) or raises the OSError that it names."""
    _send(3, bytes((op,)) + body)
    size = _frame(_answer, 2)
    if _answer[0]:
        raise OSError(_answer[0])
    return _answer[1:size]


def write_pin(pin, level):
    """Tell the air what an output is set to now."""
    _send(5, struct.pack("<QBB", now, pin, level))


def voltage(pin):
    """Microvolts on a pin."""
    return struct.unpack("<I", call(20, bytes((pin,))))[0]


def wait(until):
    """Be idle until virtual time `until` in microseconds or until something has happened, whichever comes first.

    Events come in batches, each with its own time: tasks that one of them wakes run before the next is looked at.
    """
    global now, _at, _size, _end, fails_after
    limit = until
    if watchdog and fed + watchdog < limit:
        limit = fed + watchdog
    if _at == _size and _end < limit:
        struct.pack_into("<Q", _idle, 3, limit)
        _sock.write(_idle)
        last = _size
        _size = _frame(_events, 3)
        for at in range(_size, last):
            _events[at] = 0  # a radio does not remember what it heard longer ago
        _end = struct.unpack_from("<Q", _events, 0)[0]
        _at = 8
    length = 0
    if _at < _size:
        length, due, number = struct.unpack_from("<HQB", _events, _at)
        length += 11
    if length and due <= limit:
        body = _events[_at + 11 : _at + length]
        _at += length
        now = due
        if number == 255:
            if pin_changed:
                pin_changed(body[0], body[1])
        elif number == 254:
            fails_after = struct.unpack("<I", body)[0]
        elif dispatch:
            dispatch(number, body)
            if number in _RESULTS:  # what comes at the same time comes from the same call of the stack
                wait(now)
    elif _end >= limit:
        now = limit
        if limit < until:
            reset(3)


def sleep(us):
    """Light sleep for so long by the oscillator that goes on meanwhile, or until a pin ends it. Whoever did not switch
    the radio off finds it silent and deaf after it."""
    global asleep, slept, rtc
    call(21)
    began = now
    until = now - us * 1000000 // -(1000000 + sleep_ppm) + 1
    asleep = True
    while now < until and not (wakes and wakes()):
        wait(until)
    asleep = False
    gained = (now - began) * (sleep_ppm - ppm) // 1000000
    slept += gained
    rtc += gained


def reset(why):
    """Reset the chip: the air ends this process and starts another with the real-time clock kept."""
    _send(4, struct.pack("<Bq", why, rtc))
    while True:
        _read(_head)


def power_fails():
    """Lose the power, and get it back: the real-time clock begins anew."""
    global rtc
    rtc = -now
    reset(1)


def connect():
    """Report to the air named in ANONTRACE_AIR (host:port:nonce) and learn time, identity and cause of this boot."""
    global _sock, _end, now, boot, rtc, ppm, sleep_ppm, cause, unique_id, lock_heap
    host, port, nonce = os.getenv("ANONTRACE_AIR").split(":")
    _sock = socket.socket()
    _sock.connect(socket.getaddrinfo(host, int(port))[0][-1])
    _sock.setsockopt(6, 1, 1)  # TCP_NODELAY
    _send(1, bytes.fromhex(nonce))
    size = _frame(_answer, 1)
    now, rtc, ppm, sleep_ppm, cause, flags = struct.unpack_from("<QqhhBB", _answer, 0)
    unique_id = bytes(_answer[22:size])
    boot = _end = now
    lock_heap = bool(flags & 1)


class IOQueue:
    """Stands in for asyncio's: polls what tasks wait on, and is idle in virtual time."""

    def __init__(self):
        self.map = {}  # id of stream: [reading task, writing task, stream]

    def _enqueue(self, stream, index):
        from asyncio import core

        entry = self.map.setdefault(id(stream), [None, None, stream])
        entry[index] = core.cur_task
        core.cur_task.data = self

    def queue_read(self, stream):
        self._enqueue(stream, 0)

    def queue_write(self, stream):
        self._enqueue(stream, 1)

    def remove(self, task):
        for key in list(self.map):
            if task in self.map[key][:2]:
                del self.map[key]

    def _wake(self):
        from asyncio import core

        woken = None
        for key in self.map:
            entry = self.map[key]
            ready = entry[2].ioctl(3, ((entry[0] and 1) or 0) | ((entry[1] and 4) or 0))
            if ready:
                woken = woken or []
                woken.append((key, ready))
        if not woken:
            return False
        for key, ready in woken:
            entry = self.map[key]
            for index, mask in ((0, ~4), (1, ~1)):
                if ready & mask and entry[index] is not None:
                    core._task_queue.push(entry[index])
                    entry[index] = None
            if entry[0] is None and entry[1] is None:
                del self.map[key]
        return True

    def wait_io_event(self, delay):
        if self._wake() or delay == 0:
            return
        idle()
        # the millisecond tick at which the next task is due, so that it wakes on time and not up to a tick late
        us = ticks()
        until = FOREVER if delay < 0 else when(us + delay * 1000 - us % 1000)
        while now < until:
            wait(until)
            if self._wake():
                return
