"""A manifest's entries by name, made once for every view that sees the manifest."""

from store.model import Kind
from store.reach import WEAK_FOR
from store.trust.entry import RETIRED_FOR
from store.trust.manifest import Entry, Manifest
from store.trust.signing import canonical, digest


class Index:
    """What of a manifest does not depend on who asks."""

    __slots__ = ("by_name", "envelopes", "manifest", "values_id", "windows")

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.by_name: dict[tuple[Kind, str], list[Entry]] = {}
        for entry in manifest.entries:
            if not entry.deleted:
                self.by_name.setdefault((entry.kind, entry.name), []).append(entry)
        retired = (version.retired_at for entry in manifest.entries for version in entry.versions)
        values = [(e.name, v.sha256) for e in manifest.entries if e.kind is Kind.SECRET for v in e.versions]
        self.envelopes = frozenset(version.sha256 for entry in manifest.entries for version in entry.versions)
        self.values_id = digest(canonical(sorted(values)))
        self.windows = sorted(at + window for at in retired if at is not None for window in (WEAK_FOR, RETIRED_FOR))

    def pick(self, kind: Kind, name: str, environment: str) -> Entry | None:
        """Return the entry of that name for the environment: the exact one, else the one for all."""
        found = self.by_name.get((kind, name), ())
        for wanted in (environment, ""):
            for entry in found:
                if entry.environment == wanted:
                    return entry
        return None
