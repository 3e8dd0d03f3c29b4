"""Sealing on the client's side: what leaves this process is an envelope that the store's API cannot open.

An envelope is bound to where it belongs (`store.keys.envelope.Binding`), so the client works out what the store is
going to store it with: place, name, next version, rules. It sends a hash of that along; where the store would come to
something else, it answers `sealed_binding` and nothing is stored.

This has the public half alone: an import contract keeps the opening code away.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from egret.transport import ApiError, Document
from store.advice import on_value
from store.checks import check_beside, check_environment, check_name, check_value, notes_on, parse_locations, problem
from store.credential import check_parts, parse_credential, secrets_of
from store.errors import Invalid
from store.keys.envelope import PUBLIC_SIZE, SUITE, Binding
from store.keys.sealing import Sealer
from store.kinds import Credential
from store.model import Kind, Scope, SecretValue
from store.providers import Provider, find_provider, named_hosts, named_locations, rules_for
from store.rules import Rules, canonical_rules, parse_rules

FIELDS: Final = {
    "name", "value", "sealed", "binding", "noted", "hosts", "locations", "provider", "description", "environment",
    "rotate_after", "keep_versions", "groups", "kind", "parameters",
}  # fmt: skip
"""What a secret is uploaded with; anything else stays here, for it may be a value under a misspelt name."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the store has under a name: the highest version so far (0: none), and the rules that are in force."""

    version: int = 0
    hosts: Sequence[object] | None = None
    locations: Sequence[str] | None = None

    @classmethod
    def of(cls, document: Document) -> "Before":
        """Read a secret as the API shows it; one without an active version has no rules to pass on."""
        try:
            hosts, locations, last = document["hosts"], document["locations"], int(document["last_version"])
        except (KeyError, TypeError, ValueError):
            raise ApiError(
                0, "not_understood", "The server's answer is not that of an Egret of this release."
            ) from None
        return cls(last, hosts, locations) if locations else cls(last)


class Sealing:
    """Seals to one store's key."""

    def __init__(self, document: Document) -> None:
        try:
            public = base64.b64decode(document["public_key"], validate=True)
            if document["suite"] != SUITE or len(public) != PUBLIC_SIZE:
                raise ApiError(0, "sealing_suite", "The store's sealing key is of a suite that this release lacks.")
            self._store_id = bytes.fromhex(document["store_id"])
            self.organisation = str(document["organisation"])
            self._sealer = Sealer(public)
        except (KeyError, TypeError, ValueError):
            raise ApiError(0, "sealing_key", "The server's sealing key is malformed; nothing was sent.") from None
        digest = hashlib.sha256(public).digest()  # of the key itself: what the document says of it proves nothing
        self.fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def seal(self, scope: Scope, entry: Mapping[str, Any], rules: Rules, version: int) -> Document:
        """Return the entry as it is sent: its value gone, an envelope in its place."""
        raw = _bytes(entry.get("value"))
        name, environment = entry["name"], entry.get("environment") or ""
        place = self._store_id, self._sealer.kid, scope, Kind.SECRET, environment, name, version
        binding = Binding(*place, rules[0], rules[1], credential=_credential(entry))
        envelope = self._sealer.seal(SecretValue(raw), binding)
        sent = {key: value for key, value in entry.items() if key != "value"}
        sent["sealed"] = base64.b64encode(envelope).decode()
        sent["binding"] = hashlib.sha256(binding.info()).hexdigest()
        if noted := notes_on(raw):
            sent["noted"] = noted
        return sent


def advise(document: Document, entries: Sequence[Mapping[str, Any]]) -> Document:
    """Add to an answer what is said once of values that the store does not see: it is not told, and keeps nothing."""
    said = {
        (entry["name"], entry.get("environment") or ""): [
            {"code": each.code, "detail": each.detail} for each in on_value(_bytes(entry["value"]), entry.get("kind"))
        ]
        for entry in entries
        if entry.get("sealed") is None
    }
    for shown in document.get("secrets", [document]):
        shown["warnings"] = [
            *shown.get("warnings", ()),
            *said.get((shown.get("name"), shown.get("environment") or ""), ()),
        ]
    return document


def checked(pointer: str, entry: object) -> Document:
    """Return an entry whose form is right, so that the value is known to be where it belongs; raises `ApiError`."""
    return local(lambda: _checked(entry, pointer))


