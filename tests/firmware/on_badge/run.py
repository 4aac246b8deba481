"""Runs one test function in MicroPython: run.py MODULE FUNCTION, on a small flash with its file system."""

import asyncio
import sys

import flash

flash.blank(64)
module, function = sys.argv[1:]
result = getattr(__import__(module), function)()
if result is not None:
    asyncio.run(result)
print("passed")
