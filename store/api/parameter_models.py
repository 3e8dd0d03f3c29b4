"""What an upload says of a secret's kind: which one, and its parameters."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict

from store.api.fields import Model, shape

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
