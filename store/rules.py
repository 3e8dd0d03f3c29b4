"""Destination rules: parsed once, canonical, matched without regular expressions (spec 2).

Text: `api.example.com`, `api.example.com:8443`, `*.example.com` (one or more labels, never the apex),
`http://127.0.0.1:9000`, `ws://host`. Port 443 unless written, 80 for cleartext. As an object, with narrower use:
`{"host": …, "methods": ["POST"], "paths": ["/v1/*"], "headers": ["authorization"]}`. Where an upstream answers with
credentials, `capture` says which members of its answers are kept from the client, and where they may go (`Capture`).

Rules are sealed with the value, so two spellings of one rule must have one canonical form: `canonical()`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from store.errors import Invalid, Problem
from store.hosts import bad_host, normalise_host, too_wide
from store.model import OWN_HOST, Destination, Location, Use, own
from store.paths import allows_path, covers_path, meet, path_is_plain, says_otherwise

type Hosts = list[str | dict[str, object]]
"""Destination rules in their canonical form."""
type Rules = tuple[Hosts, list[str]]
"""Destinations and locations of a version."""

MAX_RULES = 64
MAX_PARTS = 64
MAX_MEMBERS: Final = 16
_KEYS = {"host", "methods", "paths", "headers", "capture"}
_MEMBER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}(?:\.[A-Za-z_][A-Za-z0-9_-]{0,63}){0,2}", re.ASCII)
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SCHEMES = {"https": True, "wss": True, "http": False, "ws": False}

__all__ = ["MAX_RULES", "Capture", "DestinationRule", "canonical_rules", "normalise_host", "parse_rules"]


def _fail(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(Problem(pointer, code, detail))


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """One upstream, or all below a domain, with what may be asked of it. `None` means any."""

    secure: bool
    host: str
    port: int
    wildcard: bool = False
    methods: frozenset[str] | None = None
    paths: tuple[str, ...] | None = None
    headers: frozenset[str] | None = field(default=None)
    capture: "Capture | None" = None

    @classmethod
    def parse(cls, rule: object, pointer: str = "") -> "DestinationRule":
        """Read a rule as text or object; raises `Invalid` at `pointer`, with the remedy."""
        if isinstance(rule, str):
            return _parse_text(rule, pointer)
        if isinstance(rule, Mapping):
            return _parse_object(rule, pointer)
        raise _fail(pointer, "host_invalid", 'Write a host such as "api.example.com", or an object with "host".')

    @property
    def authority(self) -> str:
        """The canonical text form, without methods, paths, headers and capture."""
        text = str(Destination(self.secure, self.host, self.port))
        if not self.wildcard:
            return text
        return f"*.{text}" if self.secure else text.replace("http://", "http://*.", 1)

    def canonical(self) -> str | dict[str, object]:
        """Return the one spelling of this rule; `parse` of it gives an equal rule."""
        parts = {"methods": self.methods, "paths": self.paths, "headers": self.headers}
        limits: dict[str, object] = {key: sorted(part) for key, part in parts.items() if part is not None}
        if self.capture is not None:
            limits["capture"] = self.capture.canonical()
        return {"host": self.authority, **limits} if limits else self.authority

    def reaches(self, destination: Destination) -> bool:
        """Whether scheme, host and port fit (methods, paths and headers not considered)."""
        return (self.secure, self.port) == (destination.secure, destination.port) and self.names(destination.host)

    def names(self, host: str) -> bool:
        """Whether the host fits, whatever scheme and port. Nothing fits Egret's own name."""
        if own(host):
            return False
        if self.wildcard:
            return host.endswith("." + self.host) and len(host) > len(self.host) + 1
        return host == self.host

    def serves(self, use: Use) -> bool:
        """Whether destination, method and path fit: all but the header name."""
        if not self.reaches(use.destination) or (self.methods is not None and use.method not in self.methods):
            return False
        if self.methods is None and self.paths is None:
            return True
        if use.once(says_otherwise, lambda: says_otherwise(use.fields, use.query)):
            return False
        paths = self.paths
        return paths is None or use.once(paths, lambda: allows_path(paths, use.path))

    def allows(self, use: Use) -> bool:
        """Whether the rule permits this use. `headers` binds uses in headers only; locations bind the rest."""
        if not self.serves(use):
            return False
        return use.location is not Location.HEADER or self.headers is None or use.header.lower() in self.headers

    def covers(self, other: "DestinationRule") -> bool:
        """Whether everything that `other` permits is permitted here, so that `other` narrows this rule."""
        if (self.secure, self.port) != (other.secure, other.port) or not self._covers_host(other):
            return False
        if not _covers_capture(self.capture, other.capture):
            return False
        if self.methods is not None and (other.methods is None or not other.methods <= self.methods):
            return False
        if self.headers is not None and (other.headers is None or not other.headers <= self.headers):
            return False
        if self.paths is None:
            return True
        return other.paths is not None and all(any(covers_path(a, b) for a in self.paths) for b in other.paths)

    def _covers_host(self, other: "DestinationRule") -> bool:
        if not self.wildcard:
            return not other.wildcard and self.host == other.host
        return other.host.endswith("." + self.host) or (other.wildcard and other.host == self.host)

    def meets(self, other: "DestinationRule") -> bool:
        """Whether a request could be served by both."""
        if (self.secure, self.port) != (other.secure, other.port):
            return False
        if not any(one._covers_host(another) for one, another in ((self, other), (other, self))):  # noqa: SLF001  its own
            return False
        if self.methods is not None and other.methods is not None and not self.methods & other.methods:
            return False
        if self.paths is None or other.paths is None:
            return True
        return any(meet(one, another) for one in self.paths for another in other.paths)


