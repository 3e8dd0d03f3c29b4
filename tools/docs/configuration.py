"""docs/configuration.md, from the settings themselves."""

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from egret.kinds import UNITS
from egret.sections import sections

INTRO = """\
# Configuration

<!-- Written by `make docs` from egret/sections.py; a test compares. -->

One YAML file, every key optional: `egret serve --data DIR --config egret.yaml`. `config/egret.example.yaml` has every
key with its default.

    egress:
      ports: [443, 8443]
    limits: {body_bytes: 256MiB}

- **Environment variables override the file**: `EGRET_<SECTION>__<KEY>`, such as `EGRET_PROXY__LISTEN=0.0.0.0:8080`.
  Lists are written with commas: `EGRET_EGRESS__PORTS=443,8443`; an empty variable is an empty list.
- **Mistakes stop the start.** An unknown section or key, a key given twice, a value of the wrong kind: each is
  named with its line and with what is allowed, all of them at once. The value itself is not printed; a database URL
  holds a password.
- Sizes are bytes, or take `KiB`, `MiB`, `GiB`. Times are seconds. Relative paths start at the folder that `egret` was
  started in.
- A change takes effect when the process that reads it starts. `SIGHUP` to `egret serve` replaces the proxy's and
  the gateway's processes one by one, which then read the file anew; `admin` and `store`, and the addresses to
  listen on, need a restart.
"""

MORE = {
    "proxy.engine": "Which to choose, with figures: docs/performance.",
    "egress.allow_private": "The proxy's own listeners and the machine's link-local addresses stay out of reach.",
    "egress.trust": "Only the proxy's connections to upstreams use them; clients trust `ca.pem`.",
    "egress.unbound_secrets": "With `allow` the start says so on stderr.",
    "limits.max_stale": "The store vouches for the view every two seconds; a revocation does not wait for this limit.",
}
"""What is worth saying beyond the sentence that stands in the example file."""


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRO, *_sections()])


def _sections() -> Iterator[str]:
    for name, cls in sections().items():
        yield f"## {name}\n\n{cls.__doc__}\n"
        for key in fields(cls):
            sentence = " ".join(filter(None, [key.metadata["doc"], MORE.get(f"{name}.{key.name}")]))
            allowed = key.metadata["kind"].allowed
            yield f"### {name}.{key.name}\n\n{sentence}\n\n- Default: `{written(key)}`\n- Allowed: {allowed}\n"


def written(key: Field[Any]) -> str:
    """Write a key's default as one would in YAML."""
    value = key.default
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    for unit, size in reversed(UNITS.items()):
        if key.metadata["kind"].allowed.startswith("a number of bytes") and value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)
