"""The reverse-proxy snippets of docs/embedding.md, in a real nginx and a real Caddy: both mounts, byte for byte, at once,
sockets too.
"""

import contextlib
import http.client
import os
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from certificates import Authority
from gatehouse import ORIGIN, Gatehouse
from served import wait_for
from sockets import frame, handshake, serve

pytestmark = pytest.mark.needs("nginx", "caddy")

PAGE = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text()
NGINX = re.search(r"nginx:\n\n((?:    .*\n|\n)+)", PAGE)[1]
CADDY, CADDY_MOUNTED = re.findall(r"Caddy:\n\n((?:    .*\n|\n)+)", PAGE)
MOUNTED = re.search(r"nginx: as above with\n\n((?:    .*\n|\n)+)", PAGE)[1]


seen = threading.Event()
"""The events have come, with nothing behind them to push them out."""


def events(request, conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(3):
            conn.sendall(b"9\r\ndata: x\n\n\r\n")
        seen.wait(60)


def echo_frames(ends, send):
    while True:
        first, data = ends.frame()
        send(frame(first & 15, data))
        if first & 15 == 8:
            return


FRONTS = [(front, prefix) for front in ("nginx", "caddy") for prefix in ("", "/egret")]


@pytest.fixture(scope="module", params=FRONTS, ids=lambda param: "".join(param))
def mount(request, tmp_path_factory):
    """A front with the documented blocks; yields a TLS dialler, the prefix and the gateway behind it."""
    front, prefix = request.param
    folder = tmp_path_factory.mktemp(front)
    authority = Authority(folder)
    with Gatehouse(
        routes={b"/sse": events, b"/ws": serve(echo_frames)}, public_url=f"https://localhost{prefix}"
    ) as gate:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        start = {"nginx": start_nginx, "caddy": start_caddy}[front]
        process = start(folder, port, gate.port, authority.leaf(), prefix)
        wait_for(lambda: listens(port), front)
        context = ssl.create_default_context(cafile=authority.path)

        def dial(alpn=("http/1.1",)):
            context.set_alpn_protocols(list(alpn))
            return context.wrap_socket(
                socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="localhost"
            )

        yield dial, prefix, gate, folder
        process.terminate()
        process.wait(60)


def start_nginx(folder: Path, port: int, gateway: int, leaf: Path, prefix: str) -> subprocess.Popen:
    (folder / "nginx.conf").write_text(configuration(folder, port, gateway, leaf, prefix))
    return subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])


def start_caddy(folder: Path, port: int, gateway: int, leaf: Path, prefix: str) -> subprocess.Popen:
    site, block = ("app.example.org {", CADDY_MOUNTED) if prefix else ("gateway.example {", CADDY)
    for documented, ours in (
        (site, f"https://localhost:{port} {{\n        bind 127.0.0.1\n        tls {leaf} {leaf}"),
        ("127.0.0.1:8081", f"127.0.0.1:{gateway}"),
        ("/srv/app", str(folder)),
    ):
        assert documented in block or (ours == str(folder) and not prefix)
        block = block.replace(documented, ours)
    (folder / "Caddyfile").write_text("{\n    admin off\n    auto_https off\n}\n" + block)
    log = (folder / "caddy.log").open("wb")
    homes = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | homes)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def configuration(folder: Path, port: int, gateway: int, leaf: Path, prefix: str) -> str:
    blocks = NGINX
    if prefix:
        inner = re.search(r"location / \{\n(.*?)\n        \}", NGINX, re.DOTALL)[1]
        rest = inner.split("\n", 1)[1]
        ours = re.sub(r"            …\n", rest + "\n", MOUNTED)
        blocks = re.sub(r"        location / \{\n.*?\n        \}\n", lambda _: ours, NGINX, flags=re.DOTALL)
    blocks = blocks.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace(
        "server_name gateway.example;", "server_name localhost;"
    )
    blocks = blocks.replace(
        "# ssl_certificate …; ssl_certificate_key …;", f"ssl_certificate {leaf}; ssl_certificate_key {leaf};"
    )
    blocks = blocks.replace("127.0.0.1:8081", f"127.0.0.1:{gateway}").replace("/srv/app", str(folder))
    if "1.22" in subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True).stderr:  # before `http2 on`
        blocks = blocks.replace("        http2 on;\n", "").replace(
            f"127.0.0.1:{port} ssl;", f"127.0.0.1:{port} ssl http2;"
        )
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.getuid() == 0 else ""  # else a worker may not read the folder of a test
    return f"{user} daemon off; pid {folder}/pid; worker_processes 1;\nevents {{}}\nhttp {{\n{places}\n{blocks}\n}}\n"