@dataclass(frozen=True, slots=True)
class Capture:
    """What of the answers of a rule's requests is kept from the client: it gets placeholders, which go to `hosts`.

    `members` are names of members of a JSON object, dotted where one is inside another.
    """

    members: frozenset[str]
    hosts: tuple[DestinationRule, ...]

    def canonical(self) -> dict[str, object]:
        """Return the one spelling of it."""
        return {"hosts": canonical_rules(self.hosts), "members": sorted(self.members)}


def _covers_capture(wide: Capture | None, narrow: Capture | None) -> bool:
    """Whether one narrows another: the same members, since one that is left out would be shown, to fewer hosts."""
    if wide is None or narrow is None:
        return wide is narrow
    return wide.members == narrow.members and all(any(a.covers(b) for a in wide.hosts) for b in narrow.hosts)


def parse_rules(rules: Iterable[object], pointer: str = "/hosts") -> tuple[DestinationRule, ...]:
    """Read a list of rules; all faults are reported at once. Duplicates fall together."""
    problems: list[Problem] = []
    parsed: dict[str, DestinationRule] = {}
    for index, rule in enumerate(rules):
        if index >= MAX_RULES:
            problems.append(Problem(pointer, "too_many", f"At most {MAX_RULES} hosts per secret."))
            break
        try:
            one = DestinationRule.parse(rule, f"{pointer}/{index}")
            if own(one.host):
                raise _fail(f"{pointer}/{index}", "host_reserved", f"{OWN_HOST} is Egret itself: no value goes there.")
            parsed[json.dumps(one.canonical(), sort_keys=True)] = one
        except Invalid as error:
            problems.extend(error.problems)
    if problems:
        raise Invalid(*problems)
    _apart(parsed.values(), pointer)
    return tuple(parsed[key] for key in sorted(parsed))


def _apart(rules: Iterable[DestinationRule], pointer: str) -> None:
    """Refuse a rule by which a secret could be sent, uncaptured, where another rule captures what is answered."""
    listed = [*rules]
    plain = [rule for rule in listed if rule.capture is None]
    if any(one.meets(other) for one in listed if one.capture is not None for other in plain):
        hint = "A host without capture lets the same requests through as one with it: give each its own paths."
        raise _fail(pointer, "capture_overlaps", hint)


def canonical_rules(rules: Iterable[DestinationRule]) -> Hosts:
    """Return the canonical list: sorted, so that equal sets seal to equal bytes."""
    return sorted((rule.canonical() for rule in rules), key=lambda rule: json.dumps(rule, sort_keys=True))


def _parse_text(text: str, pointer: str) -> DestinationRule:
    scheme, separator, rest = text.strip(" ").partition("://")
    if not separator:
        scheme, rest = "https", text.strip(" ")
    secure = _SCHEMES.get(scheme.lower())
    if secure is None:
        raise _fail(pointer, "host_invalid", "Use https, http, wss or ws, or leave the scheme out (https).")
    if separator and rest.endswith("/") and rest.count("/") == 1:
        rest = rest[:-1]
    if any(mark in rest for mark in "/?#\\"):
        hint = 'Write the host alone; limit paths with {"host": "api.example.com", "paths": ["/v1/*"]}.'
        raise _fail(pointer, "host_has_path", hint)
    if "@" in rest:
        raise bad_host(pointer, rest)
    host, port = _split_port(rest, pointer, 443 if secure else 80)
    wildcard = host.startswith("*.")
    name = normalise_host(host[2:] if wildcard else host)
    if not name or "*" in host[1:] or host == "*" or (wildcard and _is_address(name)):
        raise bad_host(pointer, host)
    if wildcard and too_wide(name):
        raise _fail(pointer, "host_too_wide", "A wildcard must stand below a domain that one party owns.")
    return DestinationRule(secure, name, port, wildcard)


