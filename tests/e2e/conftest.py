"""One `egret serve` for all end-to-end tests that leave it as it was; the others start their own."""

import pytest
from served import Egret


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def egret(tmp_path_factory):
    with Egret(tmp_path_factory.mktemp("egret")) as it:
        yield it
