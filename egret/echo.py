"""An API on loopback that answers every request with what it received: the other side of `egret demo` and `doctor`.

It listens on a free port, in plain HTTP or in TLS with a certificate that it makes itself, and keeps what it saw.
"""

import datetime as dt
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

HOST = "localhost"


class Echo:
    """Serves until `close()`. `seen` holds the head of each request, as text."""

    def __init__(self, *, tls: bool) -> None:
        self.seen: list[str] = []
        self.certificate = b""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.seen))
        self._server.daemon_threads = True
        if tls:
            context, self.certificate = _identity()
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(seen: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            """Answer with the request line, the headers and the body."""
            head = f"{self.requestline}\n{str(self.headers).strip()}\n"
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("latin-1")
            said = f"{head}\n{body}" if body else head
            seen.append(said)
            data = said.encode("latin-1")
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815  # http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing on stderr."""

    return Handler


def _identity() -> tuple[ssl.SSLContext, bytes]:
    """Make a certificate for `HOST`, its own authority, valid for a day."""
    from cryptography import x509  # noqa: PLC0415  # slow to import
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Egret's echo API")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "identity.pem"
        file.write_bytes(pem + private)
        context.load_cert_chain(file)
    return context, pem
