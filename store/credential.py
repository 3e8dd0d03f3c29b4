"""What is done with a secret's value: it is written as it is, or a credential is made of its parts.

`store.kinds.Credential` is what an upload says of that; here it is read, and held against the value.

    static   any value; written where its placeholder stands
    aws      {"access_key_id", "secret_access_key", "session_token"?}; requests are signed with it, it is never written
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from store.errors import Invalid, Problem
from store.kinds import AWS, KINDS, STATIC, Credential
from store.model import SecretValue

_MOST: Final = 64
_PARAMETERS: Final = {STATIC: frozenset[str](), AWS: frozenset({"services", "regions"})}
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_AWS_FORM: Final = (
    'The value of kind aws is a JSON object with the texts "access_key_id", "secret_access_key" and, for temporary '
    'keys, "session_token"; each once, and nothing else.'
)
_AWS_MEMBERS: Final = {
    # IAM's API reference: AccessKeyId is 16 to 128 of [\w]; a secret access key has 40 characters of base64.
    "access_key_id": (re.compile(r"[A-Za-z0-9_]{16,128}", re.ASCII), "16 to 128 letters, digits and _"),
    "secret_access_key": (re.compile(r"[A-Za-z0-9/+=]{40}", re.ASCII), "40 letters, digits, /, + and ="),
    "session_token": (re.compile(r"[A-Za-z0-9/+=_-]{16,16384}", re.ASCII), "16 to 16,384 characters of base64"),
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
    given = parameters or {}
    known = _PARAMETERS[kind]
    if not given.keys() <= known:
        named = f"Of kind {kind} they are {', '.join(sorted(known))}." if known else f"Kind {kind} has none."
        raise _fault(f"{pointer}/parameters", "parameter_unknown", named)
    return Credential(kind, {name: _words(said, f"{pointer}/parameters/{name}") for name, said in given.items()})


def _words(said: object, pointer: str) -> list[str]:
    hint = "Write a list of names such as us-east-1 or s3, 64 at most."
    if not isinstance(said, list | tuple) or not 1 <= len(said) <= _MOST:
        raise _fault(pointer, "parameter_invalid", hint)
    if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in said):
        raise _fault(pointer, "parameter_invalid", hint)
    return sorted(set(said))


def check_parts(kind: str, value: bytes, pointer: str) -> None:
    """Check that a value has the parts that its kind wants; raises `Invalid`, which never repeats any of it."""
    if kind == AWS:
        parse_aws(value, pointer)


def parse_aws(value: bytes, pointer: str = "/value") -> AwsKey:
    """Return the parts of an `aws` value; raises `Invalid`."""
    members = _object(value, pointer)
    if not _AWS_MEMBERS.keys() - {"session_token"} <= members.keys() <= _AWS_MEMBERS.keys():
        raise _fault(pointer, "value_not_aws", _AWS_FORM)
    for name, text in members.items():
        form, words = _AWS_MEMBERS[name]
        if form.fullmatch(text) is None:
            raise _fault(pointer, f"{name}_invalid", f"The member {name} has {words}.")
    token = members.get("session_token")
    if members["access_key_id"].startswith("ASIA") and token is None:
        hint = "A key id that begins with ASIA is a temporary key's: it works with its session_token only."
        raise _fault(pointer, "session_token_required", hint)
    secret = SecretValue(members["secret_access_key"].encode())
    return AwsKey(members["access_key_id"], secret, None if token is None else SecretValue(token.encode()))


def _object(value: bytes, pointer: str) -> dict[str, str]:
    try:
        found = json.loads(value.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        found = None  # the error holds the text
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise _fault(pointer, "value_not_aws", _AWS_FORM)
    return found


def _once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = [*pairs]
    made = dict(listed)
    if len(made) != len(listed):
        raise ValueError
    return made


def secrets_of(kind: str, value: SecretValue) -> Sequence[SecretValue]:
    """Return what of a value is secret, each part on its own; all of it where it lacks the parts of its kind."""
    if kind == AWS:
        try:
            key = parse_aws(value.reveal())
        except Invalid:
            return (value,)
        return (key.secret,) if key.token is None else (key.secret, key.token)
    return (value,)


def _fault(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(Problem(pointer, code, detail))
