"""Manifests as they are changed: the last one that the head vouches for, and what a transaction makes of it.

A verb takes an entry's state from the manifest, changes it, and gives it back; the manifest after it has all other
lines as they were. No row is read on the way: rows are written from what is signed (`store.ledger.mirror`). Memory is
an optimisation of that alone: what it holds counts only under the hash that the head vouches for.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from store.ledger.mirror import Content, Mirror
from store.model import Scope
from store.rules import Hosts
from store.trust.entry import EntryState, due, expired
from store.trust.manifest import FORMAT
from store.trust.signing import canonical, digest

BUDGET: Final = 16 << 20
"""Bytes of manifests that are remembered: those of the scopes used last."""

type Key = tuple[str, str, str]
"""Kind, name, environment."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry in a manifest: its canonical text, what it is found by, and when (ms) a version is due to leave it."""

    key: Key
    text: bytes
    until: int
    live: bool

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Line":
        """Keep a line."""
        key = fields["kind"], fields["name"], fields["environment"]
        return cls(key, canonical(fields), due(fields["versions"]), fields["state"] != "deleted")


@dataclass(frozen=True, slots=True)
class Kept:
    """A manifest that the head vouches for: what it says beside its entries, their lines by id, live ids by name."""

    scope: Scope
    sha256: str
    settings: Mapping[str, Any]
    lines: Mapping[str, Line]
    names: Mapping[Key, str]
    size: int

    @property
    def hosts(self) -> Hosts:
        """The destinations of secrets that name none."""
        found: Hosts = self.settings.get("hosts", [])
        return found

    def entry(self, id_: str, record: bytes | None) -> EntryState:
        """Return an entry's state, with the versions of its record where that is the one that its line names."""
        return EntryState.of(self.scope, json.loads(self.lines[id_].text), record)

    def record(self, id_: str) -> str:
        """Return the hash of an entry's record."""
        found: str = json.loads(self.lines[id_].text)["record"]
        return found

    def named(self, key: Key) -> str | None:
        """Return the id of a live entry."""
        return self.names.get(key)


def read(scope: Scope, sha256: str, body: bytes) -> Kept:
    """Read a manifest that was verified."""
    members = json.loads(body)
    lines = {line["id"]: Line.of(line) for line in members.pop("entries")}
    settings = {name: members[name] for name in members.keys() - {"scope", "level", "format"}}
    return Kept(scope, sha256, settings, lines, _names(lines), len(body))


def _names(lines: Mapping[str, Line]) -> dict[Key, str]:
    return {line.key: id_ for id_, line in lines.items() if line.live}


class Manifests:
    """The manifests used last, by scope. For any thread: what is kept does not change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Scope, Kept] = OrderedDict()
        self._size = 0

    def recall(self, scope: Scope, sha256: str, fetch: Callable[[], bytes]) -> Kept:
        """Return the manifest of this hash; `fetch` gives its verified body when it is not remembered."""
        with self._lock:
            kept = self._kept.get(scope)
        if kept is None or kept.sha256 != sha256:
            kept = read(scope, sha256, fetch())
            self.keep(kept)
        return kept

    def keep(self, kept: Kept) -> None:
        """Remember a manifest in the place of the scope's last."""
        with self._lock:
            self._drop(kept.scope)
            self._kept[kept.scope] = kept
            self._size += kept.size
            while self._size > BUDGET and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def _drop(self, scope: Scope) -> None:
        kept = self._kept.pop(scope, None)
        self._size -= kept.size if kept is not None else 0


_ENTRIES: Final = "entries"


