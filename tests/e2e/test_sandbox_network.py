"""Connections out of the sandbox that know no proxy: captured, judged and injected like all others, or refused.

`test_many_clients.py` runs many more clients, with the shims.
"""

import socket
import sys

import pytest
from served import Egret
from upstream import Upstream

pytestmark = pytest.mark.needs("bwrap", "nft")

VALUE = "sk-capture-5Rt7Yb3Nm"
NAME = socket.gethostname()
"""A name that the proxy resolves to loopback, and that is not `localhost`, which is the sandbox's own."""

DIRECT = {
    "http.client": """
import http.client, ssl, sys
c = http.client.HTTPSConnection(sys.argv[1]); c.request("GET", "/python", headers={"X-Key": "#{SECRETS.TOKEN}"})
r = c.getresponse(); print(r.status, r.headers.get("Egret-Injected"), r.headers.get("Egret-Error"))
""",
    "asyncio": """
import asyncio, ssl, sys
async def main():
    host, port = sys.argv[1].split(":")
    r, w = await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context())
    w.write(f"GET /asyncio HTTP/1.1\\r\\nHost: {sys.argv[1]}\\r\\nX-Key: #{{SECRETS.TOKEN}}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print((await r.read()).decode().split()[1])
asyncio.run(main())
""",
}
NODE = """
const https = require("https")
https.get("https://" + process.argv[1] + "/node", {headers: {"X-Key": "#{SECRETS.TOKEN}"}}, r => { console.log(r.statusCode); r.resume() })
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Egret(tmp_path_factory.mktemp("capture")) as egret:
        with Upstream(egret.authority.leaf(NAME), host="0.0.0.0") as upstream:
            egret.target = upstream
            egret.named = f"{NAME}:{upstream.port}"
            egret.dataset({"name": "TOKEN", "value": VALUE, "hosts": [egret.named]}, name="capture")
            yield egret


@pytest.fixture
def run(server, tmp_path):
    def run(*words, check=True, **kwargs):
        command = ["run", "-d", "capture", "--no-shims", *map(str, words)]
        return server.cli(*command, check=check, cwd=tmp_path, **kwargs)

    return run


def arrived(server, path: bytes):
    found = [request for request in server.target.log if request.target == path]
    assert [request.header("X-Key") for request in found] == [VALUE.encode()]


@pytest.mark.parametrize("client", DIRECT)
def test_python_without_a_proxy(server, run, client):
    """Libraries that ignore proxy variables need nothing added."""
    server.target.forget()
    done = run("--", sys.executable, "-c", DIRECT[client], server.named)
    assert done.stdout.startswith("200"), done.stdout + done.stderr
    arrived(server, f"/{client.partition('.')[0].replace('http', 'python')}".encode())


@pytest.mark.needs("curl")
def test_curl_told_of_no_proxy(server, run):
    """`--noproxy '*'` is no way round."""
    server.target.forget()
    done = run("--", "curl", "-sS", "--noproxy", "*", f"https://{server.named}/curl", "-H", "X-Key: #{SECRETS.TOKEN}")
    arrived(server, b"/curl")
    assert VALUE not in done.stdout


@pytest.mark.needs("node")
def test_node(server, run):
    """Its https module, without the shims."""
    server.target.forget()
    assert run("--", "env", "-u", "NODE_USE_ENV_PROXY", "node", "-e", NODE, server.named).stdout == "200\n"
    arrived(server, b"/node")


WORDED = {
    "redis-cli": (["-h", "db.example.com", "-p", "6379", "PING"], "egret: only HTTP"),
    "psql": (["-h", "db.example.com", "-U", "me", "-c", "select 1", "-w"], "egret: only HTTP"),
}


@pytest.mark.parametrize("tool", [pytest.param(name, marks=pytest.mark.needs(name)) for name in WORDED])
def test_databases_are_refused_in_their_words(run, tool):
    """What the client prints says why."""
    words, said = WORDED[tool]
    done = run("--", tool, *words, check=False)
    assert said in done.stdout + done.stderr.split("sandbox:", 1)[1]


def test_a_rule_that_does_not_hold(server, run):
    """Refusals of a captured request are the proxy's own."""
    code = DIRECT["http.client"].replace("TOKEN", "NOBODY")
    assert run("--", sys.executable, "-c", code, server.named).stdout == "403 None unknown_secret\n"


