"""Puts the parts together: registry to routes, description, dashboard."""

import json
from collections.abc import Callable
from functools import cache

from aiohttp import web

from store.api import (
    openapi,
    outer,
    pipeline,
    reference,
    routes_budgets,
    routes_consumers,
    routes_datasets,
    routes_entries,
    routes_keys,
    routes_members,
    routes_scopes,
    routes_sessions,
    routes_system,
    routes_uploads,
)
from store.api.body import MAX_BODY
from store.api.operation import Operation
from store.api.state import Described, State

type Mount = Callable[[web.Application, State], None]

VERSION = "0.2.0"


def operations() -> list[Operation]:
    """Return every operation of the API."""
    return [
        *routes_datasets.OPERATIONS,
        *routes_scopes.operations(),
        *routes_entries.operations(),
        *routes_budgets.OPERATIONS,
        *routes_consumers.OPERATIONS,
        *routes_sessions.OPERATIONS,
        *routes_keys.OPERATIONS,
        *routes_members.operations(),
        *routes_uploads.OPERATIONS,
        *routes_system.OPERATIONS,
    ]


def build(state: State, *mounts: Mount) -> web.Application:
    """Return the application, with what else is mounted on it; `server.Runner` serves it."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[outer.asked_by_name(state.names)])
    app[outer.METRICS] = state.metrics
    listed = operations()
    state.described = cache(lambda: _describe(listed, state.urls.admin))
    for each in listed:
        _route(app, each, state)
    for mount in mounts:
        mount(app, state)
    return app


def _describe(listed: list[Operation], url: str) -> Described:
    """Write the description: when it is first asked for, since it takes as long as all else of a start."""
    document = openapi.build(listed, VERSION)
    page, style = reference.render(document, url)
    return Described(json.dumps(document).encode(), page, style)


def _route(app: web.Application, operation: Operation, state: State) -> None:
    """Serve an operation with and without a slash at its end: a client that forgets it should not have to learn it."""
    handle = pipeline.handler(operation, state)
    bare = operation.path.rstrip("/")
    for path in (bare, bare + "/"):
        app.router.add_route(operation.method, path, handle)
        if operation.method == "GET":
            app.router.add_route("HEAD", path, handle)
