"""A small synchronous client of the admin API. `egret.aio` is the same for asyncio.

    from egret.client import Client, Area
    client = Client("http://127.0.0.1:8700", "egk_…")
    dataset = client.create_dataset("reviews", [{"name": "API_KEY", "value": value, "hosts": ["api.example.com"]}])
    session = client.open_session(dataset["id"])
    # session["proxy_url"] goes into HTTPS_PROXY of the code that must not see the value

Secrets are sealed to the store's key before they are sent (`egret.sealed`): the API sees envelopes, never a value. Give
the key's fingerprint as `pin`, else the first that the server shows is held for as long as the client lives
(`egret.pins.KnownStores` keeps it in a file, as the command line does). `seal=False` sends values in clear.

Documents are dictionaries as the API returns them (docs/api.md); no call returns a value, because there is no such
route. Every failure is an `ApiError` or one of its subclasses; messages never quote what was sent. A client is
for one thread at a time.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from egret.admin import Admin
from egret.area import Area, part
from egret.pins import Pins, SealingKeyChanged
from egret.transport import (
    ApiError,
    Conflict,
    Document,
    Forbidden,
    NotAuthenticated,
    NotFound,
    Unavailable,
    understood,
)
from egret.uploads import Uploads

__all__ = [
    "ApiError",
    "Area",
    "Client",
    "Conflict",
    "Document",
    "Forbidden",
    "NotAuthenticated",
    "NotFound",
    "Pins",
    "SealingKeyChanged",
    "Unavailable",
]  # fmt: skip


class Client(Admin):
    """The routes of the admin API as methods."""

    def __init__(
        self, url: str, key: str, timeout: float = 30.0, *, seal: bool = True, pin: str | Pins | None = None
    ) -> None:
        super().__init__(url, key, timeout)
        self._sealed = Uploads(self, pin if isinstance(pin, Pins) else Pins(pin)) if seal else None

    def sealing_key(self) -> Document:
        """Return the public key that values are sealed to, with its fingerprint."""
        return self.call("GET", "/sealing-key")

    # projects and datasets

    def create_project(self, /, name: str, **options: object) -> Document:
        """Create a project; `id` may be chosen. `hosts`: where its secrets go that name none."""
        return self.call("POST", "/projects/", {"name": name, **options})

    def projects(self) -> Iterator[Document]:
        """List the projects that the key may see."""
        return self.pages("/projects/")

    def project(self, project: str) -> Document:
        """Return one project by its id."""
        return self.call("GET", f"/projects/{part(project)}/")

    def change_project(self, /, project: str, **options: object) -> Document:
        """Change `name`, or `hosts`: where secrets go that name none; [] is nowhere, None says nothing of it."""
        return self.call("PATCH", f"/projects/{part(project)}/", options)

    def organisation(self, organisation: str = "default") -> Document:
        """Return the organisation."""
        return self.call("GET", f"/orgs/{part(organisation)}/")

    def change_organisation(self, /, organisation: str = "default", **options: object) -> Document:
        """Change `name`, or `hosts`, as of a project."""
        return self.call("PATCH", f"/orgs/{part(organisation)}/", options)

    def default_hosts(self, area: Area) -> Iterator[Document]:
        """List who says where secrets of an area go that name no hosts, nearest first: the first one decides."""
        return self.pages(f"{area.path}/default-hosts")

    def create_dataset(
        self, /, name: str, secrets: Sequence[Document] = (), *, project: str = "default", **options: object
    ) -> Document:
        """Upload a dataset with its secrets. Options: id, filename, hosts, variables, egress."""
        body = {"name": name, "secrets": list(secrets), **options}
        if secrets and self._sealed is not None:
            return self._sealed.dataset(body, project)
        return self.call("POST", f"/projects/{part(project)}/datasets/", body)

    def replace_dataset(
        self, /, dataset: str, name: str, secrets: Sequence[Document], *, project: str = "default", **options: object
    ) -> Document:
        """Upload anew: the whole set is replaced in one transaction."""
        body = {"name": name, "secrets": list(secrets), **options}
        if secrets and self._sealed is not None:
            return self._sealed.replace(Area(dataset, project), body)
        return self.call("PUT", Area(dataset, project).path + "/", body)

    def change_dataset(self, /, dataset: str, project: str = "default", **options: object) -> Document:
        """Change `name`, or `hosts`, as of a project: for what is put into it later. All else stays."""
        return self.call("PATCH", Area(dataset, project).path + "/", options)

    def datasets(self, project: str = "default") -> Iterator[Document]:
        """List the datasets of a project."""
        return self.pages(f"/projects/{part(project)}/datasets/")

    def dataset(self, dataset: str, project: str = "default") -> Document:
        """Return one dataset by its id."""
        return self.call("GET", Area(dataset, project).path + "/")

    def find_dataset(self, wanted: str, project: str = "default") -> Document:
        """Return one dataset by its id, else by its name; raises `Conflict` when several have the name."""
        with contextlib.suppress(NotFound):
            return self.dataset(wanted, project)
        named = [document for document in self.datasets(project) if document.get("name") == wanted]
        if len(named) > 1:
            ids = ", ".join(str(each["id"]) for each in named)
            raise Conflict(409, "ambiguous", f"Several datasets have this name; give the id of one: {ids}.")
        if not named:
            raise NotFound(404, "not_found", "There is no dataset with this id or name in the project.")
        return named[0]

    def budgets(self, dataset: str, project: str = "default") -> Iterator[Document]:
        """List a dataset's budgets, and what was drawn from each in the period of now."""
        return self.pages(Area(dataset, project).path + "/budgets/")

    def set_budgets(
        self, dataset: str, budgets: Sequence[Mapping[str, object]], project: str = "default"
    ) -> list[Document]:
        """Set all of a dataset's budgets: {of, name?, unit, per, soft?, hard?} each. What was drawn stays drawn."""
        found = self.call("PUT", Area(dataset, project).path + "/budgets/", {"items": list(budgets)})
        return list(found["items"])

    def upload_file(self, upload_url: str, file: BinaryIO, size: int) -> Document:
        """Send a dataset's file to the `upload_url` of its create call; works once, for 15 minutes."""
        return self.send_file("PUT", urlsplit(upload_url).path, file, size)

    def delete_dataset(self, dataset: str, project: str = "default") -> None:
        """Delete a dataset; its sessions and secrets go with it."""
        self.call("DELETE", Area(dataset, project).path + "/")

    def disable_dataset(self, dataset: str, project: str = "default", *, disabled: bool = True) -> Document:
        """Refuse every session of a dataset at once; or undo that."""
        return self.call("POST", f"{Area(dataset, project).path}/{'disable' if disabled else 'enable'}")

    # secrets and variables

    def secrets(self, /, area: Area, shelf: str = "secrets", **query: str) -> Iterator[Document]:
        """List secrets (or `shelf="variables"`), without values. Filters: q, provider, created_by, group, due, sort."""
        return self.pages(f"{area.path}/{shelf}/", query)

    def secret(self, area: Area, name: str, shelf: str = "secrets", *, environment: str = "") -> Document:
        """Return what is known of one secret: everything but its value."""
        return self.call("GET", _entry(area, shelf, name, environment))

    def put_secret(
        self, /, area: Area, name: str, value: str, *, shelf: str = "secrets", if_match: str = "", **options: object
    ) -> Document:
        """Store a value as a new version. Options: hosts, locations, provider, kind, parameters, environment, …"""  # noqa: D400
        body = {"name": name, "value": value, **options}
        fields = {"If-Match": if_match} if if_match else {}
        if shelf == "secrets" and self._sealed is not None:
            return self._sealed.put(area, body, fields)
        return self.call("PUT", f"{area.path}/{shelf}/{part(name)}", body, fields)

    def change_secret(
        self, area: Area, name: str, /, shelf: str = "secrets", *, environment: str = "", **options: object
    ) -> Document:
        """Change what is said about a secret; hosts and locations can only be narrowed. `name`: another name for it.

        For `name` its id does as well, here and wherever one is asked for that is there already.
        """
        return self.call("PATCH", _entry(area, shelf, name, environment), options)

    def delete_secret(self, area: Area, name: str, shelf: str = "secrets", *, environment: str = "") -> None:
        """Delete a secret with all its versions."""
        self.call("DELETE", _entry(area, shelf, name, environment))

    def disable_secret(self, area: Area, name: str, *, environment: str = "", disabled: bool = True) -> Document:
        """Stop every use at once, in an immutable dataset too; or undo that."""
        verb = "/disable" if disabled else "/enable"
        return self.call("POST", _entry(area, "secrets", name, environment, verb))

    def versions(self, area: Area, name: str, *, environment: str = "") -> Iterator[Document]:
        """List the versions of a secret."""
        return self.pages(_entry(area, "secrets", name, "", "/versions/"), _asked(environment))

    def activate(self, area: Area, name: str, version: int, *, environment: str = "") -> Document:
        """Make another version the one that is injected."""
        return self.call("POST", _entry(area, "secrets", name, environment, f"/versions/{version}/activate"))

    def destroy(self, area: Area, name: str, version: int, *, environment: str = "") -> Document:
        """Erase a version for good."""
        return self.call("POST", _entry(area, "secrets", name, environment, f"/versions/{version}/destroy"))

    # sessions, audit

    def open_session(self, /, dataset: str, project: str = "default", **options: object) -> Document:
        """Open a session. Options: secrets, consumer, environment, origins, sources, ttl, … The token is shown once."""
        return self.call("POST", Area(dataset, project).path + "/sessions/", options)

    def sessions(self, dataset: str, project: str = "default") -> Iterator[Document]:
        """List sessions, without their tokens."""
        return self.pages(Area(dataset, project).path + "/sessions/")

    def revoke_session(self, session: str, dataset: str, project: str = "default") -> None:
        """End a session: every proxy refuses it within a second."""
        self.call("DELETE", f"{Area(dataset, project).path}/sessions/{part(session)}")

    def audit(self, /, **query: str) -> Iterator[Document]:
        """List audit records, newest first. Filters: actor, action, secret, destination, dataset, outcome, from, to."""
        return self.pages("/audit/", query)

    def verify_audit(self) -> Document:
        """Have the server check its hash chain."""
        return self.call("GET", "/audit/verify")

    def readiness(self) -> dict[str, str]:
        """Return what the server says of each of its parts: `ok`, or what is wrong. Raises `ApiError`."""
        status, raw = self.fetch("GET", "/readyz", accept=(503,))
        return {str(name): str(said) for name, said in understood(raw, status).get("checks", {}).items()}

    def audit_gaps(self) -> Iterator[Document]:
        """List what is missing or changed in the log."""
        return self.pages("/audit/gaps/")

    def acknowledge_gap(self, gap: str, note: str = "") -> Document:
        """Accept a gap in the log, for good, with the operator's owner key."""
        return self.call("POST", f"/audit/gaps/{part(gap)}/acknowledge", {"note": note})

    def ca(self) -> bytes:
        """Return the proxy's CA certificate, PEM."""
        return self.fetch("GET", "/ca.pem")[1]


def _asked(environment: str) -> dict[str, str]:
    return {"environment": environment} if environment else {}


def _entry(area: Area, shelf: str, name: str, environment: str, rest: str = "") -> str:
    query = f"?{urlencode(_asked(environment))}" if environment else ""
    return f"{area.path}/{shelf}/{part(name)}{rest}{query}"
