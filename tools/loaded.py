"""Commands of a program, each in a process of its own that is forked from one that has loaded the program already.

Loading takes ten times as long as most commands, of which tests and the demonstration give hundreds. A fork has
arguments, environment, folder, streams and an exit code of its own, and begins with the program's `main`, as the
installed script does. What Python itself reads from the environment when it starts a fork does not notice; that is for
the script.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import NoReturn, Self

HANG_SECONDS = 600.0  # after which a command is given up that neither ends nor does what is expected of it
ROOT = Path(__file__).parents[1]
READ_BY_PYTHON = ("PYTHON", "LC_", "LANG")
READ_LATER = ("PYTHON_KEYRING_BACKEND",)


def fits(environment: Mapping[str, str]) -> bool:
    """Whether Python would start in this environment as it did in that of the tests."""
    one, other = (
        {name: value for name, value in values.items() if name.startswith(READ_BY_PYTHON) and name not in READ_LATER}
        for values in (os.environ, environment)
    )
    return one == other


class Forked:
    """A command that has been started; what is needed of a Popen."""

    def __init__(self, answer: socket.socket) -> None:
        self._answer = answer
        self._lines = answer.makefile()
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        self.ends_within(0)
        return self.returncode

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in this time, which is waited for."""
        if self.returncode is None and select.select([self._answer], [], [], seconds)[0]:
            self.wait(HANG_SECONDS)
        return self.returncode is not None

    def wait(self, timeout: float) -> int:
        """Exit code; below 0 it is the signal that ended the command."""
        if self.returncode is None:
            self._answer.settimeout(timeout)
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._answer.close()
        return self.returncode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Piped:
    """A command whose output and error output are read while it runs; what it says has to fit into a pipe. Killed in
    the end, if it still runs then."""

    def __init__(self, program: "Program", arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        (out, writing), (err, complaining) = os.pipe(), os.pipe()
        self.stdout, self.stderr = os.fdopen(out), os.fdopen(err)
        with Path(os.devnull).open() as nothing:
            self._forked = program.start(arguments, environment, [nothing.fileno(), writing, complaining])
        os.close(writing)
        os.close(complaining)
        self.pid = self._forked.pid
        self.poll, self.wait, self.kill = self._forked.poll, self._forked.wait, self._forked.kill
        self.send_signal = self._forked.send_signal

    @property
    def returncode(self) -> int | None:
        return self._forked.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """The rest of what it says, once it has ended."""
        self.wait(timeout)
        return self.stdout.read(), self.stderr.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait(HANG_SECONDS)
        self.stdout.close()
        self.stderr.close()


class Program:
    """A program whose commands are started in forks. `module`: what is run to load it, with these words; it calls
    `serve`."""

    def __init__(self, module: str, *words: str) -> None:
        self._command = ["-m", module, *words]
        self._lock = threading.Lock()  # commands may be started by several threads

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> Forked:
        """A command with these three file descriptors as its streams."""
        request = {"arguments": [*arguments], "environment": {**environment}, "folder": str(Path.cwd())}
        ours, theirs = socket.socketpair()
        ours.settimeout(HANG_SECONDS)
        with theirs:
            socket.send_fds(self._forking, [b"\0"], [*streams, theirs.fileno()])
        ours.sendall(json.dumps(request).encode())
        ours.shutdown(socket.SHUT_WR)
        return Forked(ours)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str | None = None
    ) -> tuple[int, str, str]:
        """Exit code, output and error output of a command."""
        if stdin is None:
            reading, writing = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
        else:
            reading, writing = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.start(arguments, environment, [reading, out.fileno(), err.fileno()])
            os.close(reading)
            with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as typed:
                typed.write(stdin or "")
            code = process.wait(HANG_SECONDS)
            for file in (out, err):
                file.seek(0)
            return code, out.read().decode(), err.read().decode()

    @property
    def _forking(self) -> socket.socket:
        """To the process that forks, which ends when this socket is closed: with this process at the latest."""
        with self._lock:
            return self._loading

    @cached_property
    def _loading(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, *self._command, str(theirs.fileno())], cwd=ROOT, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

        def end() -> None:
            ours.close()
            process.wait(HANG_SECONDS)

        atexit.register(end)
        return ours


def load(package: ModuleType, wanted: Callable[[str], bool] = lambda name: True) -> None:
    """Import the modules below a package whose names are wanted."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if wanted(module.name):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1  # the others would not be in a fork


def _tell(waiting: dict[int, socket.socket]) -> None:
    """How those commands ended that have."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with waiting.pop(ended[0]) as answer, contextlib.suppress(BrokenPipeError):
                answer.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())


def serve(program: str, prepare: Callable[[list[str]], None] = lambda words: None) -> None:
    """Fork for each request; returns in the fork, when all is as it is for a process that was started with the script
    of this name. `prepare`: called before each fork with the words of the command and what it finds of ANONTRACE_BLE.

    SystemExit when nobody can ask any more.
    """
    requests = socket.socket(fileno=int(sys.argv[-1]))
    waiting: dict[int, socket.socket] = {}  # who wants to know how a command ended
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the end of a command wakes the select
    while True:
        readable, _, _ = select.select([requests, woken], [], [])
        if woken in readable:
            woken.recv(4096)
            _tell(waiting)
        if requests not in readable:
            continue
        asked, descriptors, _, _ = socket.recv_fds(requests, 1, 4)
        if not asked:
            while waiting:
                process, _ = os.wait()
                waiting.pop(process).close()
            sys.exit()
        answer = socket.socket(fileno=descriptors[3])
        request = json.load(answer.makefile())
        prepare([*request["arguments"], request["environment"].get("ANONTRACE_BLE", "")])
        if (command := os.fork()) == 0:
            break
        for descriptor in descriptors[:3]:
            os.close(descriptor)
        answer.sendall(f"{command}\n".encode())
        waiting[command] = answer
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    for each in (requests, woken, waking, answer, *waiting.values()):
        each.close()
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = [str(Path(sys.executable).parent / program), *request["arguments"]]


def run(main: Callable[[], None]) -> NoReturn:
    """Run the program in a fork to its end. A plain end ends the process too, after what Python does at an exit that a
    program can notice; but all that was loaded is not taken apart first, which costs more than most commands."""
    try:
        main()
        code = 0
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        code = end.code
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # Python's own end says what becomes of what cannot be written
    atexit._run_exitfuncs()
    os._exit(code)
