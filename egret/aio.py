"""The client for asyncio: the methods of `egret.client.Client` with the same arguments, to be awaited.

    async with Client("https://egret.example.com", key) as client:
        dataset = await client.create_dataset("reviews", [{"name": "API_KEY", "value": value}], hosts=[…])
        async for secret in client.secrets(Area(dataset["id"])):
            …

Each call runs in a thread on a connection of its own, `connections` at once; sealing a value and waiting for the
server never hold the event loop up. A call that is cancelled is not taken back: the server may have done it.
"""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, Final, Self

from egret import client
from egret.client import (
    ApiError,
    Area,
    Conflict,
    Document,
    Forbidden,
    NotAuthenticated,
    NotFound,
    Pins,
    SealingKeyChanged,
    Unavailable,
)

__all__ = [
    "ApiError",
    "Area",
    "Client",
    "Conflict",
    "Document",
    "Forbidden",
    "NotAuthenticated",
    "NotFound",
    "Pins",
    "SealingKeyChanged",
    "Unavailable",
]  # fmt: skip

_END: Final = object()


def _one[**P, T](verb: Callable[Concatenate[client.Client, P], T]) -> Callable[Concatenate["Client", P], Awaitable[T]]:
    async def twin(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(lambda lent: verb(lent, *args, **kwargs))

    functools.update_wrapper(twin, verb)
    return twin


def _many[**P](
    verb: Callable[Concatenate[client.Client, P], Iterator[Document]],
) -> Callable[Concatenate["Client", P], AsyncIterator[Document]]:
    async def twin(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Document]:
        lent = self._lend()
        try:
            items = verb(lent, *args, **kwargs)
            while (item := await self._in_thread(lambda: next(items, _END))) is not _END:
                yield item  # type: ignore[misc]  # the sentinel is gone
        finally:
            self._take_back(lent)

    functools.update_wrapper(twin, verb)
    return twin


class Client:
    """The routes of the admin API as coroutines; lists are asynchronous iterators. `pin` and `seal` as there."""

    def __init__(
        self,
        url: str,
        key: str,
        timeout: float = 30.0,
        *,
        seal: bool = True,
        pin: str | Pins | None = None,
        connections: int = 8,
    ) -> None:
        pins = pin if isinstance(pin, Pins) else Pins(pin)
        self._make: Callable[[], client.Client] = lambda: client.Client(url, key, timeout, seal=seal, pin=pins)
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="egret-client")
        self._lock = threading.Lock()
        self._idle = [self._make()]  # made now: a URL that is none is told where it was given

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, after the calls that are under way."""
        await asyncio.to_thread(self._pool.shutdown)
        for each in self._idle:
            each.close()

    async def _run[T](self, verb: Callable[[client.Client], T]) -> T:
        def call() -> T:
            lent = self._lend()
            try:
                return verb(lent)
            finally:
                self._take_back(lent)

        return await self._in_thread(call)

    async def _in_thread[T](self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, step)

    def _lend(self) -> client.Client:
        with self._lock:
            return self._idle.pop() if self._idle else self._make()

    def _take_back(self, lent: client.Client) -> None:
        with self._lock:
            self._idle.append(lent)

    sealing_key = _one(client.Client.sealing_key)
    create_project = _one(client.Client.create_project)
    projects = _many(client.Client.projects)
    project = _one(client.Client.project)
    change_dataset = _one(client.Client.change_dataset)
    change_project = _one(client.Client.change_project)
    organisation = _one(client.Client.organisation)
    change_organisation = _one(client.Client.change_organisation)
    default_hosts = _many(client.Client.default_hosts)
    create_dataset = _one(client.Client.create_dataset)
    replace_dataset = _one(client.Client.replace_dataset)
    datasets = _many(client.Client.datasets)
    dataset = _one(client.Client.dataset)
    find_dataset = _one(client.Client.find_dataset)
    budgets = _many(client.Client.budgets)
    set_budgets = _one(client.Client.set_budgets)
    upload_file = _one(client.Client.upload_file)
    delete_dataset = _one(client.Client.delete_dataset)
    disable_dataset = _one(client.Client.disable_dataset)
    secrets = _many(client.Client.secrets)
    secret = _one(client.Client.secret)
    put_secret = _one(client.Client.put_secret)
    change_secret = _one(client.Client.change_secret)
    delete_secret = _one(client.Client.delete_secret)
    disable_secret = _one(client.Client.disable_secret)
    versions = _many(client.Client.versions)
    activate = _one(client.Client.activate)
    destroy = _one(client.Client.destroy)
    open_session = _one(client.Client.open_session)
    sessions = _many(client.Client.sessions)
    revoke_session = _one(client.Client.revoke_session)
    create_key = _one(client.Client.create_key)
    own_key = _one(client.Client.own_key)
    keys = _many(client.Client.keys)
    rotate_key = _one(client.Client.rotate_key)
    key_sessions = _many(client.Client.key_sessions)
    end_key_sessions = _one(client.Client.end_key_sessions)
    revoke_key = _one(client.Client.revoke_key)
    key_compromised = _one(client.Client.key_compromised)
    change_key = _one(client.Client.change_key)
    report_leaked = _one(client.Client.report_leaked)
    create_member = _one(client.Client.create_member)
    members = _many(client.Client.members)
    member = _one(client.Client.member)
    change_member = _one(client.Client.change_member)
    remove_member = _one(client.Client.remove_member)
    set_project_role = _one(client.Client.set_project_role)
    create_group = _one(client.Client.create_group)
    groups = _many(client.Client.groups)
    delete_group = _one(client.Client.delete_group)
    join_group = _one(client.Client.join_group)
    leave_group = _one(client.Client.leave_group)
    grants = _many(client.Client.grants)
    grant = _one(client.Client.grant)
    declare_consumer = _one(client.Client.declare_consumer)
    consumers = _many(client.Client.consumers)
    consumer = _one(client.Client.consumer)
    delete_consumer = _one(client.Client.delete_consumer)
    audit = _many(client.Client.audit)
    verify_audit = _one(client.Client.verify_audit)
    readiness = _one(client.Client.readiness)
    audit_gaps = _many(client.Client.audit_gaps)
    acknowledge_gap = _one(client.Client.acknowledge_gap)
    ca = _one(client.Client.ca)
