"""`--host`: where secrets may be sent, as a host or as a rule in JSON."""

import json
from collections.abc import Callable
from typing import Any

import click


def hosts_option[F: Callable[..., Any]](said: str) -> Callable[[F], F]:
    """Add --host: hosts, or rules as the API takes them; what is in them, the server judges."""
    help_ = f"{said}: a host, or a rule as JSON (docs/store.md); repeat for several."
    return click.option("--host", "-H", "hosts", multiple=True, metavar="HOST", callback=_read, help=help_)


def typed(host: object) -> str:
    """Return a host or a rule as it is typed after --host."""
    return host if isinstance(host, str) else json.dumps(host)


def _read(_context: click.Context, _option: click.Parameter, words: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(_rule(word) if word.lstrip().startswith("{") else word for word in words)


def _rule(word: str) -> object:
    try:
        return json.loads(word)
    except ValueError:  # not repeated: it may be a value that was put here
        text = """a rule is JSON, in quotes of the shell: '{"host": "api.example.com", "paths": ["/v1/*"]}'"""
        raise click.BadParameter(text) from None
