"""One connection to the admin API: requests out, documents or errors back."""

import contextlib
import http.client
import json
import ssl
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Self
from urllib.parse import urlencode, urlsplit

from egret import __version__

Document = dict[str, Any]
"""A JSON object."""

Body = bytes | BinaryIO | None

MAX_ANSWER: Final = 64 << 20


@dataclass
class ApiError(Exception):
    """The server refused, or could not be reached. `status` is 0 when there was no answer."""

    status: int
    code: str
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    request_id: str = ""

    def __str__(self) -> str:
        lines = [f"{self.detail} ({self.code})"]
        lines += [
            f"{error.get('pointer', '')}: {error.get('detail', '')} ({error.get('code', '')})" for error in self.errors
        ]
        return "\n".join(lines)


class NotAuthenticated(ApiError):
    """401: the key is missing, unknown, expired or revoked."""


class Forbidden(ApiError):
    """403: the key may see this, but not do it."""


class NotFound(ApiError):
    """404: it is not there, or the key may not see it."""


class Conflict(ApiError):
    """409 or 412: it exists already, or it changed meanwhile."""


class Unavailable(ApiError):
    """429, 502, 503, 504, or no answer at all: try again later."""


REACTIONS: Final[Mapping[int, type[ApiError]]] = {
    401: NotAuthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Conflict, 429: Unavailable,
    502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip


@dataclass(slots=True)
class Transport:
    """Talks to one server with one API key. `timeout` is in seconds, for each step of a request."""

    url: str
    key: str = field(repr=False)
    timeout: float = 30.0
    _connection: http.client.HTTPConnection | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            plain = not (parts.query or parts.fragment or "@" in parts.netloc) and parts.port != 0
        except ValueError:  # its text repeats the URL
            plain = False
        if not plain or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the server's URL must look like https://egret.example.com") from None
        # What cannot stand in a field would be repeated by http.client in its complaint.
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise ValueError("the API key has a character that no key has; is there a line break or a blank in it?")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Document]:
        """Walk a list through all its pages."""
        asked = dict(query or {})
        while True:
            document = self.call("GET", path + (f"?{urlencode(asked)}" if asked else ""))
            yield from document["items"]
            if not document.get("next"):
                return
            asked["cursor"] = document["next"]

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, fields: Mapping[str, str] | None = None
    ) -> Document:
        """Make one request with a JSON body and return the JSON answer ({} for an empty one); raises `ApiError`."""
        data = None if body is None else json.dumps(body).encode()
        status, raw = self.fetch(method, path, data, fields)
        return understood(raw, status)

    def send_file(self, method: str, path: str, file: BinaryIO, size: int) -> Document:
        """Stream a file of `size` bytes on a connection of its own; never twice."""
        self.close()
        prefix = urlsplit(self.url).path.rstrip("/")
        fields = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        _, raw = self.fetch(method, path.removeprefix(prefix), file, fields)
        return understood(raw)

    def fetch(
        self,
        method: str,
        path: str,
        data: Body = None,
        fields: Mapping[str, str] | None = None,
        *,
        accept: Container[int] = (),
    ) -> tuple[int, bytes]:
        """Make one request and return status and body; raises `ApiError` unless the status is 2xx, or in `accept`."""
        headers = {"Authorization": f"Api-Key {self.key}", "User-Agent": f"egret/{__version__}", **(fields or {})}
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            status, raw = self._exchange(method, path, data, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise Unavailable(0, "unreachable", f"No answer from {self.url}: {reason}.") from None
        if not 200 <= status < 300 and status not in accept:
            raise _error(status, raw)
        return status, raw

    def _exchange(self, method: str, path: str, data: Body, headers: Mapping[str, str]) -> tuple[int, bytes]:
        reused = self._connection is not None
        try:
            return self._once(method, path, data, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not reused or method == "POST":  # the server may have done what a POST asked for
                raise
        return self._once(method, path, data, headers)

    def _once(self, method: str, path: str, data: Body, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, urlsplit(self.url).path.rstrip("/") + path, data, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER)

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=self.timeout)
        return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout, context=ssl.create_default_context())


def understood(raw: bytes, status: int = 200) -> Document:
    """Read a JSON object ({} for no body); raises `ApiError` for what is none."""
    if not raw:
        return {}
    with contextlib.suppress(ValueError):
        document = json.loads(raw)
        if isinstance(document, dict):
            return document
    raise ApiError(status, "not_json", "The server's answer is not JSON of Egret's; is the URL right?")


def _error(status: int, raw: bytes) -> ApiError:
    """Read a problem document; whatever else came back is not shown, it may be anybody's text."""
    document: Document = {}
    with contextlib.suppress(ValueError):
        parsed = json.loads(raw)
        document = parsed if isinstance(parsed, dict) else {}
    reaction = REACTIONS.get(status, ApiError)
    detail = document.get("detail") or document.get("title") or f"The server answered {status}."
    return reaction(
        status, document.get("code", "unknown"), detail, document.get("errors", ()), document.get("request_id", "")
    )
