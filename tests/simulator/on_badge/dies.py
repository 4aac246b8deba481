"""Works for a while, then raises."""

import asyncio


async def main():
    await asyncio.sleep(5)
    raise RuntimeError("the end")


asyncio.run(main())
