"""The codes of refusals: for each a status, and what is wrong and what to do in words that never change.

They are fixed per code, so that no caller can leak through them; docs/errors.md is made from this table.
"""

from dataclasses import dataclass
from typing import Final

TYPE_BASE: Final = "urn:egret:problem:"


@dataclass(frozen=True, slots=True)
class Code:
    """One row of spec 3."""

    status: int
    title: str
    detail: str
    hint: str


CODES: Final[dict[str, Code]] = {
    "session_required": Code(
        407,
        "Session required",
        "This proxy serves live sessions only, and the request carried no session token.",
        "Set HTTPS_PROXY to the proxy_url of a session (POST …/sessions/), or use `egret run`.",
    ),
    "session_invalid": Code(
        407,
        "Session not valid",
        "The session token is unknown, expired or revoked.",
        "Open a new session and use its token.",
    ),
    "session_exposed": Code(
        400,
        "Session token in the URL",
        "The URL that was asked for holds a session token, which is sent to no upstream.",
        "Leave the token out of it; where the URL is the gateway's own, ask the gateway directly.",
    ),
    "authority_mismatch": Code(
        421,
        "Authorities differ",
        "CONNECT target, TLS server name and Host must name the same upstream.",
        "Send exactly one Host header, equal to the host that the connection was opened for.",
    ),
    "bad_request": Code(
        400,
        "Bad request",
        "The request is not well-formed HTTP, or is framed ambiguously.",
        "Send one Host, one framing, and header values without control characters.",
    ),
    "destination_blocked": Code(
        403,
        "Destination blocked",
        "The destination's address, port or name is not allowed by the egress rules.",
        "Use a public API, or ask the operator about egress.allow_private, egress.ports and the dataset's egress list.",
    ),
    "unknown_secret": Code(
        403,
        "Unknown secret",
        "The placeholder names nothing that this session can use.",
        "Check the spelling (was it renamed?), upload the secret to the session's dataset, or declare it when opening "
        "the session.",
    ),
    "destination_not_allowed": Code(
        403,
        "Destination not allowed",
        "The secret may not be sent to this destination.",
        "Upload the secret again with this destination in its hosts, or send the request where it belongs.",
    ),
    "location_not_allowed": Code(
        403,
        "Location not allowed",
        "The secret may not be written at this place of a request.",
        "Move the placeholder, or upload the secret again with this location in its locations.",
    ),
    "value_not_encodable": Code(
        422,
        "Value cannot be written there",
        "The secret's value has bytes that are not legal at this place.",
        "Move the placeholder to the body, or upload a value without control characters and separators.",
    ),
    "signing_key_misplaced": Code(
        403,
        "Signing key at another place",
        "The secret is a key that requests are signed with, and it is written nowhere.",
        "An AWS key: give an AWS SDK the placeholder as AWS_ACCESS_KEY_ID and any text as AWS_SECRET_ACCESS_KEY, and "
        "let it sign (Signature Version 4, in the Authorization header or presigned; no POST policy). A key of kind "
        "hmac: put the placeholder where its template has the signature or the key id (egret secret info).",
    ),
    "signing_key_needed": Code(
        403,
        "No signing key",
        "The placeholder stands where a request names its AWS access key id, and the secret is a text that is written.",
        "Store the whole key with its kind: egret secret put NAME --kind aws.",
    ),
    "signature_unsupported": Code(
        422,
        "Signature not signed anew",
        "The request is signed with an AWS key in a form that is not signed anew, so it was not sent.",
        "Use Signature Version 4 in the Authorization header or a presigned URL (boto3: signature_version='s3v4'); not "
        "versions 2 and 4A, POST policies, event streams, chunks with signatures, S3 Express or WebSockets.",
    ),
    "signature_malformed": Code(
        400,
        "Signature not understood",
        "The request's AWS signature is not in the form of Signature Version 4, or is there twice, as is a "
        "field that is signed.",
        "Let an AWS SDK sign the request, and change nothing of it afterwards; with a key of kind hmac, send one "
        "signature and each field once.",
    ),
    "signature_scope": Code(
        403,
        "Signature for another service",
        "Host, service and region of the signature are not one endpoint of AWS, or not one that the key is for.",
        "Ask the service's own endpoint over TLS in the region that is signed for; the key's hosts, services and "
        "regions are said when it is stored.",
    ),
    "signature_expired": Code(
        403,
        "Presigned URL expired",
        "The time for which the client presigned the URL has passed.",
        "Presign it again.",
    ),
    "signed_action_refused": Code(
        403,
        "Answers with credentials",
        "The call's answer would hold credentials, or which call it is cannot be told for sure.",
        "Store the credentials that the code needs as secrets. Temporary keys of STS can be captured: give the rule of "
        "the endpoint a capture of the member Credentials.",
    ),
    "signed_body_too_large": Code(
        413,
        "Body too large to be hashed",
        "The request's body is to be signed, declares no hash that could be signed for it, and is over 64 MiB.",
        "Upload in parts; to AWS, declare it in X-Amz-Content-Sha256 (UNSIGNED-PAYLOAD where the service takes that).",
    ),
    "signing_unavailable": Code(
        503,
        "Cannot sign",
        "This proxy lacks the library that signs requests to AWS.",
        "Ask the operator to install the extra: pip install 'egret-proxy[aws]'.",
    ),
    "client_certificate_misplaced": Code(
        403,
        "Client certificate at another place",
        "A client certificate is shown by the connection, and written into no request; or the field "
        "Egret-Client-Certificate holds something else.",
        "Send the header Egret-Client-Certificate with the placeholder of one secret of kind client_certificate and "
        "nothing beside it, over TLS; it is taken out on the way.",
    ),
    "token_misplaced": Code(
        403,
        "Token at another place",
        "The secret is traded for a token, which is written into the URL and the fields of a request alone.",
        "Put the placeholder into a header such as Authorization: Bearer …, not into a body, a message or a trailer.",
    ),
    "token_refused": Code(
        403,
        "Token refused",
        "The token endpoint refused the credential that the secret holds: it gives no token for it.",
        "Store a credential that it takes, with a scope and audience that it may have; it is asked seldom until then.",
    ),
    "token_blocked": Code(
        403,
        "Token endpoint blocked",
        "The egress list or the address guard does not let the secret's token endpoint through.",
        "Add it to the dataset's egress list, store the secret with the right token_url, or ask the operator about "
        "egress.allow_private and egress.ports.",
    ),
    "token_unavailable": Code(
        503,
        "Token endpoint unavailable",
        "The secret's token endpoint could not be reached or verified, failed, or did not answer with a Bearer token "
        "and its lifetime.",
        "Wait for the time in Retry-After; if it lasts, check the secret's parameters and the provider's status.",
    ),
    "needs_login": Code(
        403,
        "Login needed",
        "The secret's refresh token is used up or refused, so no token can be made of it; it is not tried again.",
        "Log in at the provider, and store the new refresh token: egret secret put NAME --kind oauth2_refresh.",
    ),
    "answer_withheld": Code(
        502,
        "Answer withheld",
        "Credentials are captured from this answer, and it is not one JSON object of at most 64 KiB that has a member "
        "which the secret's rule names (of AWS's STS, one temporary key in XML).",
        "Ask the endpoint for JSON (Accept: application/json) without Range; if it lasts, correct the rule's capture: "
        "its members, or its paths.",
    ),
    "test_unsupported": Code(
        422,
        "Not tested here",
        "The secret is not traded for tokens, so there is none to make.",
        "Test an AWS key with `egret secret test`, and a text or a template's key by a request to its API.",
    ),
    "method_not_allowed": Code(
        405,
        "Method not allowed",
        "TRACE, TRACK and CONNECT inside a tunnel are not forwarded: they echo or escape. Egret itself takes few.",
        "Use a method that the field Allow names.",
    ),
    "not_found": Code(
        404,
        "Nothing there",
        "egret.internal is Egret itself, and has nothing under this path.",
        "Ask for http://egret.internal/session with the header Egret-Session: 1.",
    ),
    "session_not_shown": Code(
        403,
        "Session not shown",
        "A session is shown to its own code alone, not to pages or through relays.",
        "Send GET with the header Egret-Session: 1 (to an identity endpoint: the header of its cloud), and no body, "
        "Origin, Via, Forwarded or X-Forwarded-*.",
    ),
    "identity_unknown": Code(
        404,
        "Not one identity",
        "An identity endpoint was asked for what no secret of the session is for, or more than one.",
        "Store a secret of the cloud's kind with the scope or resource that is asked for; where there are several, "
        "name one, or declare one for the session (egret run --secret).",
    ),
    "unsupported_encoding": Code(
        415,
        "Content-Encoding not supported",
        "The body must be searched but cannot be decoded, or has more than five codings.",
        "Send it with gzip, deflate, br, zstd (five in a chain at most) or no Content-Encoding.",
    ),
    "body_too_large": Code(
        413,
        "Body too large",
        "The body is over limits.body_bytes, or inflates beyond the allowed ratio.",
        "Send less, or ask the operator to raise the limit.",
    ),
    "expansion_too_large": Code(
        413,
        "Expansion too large",
        "Injecting would make the request grow beyond the limit.",
        "Use fewer placeholders in one request.",
    ),
    "rate_limited": Code(
        429,
        "Rate limited",
        "The session or its dataset has used its budget of requests.",
        "Wait for the time in Retry-After, or open a session with a larger budget.",
    ),
    "budget_exhausted": Code(
        429,
        "Budget exhausted",
        "A budget of the dataset is used up: its own, or one of the session, its consumer or the secret.",
        "Wait for the time in Retry-After where there is one; else ask who runs the dataset for more: egret budget ls.",
    ),
    "origin_not_allowed": Code(
        403,
        "Origin not allowed",
        "The request does not come from a page that the session was opened for.",
        "List the page's origin in the session's origins; a sandboxed frame without allow-same-origin is null.",
    ),
    "host_unknown": Code(
        421,
        "Host name not known",
        "The gateway was asked by a host name that is none of its own.",
        "Ask the operator to set gateway.public_url, or to add the name to gateway.host_names.",
    ),
    "navigation_not_allowed": Code(
        403,
        "Not a page",
        "What an upstream answers is never shown as a document, a frame or a service worker of the gateway.",
        "Ask for it with fetch, XMLHttpRequest, EventSource, WebSocket, an image or a script.",
    ),
    "upstream_unreachable": Code(
        502,
        "Upstream unreachable",
        "The destination could not be reached, or did not answer as HTTP in time.",
        "Check the host name and try again.",
    ),
    "upstream_tls": Code(
        502,
        "Upstream certificate not trusted",
        "The destination's TLS certificate could not be verified, so nothing was sent.",
        "Check the host name; for a private CA ask the operator about egress.trust.",
    ),
    "store_unavailable": Code(
        503,
        "Store unavailable",
        "There is no fresh view of the secret store, so nothing is forwarded.",
        "Try again; if it lasts, ask the operator to look at the store's /readyz.",
    ),
    "internal": Code(
        500,
        "Internal error",
        "Something unforeseen happened, so nothing more of this exchange is passed on.",
        "Try again; report it with the request id if it lasts.",
    ),
}
