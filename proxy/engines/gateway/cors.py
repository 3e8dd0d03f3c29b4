"""Who may ask through the gateway, and what a browser is told about it.

A token in a URL is a bearer capability: whoever has it can ask from outside of any browser, and with any Origin. The
checks here protect it inside browsers, from pages that it was not minted for:

- `Origin`, where the browser sends it, must be one of the session's `origins` (`null` only if it is listed).
- Browsers send none with GETs that are same-origin or `no-cors` (an image, a script). Then `Sec-Fetch-Site` tells: a
  same-origin request comes from the page that the gateway is mounted into; for any other the Referer's origin must be
  listed; a request that hides it is taken for `null`. A stylesheet that came from here asks for what it names with its
  own URL for a Referer: with the same token in it, it was admitted from a listed origin.
- Nothing from an upstream may become a document, a frame or a service worker on the gateway's origin, where it could
  read every other session's traffic: such requests are refused, and whatever slips through is sandboxed by CSP.
"""

import functools
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.core.verdicts import Verdicts
from proxy.engines.gateway.fields import Index, first, items

MAX_AGE: Final = b"7200"
DOCUMENTS: Final = frozenset(
    {b"document", b"iframe", b"frame", b"fencedframe", b"object", b"embed", b"serviceworker", b"sharedworker", b"xslt"}
)
ALWAYS: Final[Fields] = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"cross-origin"),
    (b"Content-Security-Policy", b"sandbox; default-src 'none'; frame-ancestors 'none'"),
    (b"X-Frame-Options", b"DENY"),
)
"""On every response of the gateway."""
NO_REFERRER: Final = (b"Referrer-Policy", b"no-referrer")
"""On all but two kinds: a redirect, where it would take the page's Referer off the next hop, and a stylesheet."""
_STYLED: Final = (b"Referrer-Policy", b"same-origin")
"""What a stylesheet names tells the gateway alone which stylesheet asks: its URL holds the token."""

UNSAFE: Final = frozenset(
    {
        # The gateway speaks for itself.
        *(name.lower() for name, _ in (*ALWAYS, NO_REFERRER)),
        b"timing-allow-origin",
        # These would act on the gateway's own origin, for all sessions.
        b"set-cookie",
        b"set-cookie2",
        b"strict-transport-security",
        b"public-key-pins",
        b"expect-ct",
        b"clear-site-data",
        b"service-worker-allowed",
        b"content-security-policy-report-only",
        b"reporting-endpoints",
        b"report-to",
        b"nel",
        b"alt-svc",
        b"accept-ch",
        b"critical-ch",
        b"permissions-policy",
        b"feature-policy",
        b"document-policy",
        b"origin-agent-cluster",
        b"cross-origin-opener-policy",
        b"cross-origin-embedder-policy",
        b"speculation-rules",
        b"supports-loading-mode",
        b"use-as-dictionary",
        b"x-permitted-cross-domain-policies",
        b"activate-storage-access",
        b"set-login",
        b"idp-signin-status",
        b"refresh",
        b"no-vary-search",
        b"observe-browsing-topics",
        b"shared-storage-write",
        b"public-key-pins-report-only",
        b"x-dns-prefetch-control",
        b"x-xss-protection",
        b"sourcemap",
        b"x-sourcemap",
        # These would act on a reverse proxy in front of us: serve a file of its own, go elsewhere, keep the answer.
        b"x-sendfile",
        b"x-sendfile-temporary",
        b"x-lighttpd-send-file",
        b"x-lighttpd-send-tempfile",
        b"x-litespeed-location",
        b"x-reproxy-url",
        b"x-reproxy-file",
        b"edge-control",
        # The browser would ask the user for a password in the gateway's name.
        b"www-authenticate",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        # None follow.
        b"trailer",
    }
)
"""Fields of an upstream's response that end at the gateway."""
UNSAFE_PREFIXES: Final = (
    b"access-control-", b"x-accel-", b"surrogate-", b"sec-", b"attribution-reporting-", b"ad-auction-",
    b"integrity-policy", b"document-isolation-policy", b"connection-allowlist",
)  # fmt: skip
UNSAFE_SUFFIXES: Final = (b"cdn-cache-control",)
_LINK: Final = re.compile(rb'(?:\A|,)[ \t,]*+<[^>]*+>((?:"(?:[^"\\]|\\.)*+"|[^<",]++)*+)', re.DOTALL)
_PARAMETER: Final = re.compile(rb'[ \t]*+;([^=;"]*+)(?:=((?:"(?:[^"\\]|\\.)*+"|[^;"]++)*+))?', re.DOTALL)
"""Both possessive: what does not fit is given up at once, however long it is."""
_FETCHES: Final = re.compile(
    rb"preload|preconnect|dns-prefetch|prefetch|prerender|stylesheet|dictionary|manifest|expect", re.IGNORECASE
)
"""Relations of `Link` at which a browser connects by itself, in the rater's name; `next` and its like are for pages."""
_UNSHARED: Final = (b"Cache-Control", b"private")
_SHARED: Final = (b"public", b"s-maxage", b"private", b"proxy-revalidate")

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def admit(asked: Index, origins: tuple[str, ...], within: Callable[[], str]) -> bytes | None:
    """Return the origin to answer to, None where there is none; raises `Refused`.

    `within` tells the URL that everything of the session is below, as the browser sees it.
    """
    listed = origins_of(origins)
    given = asked.get(b"origin")
    if given:
        if len(given) > 1 or _NORMAL[given[0]] not in listed:
            raise Refused(Refusal("origin_not_allowed"))
        return given[0]
    site = first(asked, b"sec-fetch-site")
    referer = first(asked, b"referer")
    if site == b"same-origin":
        return None
    if referer:
        if origin_of(referer) not in listed and not referer.startswith(within().encode("latin-1")):
            raise Refused(Refusal("origin_not_allowed"))
    elif site is not None and "null" not in listed:
        raise Refused(Refusal("origin_not_allowed"))
    return None