class Draft:
    """One scope's manifest in a transaction: read what verifies, give back what shall be. Rows follow by themselves."""

    def __init__(self, scope: Scope, before: Kept | None, settings: Mapping[str, Any], mirror: Mirror) -> None:
        self.scope = scope
        self._before = before
        self._mirror = mirror
        self._lines = dict(before.lines) if before is not None else {}
        self._names = dict(before.names) if before is not None else {}
        self._states: dict[str, EntryState] = {}
        self._settings = dict(settings)
        self.touched = before is None
        self.listed = mirror.scope(scope, None if before is None else self._settings)
        """What is listed of the scope, for what decides nothing (`updated_at`); what decides is in `settings`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the manifest says beside its entries."""
        return self._settings

    @property
    def before(self) -> Kept | None:
        """The manifest that the transaction found."""
        return self._before

    def set(self, listed: Mapping[str, object] | None = None, **settings: object) -> None:
        """Change settings, and what is listed beside them; None takes a setting away."""
        self._settings.update(settings)
        self._settings = {name: value for name, value in self._settings.items() if value is not None}
        self.touched = True
        self.listed = self._mirror.write_scope(self.scope, self._settings, {**self.listed, **(listed or {})})

    @property
    def ids(self) -> Mapping[str, Line]:
        """Every entry by id, deleted ones that are still scrubbed included."""
        return self._lines

    def find(self, key: Key) -> EntryState | None:
        """Return a live entry by kind, name and environment."""
        id_ = self._names.get(key)
        return None if id_ is None else self.entry(id_)

    def entry(self, id_: str) -> EntryState | None:
        """Return an entry by id, deleted ones that are still scrubbed included; its rows are mended on the way."""
        if id_ not in self._lines:
            return None
        if id_ not in self._states:
            fields = json.loads(self._lines[id_].text)
            record = self._mirror.record(id_)
            state = EntryState.of(self.scope, fields, record)
            self._mirror.mend(state, whole=record is not None and digest(record) == fields["record"])
            self._states[id_] = state
        return self._states[id_]

    def live(self) -> list[EntryState]:
        """Return all live entries, by name."""
        found = (self.entry(id_) for _, id_ in sorted((key[1:], id_) for key, id_ in self._names.items()))
        return [state for state in found if state is not None]

    @property
    def count(self) -> int:
        """How many live entries there are."""
        return len(self._names)

    def row(self, id_: str) -> dict[str, Any]:
        """Return what is listed of an entry, as this transaction leaves it."""
        return self._mirror.listed(id_)

    def put(self, state: EntryState, now: int, listed: Mapping[str, object], content: Content | None = None) -> None:
        """Give an entry back: its line, its record and its rows. `content` is what a version holds from now on."""
        before = self._states.get(state.id)
        record = state.record()
        self._lines[state.id] = line = Line.of(state.line(now, record))
        if before is not None and self._names.get(before.key) == state.id:
            del self._names[before.key]
        if line.live:
            self._names[line.key] = state.id
        self._states[state.id] = state
        self.touched = True
        self._mirror.write(before, state, record, listed, content)

    def tidy(self, now: int) -> None:
        """Drop what left the scrubber's hour: versions of lines, and deleted entries without any."""
        for id_, line in [(id_, line) for id_, line in self._lines.items() if line.until <= now or not line.live]:
            left = expired(json.loads(line.text), now)
            if left is None:
                del self._lines[id_]
                self._states.pop(id_, None)
                self._mirror.erase(id_)
            elif line.until <= now:
                self._lines[id_] = Line.of(left)
            else:
                continue
            self.touched = True

    def body(self) -> tuple[bytes, Kept]:
        """Return the manifest's bytes, and the manifest as it is remembered."""
        members = {**self._settings, "scope": str(self.scope), "level": self.scope.level, "format": FORMAT}
        # The lines are canonical as they are: what stands before and behind them by its name is written in one go each.
        before = canonical({name: member for name, member in members.items() if name < _ENTRIES})
        behind = canonical({name: member for name, member in members.items() if name > _ENTRIES})
        ordered = sorted(self._lines.items(), key=lambda item: (*item[1].key[1:], item[0]))
        lines = b",".join(line.text for _, line in ordered)
        body = (before[:-1] + b"," if before != b"{}" else b"{") + b'"entries":[' + lines + b"]," + behind[1:]
        return body, Kept(self.scope, digest(body), self._settings, self._lines, self._names, len(body))
