"""aiohttp takes the proxy from the environment when it is told to trust it."""

import asyncio
import os

import aiohttp

API = os.environ["API"]
QUERY = {"token": "#{SECRETS.API_TOKEN}"}
HEADERS = {"Authorization": "Bearer #{SECRETS.API_TOKEN}"}


async def main() -> None:
    async with aiohttp.ClientSession(trust_env=True) as session:
        for url, options in [
            ("/generate", {"params": QUERY}),
            ("/items", {"headers": HEADERS}),
            ("/both", {"params": QUERY, "headers": {**HEADERS, "X-Other": "#{SECRETS.OTHER}"}}),
        ]:
            async with session.get(API + url, **options) as response:
                print(response.status, await response.text())


asyncio.run(main())
