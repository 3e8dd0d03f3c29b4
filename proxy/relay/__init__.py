"""The aiohttp adapter: the browser gateway and the express lane."""