def test_a_server_name_that_is_not_the_name(server, run):
    """SNI and name differ: nothing reaches the upstream."""
    server.target.forget()
    code = f"""
import socket, ssl, sys
c = ssl.create_default_context(); c.check_hostname = False
s = c.wrap_socket(socket.create_connection(("{NAME}", {server.target.port})), server_hostname="other.example.com")
s.sendall(b"GET /front HTTP/1.1\\r\\nHost: {server.named}\\r\\nX-Key: #{{SECRETS.TOKEN}}\\r\\n\\r\\n")
print(s.recv(100).split(b"\\r\\n")[0])
"""
    done = run("--", sys.executable, "-c", code, check=False)
    assert done.returncode or b"421" in done.stdout.encode()
    assert server.target.log == []


def test_half_close(server, run):
    """A client that says it is done still gets its answer, in clear as well."""
    with Upstream(host="0.0.0.0") as plain:
        code = f"""
import socket
s = socket.create_connection(("{NAME}", {plain.port})); s.sendall(b"GET /half HTTP/1.1\\r\\nHost: {NAME}:{plain.port}\\r\\nConnection: close\\r\\n\\r\\n")
s.shutdown(socket.SHUT_WR)
got = b""
while data := s.recv(4096): got += data
print(got.split()[1].decode())
"""
        assert run("--", sys.executable, "-c", code).stdout == "200\n"


def test_many_at_once(server, run):
    """More connections than there are descriptors for: they wait, and all are answered."""
    code = f"""
import concurrent.futures as f, http.client, sys
def one(n):
    c = http.client.HTTPSConnection("{server.named}", timeout=60); c.request("GET", f"/many{{n}}"); return c.getresponse().status
with f.ThreadPoolExecutor(40) as pool: print(set(pool.map(one, range(80))))
"""
    words = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"]
    done = server.cli("run", "-d", "capture", "--no-shims", "--", sys.executable, "-c", code, prefix=words, timeout=120)
    assert done.stdout == "{200}\n", done.stderr


def test_refusals_are_said_once(server, run):
    """In the protocol's words inside, in one line per destination outside."""
    code = """
import socket
for _ in range(3):
    s = socket.create_connection(("mail.example.com", 25), 5); print(s.recv(200).decode().strip())
"""
    done = run("--", sys.executable, "-c", code)
    assert done.stdout.count("554 5.7.1 egret: only HTTP") == 3
    assert done.stderr.count("mail.example.com:25") == 1


def test_published(server, run, tmp_path):
    """A port inside answers on 127.0.0.1 outside, in both directions; without the option it does not."""
    import http.client
    import subprocess
    import time

    from served import EGRET, free_ports

    (port,) = free_ports(1)
    environ = {**server.environ, "EGRET_URL": server.urls["admin"], "EGRET_API_KEY": server.key}
    words = [
        EGRET,
        "run",
        "-d",
        "capture",
        "--publish",
        str(port),
        "--",
        sys.executable,
        "-m",
        "http.server",
        str(port),
    ]
    (tmp_path / "page.txt").write_text("from inside")
    process = subprocess.Popen(words, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", "/page.txt")
                assert connection.getresponse().read() == b"from inside"
                break
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(60)
    with socket.create_server(("127.0.0.1", port)) as taken:
        done = run("--publish", str(taken.getsockname()[1]), "--", "true", check=False)
        assert done.returncode == 2
        assert "in use" in done.stderr
