"""`egret doctor`: proves the path of a running server with a canary instead of believing its health checks.

A canary secret goes into a dataset made for this, and everything that Egret promises is tried on it: it arrives at its
destination and only there, it does not come back, nobody reads it from the store, and it stops working at revocation.
The destination is an echo API that this process runs on loopback. A proxy in production does not reach loopback, and
says so; then the operator names an echo that it reaches (`--echo`), and arrival is shown by what comes back.
"""

import http.client
import json
import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from egret.client import ApiError, Area, Client, Document
from egret.echo import Echo
from egret.finding import Finding
from egret.through import Answer, through

ELSEWHERE = "elsewhere.invalid"
PATIENCE = 5.0
"""Seconds to wait for a new session to be known, and for a revoked one to be refused."""


def examine(client: Client, project: str, echo_url: str | None) -> Iterator[Finding]:
    """Try everything, finding by finding; what was made is removed at the end. Whatever goes wrong is a finding."""
    if echo_url is not None and not _is_url(echo_url):
        yield Finding("echo", ok=False, said="write its URL as https://HOST/PATH or http://HOST/PATH")
        return
    try:
        yield from _all(client, project, echo_url)
    except ApiError as error:
        yield Finding("admin API", ok=False, said=str(error))
    except (KeyError, TypeError, ValueError, AttributeError):
        yield Finding("admin API", ok=False, said="its answers are not those of an Egret of this release")


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _all(client: Client, project: str, echo_url: str | None) -> Iterator[Finding]:
    yield from _server(client)
    canary = f"canary-{secrets.token_hex(16)}"
    with Echo(tls=False) as echo:
        url = echo_url or f"http://127.0.0.1:{echo.port}/doctor"
        try:
            dataset = client.create_dataset("egret-doctor", _canaries(canary, url), project=project)
        except ApiError as error:
            yield Finding("canary stored", ok=False, said=str(error))
            return
        try:
            yield Finding("canary stored", ok=True, said=f"as a secret of dataset {dataset['id']}")
            examination = _Examination(
                client, project, dataset["id"], canary=canary, url=url, echo=None if echo_url else echo
            )
            yield from examination.run()
        finally:
            client.delete_dataset(dataset["id"], project)


def _server(client: Client) -> Iterator[Finding]:
    for route, means in (("/healthz", "the admin API answers"), ("/readyz", "it is ready to take secrets")):
        try:
            client.fetch("GET", route)
            yield Finding(route, ok=True, said=means)
        except ApiError as error:
            yield Finding(route, ok=False, said=str(error))


def _canaries(canary: str, url: str) -> list[Document]:
    parts = urlsplit(url)
    host = parts.netloc if parts.scheme == "https" else f"http://{parts.netloc}"
    return [
        {"name": "DOCTOR_CANARY", "value": canary, "hosts": [host]},
        {"name": "DOCTOR_ELSEWHERE", "value": f"elsewhere-{canary}", "hosts": [ELSEWHERE]},
    ]


class _Examination:
    """The path of one canary; `echo` is ours, or None when the operator named another."""

    def __init__(self, client: Client, project: str, dataset: str, *, canary: str, url: str, echo: Echo | None) -> None:
        self._client, self._project, self._dataset = client, project, dataset
        self._canary, self._url, self._echo = canary, url, echo
        self._ca = client.ca()
        self._session = client.open_session(dataset, project, label="egret doctor", ttl=300)

    def run(self) -> Iterator[Finding]:
        yield self._write_only()
        yield self._try("no session", "session_required", "without a token nothing is forwarded", token=False)
        first = self._first()
        if isinstance(first, Finding):
            yield first
        else:
            yield from self._arrival(first)
            yield self._try("wrong destination", "destination_not_allowed", "refused", uses="DOCTOR_ELSEWHERE")
            yield self._try("unknown name", "unknown_secret", "refused", uses="DOCTOR_NOBODY")
        yield self._revoked()

    def _get(self, name: str, *, token: bool = True) -> Answer:
        headers = {"X-Doctor": f"#{{SECRETS.{name}}}"}
        return through(self._session["proxy_url"], self._url, headers, token=token, ca=self._ca)

    def _write_only(self) -> Finding:
        where = Area(self._dataset, self._project)
        read = json.dumps([self._client.secret(where, "DOCTOR_CANARY"), list(self._client.secrets(where))])
        return Finding(
            "write-only", ok=self._canary not in read, said="the admin API shows the secret without its value"
        )

    def _first(self) -> Answer | Finding:
        """Send the canary; a session is known to the proxy within a second, so ask again for a while."""
        deadline = time.monotonic() + PATIENCE
        try:
            while (answer := self._get("DOCTOR_CANARY")).code == "session_invalid" and time.monotonic() < deadline:
                time.sleep(0.1)
        except (OSError, http.client.HTTPException) as error:
            said = f"no answer from the proxy at {_shown(self._session['proxy_url'])}: {type(error).__name__}"
            return Finding("proxy", ok=False, said=said)
        if answer.code == "destination_blocked" and self._echo is not None:
            return Finding("injected", ok=None, said=UNREACHED)
        return Finding("injected", ok=False, said=f"refused: {answer.code}") if answer.code else answer

    def _arrival(self, answer: Answer) -> Iterator[Finding]:
        if self._echo is None:
            arrived = answer.injected == "DOCTOR_CANARY"
            yield Finding("injected", ok=arrived, said="the proxy says that it put the value in (Egret-Injected)")
        else:
            arrived = any(self._canary in head for head in self._echo.seen)
            yield Finding("injected", ok=arrived, said="the API received the value")
        clean = self._canary not in answer.body and "#{SECRETS.DOCTOR_CANARY}" in answer.body
        yield Finding("scrubbed", ok=clean, said="its echo came back with the placeholder in place of the value")

    def _try(self, name: str, code: str, said: str, *, uses: str = "DOCTOR_CANARY", token: bool = True) -> Finding:
        before = len(self._echo.seen) if self._echo else 0
        try:
            answer = self._get(uses, token=token)
        except (OSError, http.client.HTTPException) as error:
            return Finding(name, ok=False, said=f"no answer from the proxy: {type(error).__name__}")
        quiet = self._echo is None or len(self._echo.seen) == before
        if answer.code == code and quiet:
            return Finding(name, ok=True, said=f"{said} ({answer.status} {code}), and nothing reached the API")
        return Finding(name, ok=False, said=f"expected {code}, got {answer.status} {answer.code or 'from upstream'}")

    def _revoked(self) -> Finding:
        self._client.revoke_session(self._session["id"], self._dataset, self._project)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < PATIENCE:
            try:
                if self._get("DOCTOR_CANARY").code == "session_invalid":
                    return Finding("revoked", ok=True, said=f"the session was refused {passed * 1000:.0f} ms later")
            except (OSError, http.client.HTTPException) as error:
                return Finding("revoked", ok=False, said=f"no answer from the proxy: {type(error).__name__}")
            time.sleep(0.05)
        return Finding("revoked", ok=False, said=f"the session still works {PATIENCE:.0f} s after its revocation")


UNREACHED = (
    "the proxy refuses loopback (destination_blocked), as it should. To show the rest, name an API that repeats the "
    "request's headers, such as: egret doctor --echo https://postman-echo.com/get"
)


def _shown(proxy_url: str) -> str:
    return proxy_url.rsplit("@", 1)[-1]
