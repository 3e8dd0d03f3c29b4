"""Presets, and which rules a version comes to have: what is given, a preset's, what is in force, the dataset's default.

`provider: openai` fills in destinations, locations and header names, so that the secure choice is short. The store and
a client that seals on its own side take the order from here: an envelope is bound to the rules that both come to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from store.checks import check_text, parse_locations, problem
from store.model import DEFAULT_LOCATIONS, WIDENED, Location
from store.records import Warned
from store.rules import DestinationRule, Hosts, Rules, canonical_rules, parse_rules


@dataclass(frozen=True, slots=True)
class Provider:
    """A preset: what it fills in where an upload says nothing, and what is judged by its hosts (`store.presets`).

    `refused`: fields with which a request sends it, and a value beside them, to another server. `acts`: how it acts on
    what it is told; "" where it does not. `source`: where its documentation, or its client, says which header it wants.
    `judged`: `rules`, and hosts that its customers share: anybody has a server or a name there, so none is filled in.
    """

    rules: tuple[DestinationRule, ...]
    judged: tuple[DestinationRule, ...]
    locations: list[str]
    headers: frozenset[str]
    refused: frozenset[str]
    acts: str
    source: str


@cache
def load_providers() -> Mapping[str, Provider]:
    """Read providers.yaml: packaged with the wheel, or in config/ of a checkout."""
    packaged = files("store") / "providers.yaml"
    text = packaged.read_text() if packaged.is_file() else _checkout().read_text()
    # libyaml, where the wheel has it, is fifteen times as fast; both loaders make plain values only.
    presets = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return {name: _read(preset, name) for name, preset in presets.items()}


def _checkout() -> Path:
    return Path(__file__).parent.parent / "config" / "providers.yaml"


def _read(preset: Mapping[str, Any], name: str) -> Provider:
    rules, shared = (
        parse_rules([{"host": host, "headers": preset["headers"]} for host in preset.get(key, ())], f"/{name}/{key}")
        for key in ("hosts", "shared")
    )
    return Provider(
        rules,
        rules + shared,
        parse_locations(preset.get("locations", [Location.HEADER]), f"/{name}/locations"),
        frozenset(preset["headers"]),
        frozenset(preset.get("refuse_headers", ())),
        preset.get("acts", ""),
        preset["source"],
    )


def label_of(provider: str) -> str:
    """Return a provider in its one spelling: a preset's name in whatever case is the preset's, all else is a label."""
    low = provider.lower()
    return low if low in load_providers() else provider


def find_provider(provider: str, pointer: str) -> Provider | None:
    """Return the preset that a provider names, None where it is a label alone; raises `Invalid`."""
    check_text(provider, pointer, 64, empty=False)
    if not provider.isprintable():
        raise problem(pointer, "text_control", "No control characters.")
    return load_providers().get(label_of(provider))


@lru_cache(1024)
def near_miss(provider: str) -> tuple[Warned, ...]:
    """Return the warning for a label that is nearly a preset's name, which then has filled in nothing."""
    if not provider or label_of(provider) in load_providers():
        return ()
    plain = {_plain(name): name for name in load_providers()}
    found = get_close_matches(_plain(provider), plain, n=1, cutoff=0.8)
    if not found:
        return ()
    hint = f"It is taken as a label, and fills in nothing: did you mean the preset {plain[found[0]]}?"
    return (Warned("unknown_provider", hint),)


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def named_hosts(given: Iterable[object] | None, preset: Provider | None, pointer: str) -> Hosts | None:
    """Return the destinations that an upload names, or its preset; None where neither does."""
    if given is not None:
        return canonical_rules(parse_rules(given, f"{pointer}/hosts"))
    return canonical_rules(preset.rules) if preset is not None else None


def named_locations(given: Sequence[str] | None, preset: Provider | None, pointer: str) -> list[str] | None:
    """Return the locations that an upload names, marked as such, or its preset's; None where neither does."""
    if given is not None:
        return sorted({*parse_locations(given, f"{pointer}/locations"), WIDENED})
    return preset.locations if preset is not None else None


def rules_for(hosts: Hosts | None, locations: list[str] | None, before: Rules | None, default: Hosts) -> Rules:
    """Return the rules of a version: named ones, else those in force `before` it, else the dataset's `default`."""
    if hosts is None:
        hosts = before[0] if before is not None else default
    if locations is None:
        locations = before[1] if before is not None else sorted(DEFAULT_LOCATIONS)
    return hosts, locations if widens(hosts, locations) else [name for name in locations if name != WIDENED]


def widens(hosts: Iterable[object], locations: Iterable[str]) -> bool:
    """Whether locations go beyond what the preset of a host allows that a rule names, a wildcard too."""
    named = {*locations} - {WIDENED}
    return any(not named <= {*preset.locations} for rule in parse_rules(hosts) for preset in met(rule))


@lru_cache(1024)
def met(rule: DestinationRule) -> tuple[Provider, ...]:
    """Return the presets that have a host in common with a rule, whatever scheme and port."""
    return tuple(each for each in load_providers().values() if any(_meet(rule, other) for other in each.judged))


def _meet(one: DestinationRule, other: DestinationRule) -> bool:
    if one.wildcard and other.wildcard:
        return f".{one.host}".endswith(f".{other.host}") or f".{other.host}".endswith(f".{one.host}")
    return one.names(other.host) if not other.wildcard else other.names(one.host)
