"""What an answer held, as a placeholder that carries it: sealed for one session and one version of a secret.

    #{SECRETS.NAME.SEALED}     SEALED = base64url(nonce ‖ AES-256-GCM(rule ‖ member ‖ length ‖ value ‖ zeros))

Nothing is kept anywhere, so it works in every process and on every machine that has the opening key, and in no other
place. The key follows from the opening key, the session and the version: taken to another session, dataset or
organisation, or once the version was replaced, a placeholder is as good as any other text. The rule by which it was
captured is named inside, and judged anew at each use, as it was sealed and as it was narrowed since. Padding leaves
nothing of a value to see but its length, rounded up.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from store.credential import secrets_of
from store.kinds import AWS, TEMPORARY, WRITTEN, Credential
from store.model import MAX_SEALED, MIN_SEALED, Denial, Destination, Kind, Location, SecretValue, Use
from store.presets import preset_of
from store.reach import Stored
from store.reader.warm import Locker
from store.rules import DestinationRule
from store.trust.manifest import Entry, Version
from store.trust.signing import canonical

type Lockers = Callable[[bytes, bytes], Locker | None]
"""Gives what encrypts for an opening key and a purpose; None where the key is not at hand."""

MAX_CAPTURED: Final = 8192
"""Longest value that is captured, in bytes."""
_RULE: Final = 16
_HEAD: Final = _RULE + 1
_LENGTH: Final = 2
_STEP: Final = 64
_LONG: Final = 1024
_LONG_STEP: Final = 256
"""Lengths are rounded up to so many bytes, those over 1024 to the longer one."""
_REFRESH: Final = "refresh_token"
_KEY: Final = f"{TEMPORARY}/{AWS}"
"""Sealed in the place of a member: of a key, which is signed with and never written. No rule can name such a member."""
_DEFAULT_HEADER: Final = "authorization"


@dataclass(frozen=True, slots=True)
class CapturedGrant:
    """Permission for one use of what was captured; holds no plaintext. `rules`: where it could come back from."""

    name: str
    version: int
    identity: str
    rules: Sequence[DestinationRule]
    _locker: Locker = field(repr=False)
    _copy: bytes = field(repr=False)
    credential: Credential = WRITTEN
    """It is written as it is, but for a key, which signs for what the secret's own parameters say."""
    kind: Kind = Kind.SECRET

    def open(self) -> SecretValue:
        """Decrypt it; raises `ValueError`."""
        return _unpacked(self._locker.open(self._copy, b""))[2]

    def stored(self) -> list[Stored]:
        """Return it as answers are searched for it, each part on its own; raises `ValueError`."""
        return [Stored(self.name, part, self.rules) for part in secrets_of(self.credential.kind, self.open())]


@dataclass(frozen=True, slots=True)
class Capturing:
    """A rule of a secret by which the answer of a request is captured, for a session."""

    name: str
    rule: DestinationRule
    _locker: Locker | None = field(repr=False)

    def stored(self, value: SecretValue) -> Stored:
        """Return what was captured as answers are searched for it."""
        return Stored(self.name, value, (self.rule, *goes_to(self.rule)))

    @property
    def members(self) -> frozenset[str]:
        """What of the answer is captured."""
        return frozenset() if self.rule.capture is None else self.rule.capture.members

    def seal(self, member: str, value: SecretValue) -> str:
        """Return a placeholder for the value of a member; raises `ValueError` where it cannot be made."""
        return self._sealed(member, value)

    def seal_key(self, key: SecretValue) -> str:
        """Return a placeholder for a key of AWS, to be signed with; raises `ValueError` where it cannot be made."""
        return self._sealed(_KEY, key)

    def _sealed(self, member: str, value: SecretValue) -> str:
        if self._locker is None or len(value) > MAX_CAPTURED:
            raise ValueError("not sealed")
        copy = self._locker.lock(SecretValue(_packed(self.rule, member, value.reveal())), b"")
        return f"#{{SECRETS.{self.name}.{base64.urlsafe_b64encode(copy).rstrip(b'=').decode()}}}"


def capturing(
    entries: Iterable[tuple[Entry, Version, DestinationRule]], session: str, lockers: Lockers, use: Use
) -> tuple[Capturing, ...]:
    """Return the rules by which an answer is captured. What was sealed counts: narrowing shows nothing more."""
    return tuple(
        Capturing(entry.name, rule, locker_of(version, session, lockers))
        for entry, version, rule in entries
        if rule.serves(use)
    )


def captures_keys(found: Iterable[Capturing]) -> bool:
    """Whether temporary keys of AWS are among what is captured."""
    return any(TEMPORARY in each.members for each in found)


