"""Uploads whose secrets are sealed first: reads what an envelope must be bound to, seals, sends, tries again.

Others may write the same secret between the reading and the sending. The store then answers `sealed_binding`, having
stored nothing, and the value is sealed once more for the version that is due now.
"""

import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from egret.area import Area, part
from egret.pins import Pins
from egret.transport import Conflict, Document, Forbidden, NotFound, Transport

if TYPE_CHECKING:
    from egret.sealed import Before, Sealing
    from store.model import Scope

TRIES: Final = 5
_LETTERS: Final = string.ascii_letters + string.digits

Known = Mapping[tuple[str, str], "Before"]
"""What a dataset holds, by name and environment."""


class Uploads:
    """Seals what it uploads to the key that the server shows and the pins allow."""

    def __init__(self, api: Transport, pins: Pins) -> None:
        self._api = api
        self._pins = pins
        self._sealing: Sealing | None = None

    def dataset(self, body: Document, project: str) -> Document:
        """Create a dataset, with an id, since envelopes are bound to it."""
        from egret.sealed import advise  # noqa: PLC0415

        id_ = str(body.get("id") or "".join(secrets.choice(_LETTERS) for _ in range(16)))

        def send(_: int | None) -> Document:
            sent = {**body, "id": id_, "secrets": self._entries(Area(id_, project), body, {})}
            return self._api.call("POST", f"/projects/{part(project)}/datasets/", sent)

        return advise(self._repeat(send), body["secrets"])

    def replace(self, area: Area, body: Document) -> Document:
        """Upload a dataset anew."""

        def send(_: int | None) -> Document:
            known = self._known(self._api.pages(f"{area.path}/secrets/"))
            return self._api.call("PUT", area.path + "/", {**body, "secrets": self._entries(area, body, known)})

        from egret.sealed import advise  # noqa: PLC0415

        return advise(self._repeat(send), body["secrets"])

    def put(self, area: Area, entry: Document, fields: Mapping[str, str]) -> Document:
        """Store a secret's new version."""
        from egret.sealed import advise, checked  # noqa: PLC0415  # 100 ms, which only who seals needs to wait

        checked("", entry)
        path = f"{area.path}/secrets/{part(entry['name'])}"

        def send(version: int | None) -> Document:
            return self._api.call("PUT", path, self._entry(area, entry, version), fields)

        return advise(self._repeat(send), [entry])

    def _repeat(self, send: Callable[[int | None], Document]) -> Document:
        from egret.sealed import expected_version, has_code  # noqa: PLC0415

        version: int | None = None
        for left in reversed(range(TRIES)):
            try:
                return send(version)
            except Conflict as error:
                if has_code(error, "sealed_key"):
                    self._sealing = None  # rotated just now: the next one is held against the pin
                elif not has_code(error, "sealed_binding"):
                    raise
                if not left:
                    raise
                version = expected_version(error)
        raise AssertionError  # the last try returns or raises

    def _key(self) -> "Sealing":
        if self._sealing is None:
            from egret.sealed import Sealing  # noqa: PLC0415

            found = Sealing(self._api.call("GET", "/sealing-key"))
            self._pins.check(self._api.url, found.fingerprint)
            self._sealing = found
        return self._sealing

    def _scope(self, area: Area) -> "Scope":
        from store.model import Scope  # noqa: PLC0415

        if area.organisation is not None:
            return Scope(area.organisation)
        return Scope(self._key().organisation, area.project, area.dataset or "")

    def _known(self, listed: Iterable[Document]) -> Known:
        from egret.sealed import Before  # noqa: PLC0415

        return {(item["name"], item["environment"] or ""): Before.of(item) for item in listed}

    def _entries(self, area: Area, body: Mapping[str, Any], known: Known) -> list[Document]:
        """Seal a whole upload; every fault that can be seen here is found before anything is sent."""
        from egret.sealed import Before, checked, is_free, rules_of  # noqa: PLC0415

        entries = [checked(f"/secrets/{index}", entry) for index, entry in enumerate(body["secrets"])]
        default = body.get("hosts")
        if default is None and any(is_free(entry, f"/secrets/{index}") for index, entry in enumerate(entries)):
            default = self._default(area, but="dataset")  # whose own word this upload replaces
        # An upload replaces: rules that it leaves out come from the default, not from the version before.
        rules = [rules_of(entry, Before(), default or (), f"/secrets/{index}") for index, entry in enumerate(entries)]
        scope = self._scope(area)
        sealed = []
        for entry, rule in zip(entries, rules, strict=True):
            before = known.get((entry["name"], entry.get("environment") or ""), Before())
            sealed.append(
                entry if entry.get("sealed") is not None else self._key().seal(scope, entry, rule, before.version + 1)
            )
        return sealed

    def _entry(self, area: Area, entry: Document, version: int | None) -> Document:
        from egret.sealed import is_free, rules_of  # noqa: PLC0415

        before = self._before(area, entry)
        default = self._default(area) if is_free(entry) and before.hosts is None else ()
        rules = rules_of(entry, before, default)
        return self._key().seal(self._scope(area), entry, rules, before.version + 1 if version is None else version)

    def _default(self, area: Area, but: str = "") -> list[Any]:
        """Return where the store sends what names no hosts: the word of the nearest scope that says anything."""
        try:
            said = list(self._api.pages(f"{area.path}/default-hosts"))
        except NotFound:  # a project that is not there is told by the upload; an earlier release fills nothing in
            return []
        found: list[Any] = next((each["hosts"] for each in said if each["level"] != but), [])
        return found

    def _before(self, area: Area, entry: Mapping[str, Any]) -> "Before":
        from egret.sealed import Before, preset_of  # noqa: PLC0415

        asked = f"?{urlencode({'environment': entry['environment']})}" if entry.get("environment") else ""
        try:
            return Before.of(self._api.call("GET", f"{area.path}/secrets/{part(entry['name'])}{asked}"))
        except NotFound:
            return Before()
        except Forbidden:  # a key that only writes: the store tells the version, the rules are the caller's to give
            if preset_of(entry) or (entry.get("hosts") is not None and entry.get("locations") is not None):
                return Before()
            raise
