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
    inherited = what_others_inherit(shared)
    before = [dict(upstream.routes) for upstream in upstreams]
    for upstream in upstreams:
        upstream.forget()
    yield shared
    for upstream, routes in zip(upstreams, before, strict=True):
        upstream.routes = routes
    assert what_others_inherit(shared) == inherited, "left behind for modules that come later"


def what_others_inherit(shared):
    """What each dataset has from the project and the organisation, whoever made it."""
    areas = [
        f"{scope}/{kind}/" for scope in ("/projects/default", "/orgs/default") for kind in ("secrets", "variables")
    ]
    return {area: [item["name"] for item in shared.api("GET", area)[1]["items"]] for area in areas}
