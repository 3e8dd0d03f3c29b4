"""What PATCH changes of a secret or variable: what is said of it, its name, and where it goes, never more widely."""

from collections.abc import Sequence
from dataclasses import replace

from store.checks import Faults, check_name, check_text, parse_duration, parse_locations, problem
from store.errors import Conflict, NotFound
from store.ledger.manifests import Draft
from store.model import WIDENED
from store.providers import find_provider, label_of
from store.records import Change, Rule
from store.rules import DestinationRule, canonical_rules, parse_rules
from store.trust.entry import EntryState, VersionState
from store.vault.upload import check_kept


def renamed(draft: Draft, state: EntryState, name: str | None) -> EntryState:
    """Return an entry under another name. Its envelopes stay bound to the one that they were sealed for."""
    if name is None or name == state.name:
        return state
    check_name(name, "/name")
    if draft.find((state.kind, name, state.environment)) is not None:
        raise Conflict("There is one of this name already.", code="exists")
    sealed = [replace(each, name=each.name or state.name) for each in state.versions]
    return state.changed(*(replace(each, name="" if each.name == name else each.name) for each in sealed), name=name)


def need_version(state: EntryState, number: int) -> VersionState:
    """Return a version that has its value still; raises `Conflict`, `NotFound`."""
    found = state.version(number)
    if found is not None:
        return found
    if 1 <= number <= state.last:
        raise Conflict("The version was destroyed; its value is gone.", code="version_destroyed")
    raise NotFound("There is no such version.")


def listed_of(change: Change) -> tuple[dict[str, object], int | None]:
    """Check a change; returns what is listed of it, and how many versions shall be kept."""
    faults, values = Faults(), dict[str, object]()
    description, provider, rotate = change.description, change.provider, change.rotate_after
    if description is not None:
        faults.run(lambda: check_text(description, "/description", 1024))
        values["description"] = description
    if provider is not None:
        faults.run(lambda: find_provider(provider, "/provider") if provider else None)
        values["provider"] = label_of(provider)
    if rotate is not None:
        values["rotate_after"] = faults.run(lambda: parse_duration(rotate, "/rotate_after")) if rotate else None
    if change.keep_versions is not None:
        faults.run(lambda: check_kept(change.keep_versions, "/keep_versions"))
    faults.stop()
    return values, change.keep_versions


def narrowed(state: EntryState, change: Change) -> EntryState:
    """Return an entry whose active version goes to fewer places; raises `Invalid` where one would be more."""
    if change.hosts is None and change.locations is None:
        return state
    version = need_version(state, state.active)
    hosts, locations = version.rules
    if change.hosts is not None:
        hosts = _narrowed_hosts(hosts, change.hosts)
    if change.locations is not None:
        wanted = {*parse_locations(change.locations, "/locations")} - {WIDENED}
        if not wanted <= set(locations):
            raise problem("/locations", "widening", _WIDENING)
        locations = sorted(wanted | ({WIDENED} & {*locations}))
    return state.changed(replace(version, rules=(hosts, locations)))


_WIDENING = "Destinations and locations can only be narrowed here; to widen them, PUT the secret with its value again."


def _narrowed_hosts(current: Sequence[object], wanted: Sequence[Rule]) -> list[str | dict[str, object]]:
    now = [DestinationRule.parse(rule) for rule in current]
    rules = parse_rules(wanted)
    for index, rule in enumerate(rules):
        if not any(old.covers(rule) for old in now):
            raise problem(f"/hosts/{index}", "widening", _WIDENING)
    return canonical_rules(rules)