def _checked(entry: object, pointer: str) -> Document:
    if not isinstance(entry, dict):
        raise problem(pointer, "wrong_type", "A secret is an object with name and value.")
    if not entry.keys() <= FIELDS:
        raise problem(f"{pointer}/?", "unknown_field", "There is no such field here.")
    if not isinstance(entry.get("name"), str):
        raise problem(f"{pointer}/name", "required", "A secret has a name.")
    check_name(entry["name"], f"{pointer}/name")
    environment = entry.get("environment") or ""
    if not isinstance(environment, str):
        raise problem(f"{pointer}/environment", "wrong_type", "An environment is a text.")
    check_environment(environment, f"{pointer}/environment")
    if entry.get("value") is not None and entry.get("sealed") is not None:
        raise problem(f"{pointer}/value", "value_required", "Give exactly one of value and sealed.")
    if entry.get("sealed") is None:
        value = _bytes(entry.get("value"), f"{pointer}/value")
        check_value(value, f"{pointer}/value")
        made = _credential(entry, pointer)
        check_parts(made.kind, value, f"{pointer}/value", made.parameters)
        for name, each in product(("provider", "description"), secrets_of(made.kind, SecretValue(value))):
            check_beside(entry.get(name), each.reveal(), f"{pointer}/{name}")
    return entry


def _credential(entry: Mapping[str, Any], pointer: str = "") -> Credential:
    kind, parameters = entry.get("kind"), entry.get("parameters")
    if not isinstance(kind, str | None) or not isinstance(parameters, Mapping | None):
        raise problem(f"{pointer}/kind", "wrong_type", "A kind is a text, and parameters are an object.")
    return parse_credential(kind, parameters, pointer)


def preset_of(entry: Mapping[str, Any], pointer: str = "") -> Provider | None:
    """Return the preset that an entry names, None for none and for a label."""
    provider = entry.get("provider")
    return local(lambda: find_provider(str(provider), f"{pointer}/provider")) if provider else None


def is_free(entry: Mapping[str, Any], pointer: str = "") -> bool:
    """Whether an entry leaves it to others where it goes."""
    return entry.get("hosts") is None and entry.get("sealed") is None and preset_of(entry, pointer) is None


def rules_of(entry: Mapping[str, Any], before: Before, default: Sequence[object], pointer: str = "") -> Rules:
    """Return the rules that the store is going to come to: given ones, the provider's, those in force, the default."""
    return local(lambda: _rules(entry, before, default, pointer))


def _rules(entry: Mapping[str, Any], before: Before, default: Sequence[object], pointer: str) -> Rules:
    preset = preset_of(entry, pointer)
    hosts = named_hosts(_list(entry, "hosts", pointer), preset, pointer)
    locations = named_locations(_list(entry, "locations", pointer), preset, pointer)
    known = None
    if before.hosts is not None:
        known = canonical_rules(parse_rules(before.hosts)), parse_locations(before.locations, f"{pointer}/locations")
    fallback = canonical_rules(parse_rules(default)) if hosts is None and known is None else []
    return rules_for(hosts, locations, known, fallback)


def _list(entry: Mapping[str, Any], name: str, pointer: str) -> list[Any] | None:
    given = entry.get(name)
    if given is None or isinstance(given, list):
        return given
    raise problem(f"{pointer}/{name}", "wrong_type", "Write a list.")


def local[T](step: Callable[[], T]) -> T:
    """Take a step; what the store would refuse is refused here, in its words and before anything is sent."""
    try:
        return step()
    except Invalid as error:
        told = [{"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in error.problems]
        raise ApiError(422, "invalid", "The request breaks a rule; nothing was sent.", told) from None


def expected_version(error: ApiError) -> int | None:
    """Return the version that the store wants sealed for, None when something else is the matter."""
    told = next((each for each in error.errors if each.get("code") == "sealed_binding"), None)
    found = re.search(r"version (\d{1,18})\b", told.get("detail", "")) if told else None
    return int(found[1]) if found else None


def has_code(error: ApiError, code: str) -> bool:
    """Whether one of an error's faults has this code."""
    return any(each.get("code") == code for each in error.errors)


def _bytes(value: object, pointer: str = "/value") -> bytes:
    if not isinstance(value, str):
        raise problem(pointer, "wrong_type", "A value is a string.")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise problem(pointer, "value_not_text", "A value is UTF-8 text.") from None
