"""The line protocol on an aiohttp session: asyncio, TLS over memory BIOs."""

import asyncio
import os
import ssl
import sys

import aiohttp


async def main():
    context = ssl.create_default_context(cafile=os.environ["AG_CA"])
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            method, path, size = line.split()
            body = b"b" * int(size) or None
            try:
                async with session.request(method, os.environ["AG_BASE"] + path, data=body, ssl=context) as answer:
                    await answer.read()
                    print("ok", answer.status, flush=True)
            except aiohttp.ClientError as error:
                print("error", type(error).__name__, str(error).replace("\n", " "), flush=True)


asyncio.run(main())
