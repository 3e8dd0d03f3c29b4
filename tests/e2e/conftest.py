"""One `egret serve` for each module of end-to-end tests."""

import shutil

import pytest
from served import Egret


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def egret(tmp_path_factory):
    folder = tmp_path_factory.mktemp("egret")
    with Egret(folder) as it:
        yield it
    shutil.rmtree(folder, ignore_errors=True)
