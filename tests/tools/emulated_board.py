"""A board for mpremote to talk to: MicroPython's raw REPL over TCP and a pseudo-terminal, with a folder as its flash.

The interpreter is the real one (Unix port); this adds only the REPL's framing, which the Unix port lacks.
"""

import contextlib
import os
import socket
import subprocess
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tools import micropython

# Runs in MicroPython: executes blocks (length, newline, code) in one namespace, as the raw REPL does.
_LOOP = """
import sys, io
names = {'__name__': '__main__'}
out = sys.stdout
while True:
    size = sys.stdin.buffer.readline()
    if not size:
        break
    code = sys.stdin.buffer.read(int(size))
    err = io.StringIO()
    try:
        exec(code, names)
    except BaseException as e:
        sys.print_exception(e, err)
    out.write('\\x04' + err.getvalue() + '\\x04>')
"""

_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_WINDOW = 128  # bytes, as on the ESP32


class EmulatedBoard:
    """Serves one connection after the other on `port_url`, and the terminal `port`, until closed.

    The terminal is much faster: mpremote waits for its answers, where it polls a socket every 10 ms.
    """

    def __init__(
        self, flash: Path, trouble_at: int = 0, trouble: Callable[[], object] = lambda: None, what: bytes = b"'wb')"
    ) -> None:
        """`trouble`: what happens when `what` (a file that is opened to be written) comes for the time of this
        number."""
        self._flash = flash
        self._trouble_at, self._trouble = trouble_at, trouble
        self._what, self._written = what, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port_url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._leader, self._follower = os.openpty()
        tty.setraw(self._follower)
        self.port = os.ttyname(self._follower)
        self._process = self._boot()
        threading.Thread(target=self._serve, daemon=True).start()
        threading.Thread(target=self._serve_terminal, daemon=True).start()

    def _boot(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*micropython.find(), "-c", _LOOP], cwd=self._flash, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _restart(self) -> None:
        self.close_process()
        self._process = self._boot()

    def close_process(self) -> None:
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        self._listener.close()
        os.close(self._follower)  # the threads end with OSError, or ValueError where they read a pipe that is closed
        self.close_process()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, contextlib.suppress(OSError, ValueError):
                self._talk(connection.makefile("rb"), connection.sendall)

    def _serve_terminal(self) -> None:
        with os.fdopen(self._leader, "r+b", buffering=0) as leader, contextlib.suppress(OSError, ValueError):
            self._talk(leader, leader.write)

    def _talk(self, incoming: IO[bytes], send: Callable[[bytes], object]) -> None:
        line = bytearray()
        while byte := incoming.read(1):
            if byte == b"\x01" and line == b"\x05A":  # raw paste: a window at a time
                send(b"R\x01" + _WINDOW.to_bytes(2, "little"))
                line.clear()
                while (byte := incoming.read(1)) and byte != b"\x04":
                    line += byte
                    if len(line) % _WINDOW == 0:
                        send(b"\x01")
                send(b"\x04")
                self._execute(bytes(line), send)
                line.clear()
            elif byte == b"\x01":  # Ctrl-A: raw REPL
                send(_BANNER)
                line.clear()
            elif byte in (b"\x02", b"\x03"):
                line.clear()
            elif byte == b"\x04" and not line:
                self._restart()
                send(b"OK\r\nMPY: soft reboot\r\n" + _BANNER)
            elif byte == b"\x04":
                send(b"OK")
                self._execute(bytes(line), send)
                line.clear()
            elif not (byte == b"\r" and not line):
                line += byte

    def _execute(self, code: bytes, send: Callable[[bytes], object]) -> None:
        self._written += self._what in code
        if self._written == self._trouble_at and self._what in code:
            self._trouble()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(b"%d\n%s" % (len(code), code))
        stdin.flush()
        answer = bytearray()
        while answer.count(b"\x04") < 2 and (byte := stdout.read(1)):
            answer += byte
        send(answer + stdout.read(1))
