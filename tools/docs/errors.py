"""docs/errors.md, from the refusals themselves."""

from proxy.core.codes import CODES, TYPE_BASE

INTRO = """\
# Refusals

<!-- Written by `make docs` from proxy/core/codes.py; a test compares. -->

Every response that the proxy or the gateway itself makes carries `Egret-Error: <code>` and a body of type
`application/problem+json` (RFC 9457):

    {"type": "TYPE_BASE<code>", "title": …, "status": …, "detail": …, "code": …, "hint": …, "request_id": … …}

A response without `Egret-Error` is the upstream's. Never in a refusal: a value, an upstream's address or bytes, the
text of an exception. `request_id` is in the audit log too. Refusals of the admin API are in `docs/api.md`.

In the head of a request (URL, headers, handshake) a placeholder that may not be injected refuses the request. In a
body or message it is carried: sent on as the text that it is, named in the `Egret-Carried` header;
`egress.strict_bodies` refuses instead.
""".replace("TYPE_BASE", TYPE_BASE)


def page() -> str:
    """Return the whole page."""
    sections = [
        f"## {name}\n\n{code.title}: status {code.status}{', 401 at the gateway' if code.status == 407 else ''}."
        f"\n\n{code.detail} {code.hint}\n"
        for name, code in CODES.items()
    ]
    return "\n".join([INTRO, *sections])
