"""The clouds and APIs that SDKs call, on loopback, under their own names: each request's signature or token is verified.

What does not verify is answered as its cloud does, and `faults` has it. `verified` are the requests that did.
"""

import base64
import hashlib
import json
import re
import struct
import threading
from urllib.parse import parse_qs, unquote

from aws import NAMES as OF_AWS
from aws import Cloud
from certificates import Authority
from clouds import NAMES as OF_TOKENS
from clouds import Clouds
from draw import Draw
from issuer import Issuer, answer
from upstream import Request, Upstream, response

SAID = "said by the API"
STORAGE = "https://www.googleapis.com/auth/devstorage.read_write"
VAULT, BLOBS, GRAPH = (f"https://{host}/.default" for host in ("vault.azure.net", "storage.azure.com", "graph.microsoft.com"))  # fmt: skip
STATIC = {name: Draw(f"sdk {name}").letters(40) for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "STRIPE")}
KEY = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": Draw("sdk aws").letters(40)}
APIS = {
    "storage.googleapis.com": STORAGE, "www.googleapis.com": STORAGE, "myvault.vault.azure.net": VAULT,
    "myaccount.blob.core.windows.net": BLOBS, "graph.microsoft.com": GRAPH, "api.github.com": "github",
    "api.test": "oauth", "api.openai.com": "OPENAI_API_KEY", "api.anthropic.com": "ANTHROPIC_API_KEY",
    "api.stripe.com": "STRIPE",
}  # fmt: skip
"""What a request to each API has to show: a token of this scope or cloud, or this text."""

CHALLENGE = b'WWW-Authenticate: Bearer authorization="https://login.microsoftonline.com/contoso.example", resource="https://vault.azure.net"'
FOUND = (b'ETag: "0x1"', b"Last-Modified: Sun, 01 Nov 2026 00:00:00 GMT")


