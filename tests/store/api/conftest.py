import pytest
from apis import Api


@pytest.fixture
def api(tmp_path):
    made = Api(tmp_path / "data")
    yield made
    made.close()
