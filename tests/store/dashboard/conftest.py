import pytest
from apis import Api
from visitor import Visitor


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One API with its dashboard for the tests of a module."""
    made = Api(tmp_path_factory.mktemp("shared") / "data")
    yield made
    made.close()


@pytest.fixture
def visitor(shared):
    found = Visitor(shared)
    found.log_in()
    return found
