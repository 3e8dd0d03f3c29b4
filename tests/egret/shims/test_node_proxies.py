"""Which proxy a Node program is sent to, by its variables."""

import json
import subprocess

import pytest
from node_clients import HERE, VERSIONS, node
from shim_environment import clean

from egret.shims import FOLDER

P = {"https_proxy": "http://p:1"}
ONE = ["http", "p", 1, None]


def basic(pair):
    import base64

    return "Basic " + base64.b64encode(pair.encode()).decode()


ROWS = [
    # variables, protocol, host, port → secure, host, port, credentials
    (P, "https:", "h", 443, ONE),
    (P, "http:", "h", 80, None),
    ({}, "https:", "h", 443, None),
    ({"HTTPS_PROXY": "http://upper:1"}, "https:", "h", 443, ["http", "upper", 1, None]),
    (P | {"HTTPS_PROXY": "http://upper:1"}, "https:", "h", 443, ONE),
    ({"ALL_PROXY": "http://all:3128"}, "http:", "h", 80, ["http", "all", 3128, None]),
    (P | {"all_proxy": "http://all:1"}, "https:", "h", 443, ONE),
    ({"https_proxy": "p:1"}, "https:", "h", 443, ONE),
    ({"https_proxy": "http://p"}, "https:", "h", 443, ["http", "p", 80, None]),
    ({"https_proxy": "https://p"}, "https:", "h", 443, ["https", "p", 443, None]),
    ({"https_proxy": "http://[::1]:8080"}, "https:", "h", 443, ["http", "::1", 8080, None]),
    ({"https_proxy": "http://egs_x@p:1"}, "https:", "h", 443, ["http", "p", 1, basic("egs_x:")]),
    ({"https_proxy": "http://u:p%40s@p:1"}, "https:", "h", 443, ["http", "p", 1, basic("u:p@s")]),
    ({"https_proxy": "socks5://p:1"}, "https:", "h", 443, None),
    ({"https_proxy": "http://"}, "https:", "h", 443, None),
    ({"https_proxy": "http://u:%zz@p:1"}, "https:", "h", 443, ["http", "p", 1, basic("u:%zz")]),
    # NO_PROXY
    (P | {"NO_PROXY": "*"}, "https:", "h", 443, None),
    (P | {"NO_PROXY": "h"}, "https:", "h", 443, None),
    (P | {"NO_PROXY": "H."}, "https:", "h", 443, None),
    (P | {"NO_PROXY": "h"}, "https:", "H", 443, None),
    (P | {"NO_PROXY": "a.b, c.d"}, "https:", "x.c.d", 443, None),
    (P | {"NO_PROXY": "a.b c.d"}, "https:", "a.b", 443, None),
    (P | {"NO_PROXY": ".a.b"}, "https:", "x.a.b", 443, None),
    (P | {"NO_PROXY": "*.a.b"}, "https:", "x.a.b", 443, None),
    (P | {"NO_PROXY": "a.b"}, "https:", "xa.b", 443, ONE),
    (P | {"NO_PROXY": "h:8443"}, "https:", "h", 443, ONE),
    (P | {"NO_PROXY": "h:8443"}, "https:", "h", 8443, None),
    (P | {"NO_PROXY": "10.0.0.0/8"}, "https:", "10.1.2.3", 443, None),
    (P | {"NO_PROXY": "10.0.0.0/8"}, "https:", "11.1.2.3", 443, ONE),
    (P | {"NO_PROXY": "10.0.0.0/99"}, "https:", "10.1.2.3", 443, ONE),
    (P | {"NO_PROXY": "fd00::/8"}, "https:", "fd00::1", 443, None),
    (P | {"NO_PROXY": "::1"}, "https:", "[::1]", 443, None),
    (P | {"NO_PROXY": "[::1]:8443"}, "https:", "::1", 8443, None),
    (P | {"NO_PROXY": "127.0.0.1"}, "https:", "127.0.0.1", 443, None),
    (P | {"NO_PROXY": "", "no_proxy": "h"}, "https:", "h", 443, None),
    (P | {"NO_PROXY": ",,"}, "https:", "h", 443, ONE),
    # the proxy itself is never reached through the proxy
    (P, "https:", "p", 1, None),
    (P | {"http_proxy": "http://q:2"}, "http:", "p", 1, None),
    ({"http_proxy": "http://127.0.0.1:8080"}, "http:", "localhost", 8080, None),
    ({"http_proxy": "http://127.0.0.1:8080"}, "http:", "localhost", 8081, ["http", "127.0.0.1", 8080, None]),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_variables_are_read_as_curl_and_python_read_them(tmp_path, version):
    """A table: every spelling of a proxy and of an exemption."""
    table = tmp_path / "rows.json"
    table.write_text(json.dumps([row[:4] for row in ROWS]))
    variables = clean(PROXIES=str(FOLDER / "node" / "proxies.cjs"))
    command = [node(version), HERE / "proxies.cjs", table]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    for row, chosen in zip(ROWS, json.loads(done.stdout), strict=True):
        assert chosen == row[4], row