def get(dial, path: str, headers=None) -> tuple[int, http.client.HTTPMessage, bytes]:
    conn = http.client.HTTPConnection("localhost")
    conn.sock = dial()
    conn.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in ({"Origin": ORIGIN} | (headers or {})).items():
        conn.putheader(name, value)
    conn.endheaders()
    got = conn.getresponse()
    with contextlib.closing(conn):
        return got.status, got.headers, got.read()


@pytest.mark.parametrize("rest", ["/a//b", "/a/%2F/b;c=d", "/a/?x=1&&y=%zz", "/%2e%2e/x", "/?t=%23%7BSECRETS.KEY%7D"])
def test_paths_arrive_as_they_were_sent(mount, rest):
    """The front changes nothing of a path."""
    dial, prefix, gate, _ = mount
    status, _, body = get(dial, prefix + gate.path(rest))
    assert status == 200
    assert gate.up.log[-1].target == rest.replace("%23%7BSECRETS.KEY%7D", "sk-canary-5f0%2Fc3%2Bd%26e").encode()
    assert b"canary" not in body


def test_the_front_adds_nothing_for_the_upstream(mount):
    """What the front says about the client ends at the gateway."""
    dial, prefix, gate, _ = mount
    get(dial, prefix + gate.path("/"), {"X-One": "1"})
    names = [line.split(b":")[0].lower() for line in gate.up.log[-1].head.split(b"\r\n")[1:]]
    assert names == [b"host", b"x-one"]


def test_events_come_at_once(mount):
    """Nothing is buffered on the way."""
    dial, prefix, gate, _ = mount
    with dial() as sock:
        sock.sendall(
            f"GET {prefix}{gate.path('/sse')} HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\n\r\n".encode()
        )
        got = b""
        while got.count(b"data: x") < 3:
            got += sock.recv(4096)
    seen.set()


def test_websocket_passes(mount):
    """A WebSocket opens and echoes."""
    dial, prefix, gate, _ = mount
    with dial() as sock:
        head, ends = handshake(
            sock, "localhost", prefix + gate.path("/ws").replace("/https/", "/wss/"), f"Origin: {ORIGIN}"
        )
        assert head.startswith(b"HTTP/1.1 101")
        sock.sendall(frame(1, b"hello", masked=True))
        assert ends.frame() == (0x81, b"hello")


def test_redirects_stay_under_the_mount(mount):
    """A redirect leads back to the same mount."""
    dial, prefix, gate, _ = mount
    gate.up.routes[b"/go"] = lambda request, conn: (
        b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    )
    status, fields, _ = get(dial, prefix + gate.path("/go"))
    assert (status, fields["Location"]) == (302, prefix + gate.path("/there"))
    assert get(dial, fields["Location"])[0] == 200


def test_api_does_not_steer_the_front(mount):
    """What an API tells a web server to do, serve another place or a file, is not passed on to the front."""
    dial, prefix, gate, folder = mount
    (folder / "private.txt").write_text("not for the API to show")
    steer = f"X-Accel-Redirect: /private.txt\r\nX-Sendfile: {folder}/private.txt\r\nX-Accel-Buffering: yes".encode()
    gate.up.routes[b"/steer"] = lambda request, conn: (
        b"HTTP/1.1 200 OK\r\n" + steer + b"\r\nContent-Length: 2\r\n\r\nok"
    )
    assert get(dial, prefix + gate.path("/steer"))[::2] == (200, b"ok")


def test_http2_is_terminated(mount):
    """Browsers get HTTP/2, which many event streams need."""
    dial, _, _, _ = mount
    with dial(alpn=("h2", "http/1.1")) as sock:
        assert sock.selected_alpn_protocol() == "h2"


def test_the_app_is_served_beside_the_gateway(mount):
    """On a shared origin everything else is the app's."""
    dial, prefix, _, folder = mount
    if not prefix:
        assert get(dial, "/")[0] == 404
        return
    (folder / "page.txt").write_text("the app")
    assert get(dial, "/page.txt")[::2] == (200, b"the app")
