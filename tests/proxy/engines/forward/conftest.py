"""Every test of the forward proxy runs on both of its engines, except those that are about HTTP/2 or about mitmproxy."""

import pytest
from forward import ENGINES, Forward

MITMPROXY_ONLY = {"test_http2", "test_pins"}


@pytest.fixture(scope="module", params=ENGINES, autouse=True)
def engine(request):
    """The engine that `Forward` starts; a fixture of a module's scope that starts one must ask for it."""
    before, Forward.engine = Forward.engine, request.param
    yield request.param
    Forward.engine = before


def pytest_collection_modifyitems(items):
    """Leave out what express does not have, instead of skipping it a hundred times."""
    items[:] = [item for item in items if not _elsewhere(item)]


def _elsewhere(item) -> bool:
    params = getattr(getattr(item, "callspec", None), "params", {})
    if params.get("engine") != "express":
        return False
    names = item.function.__code__.co_names
    about_http2 = (
        "http2" in names or "http2" in item.originalname or {"h2", "http2"} & {str(v) for v in params.values()}
    )
    return bool(about_http2) or item.module.__name__.rpartition(".")[2] in MITMPROXY_ONLY
