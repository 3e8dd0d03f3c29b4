"""If-Match and If-None-Match (RFC 9110 13): read here, held by the vault in the transaction of the change."""

from aiohttp import web

from store.api.problem import Fault


def if_match(request: web.Request) -> str | None:
    """Return the one entity tag of If-Match, or `*`; raises `Fault` for what can match nothing of ours."""
    field = request.headers.get("If-Match")
    if field is None:
        return None
    tag = field.strip()
    if tag != "*" and "," in tag:
        raise Fault("precondition_failed", detail="Give one entity tag in If-Match.")
    return tag


def unchanged(request: web.Request, etag: str) -> bool:
    """Whether If-None-Match of a GET names the current tag (weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    return etag in tags or "*" in tags
