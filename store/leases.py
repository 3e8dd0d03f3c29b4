"""Leases: who may trade a refresh token, and what came of it. Pure.

Trading a refresh token may use it up, and one that is sent twice may end all that came of the same login (RFC 9700
4.14.2). So one data plane at a time may do that for a secret, and only as long as the store says that it is its turn:

    ask    a data plane wants to. It is its intent, too: from the store's word on, the request may have been made
    made   a token came, perhaps with a new refresh token, sealed as the secret's next version
    free   nothing was used up
    spent  the endpoint refuses the refresh token, or nobody knows whether it was used up

What data planes say goes the way of lines of use, and is vouched for by a key that every plane of a store has. The
store answers in a signed document for each secret.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self

from store.model import Scope

LASTS: Final = 60.0
"""Seconds that a turn lasts; a request takes a sixth of that at most (`proxy.border.tokens.PATIENCE`)."""
STALE: Final = 30.0
"""Seconds after which an intent is not granted any more: who had it has given up."""
ASK: Final = "ask"
MADE: Final = "made"
FREE: Final = "free"
SPENT: Final = "spent"
_WHAT: Final = (ASK, MADE, FREE, SPENT)
_ID: Final = re.compile(r"[0-9A-Za-z]{16}")
_INTENT: Final = re.compile(r"[0-9a-f]{32}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{0,60000}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){0,32}")
_BIG: Final = 2**53


def lease_key(entry: str) -> str:
    """Return the document key of an entry's lease."""
    return f"{PREFIX}{entry}"


PREFIX: Final = "lease/"


class Shared(NamedTuple):
    """An access token that data planes share: encrypted under what follows from the opening key `kid`.

    `copy` is base64, `kid` hex; times are Unix seconds.
    """

    copy: str
    kid: str
    made: int
    renews: int
    ends: int

    def binding(self, entry: str) -> bytes:
        """Return what the copy is bound to."""
        return f"{PREFIX}{entry} {self.made} {self.renews} {self.ends}".encode()

    @classmethod
    def parse(cls, given: Any) -> Self | None:  # noqa: ANN401  # of a line, or of a document
        """Read it; raises `ValueError`, `TypeError`."""
        if given is None:
            return None
        copy, kid, *times = given
        if _BASE64.fullmatch(copy) is None or _HEX.fullmatch(kid) is None:
            raise ValueError("token")
        made, renews, ends = (_number(each) for each in times)
        return cls(copy, kid, made, renews, ends)


@dataclass(frozen=True, slots=True)
class Lease:
    """What the store says of an entry: the last turn, of which version it was, and whose it is (an intent's id).

    `turn` rises whenever that changes: who asks names the one that it saw. `until` (Unix milliseconds) is 0 where the
    turn is nobody's, or was not ended in its time. `token` is of the version.
    """

    scope: Scope
    turn: int = 0
    version: int = 0
    intent: str = ""
    until: int = 0
    token: Shared | None = None

    def busy(self, version: int) -> bool:
        """Whether nobody else may trade this version now."""
        return bool(self.intent) and self.version == version

    def over(self, version: int | None = None, token: Shared | None = None) -> "Lease":
        """Return it with the turn ended."""
        number = self.version if version is None else version
        return replace(self, turn=self.turn + 1, intent="", until=0, version=number, token=token or self.token)

    def body(self) -> dict[str, object]:
        """Return the document."""
        told = {"turn": self.turn, "version": self.version, "intent": self.intent, "until": self.until}
        return {**told, "scope": _places(self.scope), "token": self.token}

    @classmethod
    def parse(cls, body: bytes) -> "Lease":
        """Read a document that was verified."""
        found = json.loads(body)
        said = found["turn"], found["version"], found["intent"], found["until"]
        return cls(Scope(*found["scope"]), *said, Shared.parse(found["token"]))


@dataclass(frozen=True, slots=True)
class Told:
    """What a data plane says. `intent` is its own word for what it is about; `at` is Unix milliseconds.

    `envelope` (base64) is the next version, and `binding` the SHA-256 of what it is bound to, in hex.
    """

    what: str
    intent: str
    scope: Scope
    entry: str
    version: int
    turn: int
    at: int
    token: Shared | None = None
    envelope: str = ""
    binding: str = ""
    mac: str = field(default="", repr=False)

    def fields(self) -> dict[str, Any]:
        """Return it as it stands in a line."""
        return {**self._plain(), "mac": self.mac}

    def vouched(self) -> bytes:
        """Return what `mac` is of."""
        return json.dumps(self._plain(), sort_keys=True, separators=(",", ":")).encode()

    def _plain(self) -> dict[str, Any]:
        """Return all but `mac`."""
        about = {"scope": _places(self.scope), "entry": self.entry, "version": self.version, "turn": self.turn}
        new = {"token": self.token, "envelope": self.envelope, "binding": self.binding}
        return {"what": self.what, "intent": self.intent, "at": self.at, **about, **new}

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> "Told":
        """Read it from a line; raises `ValueError`, `KeyError`, `TypeError`."""
        scope = Scope(*given["scope"])
        texts = (scope.organisation, scope.project, scope.dataset)
        if any(not isinstance(each, str) or len(each) > 256 for each in texts):
            raise ValueError("scope")
        forms = {"intent": _INTENT, "entry": _ID, "envelope": _BASE64, "binding": _HEX, "mac": _HEX}
        if given["what"] not in _WHAT or any(form.fullmatch(given[name]) is None for name, form in forms.items()):
            raise ValueError("form")
        version, turn, at = (_number(given[name]) for name in ("version", "turn", "at"))
        token, sealed = Shared.parse(given["token"]), (given["envelope"], given["binding"], given["mac"])
        return cls(given["what"], given["intent"], scope, given["entry"], version, turn, at, token, *sealed)


def _places(scope: Scope) -> list[str]:
    return [scope.organisation, scope.project, scope.dataset]


def _number(given: object) -> int:
    if type(given) is not int or not 0 <= given < _BIG:
        raise ValueError("number")
    return given
