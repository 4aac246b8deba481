"""Runs on MicroPython: answers each line read, a name and hex arguments, with what that primitive gives, in hex."""

import sys
from binascii import hexlify, unhexlify

import anontrace_primitives

while line := sys.stdin.readline():
    name, *arguments = line.rstrip("\n").split(" ")
    try:
        print(hexlify(getattr(anontrace_primitives, name)(*map(unhexlify, arguments))).decode())
    except ValueError:
        print("ValueError")
