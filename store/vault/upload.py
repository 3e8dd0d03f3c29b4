"""An uploaded secret or variable, checked and completed: from here on it is known to fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from store.checks import (
    Faults,
    check_beside,
    check_environment,
    check_name,
    check_text,
    check_value,
    notes_on,
    parse_duration,
    problem,
    warnings_for,
)
from store.credential import check_parts, parse_credential, secrets_of
from store.errors import Tampered
from store.keys.envelope import MAX_ENVELOPE, Envelope
from store.kinds import WRITTEN, Credential
from store.model import Kind, SecretValue
from store.presets import beyond
from store.providers import find_provider, label_of, named_hosts, named_locations
from store.records import NewEntry, Warned
from store.rules import Hosts, Rules

MAX_ENTRIES = 2000
"""Most secrets and variables in one scope."""


MAX_KEPT = 100
"""Most versions of an entry whose envelopes are kept."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A checked upload. `hosts`, `locations` None: the upload named none, nor did a provider."""

    kind: Kind
    name: str
    environment: str
    value: SecretValue | None
    sealed: bytes | None
    hosts: Hosts | None
    locations: list[str] | None
    provider: str | None
    description: str | None
    rotate_after: int | None
    pointer: str = ""
    binding: str | None = None
    noted: Sequence[str] = ()
    keep_versions: int | None = None
    credential: Credential = WRITTEN

    def warnings(self, rules: Rules) -> list[Warned]:
        """Return what the uploader should know, given the rules that the version comes to have."""
        if self.kind is Kind.VARIABLE:
            return []
        noted = notes_on(self.value.reveal()) if self.value else self.noted
        return [*warnings_for(noted, bound=bool(rules[0])), *beyond(*rules)]


def check_all(kind: Kind, entries: Sequence[NewEntry], pointer: str, kid: bytes, faults: Faults) -> list[Ready]:
    """Check a list; faults are collected, duplicates included."""
    ready: list[Ready] = []
    seen: set[tuple[str, str]] = set()
    if len(entries) > MAX_ENTRIES:
        faults.add(pointer, "too_many", f"At most {MAX_ENTRIES} entries.")
        return ready
    for index, entry in enumerate(entries):
        where = f"{pointer}/{index}"
        if (entry.name, entry.environment) in seen:
            faults.add(
                f"{where}/name", "name_duplicate", "The name stands in this list twice for the same environment."
            )
        seen.add((entry.name, entry.environment))
        one = faults.run(partial(check, kind, entry, where, kid))
        if one is not None:
            ready.append(one)
    return ready


def check(kind: Kind, entry: NewEntry, pointer: str, kid: bytes) -> Ready:
    """Check one entry; raises `Invalid` with all its faults."""
    faults = Faults()
    run = faults.run
    run(lambda: check_name(entry.name, f"{pointer}/name"))
    run(lambda: check_environment(entry.environment, f"{pointer}/environment"))
    run(lambda: check_text(entry.description or "", f"{pointer}/description", 1024))
    run(lambda: _check_content(kind, entry, pointer, kid))
    credential = run(lambda: _credential(kind, entry, pointer)) or WRITTEN
    if kind is Kind.SECRET and entry.value is not None:
        raw = entry.value.reveal()
        run(lambda: check_parts(credential.kind, raw, f"{pointer}/value", credential.parameters))
        for name, part in product(("provider", "description"), secrets_of(credential.kind, entry.value)):
            run(partial(check_beside, getattr(entry, name), part.reveal(), f"{pointer}/{name}"))
    provider = entry.provider
    preset = run(lambda: find_provider(provider, f"{pointer}/provider")) if provider else None
    hosts = run(lambda: named_hosts(entry.hosts, preset, pointer))
    run(lambda: _check_capture(kind, hosts or [], f"{pointer}/hosts"))
    locations = run(lambda: named_locations(entry.locations, preset, pointer))
    text = entry.rotate_after
    rotate = run(lambda: parse_duration(text, f"{pointer}/rotate_after")) if text else None
    run(lambda: check_kept(entry.keep_versions, f"{pointer}/keep_versions"))
    faults.stop()
    return Ready(
        kind,
        entry.name,
        entry.environment,
        entry.value,
        entry.sealed,
        hosts,
        locations,
        label_of(entry.provider) if entry.provider else entry.provider,
        entry.description,
        rotate,
        pointer,
        entry.binding,
        entry.noted,
        entry.keep_versions,
        credential,
    )


def _credential(kind: Kind, entry: NewEntry, pointer: str) -> Credential:
    credential = parse_credential(entry.kind, entry.parameters, pointer)
    if kind is Kind.VARIABLE and not credential.written:
        raise problem(f"{pointer}/kind", "kind_unknown", "A variable is written as it is; store a secret.")
    return credential


def _check_capture(kind: Kind, hosts: Hosts, pointer: str) -> None:
    if kind is Kind.VARIABLE and any(isinstance(rule, dict) and "capture" in rule for rule in hosts):
        raise problem(pointer, "capture_invalid", "Answers are captured by rules of secrets, not of variables.")


def check_kept(count: int | None, pointer: str) -> None:
    """Check how many versions shall be kept."""
    if count is not None and not 1 <= count <= MAX_KEPT:
        raise problem(pointer, "keep_invalid", f"1 to {MAX_KEPT} versions can be kept.")


def _check_content(kind: Kind, entry: NewEntry, pointer: str, kid: bytes) -> None:
    if (entry.value is None) == (entry.sealed is None):
        raise problem(f"{pointer}/value", "value_required", "Give exactly one of value and sealed.")
    if entry.value is not None:
        check_value(entry.value.reveal(), f"{pointer}/value")
        if kind is Kind.VARIABLE:
            _check_readable(entry.value.reveal(), f"{pointer}/value")
    elif entry.sealed is not None:
        if kind is Kind.VARIABLE:
            raise problem(f"{pointer}/sealed", "variable_sealed", "Variables are readable; give a plain value.")
        _check_sealed(entry.sealed, f"{pointer}/sealed", kid)


def _check_readable(value: bytes, pointer: str) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise problem(pointer, "value_not_text", "A variable's value is UTF-8 text.") from None


def _check_sealed(sealed: bytes, pointer: str, kid: bytes) -> None:
    if len(sealed) > MAX_ENVELOPE:
        raise problem(pointer, "value_too_long", "The envelope is longer than the longest value's.")
    try:
        envelope = Envelope.unpack(sealed)
    except Tampered:
        raise problem(
            pointer, "sealed_invalid", "Not an envelope of a known format; seal with `egret.client`."
        ) from None
    if envelope.kid != kid:
        raise problem(pointer, "sealed_key", "Sealed to another key; read /sealing-key and seal again.")
