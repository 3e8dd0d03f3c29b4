"""Identity endpoints, as SDKs of clouds ask them for credentials: what they yield is a placeholder.

    GET /computeMetadata/v1/instance/service-accounts/default/token     Google's metadata server
    GET /identity/azure?resource=…                                      Azure's App Service
    GET /identity/aws, /identity/aws/NAME                               AWS's containers

Answers follow from names, kinds and sealed parameters: no value is opened, no token is made, and nobody is asked. What
an SDK does with the placeholder is judged when it sends it. Each wants the header that its cloud's own endpoint wants,
which a server that fetches what it is told to seldom lets be chosen.

Which secret is meant: the session's only one of the kind, or the one that is named (an account, a `client_id`, a
path), or, of several, the one whose sealed scope is what was asked for. None or two of them: nothing is chosen.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from proxy.admission.services import View
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from store.kinds import AWS, AZURE_CLIENT, GCP_SERVICE_ACCOUNT, Credential
from store.model import Destination

GOOGLE: Final = b"/computeMetadata/"
AZURE: Final = b"/identity/azure"
AMAZON: Final = b"/identity/aws"
LIVES: Final = 3600
"""Seconds after which an SDK is told to ask again: a placeholder has no end."""
FILLER: Final = "egret"
"""In the place of what SDKs of AWS want beside a key's id; the border drops it."""

_ACCOUNT: Final = re.compile(
    rb"/computeMetadata/v1/instance/service-accounts/([A-Za-z0-9_]{1,128})/(token|email|scopes|)"
)
_AMAZON: Final = re.compile(rb"/identity/aws(?:/([A-Z0-9_]{1,128}))?")
_LOOPBACK: Final = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1", re.ASCII)
_GOOGLES: Final = ((b"Metadata-Flavor", b"Google"),)
_MOST: Final = 16

type Fits = Callable[[Credential], bool]


class Told(NamedTuple):
    """What is answered. `more`: fields that the cloud's own endpoint has, too."""

    body: bytes
    kind: bytes = b"application/json"
    more: Fields = ()


type Endpoint = Callable[[View, Head, float], Told]


def here(destination: Destination, path: bytes) -> bool:
    """Whether a request is for AWS's endpoint on loopback: its SDKs take credentials from nowhere else in clear."""
    return not destination.secure and _LOOPBACK.fullmatch(destination.host) is not None and _amazons(path)


def endpoint(path: bytes) -> Endpoint | None:
    """Return what answers for a path, at a time (Unix seconds); it raises `Refused`."""
    if path == b"/" or path.startswith(GOOGLE):
        return _google
    if path == AZURE:
        return _azure
    return _amazon if _amazons(path) else None


def _amazons(path: bytes) -> bool:
    return _AMAZON.fullmatch(path) is not None


def _google(view: View, head: Head, _now: float) -> Told:
    """Be Google's metadata server, as far as SDKs need it for tokens. `/` is how they find out if there is one."""
    path, _, query = head.target.partition(b"?")
    found = _ACCOUNT.fullmatch(path)
    if not any(_scopes(each) for _, each in _of(view, GCP_SERVICE_ACCOUNT)) or (path != b"/" and found is None):
        raise Refused(Refusal("not_found"))
    if head.values(b"metadata-flavor") != [b"Google"]:
        raise Refused(Refusal("session_not_shown"))
    if found is None:
        return Told(b"computeMetadata/\n", b"text/plain", _GOOGLES)
    account, what = found[1].decode(), found[2].decode()
    asked = _asked(query)
    wanted = set(re.split("[ ,]+", asked.get("scopes", "")) if what == "token" else ()) - {""}
    exact: Fits = lambda each: _scopes(each) == wanted  # noqa: E731
    wide: Fits = lambda each: _scopes(each) >= wanted  # noqa: E731
    named = None if account == "default" else account
    name, chosen = _chosen(view, GCP_SERVICE_ACCOUNT, named, lambda each: bool(_scopes(each)), exact, wide)
    if what == "token":
        said: object = {"access_token": _placeholder(name), "expires_in": LIVES, "token_type": "Bearer"}
    elif not what and asked.get("recursive", "").lower() == "true":
        said = {"aliases": ["default"], "email": name, "scopes": sorted(_scopes(chosen))}
    else:
        lines = {"email": [name], "scopes": sorted(_scopes(chosen))}.get(what, ["email", "scopes", "token"])
        return Told("\n".join(lines).encode(), b"text/plain", _GOOGLES)
    return Told(_json(said), more=_GOOGLES)


def _azure(view: View, head: Head, now: float) -> Told:
    """Be App Service's endpoint, 2019-08-01. A token has one scope: one for another resource would be of no use."""
    if len(head.values(b"x-identity-header")) != 1:
        raise Refused(Refusal("session_not_shown"))
    asked = _asked(head.target.partition(b"?")[2])
    resource = asked.get("resource", "")
    wanted = _resource(resource)
    fits: Fits = lambda each: wanted in map(_resource, _scopes(each))  # noqa: E731
    name, _ = _chosen(view, AZURE_CLIENT, asked.get("client_id"), fits)
    ends = str(int(now) + LIVES)
    return Told(
        _json({"access_token": _placeholder(name), "expires_on": ends, "resource": resource, "token_type": "Bearer"})
    )


def _amazon(view: View, head: Head, now: float) -> Told:
    """Give what containers of ECS and EKS are given; the id is all that a request that is signed anew needs."""
    found = _AMAZON.fullmatch(head.target.partition(b"?")[0])
    if found is None or len(head.values(b"authorization")) != 1:
        raise Refused(Refusal("session_not_shown"))
    name, _ = _chosen(view, AWS, found[1].decode() if found[1] else None)
    ends = dt.datetime.fromtimestamp(int(now) + LIVES, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"AccessKeyId": _placeholder(name), "SecretAccessKey": FILLER, "Token": FILLER, "Expiration": ends}
    return Told(_json(said))


def _of(view: View, kind: str) -> Iterator[tuple[str, Credential]]:
    return ((name, each) for name, each in view.credentials.items() if each.kind == kind)


def _chosen(view: View, kind: str, name: str | None, must: Fits | None = None, *may: Fits) -> tuple[str, Credential]:
    """Return the one secret of a kind that is meant; raises `Refused`.

    `must` leaves out what is never meant; `may` are asked one after the other, as long as there are several.
    """
    left = [(each, credential) for each, credential in _of(view, kind) if name in (None, each)]
    if must is not None:
        left = [each for each in left if must(each[1])]
    for fits in may:
        if len(left) > 1 and (fitting := [each for each in left if fits(each[1])]):
            left = fitting
    if len(left) != 1:
        raise Refused(Refusal("identity_unknown"))
    return left[0]


def _scopes(credential: Credential) -> set[str]:
    """Return what a secret's tokens are for; nothing of one that is traded for identity tokens."""
    return set(str(credential.parameters.get("scope", "")).split())


def _resource(scope: str) -> str:
    return scope.removesuffix("/.default").rstrip("/")


def _asked(query: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise Refused(Refusal("bad_request")) from None
    if len(asked := dict(pairs)) != len(pairs):
        raise Refused(Refusal("bad_request"))
    return asked


def _placeholder(name: str) -> str:
    return f"#{{SECRETS.{name}}}"


def _json(said: object) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()
