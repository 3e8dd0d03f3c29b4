"""A border, and HTTP/2 upstreams that behave or do not."""

import http2
import pytest
from asker import Frontier
from crooked import Crooked

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


@pytest.fixture
async def border(tmp_path):
    frontier = Frontier(tmp_path)
    yield frontier
    frontier.close()


@pytest.fixture
async def upstream(border):
    server = http2.Upstream(border.authority.leaf())
    border.reader.put("KEY", VALUE, server.origin)
    yield server
    server.close()


@pytest.fixture
async def crooked(border):
    made = []

    def make(react, **kwargs):
        made.append(Crooked(border.authority.leaf(), react, **kwargs))
        border.reader.put("KEY", VALUE, *[server.origin for server in made])
        return made[-1]

    yield make
    for server in made:
        server.close()
