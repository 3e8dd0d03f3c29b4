"""egret.aio against the real API: the same as egret.client, awaited."""

import asyncio
import inspect

import pytest
from stores import CANARY

from egret import aio, client
from egret.transport import Transport


def test_every_method_has_its_twin():
    """Nothing of the synchronous client is missing, and each twin has its arguments and its words."""
    for name, verb in inspect.getmembers(client.Client, inspect.isfunction):
        if not name.startswith("_") and name not in vars(Transport):
            twin = getattr(aio.Client, name)
            assert inspect.signature(twin) == inspect.signature(verb), name
            assert twin.__doc__ == verb.__doc__


async def test_many_at_once(shared):
    """Calls side by side on one client, the event loop free meanwhile; values sealed, lists walked, errors raised."""
    async with aio.Client(shared.url, shared.key, connections=4) as client:
        made = await client.create_dataset("aio", [{"name": "KEY", "value": CANARY.decode()}])
        where = aio.Area(made["id"])
        names = [f"S{number}" for number in range(20)]
        await asyncio.gather(*(client.put_secret(where, name, f"value-of-{name}") for name in names))
        assert {item["name"] async for item in client.secrets(where)} == {"KEY", *names}
        async for _ in client.secrets(where):
            break  # an iterator left early gives its connection back
        with pytest.raises(aio.NotFound):
            await client.dataset("none")
        assert (await client.open_session(made["id"]))["token"].startswith("egs_")
    assert CANARY not in shared.store.dump()


def test_a_url_that_is_none():
    """Refused when the client is made."""
    with pytest.raises(ValueError, match="must look like"):
        aio.Client("nowhere", "k")
