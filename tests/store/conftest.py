import itertools
import tempfile
from pathlib import Path

import pytest
import quick_disk
from postgres import cluster
from stores import Store

BOTH = {
    "test_entries",
    "test_datasets",
    "test_keys",
    "test_groups",
    "test_group_documents",
    "test_audit",
    "test_gate",
    "test_intake",
    "test_leases",
    "test_log_watch",
    "test_log_found",
    "test_rename",
}
"""What these modules test must hold on either database."""

_numbers = itertools.count()


@pytest.fixture(scope="session")
def tmp_path_factory(tmp_path_factory):
    """Pytest's, in memory where the machine has some to spare."""
    where = quick_disk.temporary()
    if where is None:
        yield tmp_path_factory
        return
    with tempfile.TemporaryDirectory(prefix="egret-tests-", dir=where) as folder:
        yield quick_disk.Folders(Path(folder))


@pytest.fixture
def tmp_path(tmp_path_factory):
    return tmp_path_factory.mktemp("test")


def pytest_generate_tests(metafunc):
    if any("store" in each.args[0] for each in metafunc.definition.iter_markers("parametrize")):
        return  # it says itself which
    if "store" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH:
        postgresql = pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))
        metafunc.parametrize("store", ["sqlite", postgresql], indirect=True)


@pytest.fixture
def store(request, tmp_path):
    postgresql = getattr(request, "param", "") == "postgresql"
    name = f"store{next(_numbers)}"
    made = Store.make(tmp_path / "data", cluster().url(name) if postgresql else None)
    yield made
    made.close()
    if postgresql:
        cluster().drop(name)


@pytest.fixture
def reader(store):
    made = store.reader()
    yield made
    made.close()
