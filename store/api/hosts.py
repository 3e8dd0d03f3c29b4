"""The field that holds a destination rule. `store.rules` judges it; here is its shape for the OpenAPI document."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from store.api.fields import Model, shape

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_]|-[A-Za-z0-9_]){0,30}"
_FIRST = "[A-Za-z]([A-Za-z0-9_]|-[A-Za-z0-9_]){0,30}"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PORT = "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?"
_NAMES = f"({_LABEL}\\.){{0,4}}{_FIRST}"
_WIDE = f"\\*\\.({_LABEL}\\.){{2,4}}{_FIRST}"
_ADDRESS = f"{_BYTE}\\.{_BYTE}\\.{_BYTE}\\.{_BYTE}"
HOST = f"^((https?|wss?)://)?({_NAMES}|{_WIDE}|{_ADDRESS}){_PORT}$"
"""The usual spellings. More is taken (IDNA, IPv6 in brackets, a trailing dot): docs/api.md says what."""

EGRESS_HOST = f"^({_NAMES}|{_WIDE}|{_ADDRESS}){_PORT}$"
"""Entries of a dataset's egress list have no scheme."""

SCRUB_HOST = f"^({_NAMES}|{_WIDE}|{_ADDRESS})$"
"""Hosts whose answers are searched have no port either."""

HostText = Annotated[str, shape(HOST, examples=["api.example.com"])]

_TOKENS = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$"
_PATHS = "^/([A-Za-z0-9_~-]{1,30}/){0,5}([A-Za-z0-9_~-]{1,30}|\\*)?$"

_MEMBERS = "^[A-Za-z_][A-Za-z0-9_-]{0,30}$"

Tokens = Annotated[list[Annotated[str, shape(_TOKENS)]], Field(min_length=1, max_length=64)]
Paths = Annotated[list[Annotated[str, shape(_PATHS)]], Field(min_length=1, max_length=64)]


class PlainRule(Model):
    """A destination with what may be asked of it."""

    host: HostText
    methods: Tokens | None = None
    paths: Paths | None = None
    headers: Tokens | None = None


class CaptureRule(Model):
    """Which members of answers become placeholders of the session, and where those may go."""

    members: Annotated[list[Annotated[str, shape(_MEMBERS)]], Field(min_length=1, max_length=16)]
    hosts: Annotated[list[HostText | PlainRule], Field(max_length=64)]


class HostRule(PlainRule):
    """A destination with what may be asked of it, and what of its answers is captured."""

    capture: CaptureRule | None = None


HostIn = HostText | HostRule
Hosts = Annotated[list[HostIn], Field(max_length=64)]
PlainHosts = Annotated[list[HostText | PlainRule], Field(max_length=64)]
"""Of a variable: it captures nothing."""


def plain(hosts: Sequence[str | PlainRule] | None) -> list[str | dict[str, object]] | None:
    """Return rules as `store.rules` reads them."""
    if hosts is None:
        return None
    return [each if isinstance(each, str) else each.model_dump(exclude_none=True) for each in hosts]