def goes_to(rule: DestinationRule) -> tuple[DestinationRule, ...]:
    """Return where what a rule captures may go."""
    return () if rule.capture is None else rule.capture.hosts


def reaches(version: Version, destination: Destination, location: Location) -> bool:
    """Whether what was captured may go there: into headers at its hosts, into bodies where it came from."""
    if location not in {Location.HEADER, Location.BODY}:
        return False
    listed = [each for each in version.sealed_rules if each.capture is not None]
    if location is Location.HEADER:
        listed = [one for rule in listed for one in goes_to(rule)]
    return any(one.reaches(destination) for one in listed)


def resolve(name: str, version: Version, locker: Locker | None, sealed: str, use: Use) -> "Decision":
    """Decide about one use. What does not open says so in one way, whyever: `Denial.UNKNOWN`."""
    try:
        copy = _decoded(sealed)
        if locker is None:
            return Denial.UNKNOWN
        named, member, _ = _unpacked(locker.open(copy, b""))
    except ValueError:
        return Denial.UNKNOWN
    rule = next((rule for rule in version.sealed_rules if rule.capture is not None and _named(rule) == named), None)
    if rule is None:
        return Denial.UNKNOWN
    both = [rule], [each for each in version.rules if each.capture is not None and rule.covers(each)]
    for rules in both:
        denied = _denied(rules, member, use, widened=version.widened)
        if denied is not None:
            return denied
    identity = hashlib.sha256(copy).hexdigest()
    credential = _signs(version) if member == _KEY else WRITTEN
    return CapturedGrant(name, version.number, identity, (rule, *goes_to(rule)), locker, copy, credential)


def _signs(version: Version) -> Credential:
    """Return what a captured key is: no more than the key that it was had with."""
    return version.credential if version.credential.kind == AWS else Credential(AWS)


type Decision = CapturedGrant | Denial


def _denied(rules: Sequence[DestinationRule], member: str, use: Use, *, widened: bool) -> Denial | None:
    """Say what stands in the way: it goes into a header at its hosts, and into a body where it came from.

    A refresh token goes back to where it came from alone (RFC 6749 10.4), and a key into no body.
    """
    refreshes = member.rpartition(".")[2] == _REFRESH
    hosts = [] if refreshes else [one for each in rules for one in goes_to(each)]
    serving = [rule for rule in hosts if rule.serves(use)]
    back = [rule for rule in rules if rule.serves(use)]
    if not serving and not back:
        return Denial.DESTINATION
    if use.location is Location.BODY and back and member != _KEY:
        return None if _preset(use, back, widened=widened) else Denial.LOCATION
    if use.location is not Location.HEADER:
        return Denial.LOCATION
    fitting = [rule for rule in serving if use.header in (rule.headers or (_DEFAULT_HEADER,))]
    return None if fitting and _preset(use, fitting, widened=False) else Denial.LOCATION


def _preset(use: Use, serving: Sequence[DestinationRule], *, widened: bool) -> bool:
    preset = preset_of(use.destination.host)
    return preset is None or preset.allows(use, serving, widened=widened)


def locker_of(version: Version, session: str, lockers: Lockers) -> Locker | None:
    """Return what seals for a session and a version; the hash of its envelope stands for scope, name and rules."""
    return lockers(version.kid, canonical(["captured", session, version.entry, version.sha256]))


def _named(rule: DestinationRule) -> bytes:
    return hashlib.sha256(canonical(rule.canonical())).digest()[:_RULE]


def _packed(rule: DestinationRule, member: str, value: bytes) -> bytes:
    name = member.encode()
    step = _STEP if len(value) <= _LONG else _LONG_STEP
    size = -(-len(value) // step) * step
    head = _named(rule) + len(name).to_bytes(1, "big") + name
    return head + len(value).to_bytes(_LENGTH, "big") + value + bytes(size - len(value))


def _unpacked(packed: SecretValue) -> tuple[bytes, str, SecretValue]:
    raw = packed.reveal()
    start = _HEAD + raw[_RULE]
    size = int.from_bytes(raw[start : start + _LENGTH], "big")
    value = raw[start + _LENGTH :][:size]
    return raw[:_RULE], raw[_HEAD:start].decode(), SecretValue(value)


def _decoded(sealed: str) -> bytes:
    """Decode the one spelling that there is: no other text may stand for the same bytes."""
    if not MIN_SEALED <= len(sealed) <= MAX_SEALED:
        raise ValueError("not sealed")
    try:
        copy = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    except binascii.Error:
        raise ValueError("not sealed") from None
    if base64.urlsafe_b64encode(copy).rstrip(b"=").decode() != sealed:
        raise ValueError("not sealed")
    return copy
