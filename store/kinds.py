"""What is done with a secret's value: written as it is, signed with, shown, or traded for a token that is written.

`kind` in the API, with its `parameters`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

STATIC: Final = "static"
"""Of a value that is written as it is."""
AWS: Final = "aws"
"""Of a key that requests to AWS are signed with."""
HMAC: Final = "hmac"
"""Of a key that requests are signed with by a template (`store.templates`)."""
CLIENT_CERTIFICATE: Final = "client_certificate"
"""Of a certificate and its key, which a connection shows (RFC 8446 4.4.2), and no request has."""
OAUTH2_CLIENT: Final = "oauth2_client"
"""Of an OAuth 2.0 client's credentials, which are traded for access tokens (RFC 6749 4.4)."""
OAUTH2_REFRESH: Final = "oauth2_refresh"
"""Of a refresh token with its client, which are traded for access tokens, and may be replaced by that (RFC 6749 6)."""
AZURE_CLIENT: Final = "azure_client"
"""Of an application of Microsoft's, which is one."""
GITHUB_APP: Final = "github_app"
"""Of a GitHub App, whose key signs for tokens of an installation."""
GCP_SERVICE_ACCOUNT: Final = "gcp_service_account"
"""Of a service account of Google's, whose key signs for tokens."""
TRADED: Final = (OAUTH2_CLIENT, OAUTH2_REFRESH, AZURE_CLIENT, GITHUB_APP, GCP_SERVICE_ACCOUNT)
"""Of what is sent to a token endpoint alone; what is written is the token that comes back."""
KINDS: Final = (STATIC, AWS, HMAC, CLIENT_CERTIFICATE, *TRADED)
TEMPORARY: Final = "Credentials"
"""The member by which a rule captures temporary keys of AWS, which requests are signed with."""
PRESENTS: Final = "egret-client-certificate"
"""The field in which a request says which certificate its connection shows; it is taken out."""
LISTS: Final = frozenset({"services", "regions", "repositories", "permissions", "payload", "format"})
"""Parameters that are lists; any other is one text."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What is done with a secret's value: `kind` and `parameters` in the API, checked (`store.credential`).

    Both are sealed with the value: nobody who can edit a row makes a text that is written of a key that signs. (`Kind`
    is another thing: whether a name is a secret's or a variable's.)
    """

    kind: str = STATIC
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Each a text, or a list of texts (`LISTS`)."""

    @property
    def written(self) -> bool:
        """Whether the value itself goes where the placeholder stands."""
        return self.kind == STATIC

    @property
    def traded(self) -> bool:
        """Whether a token that the value is traded for goes there."""
        return self.kind in TRADED

    @property
    def examined(self) -> bool:
        """Whether the data plane can tell until when it is good: what is traded is, and a certificate is read."""
        return self.traded or self.kind == CLIENT_CERTIFICATE

    @property
    def refreshed(self) -> bool:
        """Whether trading the value may use it up: a new one comes with the token."""
        return self.kind == OAUTH2_REFRESH

    @property
    def forgiving(self) -> bool:
        """Whether the provider takes a refresh token that was used before, as its owner says."""
        return self.parameters.get("reuse") == "accepted"

    @property
    def misplaced(self) -> str:
        """The code for what is not written as it is, where only such is."""
        if self.kind == CLIENT_CERTIFICATE:
            return "client_certificate_misplaced"
        return "token_misplaced" if self.traded else "signing_key_misplaced"

    def fields(self) -> dict[str, object]:
        """Return it as it stands in a version's line; a static one, which all were once, is not told."""
        return {} if self.written else {"credential": {"kind": self.kind, "parameters": dict(self.parameters)}}

    def info(self) -> tuple[bytes, ...]:
        """Return what an envelope is bound to besides what every envelope is; nothing for a static one."""
        return (
            ()
            if self.written
            else (self.kind.encode(), json.dumps(dict(self.parameters), sort_keys=True, separators=(",", ":")).encode())
        )

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read it back from a version's line; raises `ValueError` for a kind that this release does not know."""
        found = fields.get("credential")
        if found is None:
            return cls()
        if found["kind"] not in KINDS:
            raise ValueError("kind")
        return cls(found["kind"], {name: _said(said) for name, said in found["parameters"].items()})


def _said(said: str | Sequence[object]) -> Sequence[str]:
    return said if isinstance(said, str) else [*map(str, said)]


def parameters_of(words: Iterable[str]) -> dict[str, str | list[str]]:
    """Return the parameters that words such as `regions=us-east-1` say; raises `ValueError`, without any of them."""
    made: dict[str, str | list[str]] = {}
    for word in words:
        name, equals, said = word.partition("=")
        if not equals or (name in made and name not in LISTS):
            raise ValueError("parameters")
        made[name] = [*made.get(name, ()), said] if name in LISTS else said
    return made


WRITTEN: Final = Credential()
"""What most secrets are."""
