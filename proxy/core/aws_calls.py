"""Which call of AWS a signed request is, as far as it matters: whether its answer would hold credentials; pure.

A key that signs is kept from code so that code cannot take it away; a call that answers with another key, a token or
a password of AWS would hand it that. The tables name those calls, by the name that is signed for. Their names are read
from wherever any of AWS's protocols has them (`X-Amz-Target`, the paths of RPC v2, `Action` in query and form),
whichever the service is said to speak; where there are two, or none, the request is refused.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.core.message import Head
from proxy.core.sts import HANDS_OUT

NAMED: Final[dict[str, frozenset[bytes]]] = {
    service: frozenset(name.lower().encode() for name in names.split())
    for service, names in {
        "athena": "CreatePresignedNotebookUrl GetSessionEndpoint",
        "cloudwatch": "GetSpaceCredentialsForOrganization GetSpaceDataAccess",
        "codepipeline": "GetJobDetails GetThirdPartyJobDetails PollForJobs",
        "ecr": "GetAuthorizationToken",
        "ecr-public": "GetAuthorizationToken",
        "elasticmapreduce": "GetClusterSessionCredentials GetSessionEndpoint",
        "gamelift": "CreateBuild GetComputeAccess GetComputeAuthToken RequestUploadCredentials",
        "glue": "GetSessionEndpoint",
        "iam": "CreateAccessKey CreateLoginProfile CreateServiceSpecificCredential ResetServiceSpecificCredential",
        "license-manager": "GetAccessToken",
        "lightsail": "CreateBucketAccessKey GetBucketAccessKeys GetInstanceAccessDetails "
        "GetRelationalDatabaseMasterUserPassword",
        "redshift": "GetClusterCredentials GetClusterCredentialsWithIAM GetIdentityCenterAuthToken",
        "redshift-serverless": "GetCredentials GetIdentityCenterAuthToken",
        "ssm": "GetAccessToken",
        "sts": "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot GetDelegatedAccessToken "
        "GetFederationToken GetSessionToken GetWebIdentityToken",
    }.items()
}

ROUTES: Final[dict[str, re.Pattern[bytes]]] = {
    service: re.compile(pattern)
    for service, pattern in {
        "account-access": rb"/access/credentials",
        "amplifyuibuilder": rb"/tokens/",
        "bedrock-agentcore": rb"/identities/",
        "codeartifact": rb"/authorization-token",
        "connect": rb"/user/federate/",
        "datazone": rb"/credentials$|/connections",
        "deadline": rb"/(?:read|fleet|queue|user)-roles$",
        "eks-auth": rb"/assume-role-for-pod-identity",
        "emr-serverless": rb"/sessions/[^/]+/endpoint|/dashboard",
        "lakeformation": rb"/assumedecoratedrole|/gettemporary",
        "lambda": rb"/microvms/[^/]+/(?:shell-)?auth-token",
        "emr-containers": rb"/endpoints/[^/]+/credentials",
        "s3": rb"/accessgrantsinstance/dataaccess",
        "signin": rb"/token",
        "sso-oauth": rb"/token",
        "workmail": rb"/assumeimpersonationrole",
    }.items()
}

TEMPORARY: Final = frozenset(name.lower().encode() for name in HANDS_OUT)
"""Calls of STS whose answers can be captured, as `NAMED` spells them."""

FORMS: Final = frozenset({"iam", "redshift", "sts"})
"""Services of `NAMED` whose calls are named in a form: it is read before anything is sent."""

_RPC: Final = re.compile(rb"/service/[^/]+/operation/([^/]+)$")
_NAMING: Final = frozenset({b"action", b"x-amz-target"})


def wants_body(service: str) -> bool:
    """Whether the body says which call it is, so that it is needed before anything is sent."""
    return service in FORMS


def hands_out(service: str, head: Head, body: bytes | None) -> bool:
    """Whether the answer could hold credentials. `body` counts where `wants_body`; None: it is too long to be told."""
    path, _, query = head.target.partition(b"?")
    route = ROUTES.get(service)
    if route is not None and route.search(_plain(path)) is not None:
        return True
    fields = dict(_pairs(query))
    if service == "s3" and b"session" in fields:
        return True
    if service not in NAMED:
        return False
    names = _names(service, head, body)
    return names is None or len(names) != 1 or names[0] in NAMED[service]


def temporary(service: str, head: Head, body: bytes | None) -> bool:
    """Whether the answer is one temporary key in the form that can be captured. `body`: as of `hands_out`."""
    names = _names(service, head, body) if service == "sts" else None
    return names is not None and len(names) == 1 and names[0] in TEMPORARY


def _names(service: str, head: Head, body: bytes | None) -> list[bytes] | None:
    """Return every name of a call that the request says; None where it cannot be told."""
    path, _, query = head.target.partition(b"?")
    plain = _plain(path)
    form = body if service in FORMS else b""
    if form is None or (form and head.values(b"content-encoding")):
        return None
    said = [value for name, value in _pairs(query) if name in _NAMING]
    said += [value.lower() for value in head.values(b"x-amz-target")]
    said += [found[1] for found in [_RPC.search(plain)] if found]
    said += [value for name, value in _pairs(form) if name in _NAMING]
    return [re.split(rb"[.#/]", value.strip())[-1] for value in said]


def _plain(path: bytes) -> bytes:
    """Return a path as who decodes twice meets it."""
    return re.sub(rb"/+", b"/", unquote_to_bytes(unquote_to_bytes(path))).lower()


def _pairs(form: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and values, decoded and in lower case, of whatever a server could take for a pair."""
    for pair in re.split(rb"[&;]", form):
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        yield unquote_to_bytes(name).strip().lower(), unquote_to_bytes(value).strip().lower()
