"""The real `egret serve` on free ports, in a folder of its own, with a TLS upstream and a plain one beside it."""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import stores
from certificates import Authority
from upstream import Upstream

from egret.sandbox.places import mark
from proxy.authority import create

EGRET = Path(sys.executable).with_name("egret")


def wait_for(condition, what: str = "the condition", seconds: float = 90.0):
    """Poll until `condition()` is true, and return what it gave. `seconds` only ends what hangs: no test is about them."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.02)
    return result


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, for processes that bind theirs themselves.

    Below those that the system hands out: there any client's connection could have taken one meanwhile.
    """
    below = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = list[int]()
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = random.randrange(max(1024, below - 20_000), below)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
    return found


def init(data: Path) -> str:
    """Do as `egret init`, and return the owner key; a process of its own takes a second and a half to import the store."""
    before = os.umask(0o077)
    try:
        key = stores.found(data)
        create(data)
    finally:
        os.umask(before)
    mark(data)
    return key


class Egret:
    """Starts at construction. `key` is the owner key; `urls` come from the ready line."""

    def __init__(self, folder: Path, config: str = "", environ: dict[str, str] | None = None, program: Path = EGRET):
        self.folder = folder
        self.program = program
        self.authority = Authority(folder)
        self.upstream = Upstream(self.authority.leaf())
        self.plain = Upstream()
        self.data = folder / "data"
        self.config = folder / "egret.yaml"
        self.config.write_text(
            "admin: {listen: '127.0.0.1:0'}\ngateway: {listen: '127.0.0.1:0'}\n"
            + ("" if "proxy:" in config else "proxy: {listen: '127.0.0.1:0'}\n")
            + ("" if "egress:" in config else f"egress: {{{self.private}}}\n")
            + config.replace("@PRIVATE@", self.private)
        )
        self.environ = {**os.environ, "EGRET_PROXY__STATUS": "127.0.0.1:0", **self.homes, **(environ or {})}
        self.key = init(self.data) if program == EGRET else self.cli("init", "--data", str(self.data)).stdout.strip()
        self.urls: dict[str, str] = {}
        self.start()

    @property
    def homes(self) -> dict[str, str]:
        """What its clients remember of it is remembered beside it: another server may get the same port later."""
        return {f"XDG_{each}_HOME": str(self.folder / each.lower()) for each in ("CONFIG", "STATE")}

    @property
    def private(self) -> str:
        """The egress settings that let the tests' upstreams be reached."""
        return f"allow_private: ['127.0.0.0/8', '::1/128'], trust: ['{self.authority.path}']"

    def cli(self, *args: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess[str]:
        """Run `egret …`; with `key` and `urls` known, against this server."""
        environ = dict(self.environ)
        if getattr(self, "urls", None):
            environ |= {"EGRET_URL": self.urls["admin"], "EGRET_API_KEY": self.key}
        environ |= kwargs.pop("env", {})
        if args[:1] == ("run",):  # never in the checkout, whose files would run outside the sandbox
            (self.folder / "work").mkdir(exist_ok=True)
            kwargs.setdefault("cwd", self.folder / "work")
        done = subprocess.run(
            [*kwargs.pop("prefix", ()), kwargs.pop("program", getattr(self, "program", EGRET)), *args],
            text=True,
            capture_output=True,
            env=environ,
            timeout=kwargs.pop("timeout", 120),
            **kwargs,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def start(self) -> None:
        with (self.folder / "serve.out").open("w") as out, (self.folder / "serve.err").open("a") as err:
            before = err.tell()
            self.process = subprocess.Popen(
                [getattr(self, "program", EGRET), "serve", "--data", self.data, "--config", self.config],
                stdout=out, stderr=err, env=self.environ,
            )  # fmt: skip

        def ready():
            assert self.process.poll() is None, self.errors[-3000:]
            if (
                b"Ctrl-C ends it." not in (self.folder / "serve.err").read_bytes()[before:]
            ):  # it says the last of its addresses after it is ready
                return None
            return re.search(r"^ready (.*)$", (self.folder / "serve.out").read_text(), re.MULTILINE)

        try:
            found = wait_for(ready, "the ready line")
        except AssertionError:
            self.process.kill()
            raise
        self.urls = dict(part.split("=", 1) for part in found[1].split())

    @property
    def errors(self) -> str:
        return (self.folder / "serve.err").read_text()

    def pid(self, module: str) -> int:
        """The process id of the child `python -m MODULE …`, e.g. `store` or `proxy --role forward`."""
        return wait_for(lambda: next(iter(self.pids(module)), None), f"a {module} process")

    def pids(self, module: str) -> list[int]:
        found, supervisor = [], self.process.pid
        for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                waits = b"--spare" in command and Path(f"/proc/{pid}/comm").read_text() != "egret-proxy\n"
                if not waits and f" -m {module} " in b" ".join(command).decode():
                    found.append(int(pid))
        return sorted(found)

    def stop(self, expect: int | None = 0) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(35)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            assert expect is None or code == expect, (code, self.errors[-3000:])

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self.upstream.close()
            self.plain.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # the admin API

    def address(self, plane: str) -> tuple[str, int]:
        host, port = self.urls[plane].removeprefix("http://").rsplit(":", 1)
        return host.strip("[]"), int(port)

    def api(self, method: str, path: str, body=None, key: str | None = None, headers=None):
        """Return (status, parsed JSON or None, raw bytes, headers)."""
        conn = http.client.HTTPConnection(*self.address("admin"), timeout=30)
        fields = {"Authorization": f"Api-Key {key or self.key}", **(headers or {})}
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        with contextlib.closing(conn):
            conn.request(method, path, data, fields)
            got = conn.getresponse()
            raw = got.read()
        try:
            return got.status, json.loads(raw or b"null"), raw, got.headers
        except ValueError:
            return got.status, None, raw, got.headers

    def dataset(self, *secrets: dict, name: str = "", project: str = "default", **extra) -> dict:
        body = {"name": name or f"d{time.monotonic_ns()}", "filename": "data.zip", "secrets": list(secrets), **extra}
        status, document, raw, _ = self.api("POST", f"/projects/{project}/datasets/", body)
        assert status == 201, (status, raw)
        return document

    def session(self, dataset: dict, project: str = "default", **options) -> dict:
        status, document, raw, _ = self.api("POST", f"/projects/{project}/datasets/{dataset['id']}/sessions/", options)
        assert status == 201, (status, raw)
        return document

    # through the proxy

    @property
    def ca(self) -> Path:
        return self.data / "keys" / "public" / "ca.pem"

    def variables(self, session: dict) -> dict[str, str]:
        """The environment of a sandbox: proxy and CA for whatever honours them."""
        names = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
        files = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")
        return dict.fromkeys(names, session["proxy_url"]) | dict.fromkeys(files, str(self.ca)) | {"NO_PROXY": ""}

    def connect(self, token: str | None, target: str, *fields: str) -> tuple[socket.socket, bytes]:
        """CONNECT; return the socket and the whole answer to it."""
        sock = socket.create_connection(self.address("proxy"), timeout=30)
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *fields]
        if token is not None:
            lines.append(f"Proxy-Authorization: Bearer {token}")
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        return sock, receive(sock, head_only=b"200")

    def tunnel(self, token: str, target: str | None = None, server_name: str = "localhost", alpn=None) -> ssl.SSLSocket:
        """A TLS connection through the proxy to the TLS upstream."""
        sock, answer = self.connect(token, target or self.upstream.origin)
        assert answer.split(b" ", 2)[1] == b"200", answer
        context = ssl.create_default_context(cafile=self.ca)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context.wrap_socket(sock, server_hostname=server_name)

    def get(self, token: str, path: str, *fields: str, body: bytes = b"", method: str = "GET") -> bytes:
        """One request in a tunnel of its own; return the raw response."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.upstream.origin}", "Connection: close", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with self.tunnel(token) as sock:
            sock.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            return receive(sock)


def receive(sock: socket.socket, head_only: bytes | None = None) -> bytes:
    """Read one response: to its length, its last chunk, or the end. `head_only`: a status that has no body."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            if not (more := sock.recv(65536)):
                return data
            data += more
        head, rest = data.split(b"\r\n\r\n", 1)
        if head_only is not None and head.split(b" ", 2)[1] == head_only:
            return data
        if length := re.search(rb"(?i)\ncontent-length:\s*(\d+)", head):
            enough = lambda: len(rest) >= int(length[1])  # noqa: E731
        elif re.search(rb"(?i)\ntransfer-encoding:\s*chunked", head):
            enough = lambda: rest.endswith(b"0\r\n\r\n")  # noqa: E731
        else:
            enough = lambda: False  # noqa: E731
        while not enough():
            if not (more := sock.recv(65536)):
                break
            rest += more
    except (TimeoutError, ssl.SSLError, ConnectionError):
        return data
    return head + b"\r\n\r\n" + rest


def code(raw: bytes) -> str:
    """The refusal code in a raw response, or ""."""
    found = re.search(rb"(?im)^egret-error:\s*(\S+)", raw.split(b"\r\n\r\n", 1)[0])
    return found[1].decode() if found else ""
