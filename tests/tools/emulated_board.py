"""A board for mpremote to talk to: MicroPython's raw REPL over TCP, with a folder as its flash.

The interpreter is the real one (Unix port); this adds only the REPL's framing, which the Unix port lacks.
"""

import contextlib
import socket
import subprocess
import threading
from pathlib import Path

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


class EmulatedBoard:
    """Serves one connection after the other on `port_url` until closed."""

    def __init__(self, flash: Path) -> None:
        self._flash = flash
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port_url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._process = self._boot()
        threading.Thread(target=self._serve, daemon=True).start()

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
        self.close_process()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, contextlib.suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        line = bytearray()
        while received := connection.recv(4096):
            for byte in received:
                if byte == 1:  # Ctrl-A: raw REPL; as the end of a raw-paste request: not supported
                    if line == b"\x05A":
                        connection.sendall(b"R\x00")
                    else:
                        connection.sendall(_BANNER)
                    line.clear()
                elif byte in (2, 3):
                    line.clear()
                elif byte == 4 and not line:
                    self._restart()
                    connection.sendall(b"OK\r\nMPY: soft reboot\r\n" + _BANNER)
                elif byte == 4:
                    connection.sendall(b"OK")
                    self._execute(bytes(line), connection)
                    line.clear()
                elif not (byte == 13 and not line):
                    line.append(byte)

    def _execute(self, code: bytes, connection: socket.socket) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(b"%d\n%s" % (len(code), code))
        stdin.flush()
        answer = bytearray()
        while answer.count(b"\x04") < 2 and (byte := stdout.read(1)):
            answer += byte
        connection.sendall(answer + stdout.read(1))
