"""Writes manifests by what changed: the lines of all other entries are those of the last manifest.

A manifest has a line per entry, and a put changes one of them. The others are taken from the manifest that the head
vouches for, verified as a reader would; so a working row that somebody edits is not signed in by the next change
elsewhere. Memory is an optimisation of that alone: what it holds counts only under the hash that the head vouches for.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from store.database import rows
from store.model import Scope
from store.rules import Hosts, Rules
from store.trust.manifest import RETIRED_FOR, line_of
from store.trust.signing import canonical, digest

BUDGET: Final = 16 << 20
"""Bytes of manifests that are remembered: those of the scopes written last."""

_NEVER: Final = 2**63
_WINDOW: Final = int(RETIRED_FOR * 1000)


@dataclass(frozen=True, slots=True)
class _Line:
    """One entry in a manifest: where it sorts, its canonical text, and when (ms) a version of it is due to leave."""

    order: tuple[str, str, str]
    text: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A manifest that the head vouches for: what it says beside its entries, and their lines by id."""

    sha256: str
    settings: Mapping[str, object]
    lines: Mapping[str, _Line]
    size: int

    @property
    def hosts(self) -> Hosts | None:
        """The dataset's destinations for secrets that name none; None where the manifest does not say."""
        hosts = self.settings.get("hosts")
        return hosts if isinstance(hosts, list) else None

    def rules(self, entry: str, number: int) -> Rules | None:
        """Return the destinations and locations of a version, after narrowing."""
        line = self.lines.get(entry)
        versions = json.loads(line.text)["versions"] if line is not None else []
        found = (version.get("narrowed", version["sealed"]) for version in versions if version["number"] == number)
        return next(((hosts, locations) for hosts, locations in found), None)


class ManifestWriter:
    """The manifests written last, by scope. For the one thread that writes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Scope, Kept] = OrderedDict()
        self._size = 0

    def recall(self, scope: Scope, sha256: str, read: Callable[[], bytes]) -> Kept:
        """Return the manifest of this hash; `read` gives its verified body when it is not remembered."""
        kept = self._kept.get(scope)
        if kept is None or kept.sha256 != sha256:
            body = read()
            members = json.loads(body)
            lines = {line["id"]: _line(line) for line in members.pop("entries")}
            kept = Kept(sha256, {name: members[name] for name in members.keys() - {"scope", "level"}}, lines, len(body))
            self._keep(scope, kept)
        return kept

    def whole(self, connection: Connection, scope: Scope, settings: Mapping[str, object], now: int) -> bytes:
        """Return a manifest made of the rows alone."""
        found = rows.entries_of(connection, scope, deleted=True)
        versions = rows.current_versions(connection, scope, now - _WINDOW)
        return self._write(scope, settings, _lines(found, versions))

    def changed(self, connection: Connection, scope: Scope, last: Kept, ids: Collection[str], now: int) -> bytes:
        """Return the manifest after `last` in which these entries changed."""
        anew = {*ids, *(id_ for id_, line in last.lines.items() if line.until <= now)}
        found = rows.entries_by_id(connection, scope, sorted(anew))
        versions = rows.current_versions_of(connection, sorted(anew), now - _WINDOW)
        rest = {id_: line for id_, line in last.lines.items() if id_ not in anew}
        return self._write(scope, last.settings, {**rest, **_lines(found, versions)})

    def forget(self, scope: Scope) -> None:
        """Drop what is remembered of a scope."""
        kept = self._kept.pop(scope, None)
        self._size -= kept.size if kept is not None else 0

    def _write(self, scope: Scope, settings: Mapping[str, object], lines: Mapping[str, _Line]) -> bytes:
        texts = [line.text for line in sorted(lines.values(), key=lambda line: line.order)]
        members: dict[str, object] = {"scope": str(scope), "level": scope.level, **settings}
        parts = {name: canonical(member) for name, member in members.items()}
        parts["entries"] = b"[" + b",".join(texts) + b"]"
        body = b"{" + b",".join(canonical(name) + b":" + parts[name] for name in sorted(parts)) + b"}"
        self._keep(scope, Kept(digest(body), settings, lines, len(body)))
        return body

    def _keep(self, scope: Scope, kept: Kept) -> None:
        self.forget(scope)
        self._kept[scope] = kept
        self._size += kept.size
        while self._size > BUDGET and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))


def _lines(found: Collection[rows.Row], versions: Mapping[str, list[rows.Row]]) -> dict[str, _Line]:
    return {
        entry["id"]: _line(line_of(entry, versions.get(entry["id"], ())))
        for entry in found
        if entry["deleted_at"] is None or entry["id"] in versions
    }


def _line(line: Mapping[str, object]) -> _Line:
    versions: list[dict[str, int | None]] = line["versions"]  # type: ignore[assignment]
    retired = [at + _WINDOW for version in versions if (at := version["retired_at"]) is not None]
    order = str(line["name"]), str(line["environment"]), str(line["id"])
    return _Line(order, canonical(line), min(retired, default=_NEVER))
