import pytest
from apis import Api


@pytest.fixture
def api(tmp_path):
    made = Api(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One API for the tests of a module that only look, or do not mind what others left."""
    made = Api(tmp_path_factory.mktemp("shared") / "data")
    yield made
    made.close()
