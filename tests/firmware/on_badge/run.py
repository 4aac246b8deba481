"""Runs one test function in MicroPython: run.py MODULE FUNCTION, in a folder that serves as the flash."""

import asyncio
import sys

module, function = sys.argv[1:]
result = getattr(__import__(module), function)()
if result is not None:
    asyncio.run(result)
print("passed")
