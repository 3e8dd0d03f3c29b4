"""Templates to answers: escaped, never stored, never framed; with our own script on some pages, and on no others."""

import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from store.budgets import said
from store.dashboard.assets import address
from store.presets import told
from store.providers import load_providers
from store.rules import canonical_rules

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send `Origin: null`, and `guard` needs the origin
}

SCRIPTED: Final = frozenset({"audit", "budgets", "keys", "secrets", "session", "sessions", "watch"})
"""Pages that our script makes live. Of those on which a value or a key is entered there is none."""

_LIVE: Mapping[str, str] = {
    **HEADERS,
    # No text becomes markup there, whoever wrote it: script may make no policy by which it would be trusted.
    "Content-Security-Policy": (
        f"{_POLICY}; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
}

_PAGES = Environment(
    loader=PackageLoader("store.dashboard", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(name: str, *, status: int = 200, **context: object) -> web.Response:
    """Render a template."""
    scripted = name in SCRIPTED
    text = _PAGES.get_template(f"{name}.html").render(context, scripted=scripted)
    return web.Response(status=status, text=text, content_type="text/html", headers=_LIVE if scripted else HEADERS)


def see_other(path: str) -> web.Response:
    """Answer a form that did its work: the browser loads the page anew, and a reload does not send it again."""
    return web.Response(status=303, headers={"Location": path, **HEADERS})


def moment(at: float | None, *, seconds: bool = False) -> str:
    """Say a time as people read it, in UTC."""
    if at is None:
        return "never"
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M" + (":%S" if seconds else ""))


def _ago(seconds: float | None, now: float | None = None) -> str:
    """Say how long ago a time was, or how far ahead it is; what is more than a month off by its day."""
    if seconds is None:
        return "never"
    off = seconds - (time.time() if now is None else now)
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if (count := int(abs(off) // size)) >= 1:
            if size == 86_400 and count > 31:
                return moment(seconds).partition(" ")[0]
            told = f"{count} {word}{'s' if count > 1 else ''}"
            return f"in {told}" if off > 0 else f"{told} ago"
    return "in a moment" if off > 0 else "just now"


def _rule(rule: object) -> str:
    """Say a destination rule in a line."""
    if not isinstance(rule, Mapping):
        return str(rule)
    parts = [str(rule["host"]), *(" ".join(rule[name]) for name in ("methods", "paths", "headers") if name in rule)]
    capture = rule.get("capture")
    if isinstance(capture, Mapping):
        parts.append(
            f"captures {', '.join(capture['members'])} for {', '.join(map(_rule, capture['hosts'])) or 'itself'}"
        )
    return " · ".join(parts)


def _written(rules: Iterable[object]) -> str:
    """Write destination rules as a form takes them back: one in a line."""
    return "\n".join(rule if isinstance(rule, str) else json.dumps(rule) for rule in rules)


_PAGES.filters.update(moment=moment, ago=_ago, rule=_rule, written=_written, said=said)


@cache
def _known_providers() -> Sequence[tuple[str, str]]:
    """Return the presets, each with what it allows in words."""
    known = sorted(load_providers().items())
    return [(name, told(canonical_rules(each.rules), each.locations)) for name, each in known if each.rules]


_PAGES.globals.update(
    asset=address, now=time.time, presets=lambda: sorted(load_providers()), known_providers=_known_providers
)
