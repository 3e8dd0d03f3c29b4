"""Secrets and variables, in and out. `value` and `sealed` are in inputs only; a variable's value is readable."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema

from store.api.fields import LABEL, Duration, Environment, Model, Name, Out, Patch, Prose, Time, Word, shape
from store.api.hosts import Hosts, PlainHosts, plain
from store.api.member_models import GrantIn, GrantOut
from store.api.values import Readable, Sealed, Value
from store.credential import places
from store.model import SecretValue
from store.people import GroupGrant
from store.records import Change, EntryInfo, NewEntry

LocationName = Literal["header", "url", "body", "message", "widened"]
"""The last one stands where locations were named that go beyond a preset's; alone it is all of them."""
Locations = Annotated[list[LocationName], Field(min_length=1, max_length=8)]
_TEXT: JsonDict = {"type": "string"}
_NONE: JsonDict = {"type": "null"}
_SIGNS = (
    "payload", "format", "signature_in", "timestamp_in", "key_id_in", "algorithm", "encoding", "secret_encoding",
    "timestamp",
)  # fmt: skip
_PARAMETERS = (
    "template", *_SIGNS,
    "services", "regions", "token_url", "scope", "audience", "client_auth", "cloud", "installation_id", "repositories",
    "permissions", "api_url",
)  # fmt: skip


def _with(kind: str, *named: str, needed: str = "") -> JsonDict:
    """Return what an upload of a kind looks like: with these parameters, and some of them (words) needed."""
    others: JsonDict = {name: _NONE for name in _PARAMETERS if name not in named}
    if not needed:
        return {"required": ["kind"], "properties": {"kind": {"const": kind}, "parameters": {"properties": others}}}
    there: JsonDict = {name: {"type": ["string", "array"]} for name in needed.split()}
    said: JsonDict = {"type": "object", "required": [*there], "properties": {**others, **there}}
    return {"required": ["kind", "parameters"], "properties": {"kind": {"const": kind}, "parameters": said}}


