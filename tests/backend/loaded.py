"""Servers and their commands, forked from one process that has loaded them."""

from anontrace import backend
from anontrace.backend import cli

from tools import loaded

PROGRAM = loaded.Program(__name__)

if __name__ == "__main__":
    loaded.load(backend)
    loaded.serve("anontrace-server")
    loaded.run(cli.main)
