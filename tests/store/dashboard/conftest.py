import pytest
from visitor import Visitor


@pytest.fixture
def visitor(shared):
    found = Visitor(shared)
    found.log_in()
    return found
