"""Templates to answers: escaped, never stored, never framed, without script."""

import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from store.providers import load_providers

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send `Origin: null`, and `guard` needs the origin
}

_LOADER = PackageLoader("store.dashboard", "pages")
_PAGES = Environment(loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def page(name: str, *, status: int = 200, **context: object) -> web.Response:
    """Render a template."""
    text = _PAGES.get_template(f"{name}.html").render(context)
    return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)


def asset(name: str) -> bytes:
    """Return the style sheet or the icon."""
    return _LOADER.get_source(_PAGES, name)[0].encode()


def see_other(path: str) -> web.Response:
    """Answer a form that did its work: the browser loads the page anew, and a reload does not send it again."""
    return web.Response(status=303, headers={"Location": path, **HEADERS})


def _moment(seconds: float | None) -> str:
    """Say a time as people read it, in UTC."""
    if seconds is None:
        return "never"
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


def _rule(rule: object) -> str:
    """Say a destination rule in a line."""
    if not isinstance(rule, Mapping):
        return str(rule)
    parts = [str(rule["host"]), *(" ".join(rule[name]) for name in ("methods", "paths", "headers") if name in rule)]
    return " · ".join(parts)


def _written(rules: Iterable[object]) -> str:
    """Write destination rules as a form takes them back: one in a line."""
    return "\n".join(rule if isinstance(rule, str) else json.dumps(rule) for rule in rules)


_PAGES.filters.update(moment=_moment, rule=_rule, written=_written)
_PAGES.globals.update(now=time.time, presets=lambda: sorted(load_providers()))