@functools.lru_cache(maxsize=1024)
def origins_of(origins: tuple[str, ...]) -> frozenset[str]:
    """Return a session's origins as `origin_of` spells them."""
    return frozenset(map(normal, origins)) - {""}  # what is no origin must not match what is none either


def normal(origin: str) -> str:
    """Return an origin as browsers send it: lower case, no path, no default port."""
    return "null" if origin == "null" else origin_of(origin.encode())


_NORMAL: Final = Verdicts[bytes, str](lambda origin: "" if _has_path(origin) else normal(origin.decode("latin-1")))


def _has_path(origin: bytes) -> bool:
    """Say whether an origin has one: a header never does; a list that was written by hand may."""
    return b"/" in origin.partition(b"://")[2]


def origin_of(url: bytes) -> str:
    """Return the origin of a URL; "" for what has none."""
    try:
        parts = urlsplit(url.decode("latin-1"))
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")


def no_document(asked: Index) -> None:
    """Raise `Refused` for a request whose answer would live on the gateway's origin."""
    navigates = first(asked, b"sec-fetch-mode") == b"navigate" or first(asked, b"sec-fetch-dest") in DOCUMENTS
    if navigates or b"service-worker" in asked:
        raise Refused(Refusal("navigation_not_allowed"))


def is_preflight(method: bytes, asked: Index) -> bool:
    """Whether the browser asks for leave (Fetch 4.8); any other OPTIONS is for the upstream."""
    return method == b"OPTIONS" and b"origin" in asked and b"access-control-request-method" in asked


def preflight(asked: Index) -> Fields:
    """Return the answer to a preflight whose origin was admitted: what was asked for is allowed."""
    method = first(asked, b"access-control-request-method") or b""
    names = [name for name in items(asked.get(b"access-control-request-headers", ())) if _TOKEN.fullmatch(name)]
    allowed: list[tuple[bytes, bytes]] = []
    if _TOKEN.fullmatch(method):
        allowed.append((b"Access-Control-Allow-Methods", method))
    if names:
        allowed.append((b"Access-Control-Allow-Headers", b", ".join(names)))
    if first(asked, b"access-control-request-private-network") == b"true":
        allowed.append((b"Access-Control-Allow-Private-Network", b"true"))
    vary = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    return (
        *grant(first(asked, b"origin")),
        *allowed,
        (b"Access-Control-Max-Age", MAX_AGE),
        (b"Vary", vary),
        NO_REFERRER,
        *ALWAYS,
    )