ONE_OF: JsonDict = {
    "oneOf": [
        {"required": ["value"], "properties": {"value": _TEXT, "sealed": _NONE}},
        {"required": ["sealed"], "properties": {"value": _NONE, "sealed": _TEXT}},
    ],
    "anyOf": [
        {"properties": {"kind": {"enum": ["static", "aws", "client_certificate", None]}, "parameters": _NONE}},
        _with("aws", "services", "regions"),
        _with("hmac", "template", needed="template"),
        _with("hmac", *_SIGNS, needed="payload signature_in"),
        _with("oauth2_client", "token_url", "scope", "audience", "client_auth", needed="token_url"),
        _with("oauth2_refresh", "token_url", "scope", "client_auth", "reuse", needed="token_url"),
        _with("azure_client", "scope", "cloud", needed="scope"),
        _with("github_app", "installation_id", "repositories", "permissions", "api_url", needed="installation_id"),
        _with("gcp_service_account", "scope", needed="scope"),
        _with("gcp_service_account", "audience", needed="audience"),
    ],
}
"""A value in one of two forms; the parameters of its kind."""
Provider = Annotated[str, shape(f"^{LABEL[1:-1]}$|^$", maxLength=64, examples=["openai"])]
Rule = str | dict[str, object]
Binding = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{64}$",
        description="Of `sealed`: SHA-256 of HPKE's info in hex. With it, what was sealed for another version is told.",
    ),
]
Note = Literal["value_short", "whitespace_edges", "looks_like_placeholder", "looks_like_address"]
Noted = Annotated[
    list[Note], Field(max_length=8, description="Of `sealed`: warnings that only the client could see to give.")
]
_DONE = "What is done with the value: written as it is, signed with, shown by connections, or traded for a token."
KindName = Literal[
    "static",
    "aws",
    "hmac",
    "client_certificate",
    "oauth2_client",
    "oauth2_refresh",
    "azure_client",
    "github_app",
    "gcp_service_account",
]
Words = Annotated[list[Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]], Field(min_length=1, max_length=64)]
Url = Annotated[str, shape(r"^https://[a-z][a-z0-9]{0,20}(\.[a-z]{2,20}){1,4}(:[1-9][0-9]{0,3})?(/[!\"$-~]{0,1024})?$")]
Text = Annotated[str, shape("^[!-~]+( [!-~]+)*$", maxLength=1024)]
Names = Annotated[list[Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,100}$")]], Field(min_length=1, max_length=64)]
Rights = Annotated[
    list[Annotated[str, Field(pattern="^[a-z_]{1,64}:(read|write|admin)$")]], Field(min_length=1, max_length=64)
]
_NAMED = "method|path|query|target|body|timestamp|key_id|newline"
Payload = Annotated[
    list[Annotated[str, Field(pattern=f"^({_NAMED}|header:[A-Za-z0-9-]{{1,64}}|text:[ -~]{{1,64}})$")]],
    Field(min_length=1, max_length=32),
]
Format = Annotated[
    list[Annotated[str, Field(pattern="^(signature|timestamp|key_id|text:[ -~]{1,64})$")]],
    Field(min_length=1, max_length=32),
]
Place = Annotated[str, shape("^(header:[A-Za-z0-9-]{1,64}|query:[A-Za-z0-9_.-]{1,64})$")]
Kept = Annotated[int, Field(ge=1, le=100)]
Groups = Annotated[list[GrantIn], Field(max_length=32)]


class ParametersIn(Model):
    """What a kind is to know: what or how it signs (`aws`, `hmac`), where and how it is traded for a token (others)."""

    services: Words | None = Field(None, description="AWS's signing names, such as s3.")
    regions: Words | None = Field(None, description="Such as us-east-1.")
    template: (
        Literal["github", "slack", "stripe", "standard_webhooks", "binance", "bybit", "coinbase_exchange", "okx"] | None
    ) = Field(None, description="How a known API has requests signed; then nothing else.")
    payload: Payload | None = Field(None, description="What is signed, in its order: parts, header:NAME and text:….")
    format: Format | None = Field(None, description="What is written; the signature alone unless given.")
    signature_in: Place | None = Field(
        None, description="Where it is written, and the placeholder stands: header:NAME or query:NAME."
    )
    timestamp_in: Place | None = Field(None, description="Where the time is written.")
    key_id_in: Place | None = Field(None, description="Where the key's id is written; a placeholder may stand there.")
    algorithm: Literal["sha256", "sha1", "sha384", "sha512"] | None = Field(None, description="sha256 unless given.")
    encoding: Literal["hex", "base64", "base64url"] | None = Field(
        None, description="Of the signature; hex unless given."
    )
    secret_encoding: Literal["text", "base64", "hex"] | None = Field(
        None, description="Of the secret; text unless given."
    )
    timestamp: Literal["s", "ms", "iso"] | None = Field(
        None, description="Seconds unless given; milliseconds; ISO 8601."
    )
    token_url: Url | None = Field(None, description="The token endpoint, https.")
    scope: Text | None = Field(None, description="The scopes that are asked for, with blanks between them.")
    audience: Text | None = Field(None, description="What the token is for, where the endpoint wants that.")
    client_auth: Literal["basic", "post"] | None = Field(
        None, description="How the client says who it is: in the Authorization header (basic), or in the form."
    )
    cloud: Literal["public", "china", "government"] | None = Field(
        None, description="Microsoft's; public unless given."
    )
    installation_id: Annotated[str, shape("^[0-9]{1,20}$")] | None = Field(None, description="Of the GitHub App.")
    repositories: Names | None = Field(None, description="The installation's that the token is for; all unless given.")
    permissions: Rights | None = Field(None, description="Such as contents:read; all of the app's unless given.")
    api_url: Url | None = Field(
        None, description="Of a GitHub Enterprise Server, such as https://ghe.example.com/api/v3."
    )


def _grants(groups: list[GrantIn] | None) -> list[GroupGrant] | None:
    return None if groups is None else [each.grant() for each in groups]


_PLAIN = Field(None, description="Where alone it may be injected; none: anywhere.")


class About(Model):
    """What may be said of a secret besides its value."""

    hosts: Hosts | None = Field(None, description="Where it may be injected; none: kept, but injected nowhere.")
    locations: Locations | None = None
    provider: Provider | None = Field(
        None, description="A preset, which fills in hosts and locations, in any case; or any label, which does not."
    )
    description: Prose | None = None
    rotate_after: Duration | None = Field(None, description="After this time it is listed as due.")
    keep_versions: Kept | None = Field(None, description="Versions whose values are kept: 10 unless given.")
    groups: Groups | None = Field(None, description="Groups that may do something with it; then no other may.")


class SecretIn(About, json_schema_extra=ONE_OF):
    """One secret of an upload."""

    name: Name
    value: Value | None = None
    sealed: Sealed | None = None
    binding: Binding | None = None
    noted: Noted = Field(default=[])
    environment: Environment | None = None
    kind: KindName | None = Field(None, description=_DONE)
    parameters: ParametersIn | None = Field(None, description="Of the kind; sealed with the value.")

    def entry(self) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, self.name, self.value, self.sealed)


