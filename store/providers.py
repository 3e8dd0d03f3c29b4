"""Presets: `provider: openai` fills in destinations, locations and header names, so that the secure choice is short."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from store.checks import parse_locations, problem
from store.rules import DestinationRule, parse_rules


@dataclass(frozen=True, slots=True)
class Provider:
    """What a preset fills in where the upload says nothing."""

    rules: tuple[DestinationRule, ...]
    locations: list[str]


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


def _read(preset: Mapping[str, list[str]], name: str) -> Provider:
    headers = preset.get("headers")
    hosts = [{"host": host, "headers": headers} if headers else host for host in preset["hosts"]]
    return Provider(parse_rules(hosts, f"/{name}/hosts"), parse_locations(preset["locations"], f"/{name}/locations"))


def find_provider(name: str, pointer: str) -> Provider:
    """Return a preset; raises `Invalid` with the known names."""
    provider = load_providers().get(name)
    if provider is None:
        raise problem(pointer, "provider_unknown", "Known providers: " + ", ".join(sorted(load_providers())) + ".")
    return provider
