"""What is done with a secret's value: it is written as it is, or a credential is made of its parts.

`store.kinds.Credential` is what an upload says of that; here it is read, and held against the value.

    static          any value; written where its placeholder stands
    aws             {"access_key_id", "secret_access_key", "session_token"?}; requests are signed with it
    hmac            {"key_id"?, "secret"}; requests are signed with it by a template (`store.templates`)
    client_certificate   {"certificate", "private_key"}, in PEM; shown by connections, and written nowhere
    oauth2_client   {"client_id", "client_secret"}; traded for a token at `token_url`, and the token is written
    oauth2_refresh  {"client_id", "client_secret"?, "refresh_token"}; traded alike, and written anew when it is replaced
    azure_client    {"tenant_id", "client_id", "client_secret"}; traded at Microsoft's
    github_app      {"app_id", "private_key"}; signs for a token of an installation at GitHub's
    gcp_service_account   the JSON key file; signs for a token at Google's
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from store.client_certificates import CERTIFICATE, PRIVATE_KEY, WORDS, Unfit, check
from store.errors import Invalid
from store.forms import CLOUDS, FORMS, GITHUB, GOOGLE, Form, located
from store.kinds import (
    AWS,
    AZURE_CLIENT,
    CLIENT_CERTIFICATE,
    GCP_SERVICE_ACCOUNT,
    GITHUB_APP,
    HMAC,
    KINDS,
    PRESENTS,
    STATIC,
    Credential,
)
from store.model import Destination, Location, SecretValue, Use
from store.private_keys import rsa_key
from store.templates import fault, template_of


@dataclass(frozen=True, slots=True)
class AwsKey:
    """The parts of an `aws` value. The id is no secret: AWS repeats it in answers, and asks for it in support cases."""

    id: str
    secret: SecretValue
    token: SecretValue | None


def parse_credential(kind: str | None, parameters: Mapping[str, object] | None, pointer: str = "") -> Credential:
    """Return a credential as an upload names it; raises `Invalid` at `{pointer}/kind` or below `/parameters`."""
    kind = STATIC if kind is None else kind
    if kind not in KINDS:
        raise fault(f"{pointer}/kind", "kind_unknown", f"A kind is one of {', '.join(KINDS)}.")
    given, form = parameters or {}, FORMS[kind]
    if not given.keys() <= form.parameters.keys():
        known = ", ".join(sorted(form.parameters))
        named = f"Of kind {kind} they are {known}." if known else f"Kind {kind} has none."
        raise fault(f"{pointer}/parameters", "parameter_unknown", named)
    if not form.needed <= given.keys():
        hint = f"Kind {kind} needs {', '.join(sorted(form.needed))}."
        raise fault(f"{pointer}/parameters", "parameter_required", hint)
    if kind == GCP_SERVICE_ACCOUNT and len(given) != 1:
        hint = f"Kind {kind} needs one of scope (for an access token) and audience (for an identity token)."
        raise fault(f"{pointer}/parameters", "parameter_required", hint)
    read = form.parameters
    made = {name: read[name](said, f"{pointer}/parameters/{name}") for name, said in given.items()}
    if form.whole is not None:
        form.whole(made, f"{pointer}/parameters")
    return Credential(kind, made)


def places(credential: Credential, locations: Iterable[str]) -> list[str]:
    """Return where a placeholder may really stand: of the locations that were sealed, those that the kind has.

    What is written goes anywhere; a signature is in a field or the query, a certificate is named in a field, and a body
    passes in pieces, which wait for no token.
    """
    if credential.written:
        there = {*Location}
    elif credential.kind == CLIENT_CERTIFICATE:
        there = {Location.HEADER}
    elif credential.kind == HMAC:
        there = {each.location for each in template_of(credential.parameters).places}
    else:
        there = {Location.HEADER, Location.URL}
    return sorted(str(each) for each in there & {*locations})


def endpoint_of(credential: Credential) -> Destination | None:
    """Return where a value is traded for tokens, which it reaches beside what its rules say; None: nowhere."""
    found = located(url_of(credential)) if credential.traded else None
    return None if found is None else found[0]


def target_of(credential: Credential) -> str:
    """Return path and query of the token endpoint; of some kinds, what the path begins with."""
    found = located(url_of(credential))
    return "/" if found is None else found[1]


def url_of(credential: Credential) -> str:
    """Return the token endpoint of a kind that is traded, or what it begins with."""
    said = credential.parameters
    if credential.kind == AZURE_CLIENT:
        return CLOUDS[str(said.get("cloud", "public"))]
    if credential.kind == GITHUB_APP:
        return str(said.get("api_url", GITHUB))
    return GOOGLE if credential.kind == GCP_SERVICE_ACCOUNT else str(said["token_url"])


def check_parts(kind: str, value: bytes, pointer: str, parameters: Mapping[str, object] | None = None) -> None:
    """Check that a value has the parts that its kind wants, with its parameters, which were checked.

    Raises `Invalid`, which never repeats any of it.
    """
    if not FORMS[kind].members:
        return
    found = parts_of(kind, value, pointer)
    if kind == HMAC and parameters:
        _check_signer(found, parameters, pointer)
    if kind == CLIENT_CERTIFICATE:
        _check_shown(found, pointer)
        return
    key = found.get("private_key")
    try:
        if key is not None:
            rsa_key(key)
    except ValueError:
        words = FORMS[kind].members["private_key"][1]
        raise fault(pointer, "private_key_invalid", f"The member private_key has {words}.") from None


def _check_signer(found: Mapping[str, str], parameters: Mapping[str, object], pointer: str) -> None:
    made = template_of(parameters)
    if made.names_key and "key_id" not in found:
        raise fault(pointer, "key_id_required", "What is written has the key's id: give the member key_id.")
    try:
        made.key(found["secret"])
    except ValueError:
        words = f"text of {made.secret_encoding}, as the parameters or the template say"
        raise fault(pointer, "secret_invalid", f"The member secret has {words}.") from None


def _check_shown(found: Mapping[str, str], pointer: str) -> None:
    try:
        check(found[CERTIFICATE], found[PRIVATE_KEY], dt.datetime.now(dt.UTC))
    except Unfit as error:
        raise fault(pointer, error.code, WORDS[error.code]) from None


def fits(credential: Credential, use: Use) -> bool:
    """Whether what is not written as it is may stand at a place, as far as its name tells."""
    if credential.kind == HMAC:
        places = template_of(credential.parameters).places
        names = {each.name.lower() for each in places if each.location is Location.HEADER}
        return use.header in names if use.location is Location.HEADER else use.location in {e.location for e in places}
    if credential.kind == CLIENT_CERTIFICATE:
        return use.location is Location.HEADER and use.header == PRESENTS and use.destination.secure
    signed = use.location is Location.HEADER and (credential.traded or use.header == "authorization")
    return signed or use.location is Location.URL


def parts_of(kind: str, value: bytes, pointer: str = "/value") -> dict[str, str]:
    """Return the parts of a value, by name; raises `Invalid`. The caller sends or searches them, and keeps no copy."""
    form = FORMS[kind]
    try:
        found = json.loads(value.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        found = None  # the error holds the text
    texts = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    if not texts or not form.members.keys() - form.spare <= found.keys() <= form.members.keys():
        raise fault(pointer, f"value_not_{kind}", _described(kind, form))
    for name, text in found.items():
        pattern, words = form.members[name]
        if pattern.fullmatch(text) is None:
            raise fault(pointer, f"{name}_invalid", f"The member {name} has {words}.")
    if kind == AWS and found["access_key_id"].startswith("ASIA") and "session_token" not in found:
        hint = "A key id that begins with ASIA is a temporary key's: it works with its session_token only."
        raise fault(pointer, "session_token_required", hint)
    return dict(found)


def _described(kind: str, form: Form) -> str:
    needed = ", ".join(f'"{name}"' for name in form.members if name not in form.spare)
    spare = "".join(f' and perhaps "{name}"' for name in form.members if name in form.spare)
    return f"The value of kind {kind} is a JSON object with the texts {needed}{spare}; each once, and nothing else."


def parse_aws(value: bytes, pointer: str = "/value") -> AwsKey:
    """Return the parts of an `aws` value; raises `Invalid`."""
    parts = parts_of(AWS, value, pointer)
    token = parts.get("session_token")
    secret = SecretValue(parts["secret_access_key"].encode())
    return AwsKey(parts["access_key_id"], secret, None if token is None else SecretValue(token.encode()))


def _once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = [*pairs]
    made = dict(listed)
    if len(made) != len(listed):
        raise ValueError
    return made


def secrets_of(kind: str, value: SecretValue) -> Sequence[SecretValue]:
    """Return what of a value is secret, each part on its own; all of it where it lacks the parts of its kind."""
    form = FORMS[kind]
    if not form.members:
        return (value,)
    try:
        parts = parts_of(kind, value.reveal())
    except Invalid:
        return (value,)
    return [SecretValue(parts[name].encode()) for name in form.secret if name in parts]
