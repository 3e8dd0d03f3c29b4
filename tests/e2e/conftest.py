"""One `egret serve` for all end-to-end tests that leave it as it was; the others start their own."""

import pytest
from served import Egret


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    with Egret(tmp_path_factory.mktemp("egret")) as it:
        yield it


@pytest.fixture(scope="module")
def egret(shared):
    """The shared one, with its upstreams' routes put back after each module."""
    upstreams = (shared.upstream, shared.plain)
    before = [dict(upstream.routes) for upstream in upstreams]
    for upstream in upstreams:
        upstream.forget()
    yield shared
    for upstream, routes in zip(upstreams, before, strict=True):
        upstream.routes = routes