def _is_address(name: str) -> bool:
    return ":" in name or name.rpartition(".")[2].isdigit()


def _split_port(rest: str, pointer: str, default: int) -> tuple[str, int]:
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        return rest, default
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _fail(pointer, "host_invalid", "Write an IPv6 address in brackets: [2001:db8::1]:443.")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise _fail(pointer, "port_invalid", "A port is a number from 1 to 65535.")
    return host, int(port)


def _parse_object(rule: Mapping[object, object], pointer: str) -> DestinationRule:
    if not set(rule) <= _KEYS:  # the unknown key is not repeated: it may be a value put in the wrong place
        hint = "A host object has host, methods, paths, headers, capture and nothing else."
        raise _fail(pointer, "unknown_key", hint)
    host = rule.get("host")
    if not isinstance(host, str):
        raise _fail(f"{pointer}/host", "host_required", 'Write a host such as "api.example.com".')
    base = _parse_text(host, f"{pointer}/host")
    methods = _parts(rule, "methods", pointer)
    headers = _parts(rule, "headers", pointer)
    paths = _parts(rule, "paths", pointer)
    for key, part in (("methods", methods), ("headers", headers)):
        if part is not None and not all(item and set(item) <= _TOKEN for item in part):
            raise _fail(f"{pointer}/{key}", f"{key}_invalid", f"{key.capitalize()} are HTTP tokens.")
    if paths is not None and not all(_path_ok(path) for path in paths):
        hint = 'A path starts with "/", without query, ".." or encoded slash; "*" is one segment, at the end the rest.'
        raise _fail(f"{pointer}/paths", "path_invalid", hint)
    return DestinationRule(
        base.secure,
        base.host,
        base.port,
        base.wildcard,
        None if methods is None else frozenset(method.upper() for method in methods),
        None if paths is None else tuple(sorted(set(paths))),
        None if headers is None else frozenset(header.lower() for header in headers),
        _parse_capture(rule.get("capture"), f"{pointer}/capture"),
    )


def _parse_capture(capture: object, pointer: str) -> Capture | None:
    if capture is None:
        return None
    if not isinstance(capture, Mapping) or set(capture) != {"members", "hosts"}:
        hint = 'Write {"members": ["access_token"], "hosts": ["api.example.com"]}.'
        raise _fail(pointer, "capture_invalid", hint)
    members = _parts(capture, "members", pointer)
    if members is None or len(members) > MAX_MEMBERS or not all(_MEMBER.fullmatch(member) for member in members):
        hint = f'At most {MAX_MEMBERS} names of members, such as "access_token" or "auth.client_token".'
        raise _fail(f"{pointer}/members", "members_invalid", hint)
    if any(one.startswith(f"{other}.") for one in members for other in members):
        raise _fail(f"{pointer}/members", "members_invalid", "A member is inside another one: name one of them.")
    hosts = capture["hosts"]
    if not isinstance(hosts, list | tuple):
        raise _fail(f"{pointer}/hosts", "host_invalid", 'Write a list of hosts such as "api.example.com".')
    rules = parse_rules(hosts, f"{pointer}/hosts")
    if any(rule.capture is not None for rule in rules):
        raise _fail(f"{pointer}/hosts", "capture_invalid", "What was captured goes to hosts without capture.")
    return Capture(frozenset(members), rules)


def _path_ok(path: str) -> bool:
    shape = path.startswith("/") and path.isascii() and path.isprintable() and " " not in path
    return shape and len(path) <= 1024 and not set(path) & set('?#\\"<>') and path_is_plain(path)


def _parts(rule: Mapping[object, object], key: str, pointer: str) -> Sequence[str] | None:
    part = rule.get(key)
    if part is None:
        return None
    if not isinstance(part, list | tuple) or not part or not all(isinstance(item, str) for item in part):
        raise _fail(f"{pointer}/{key}", f"{key}_invalid", "Write a list with at least one text, or leave it out.")
    if len(part) > MAX_PARTS:
        raise _fail(f"{pointer}/{key}", "too_many", f"At most {MAX_PARTS} entries.")
    return part
