"""`egret secret test`: whether a provider takes what a secret holds, without anybody seeing it.

The value is opened where it always is, in the data plane: it is asked through a session of a moment, which may use this
one secret, and ends with the test. So who may test is who may open such a session, all of the secret's rules hold, and
the audit has what it has of any use. Of a secret that is traded a token is made (docs/credentials-oauth2.md); with an
AWS key STS is asked who it is, where the key's hosts let it; of a client certificate its end is told. Of others only
their API can tell.
"""

import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from egret.client import Client, Document, Forbidden
from egret.through import Answer, Untold, about, through

LIVES: Final = 60
"""Seconds that the session has, should its end not arrive."""

_STS: Final = re.compile(r"(?:sts|\*)(?:\.([a-z0-9-]+))?(\.amazonaws\.com(?:\.cn)?(?::\d+)?)")
_ARN: Final = re.compile(r"<Arn>(arn:aws[a-z-]*:(?:iam|sts)::\d{12}:[\w+=,.@/-]{1,512})</Arn>", re.ASCII)


class Failed(Exception):
    """The test says no, or cannot be made. The message says whose it is to mend; `code` is the refusal's, if any."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def examine(client: Client, name: str, dataset: str, project: str, environment: str = "") -> Document:
    """Return what is told of a secret that works; raises `Failed`, and what the client raises."""
    options: dict[str, Any] = {"environment": environment} if environment else {}
    session = client.open_session(dataset, project, secrets=[name], label="egret secret test", ttl=LIVES, **options)
    try:
        return _examined(session["proxy_url"], client.ca(), name)
    except (OSError, http.client.HTTPException, ValueError):
        raise Failed("the session's proxy does not answer as one: check that the server runs", "unavailable") from None
    except Untold as error:
        raise Failed(str(error), "unavailable") from None
    finally:
        with contextlib.suppress(Forbidden):  # who may open sessions and not end them leaves it to its time
            client.revoke_session(session["id"], dataset, project)


def _examined(proxy_url: str, ca: bytes, name: str) -> Document:
    known = {each["name"]: each for each in about(proxy_url)["secrets"]}
    if name not in known:
        raise Failed(f"no session of this dataset has {name}: check name, dataset and environment", "unknown_secret")
    kind = known[name].get("kind")
    if kind == "static":
        raise Failed(f"{name} is a text, which only its API can judge: try it with a request (egret run)")
    if kind == "hmac":
        raise Failed(f"{name} signs requests, which only its API can judge: try it with one (egret run)")
    if kind == "aws":
        return identity(proxy_url, ca, name, known[name]["hosts"])
    url = f"http://egret.internal/secrets/{name}/test"
    answer = through(proxy_url, url, {"Egret-Session": "1"}, method="POST")
    if answer.status != http.HTTPStatus.OK:
        raise _failed(answer)
    document: Document = json.loads(answer.body)
    return document


def identity(proxy_url: str, ca: bytes, name: str, hosts: Iterable[str | Mapping[str, Any]]) -> Document:
    """Ask STS who an AWS key is, as code would: what is signed here with nothing is signed anew at the border.

    Raises `Failed`, OSError and HTTPException.
    """
    host, region = _sts(name, hosts)
    now = time.gmtime()
    scope = f"{time.strftime('%Y%m%d', now)}/{region}/sts/aws4_request"
    signed = f"Credential=#{{SECRETS.{name}}}/{scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    fields = {"X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", now), "Authorization": f"AWS4-HMAC-SHA256 {signed}"}
    answer = through(proxy_url, f"https://{host}/?Action=GetCallerIdentity&Version=2011-06-15", fields, ca=ca)
    if answer.code:
        raise _failed(answer)
    who = _ARN.search(answer.body)
    if answer.status in {400, 403}:
        raise Failed(
            f"AWS does not take the key: store one that is live, with its session_token if it is temporary ({host})"
        )
    if answer.status != http.HTTPStatus.OK or who is None:
        raise Failed(f"{host} did not answer as STS does (status {answer.status}): try again later")
    return {"name": name, "kind": "aws", "endpoint": host, "identity": who[1]}


def _sts(name: str, hosts: Iterable[str | Mapping[str, Any]]) -> tuple[str, str]:
    """Return the endpoint of STS that a key may be used at, and its region."""
    for rule in hosts:
        found = _STS.fullmatch(str(rule if isinstance(rule, str) else rule.get("host", "")))
        if found is not None and (found[1] or found[0].startswith("sts")):
            region = found[1] or "us-east-1"  # of the endpoint without one
            return found[0].replace("*", "sts", 1), region
    raise Failed(
        f"{name} may not be sent to STS, which could say whose it is: add the host sts.REGION.amazonaws.com to test it"
    )


def _failed(answer: Answer) -> Failed:
    """Return what a refusal says: words of Egret's own, whoever answered."""
    try:
        document = json.loads(answer.body or "{}")
        said = f"{document['detail']} {document['hint']}" if document["code"] == answer.code else ""
    except (ValueError, LookupError, TypeError):
        said = ""
    return Failed(f"{answer.code}: {said or 'see docs/errors.md'}", answer.code)
