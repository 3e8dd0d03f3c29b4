import pytest
from stores import Store


@pytest.fixture
def store(tmp_path):
    made = Store.make(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def reader(store):
    made = store.reader()
    yield made
    made.close()