class SecretPut(About, json_schema_extra=ONE_OF):
    """A new version of a secret."""

    name: SkipJsonSchema[Name | None] = None
    """Taken where it repeats the path's, so that an upload's entry can be sent as it is."""
    value: Value | None = None
    sealed: Sealed | None = None
    binding: Binding | None = None
    noted: Noted = Field(default=[])
    environment: Environment | None = None
    kind: KindName | None = Field(None, description=_DONE)
    parameters: ParametersIn | None = Field(None, description="Of the kind; sealed with the value.")

    def entry(self, name: str) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, name, self.value, self.sealed)


class VariableIn(About):
    """One variable of an upload; readable, injected as `#{VARS.NAME}`."""

    name: Name
    hosts: PlainHosts | None = _PLAIN  # type: ignore[assignment]  # no capture
    value: Readable
    environment: Environment | None = None

    def entry(self) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, self.name, self.value, None)


class VariablePut(About):
    """A new version of a variable."""

    name: SkipJsonSchema[Name | None] = None
    hosts: PlainHosts | None = _PLAIN  # type: ignore[assignment]  # no capture
    value: Readable
    environment: Environment | None = None

    def entry(self, name: str) -> NewEntry:
        """Return what the vault takes."""
        return _entry(self, name, self.value, None)


class MetadataPatch(About, Patch):
    """A change of metadata; hosts and locations can only be narrowed, widening takes the value again."""

    name: Name | None = Field(None, description="Another name, at once; the old one is then unknown.")

    def change(self) -> Change:
        """Return what the vault takes; an explicit null clears what is a text."""

        def wish(name: str) -> str | None:
            return (getattr(self, name) or "") if name in self.model_fields_set else None

        texts = {name: wish(name) for name in ("provider", "description", "rotate_after")}
        more = {"keep_versions": self.keep_versions, "groups": _grants(self.groups), "name": self.name}
        return Change(plain(self.hosts), self.locations, **texts, **more)  # type: ignore[arg-type]


def _entry(given: About, name: str, value: SecretValue | None, sealed: SecretValue | None) -> NewEntry:
    said: ParametersIn | None = getattr(given, "parameters", None)
    return NewEntry(
        name,
        value,
        None if sealed is None else sealed.reveal(),
        plain(given.hosts),
        given.locations,
        given.provider,
        given.description,
        getattr(given, "environment", None) or "",
        given.rotate_after,
        getattr(given, "binding", None),
        getattr(given, "noted", ()),
        given.keep_versions,
        _grants(given.groups),
        getattr(given, "kind", None),
        None if said is None else said.model_dump(exclude_none=True),
    )


class WarningOut(Out):
    """Something stored that may not be meant."""

    code: str
    detail: str


class EntryOut(Out):
    """What is known of a secret or variable."""

    id: str
    name: str
    environment: Word
    version: int
    last_version: int
    state: str
    hosts: list[Rule]
    locations: list[str]
    provider: Word
    description: str
    rotate_after: str | None
    rotate_due_at: Time | None
    keep_versions: int
    groups: list[GrantOut]
    created_at: Time
    created_by: str
    updated_at: Time
    updated_by: str
    last_used_at: Time | None
    use_count: int
    warnings: list[WarningOut]


class SecretOut(EntryOut):
    """A secret. There is no field for its value."""

    placeholder: str
    places: list[str]
    """Where that may stand: of the locations, which are sealed, those that the kind has."""
    kind: KindName
    parameters: dict[str, str | list[str]]

    @classmethod
    def of(cls, info: EntryInfo) -> "SecretOut":
        """Return the answer for what the vault knows."""
        of, told = info.credential, f"#{{SECRETS.{info.name}}}"
        where = places(of, info.locations)
        return cls(**_known(info), placeholder=told, places=where, kind=of.kind, parameters=dict(of.parameters))


class VariableOut(EntryOut):
    """A variable with its value, which is no secret."""

    placeholder: str
    value: str | None

    @classmethod
    def of(cls, info: EntryInfo) -> "VariableOut":
        """Return the answer for what the vault knows."""
        return cls(**_known(info), placeholder=f"#{{VARS.{info.name}}}", value=info.value)


def _known(info: EntryInfo) -> dict[str, object]:
    return {name: getattr(info, name) for name in EntryOut.model_fields}