def grant(origin: bytes | None) -> Fields:
    """Return what lets a page of `origin` read a response."""
    if origin is None:
        return ()
    return ((b"Access-Control-Allow-Origin", origin), (b"Access-Control-Allow-Credentials", b"true"))


def dressed(fields: Fields, origin: bytes | None, *, redirect: bool = False) -> Fields:
    """Return a response's fields as the gateway sends them.

    The names are listed one by one: with credentials, browsers take `*` for a name (Fetch 3.3.5).
    """
    kept: list[tuple[bytes, bytes]] = []
    vary: list[bytes] = []
    unshared: Fields = (_UNSHARED,)
    policy: Fields = () if redirect else (NO_REFERRER,)
    for pair in fields:
        verdict = _VERDICTS[pair[0]]
        if verdict is True:
            kept.append(pair)
        elif verdict == b"cache-control":
            unshared = ()
            kept.append((pair[0], _PRIVATE[pair[1]]))
        elif verdict == b"content-type":
            kept.append(pair)
            if _IS_STYLE[pair[1]]:
                policy = (_STYLED,)
        elif verdict == b"vary":
            vary += items([pair[1]])
        elif verdict == b"link" and not _fetches(pair[1]):
            kept.append(pair)
    ours = (*policy, *unshared, *ALWAYS)
    varies = b", ".join(dict.fromkeys((*vary, b"Origin"))) if vary else b"Origin"
    if origin is None:
        return (*kept, (b"Vary", varies), *ours)
    exposed = b", ".join(dict.fromkeys([name.lower() for name, _ in kept]))
    expose = ((b"Access-Control-Expose-Headers", exposed),) if exposed else ()
    return (*kept, *grant(origin), *expose, (b"Vary", varies), *ours)


def _fetches(value: bytes) -> bool:
    """Whether a `Link` has a browser connect; what is not as RFC 8288 3 says might."""
    value, at = value.rstrip(b" \t,"), 0
    while at < len(value):
        link = _LINK.match(value, at)
        if link is None or _has_fetch(link[1].rstrip(b" \t")):
            return True
        at = link.end()
    return False


def _has_fetch(parameters: bytes) -> bool:
    at = 0
    while at < len(parameters):
        found = _PARAMETER.match(parameters, at)
        if found is None:
            return True
        name, said = found[1].strip(b" \t*").lower(), (found[2] or b"").replace(b"\\", b"")  # of quoted pairs
        if name == b"rel" and _FETCHES.search(said):
            return True
        at = found.end()
    return False


def _verdict(name: bytes) -> bool | bytes:
    """Say whether a field is kept; the name of one whose value decides."""
    name = name.lower()
    if name in (b"vary", b"link", b"cache-control", b"content-type"):
        return name
    return not (name in UNSAFE or name.startswith(UNSAFE_PREFIXES) or name.endswith(UNSAFE_SUFFIXES))


def _private(value: bytes) -> bytes:
    """Keep an answer out of shared caches: one would go on to answer for a session that is over."""
    if b"no-store" in value.lower():
        return value
    if b'"' in value:
        return value + b", private"
    kept = [item for item in items([value]) if item.lower().partition(b"=")[0].rstrip() not in _SHARED]
    return b", ".join((*kept, b"private"))


_IS_STYLE: Final = Verdicts[bytes, bool](lambda value: value.partition(b";")[0].strip().lower() == b"text/css")
_VERDICTS: Final = Verdicts[bytes, bool | bytes](_verdict)
_PRIVATE: Final = Verdicts[bytes, bytes](_private)
