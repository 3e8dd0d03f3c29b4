"""SDKs and protocols that people really use, unmodified, each against a local server of its protocol."""

import os
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import sdk_apis
from websockets.sync.server import serve

CLIENTS = Path(__file__).parents[1] / "clients"
TOKEN = "sdk-token-9Qd7XwLm3"
OTHER = "other-token-5Rn2Kp8"
MESSAGE = "message-token-7Yt1Hs"
AWS_EXAMPLE = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def calls(egret):
    """A real gRPC server; `seen` is the metadata and messages it got."""
    seen: list[tuple[dict, bytes]] = []

    def unary(message, context):
        metadata = dict(context.invocation_metadata())
        seen.append((metadata, message))
        context.send_initial_metadata((("seen", metadata.get("authorization", "")),))
        context.set_trailing_metadata((("seen", metadata.get("x-other", "")),))
        return b"pong " + message

    def both(messages, context):
        for message in messages:
            seen.append((dict(context.invocation_metadata()), message))
            yield b"re " + message

    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Both": grpc.stream_stream_rpc_method_handler(both),
    }
    pem = Path(egret.authority.leaf()).read_bytes()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    server.seen = seen
    server.port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    yield server
    server.stop(None).wait()


@pytest.fixture(scope="module")
def sockets(egret):
    """A WebSocket server that repeats what it is told; `seen` is handshakes and messages."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(egret.authority.leaf())
    seen: list = []

    def handle(socket):
        seen.append(socket.request)
        for message in socket:
            seen.append(message)
            socket.send(message)

    first = lambda connection, offered: offered[0] if offered else None  # noqa: E731
    with serve(handle, "127.0.0.1", 0, ssl=context, select_subprotocol=first) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.seen = seen
        yield server
        server.shutdown()
    thread.join(60)


@pytest.fixture(scope="module")
def session(egret, calls, sockets):
    egret.upstream.routes |= {b"/v1/chat/completions": sdk_apis.openai, b"/v1/messages": sdk_apis.anthropic}
    egret.upstream.routes |= {b"/": sdk_apis.buckets}
    ports = (egret.upstream.port, calls.port, sockets.socket.getsockname()[1])
    hosts = [f"localhost:{port}" for port in ports]
    dataset = egret.dataset(
        {"name": "API_TOKEN", "value": TOKEN, "hosts": hosts},
        {"name": "OTHER", "value": OTHER, "hosts": hosts},
        {"name": "MESSAGE", "value": MESSAGE, "hosts": hosts, "locations": ["message"]},
    )
    return egret.session(dataset)


@pytest.fixture
def run(egret, session, calls, sockets):
    egret.upstream.forget()
    calls.seen.clear()
    sockets.seen.clear()

    def run(*argv) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        environ = clean | egret.variables(session) | {
            "API": egret.upstream.url,
            "TARGET": f"localhost:{calls.port}",
            "WS": f"wss://localhost:{sockets.socket.getsockname()[1]}",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(egret.ca),
            "AWS_CA_BUNDLE": str(egret.ca),
        }  # fmt: skip
        done = subprocess.run([*map(str, argv)], env=environ, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        for value in (TOKEN, OTHER, MESSAGE):
            assert value not in done.stdout + done.stderr
        return done.stdout

    return run


def python(name: str):
    return sys.executable, CLIENTS / "python" / name


def test_openai(egret, run):
    """A placeholder is a good API key; a prompt that quotes another one is carried; the stream is scrubbed."""
    assert run(*python("with_openai.py")) == "Bearer #{SECRETS.API_TOKEN}\n" * 2
    assert [request.header("Authorization") for request in egret.upstream.log] == [b"Bearer " + TOKEN.encode()] * 2
    assert all(b"#{SECRETS.UNKNOWN}" in request.body for request in egret.upstream.log)


def test_anthropic(egret, run):
    """The same in whichever header the SDK puts it."""
    shown = run(*python("with_anthropic.py"))
    assert shown.replace("Bearer ", "") == "#{SECRETS.API_TOKEN}\n" * 2
    told = [sdk_apis.anthropic_key(request) for request in egret.upstream.log]
    assert [key.removeprefix(b"Bearer ") for key in told] == [TOKEN.encode()] * 2


def test_boto3(egret, run):
    """Signed requests arrive as they were signed."""
    assert run(*python("with_boto3.py")) == "200\n200\n"
    assert len(egret.upstream.log) == 2
    assert all(sdk_apis.signature_holds(request, AWS_EXAMPLE) for request in egret.upstream.log)
    assert b"\x00body" * 1000 in egret.upstream.log[1].body


def test_grpc(run, calls):
    """Metadata is injected, trailers are scrubbed, messages are not touched, a refusal is a status."""
    shown = run(*python("with_grpc.py"))
    metadata, message = calls.seen[0]
    assert metadata["authorization"] == f"Bearer {TOKEN}"
    assert message == b"ping #{SECRETS.OTHER}"
    assert [message for _, message in calls.seen[1:]] == [b"m%d" % n for n in range(5)]
    first, second, third = shown.splitlines()
    assert first.startswith("b'pong ping #{SECRETS.OTHER}' Bearer #{SECRETS.API_TOKEN} #{SECRETS.OTHER}")
    assert second == str([b"re m%d" % n for n in range(5)])
    assert third.startswith("StatusCode.PERMISSION_DENIED")


def test_websockets(run, sockets):
    """The handshake and a message, there and back."""
    assert run(*python("with_websockets.py")) == "say #{SECRETS.MESSAGE}\n"
    handshake, message = sockets.seen
    assert handshake.path == f"/stream?token={TOKEN}"
    assert handshake.headers["X-Other"] == OTHER
    assert message == f"say {MESSAGE}"


@pytest.mark.needs("node", "npm")
def test_node_ws(run, sockets):
    """The subprotocol that browsers use for a key is mapped both ways."""
    shown = run("node", CLIENTS / "node" / "socket.mjs")
    assert shown == "openai-insecure-api-key.%23%7BSECRETS.OTHER%7D say #{SECRETS.MESSAGE}\n"
    handshake, message = sockets.seen
    assert handshake.headers["Sec-WebSocket-Protocol"] == f"openai-insecure-api-key.{OTHER}"
    assert message == f"say {MESSAGE}"
