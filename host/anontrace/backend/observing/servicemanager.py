"""Telling the service manager that started us that we are ready (sd_notify(3), `Type=notify` of systemd)."""

import contextlib
import os
import socket


def ready() -> None:
    """Nothing where nobody waits for it: no NOTIFY_SOCKET in the environment, or nobody behind it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # in Linux' abstract namespace
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.connect(address)
        told.send(b"READY=1")