class World(Upstream):
    """Serves until `close()`."""

    def __init__(self, authority: Authority):
        self.faults, self.verified = [], []
        self.of: dict[str, str] = {}
        self.objects = {"there": SAID.encode()}
        self._lock = threading.Lock()
        self.aws = Cloud(authority, *KEY.values())
        self.aws.objects[b"sdk-calls/there"] = SAID.encode()
        self.clouds, self.issuer = Clouds(authority, {}), Issuer(authority)
        names = {*OF_AWS, *OF_TOKENS, *APIS, "*.s3.amazonaws.com", "sts.amazonaws.com"}
        super().__init__(authority.leaf(*sorted(names)), {b"/": self._answer})

    def close(self) -> None:
        for each in (self.aws, self.clouds, self.issuer):
            each.close()
        super().close()

    def forget(self) -> None:
        """Start a new count."""
        super().forget()
        for each in (self.verified, self.faults, self.aws.faults, self.clouds.faults, self.issuer.faults):
            each.clear()

    def wrong(self) -> list:
        """What did not verify, anywhere."""
        return [*self.faults, *self.aws.faults, *self.clouds.faults, *self.issuer.faults]

    @property
    def tokens(self) -> list[str]:
        return [*self.clouds.tokens, *self.issuer.tokens]

    def _answer(self, request: Request, conn) -> bytes:
        host = request.header("Host").decode().split(":")[0]
        if host.endswith(".amazonaws.com"):
            before = len(self.aws.faults)
            said = self.aws._answer(request, conn)
            if len(self.aws.faults) == before:
                self.verified.append(request)
            return said
        if host in OF_TOKENS and (host != "api.github.com" or request.path.startswith(b"/app/")):
            return self._token(request, conn, host)
        return self._api(request, host)

    def _token(self, request: Request, conn, host: str) -> bytes:
        """Trade: each cloud for the scopes that are sealed here, one request at a time."""
        with self._lock:
            asked = parse_qs(request.body.decode()).get("scope", [""])[0]
            scope = {"oauth2.googleapis.com": STORAGE, "api.github.com": "github"}.get(host, asked)
            wanted = scope in {STORAGE, VAULT, BLOBS, GRAPH} or not request.body
            self.clouds.wants = {"scope": scope} if wanted else {}
            said = self.clouds._answer(request, conn)
            self.of |= {token: scope for token in self.clouds.tokens if token not in self.of}
            return said

    def _api(self, request: Request, host: str) -> bytes:
        shown = request.header("X-Api-Key") or request.header("Authorization").partition(b" ")[2]
        wanted = APIS[host]
        known = shown.decode() == STATIC.get(wanted) or self._is_of(shown.decode(), wanted)
        if not known and not shown and wanted == VAULT:  # what its SDKs ask first
            return response(b"", CHALLENGE, status=b"401 Unauthorized")
        if not known:
            self.faults.append(f"{host}: no credential for it")
            return answer({"error": {"message": "who?"}}, status=b"401 Unauthorized")
        self.verified.append(request)
        if wanted in {STORAGE, BLOBS}:
            return self._kept(request, "blob" if wanted == BLOBS else "object")
        return answer(self._documents(wanted))

    def _is_of(self, token: str, wanted: str) -> bool:
        return self.of.get(token) == wanted or (wanted == "oauth" and token in self.issuer.tokens)

    def _documents(self, wanted: str) -> dict:
        return {
            VAULT: {"value": SAID, "id": "https://myvault.vault.azure.net/secrets/there/1", "attributes": {"enabled": True}},
            "github": {"description": SAID, "name": "mine", "full_name": "me/mine", "url": "https://api.github.com/repos/me/mine"},
        }.get(wanted, {"object": "list", "said": SAID, "has_more": False, "data": [{"id": SAID, "object": "model", "type": "model"}]})  # fmt: skip

    def _kept(self, request: Request, what: str) -> bytes:
        """Put and get an object of Google's, or a blob of Azure's."""
        name = unquote(request.path.decode().rpartition("/")[2])
        if request.head.startswith(b"PUT"):
            self.objects[name] = request.body
            return response(b"", *FOUND, b"x-ms-request-server-encrypted: true", status=b"201 Created")
        if request.head.startswith(b"POST"):
            described, content = _related(request)
            self.objects[described["name"]] = content
            return answer(_described(described["name"], content))
        content = self.objects.get(name)
        if content is None:  # the SDK asks how the bucket is laid out, and does without
            return answer({"error": {"code": 404, "message": "none"}}, status=b"404 Not Found")
        if b"alt=json" in request.target or (what == "object" and b"alt=media" not in request.target):
            return answer(_described(name, content))
        digests = f"x-goog-hash: crc32c={_crc32c(content)},md5={_md5(content)}".encode()
        more = [digests] if what == "object" else [b"x-ms-blob-type: BlockBlob"]
        part = request.header("x-ms-range") or request.header("Range")
        if part:  # of all, or more than there is
            more.append(b"Content-Range: bytes 0-%d/%d" % (len(content) - 1, len(content)))
        status = b"206 Partial Content" if part else b"200 OK"
        return response(content, b"Content-Type: application/octet-stream", *FOUND, *more, status=status)


def _related(request: Request) -> tuple[dict, bytes]:
    """The two parts of a body of `multipart/related`."""
    boundary = re.search(rb'boundary="?([^";]+)', request.header("Content-Type"))[1]
    first, second = request.body.split(b"--" + boundary)[1:3]
    named = parse_qs(request.target.decode().partition("?")[2])
    described = json.loads(first.partition(b"\r\n\r\n")[2])
    return {"name": named.get("name", [None])[0], **described}, second.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def _described(name: str, content: bytes) -> dict:
    return {
        "kind": "storage#object", "name": name, "bucket": "sdk-calls", "size": str(len(content)), "generation": "1", "metageneration": "1",
        "crc32c": _crc32c(content), "md5Hash": _md5(content), "metadata": {"said": SAID},
    }  # fmt: skip


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _crc32c(content: bytes) -> str:
    """CRC-32C (RFC 3720 B.4), as Google writes it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return base64.b64encode(struct.pack(">I", crc ^ 0xFFFFFFFF)).decode()
