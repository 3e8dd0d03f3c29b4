"""A small synchronous client of the admin API, on the standard library alone.

    from egret.client import Client, Scope
    client = Client("http://127.0.0.1:8700", "egk_…")
    dataset = client.create_dataset("reviews", [{"name": "API_KEY", "value": value, "hosts": ["api.example.com"]}])
    session = client.open_session(dataset["id"])
    # session["proxy_url"] goes into HTTPS_PROXY of the code that must not see the value

Documents are dictionaries as the API returns them (docs/api.md); no call returns a value, because there is no such
route. Every failure is an `ApiError` or one of its subclasses; messages never quote what was sent. A client is
for one thread at a time.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from egret.transport import ApiError, Conflict, Document, Forbidden, NotAuthenticated, NotFound, Transport, Unavailable

__all__ = [
    "ApiError", "Client", "Conflict", "Document", "Forbidden", "NotAuthenticated", "NotFound", "Scope", "Unavailable",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """Where secrets and variables are kept: one dataset, or a project or organisation for all of its datasets."""

    dataset: str | None = None
    project: str = "default"
    organisation: str | None = None

    @property
    def path(self) -> str:
        """The route below which `secrets/` and `variables/` are."""
        if self.organisation is not None:
            return f"/orgs/{_part(self.organisation)}"
        path = f"/projects/{_part(self.project)}"
        return path if self.dataset is None else f"{path}/datasets/{_part(self.dataset)}"


class Client(Transport):
    """The routes of the admin API as methods."""

    # projects and datasets

    def create_project(self, name: str, **options: object) -> Document:
        """Create a project; `id` may be chosen."""
        return self.call("POST", "/projects/", {"name": name, **options})

    def create_dataset(
        self, name: str, secrets: Sequence[Document] = (), *, project: str = "default", **options: object
    ) -> Document:
        """Upload a dataset with its secrets. Options: filename, hosts, variables, egress."""
        body = {"name": name, "secrets": list(secrets), **options}
        return self.call("POST", f"/projects/{_part(project)}/datasets/", body)

    def replace_dataset(
        self, dataset: str, name: str, secrets: Sequence[Document], *, project: str = "default", **options: object
    ) -> Document:
        """Upload anew: the whole set is replaced in one transaction."""
        return self.call("PUT", Scope(dataset, project).path + "/", {"name": name, "secrets": list(secrets), **options})

    def datasets(self, project: str = "default") -> Iterator[Document]:
        """List the datasets of a project."""
        return self.pages(f"/projects/{_part(project)}/datasets/")

    def dataset(self, dataset: str, project: str = "default") -> Document:
        """Return one dataset by its id."""
        return self.call("GET", Scope(dataset, project).path + "/")

    def find_dataset(self, wanted: str, project: str = "default") -> Document:
        """Return one dataset by its id, else by its name; raises `Conflict` when several have the name."""
        with contextlib.suppress(NotFound):
            return self.dataset(wanted, project)
        named = [document for document in self.datasets(project) if document.get("name") == wanted]
        if len(named) > 1:
            raise Conflict(409, "ambiguous", "Several datasets have this name; give the id of one.")
        if not named:
            raise NotFound(404, "not_found", "There is no dataset with this id or name in the project.")
        return named[0]

    def upload_file(self, upload_url: str, file: BinaryIO, size: int) -> Document:
        """Send a dataset's file to the `upload_url` of its create call; works once, for 15 minutes."""
        return self.send_file("PUT", urlsplit(upload_url).path, file, size)

    def delete_dataset(self, dataset: str, project: str = "default") -> None:
        """Delete a dataset; its sessions and secrets go with it."""
        self.call("DELETE", Scope(dataset, project).path + "/")

    # secrets and variables

    def secrets(self, scope: Scope, kind: str = "secrets", **query: str) -> Iterator[Document]:
        """List secrets (or `kind="variables"`), without values. Filters: q, provider, created_by, sort."""
        return self.pages(f"{scope.path}/{kind}/", query)

    def secret(self, scope: Scope, name: str, kind: str = "secrets") -> Document:
        """Return what is known of one secret: everything but its value."""
        return self.call("GET", f"{scope.path}/{kind}/{_part(name)}")

    def put_secret(
        self, scope: Scope, name: str, value: str, *, kind: str = "secrets", if_match: str = "", **options: object
    ) -> Document:
        """Store a value as a new version. Options: hosts, locations, provider, description, environment."""
        body = {"name": name, "value": value, **options}
        return self.call("PUT", f"{scope.path}/{kind}/{_part(name)}", body, {"If-Match": if_match} if if_match else {})

    def change_secret(self, scope: Scope, name: str, kind: str = "secrets", **options: object) -> Document:
        """Change what is said about a secret; hosts and locations can only be narrowed."""
        return self.call("PATCH", f"{scope.path}/{kind}/{_part(name)}", options)

    def delete_secret(self, scope: Scope, name: str, kind: str = "secrets") -> None:
        """Delete a secret with all its versions."""
        self.call("DELETE", f"{scope.path}/{kind}/{_part(name)}")

    def versions(self, scope: Scope, name: str) -> Iterator[Document]:
        """List the versions of a secret."""
        return self.pages(f"{scope.path}/secrets/{_part(name)}/versions/")

    def activate(self, scope: Scope, name: str, version: int) -> Document:
        """Make another version the one that is injected."""
        return self.call("POST", f"{scope.path}/secrets/{_part(name)}/versions/{version}/activate")

    def destroy(self, scope: Scope, name: str, version: int) -> Document:
        """Erase a version for good."""
        return self.call("POST", f"{scope.path}/secrets/{_part(name)}/versions/{version}/destroy")

    # sessions, keys, audit

    def open_session(self, dataset: str, project: str = "default", **options: object) -> Document:
        """Open a session. Options: secrets, environment, origins, ttl, max_requests, label. The token is shown once."""
        return self.call("POST", Scope(dataset, project).path + "/sessions/", options)

    def sessions(self, dataset: str, project: str = "default") -> Iterator[Document]:
        """List sessions, without their tokens."""
        return self.pages(Scope(dataset, project).path + "/sessions/")

    def revoke_session(self, session: str, dataset: str, project: str = "default") -> None:
        """End a session: every proxy refuses it within a second."""
        self.call("DELETE", f"{Scope(dataset, project).path}/sessions/{_part(session)}")

    def create_key(self, **options: object) -> Document:
        """Create an API key; it is shown once."""
        return self.call("POST", "/keys/", options)

    def keys(self) -> Iterator[Document]:
        """List API keys, without their secret part."""
        return self.pages("/keys/")

    def rotate_key(self, key: str, overlap: str) -> Document:
        """Replace a key; the old one works for `overlap` longer."""
        return self.call("POST", f"/keys/{_part(key)}/rotate", {"overlap": overlap})

    def revoke_key(self, key: str) -> None:
        """End an API key at once."""
        self.call("DELETE", f"/keys/{_part(key)}")

    def audit(self, **query: str) -> Iterator[Document]:
        """List audit records, newest first."""
        return self.pages("/audit/", query)

    def verify_audit(self) -> Document:
        """Have the server check its hash chain."""
        return self.call("GET", "/audit/verify")

    def ca(self) -> bytes:
        """Return the proxy's CA certificate, PEM."""
        return self.fetch("GET", "/ca.pem")[1]


def _part(text: str) -> str:
    return quote(text, safe="")
