"""The admin API: thin aiohttp handlers over the vault."""
