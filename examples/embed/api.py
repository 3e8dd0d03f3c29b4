"""The API that the app uses: it wants tokens, and says on the terminal what it received. Stands in for a real one."""

import asyncio
import datetime as dt
import json
import ssl
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

API_TOKEN = "demo-api-token-4f1d"
WS_TOKEN = "demo-ws-token-90ac"


def identity(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for localhost, and where it is: Egret has to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The example's API")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "api.pem", folder / "api-and-key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    both.write_bytes(public.read_bytes() + key.private_bytes(*private))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, public


def tell(request: web.Request) -> None:
    """Show what arrived here, which nobody sees in the browser."""
    credentials = request.headers.get("Authorization", "-")
    print(f"api: {request.method} {request.path_qs}  Authorization: {credentials}", flush=True)


async def generate(request: web.Request) -> web.Response:
    """Give a text to who has the token."""
    tell(request)
    if request.query.get("token") != API_TOKEN:
        raise web.HTTPUnauthorized
    return web.json_response({"text": "The quick brown fox jumps over the lazy dog."})


async def ratings(request: web.Request) -> web.Response:
    """Take a rating, and echo the credentials as careless APIs do: Egret takes them out again."""
    tell(request)
    if request.headers.get("Authorization") != f"Bearer {API_TOKEN}":
        raise web.HTTPUnauthorized
    print(f"api: rated {json.dumps(await request.json())}", flush=True)
    return web.json_response({"saved": True, "by": request.headers["Authorization"]}, status=201)


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Say how many raters there are, now and then."""
    tell(request)
    if request.query.get("token") != WS_TOKEN:
        raise web.HTTPUnauthorized
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    for count in range(1000):
        await socket.send_str(f"{count + 2} others are rating now.")
        await asyncio.sleep(2)
    return socket


async def start(folder: Path) -> tuple[int, Path]:
    """Serve on a free port; return it and the certificate."""
    app = web.Application()
    app.add_routes([web.get("/generate", generate), web.post("/ratings", ratings), web.get("/stream", stream)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    context, certificate = identity(folder)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner.addresses[0][1], certificate
