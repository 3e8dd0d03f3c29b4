"""What is done with a secret's value: it is written as it is, or a credential is made of its parts.

`store.kinds.Credential` is what an upload says of that; here it is read, and held against the value.

    static          any value; written where its placeholder stands
    aws             {"access_key_id", "secret_access_key", "session_token"?}; requests are signed with it
    oauth2_client   {"client_id", "client_secret"}; traded for a token at `token_url`, and the token is written
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from store.authorities import BadAuthority, parse_authority
from store.errors import Invalid, Problem
from store.kinds import AWS, KINDS, OAUTH2_CLIENT, STATIC, Credential
from store.model import Destination, SecretValue, own

_MOST: Final = 64
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_URL: Final = re.compile(r"https://([^/?#@\s\\]{1,255})(/[!\"$-~]{0,1536})?", re.ASCII)
_TEXT: Final = re.compile(r"[!-~]+(?: [!-~]+)*", re.ASCII)

type _Said = str | list[str]
type _Member = tuple[re.Pattern[str], str]


@dataclass(frozen=True, slots=True)
class _Form:
    """What a kind wants. A member of the value: its pattern, and that in words. `secret`: members that are.

    `parameters`: what reads each; it is told where it stands.
    """

    members: Mapping[str, _Member] = field(default_factory=dict)
    spare: frozenset[str] = frozenset()
    """Members that there need not be."""
    secret: tuple[str, ...] = ()
    parameters: Mapping[str, Callable[[object, str], _Said]] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    """Parameters that there must be."""


def _words(said: object, pointer: str) -> list[str]:
    hint = "Write a list of names such as us-east-1 or s3, 64 at most."
    if not isinstance(said, list | tuple) or not 1 <= len(said) <= _MOST:
        raise _fault(pointer, "parameter_invalid", hint)
    if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in said):
        raise _fault(pointer, "parameter_invalid", hint)
    return sorted(set(said))


def _text(said: object, pointer: str) -> str:
    if not isinstance(said, str) or len(said) > 1024 or _TEXT.fullmatch(said) is None:
        raise _fault(pointer, "parameter_invalid", "Write a text of 1 to 1,024 ASCII characters, blanks between words.")
    return said


def _url(said: object, pointer: str) -> str:
    if not isinstance(said, str) or (where := _located(said)) is None or own(where[0].host):
        hint = "Write an https URL without user, password and fragment, such as https://auth.example.com/oauth/token."
        raise _fault(pointer, "parameter_invalid", hint)
    return said


def _located(url: str) -> tuple[Destination, str] | None:
    """Return where a URL is, and its path and query; None for one that no parameter may be."""
    found = _URL.fullmatch(url)
    try:
        return None if found is None else (parse_authority(found[1], secure=True), found[2] or "/")
    except BadAuthority:
        return None


def _way(said: object, pointer: str) -> str:
    if said not in {"basic", "post"}:
        hint = "Write basic (the client's id and secret in the Authorization header) or post (in the form)."
        raise _fault(pointer, "parameter_invalid", hint)
    return str(said)


_SECRET_TEXT: Final = re.compile(r"[ -~]{8,4096}", re.ASCII), "8 to 4,096 printable ASCII characters"
_FORMS: Final = {
    STATIC: _Form(),
    AWS: _Form(
        # IAM's API reference: AccessKeyId is 16 to 128 of [\w]; a secret access key has 40 characters of base64.
        {
            "access_key_id": (re.compile(r"[A-Za-z0-9_]{16,128}", re.ASCII), "16 to 128 letters, digits and _"),
            "secret_access_key": (re.compile(r"[A-Za-z0-9/+=]{40}", re.ASCII), "40 letters, digits, /, + and ="),
            "session_token": (re.compile(r"[A-Za-z0-9/+=_-]{16,16384}", re.ASCII), "16 to 16,384 characters of base64"),
        },
        frozenset({"session_token"}),
        ("secret_access_key", "session_token"),
        {"services": _words, "regions": _words},
    ),
    OAUTH2_CLIENT: _Form(
        {
            # RFC 6749 A.1 and A.2; a shorter secret could not be searched for in answers.
            "client_id": (re.compile(r"[ -~]{1,1024}", re.ASCII), "1 to 1,024 printable ASCII characters"),
            "client_secret": _SECRET_TEXT,
        },
        secret=("client_secret",),
        parameters={"token_url": _url, "scope": _text, "audience": _text, "client_auth": _way},
        needed=frozenset({"token_url"}),
    ),
}


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
        raise _fault(f"{pointer}/kind", "kind_unknown", f"A kind is one of {', '.join(KINDS)}.")
    given, form = parameters or {}, _FORMS[kind]
    if not given.keys() <= form.parameters.keys():
        known = ", ".join(sorted(form.parameters))
        named = f"Of kind {kind} they are {known}." if known else f"Kind {kind} has none."
        raise _fault(f"{pointer}/parameters", "parameter_unknown", named)
    if not form.needed <= given.keys():
        hint = f"Kind {kind} needs {', '.join(sorted(form.needed))}."
        raise _fault(f"{pointer}/parameters", "parameter_required", hint)
    read = form.parameters
    return Credential(kind, {name: read[name](said, f"{pointer}/parameters/{name}") for name, said in given.items()})


def endpoint_of(credential: Credential) -> Destination | None:
    """Return where a value is traded for tokens, which it reaches beside what its rules say; None: nowhere."""
    found = _located(str(credential.parameters["token_url"])) if credential.traded else None
    return None if found is None else found[0]


def target_of(credential: Credential) -> str:
    """Return the path and the query of the token endpoint."""
    found = _located(str(credential.parameters["token_url"]))
    return "/" if found is None else found[1]


def check_parts(kind: str, value: bytes, pointer: str) -> None:
    """Check that a value has the parts that its kind wants; raises `Invalid`, which never repeats any of it."""
    if _FORMS[kind].members:
        parts_of(kind, value, pointer)


def parts_of(kind: str, value: bytes, pointer: str = "/value") -> dict[str, str]:
    """Return the parts of a value, by name; raises `Invalid`. The caller sends or searches them, and keeps no copy."""
    form = _FORMS[kind]
    try:
        found = json.loads(value.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        found = None  # the error holds the text
    texts = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    if not texts or not form.members.keys() - form.spare <= found.keys() <= form.members.keys():
        raise _fault(pointer, f"value_not_{kind}", _described(kind, form))
    for name, text in found.items():
        pattern, words = form.members[name]
        if pattern.fullmatch(text) is None:
            raise _fault(pointer, f"{name}_invalid", f"The member {name} has {words}.")
    if kind == AWS and found["access_key_id"].startswith("ASIA") and "session_token" not in found:
        hint = "A key id that begins with ASIA is a temporary key's: it works with its session_token only."
        raise _fault(pointer, "session_token_required", hint)
    return dict(found)


def _described(kind: str, form: _Form) -> str:
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
    form = _FORMS[kind]
    if not form.members:
        return (value,)
    try:
        parts = parts_of(kind, value.reveal())
    except Invalid:
        return (value,)
    return [SecretValue(parts[name].encode()) for name in form.secret if name in parts]


def _fault(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(Problem(pointer, code, detail))
