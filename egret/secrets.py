"""Secrets for code that runs inside a session and outside of one.

    from egret import secrets, variables

    httpx.get("https://api.example.com/v1", headers={"Authorization": f"Bearer {secrets['API_TOKEN']}"})
    httpx.get(variables["BASE_URL"])

Inside a session an item of `secrets` is its placeholder, `#{SECRETS.API_TOKEN}`: the proxy puts the value in. An item
of `variables` is the variable's value: it is no secret. Outside, on a developer's machine, an item of either is the
environment variable of that name. Code written for `ctx.secrets["X"]` runs in both when `ctx.secrets` is this mapping.

Inside means that EGRET_SESSION is set, which `egret run` does (`variables_inside`). Which names there are is asked of
the session's proxy (HTTP_PROXY; docs/forward-proxy.md, "Egret itself"). Where that cannot be asked, EGRET_SECRETS and
EGRET_VARS list the names; without a list every legal name is a secret, and the proxy refuses the ones it does not know.

A plugin that knows `ctx.secrets["X"]` of FiftyOne writes `from egret import ctx`: there an item is the environment
variable of that name where it is set, else the session's variable or secret of that name, else None.

`egret.secrets` is the mapping; what else is here is imported by `from egret.secrets import …`.
"""

import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

SESSION: Final = "EGRET_SESSION"
"""The variable that says "inside": the session's public id."""

FRESH: Final = 1.0
"""Seconds for which an answer of the proxy is kept; every proxy knows of a change within one."""

AGAIN: Final = 30.0
"""Seconds after which a proxy that did not answer is asked again."""

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")


class Told:
    """What the session's proxy says, asked when it is needed. `environ` is looked at then, not before."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._asked: tuple[str, str] | None = None
        self._until = 0.0
        self._about: dict[str, Any] | None = None

    @property
    def inside(self) -> bool:
        """Whether this is a session."""
        return SESSION in self.environ

    def about(self) -> dict[str, Any] | None:
        """Return the session's document, None where nobody can be asked for it."""
        proxy = proxy_of(self.environ)
        if not self.inside or not proxy:
            return None
        asking, now = (self.environ[SESSION], proxy), time.monotonic()
        if asking != self._asked or now >= self._until:
            from egret.through import Untold, about  # noqa: PLC0415  # http.client, for those who ask

            try:
                self._about = about(proxy, timeout=5.0)
            except Untold:
                self._about = None
            self._asked, self._until = asking, time.monotonic() + (AGAIN if self._about is None else FRESH)
        return self._about

    def listed(self, word: str) -> list[str] | None:
        """Return the names that `egret run` listed at the start."""
        listed = self.environ.get(f"EGRET_{word}")
        return None if listed is None else [name for name in listed.split(",") if _NAME.fullmatch(name)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Items(Mapping[str, str]):
    """NAME → what it stands for inside, environment variable outside. Its names are its `repr`, never an item."""

    word: str

    def __init__(self, told: Told) -> None:
        self._told = told

    def names(self) -> list[str] | None:
        """Return the session's names, None where nobody knows them."""
        raise NotImplementedError

    def item(self, name: str) -> str:
        """Return what a name of the session stands for; raises KeyError."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> str:
        """Raise KeyError for what is no name, is not the session's, or is not in the environment."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise KeyError(name)
        if not self._told.inside:
            return self._told.environ[name]
        if (names := self.names()) is not None and name not in names:
            raise KeyError(name)
        return self.item(name)

    def __iter__(self) -> Iterator[str]:
        environ = self._told.environ
        if not self._told.inside:
            return iter([name for name in environ if _NAME.fullmatch(name)])
        names = self.names()
        if names is None:
            names = [
                name for name in environ if _NAME.fullmatch(name) and environ[name] == placeholder(self.word, name)
            ]
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        """Names only: outside of a session the items are values."""
        return f"<{type(self).__name__}: {', '.join(self)}>"


class Secrets(Items):
    """Inside, an item is its placeholder."""

    word = "SECRETS"

    def names(self) -> list[str] | None:
        """See `Items`."""
        about = self._told.about() or {}
        told = about.get("secrets")  # the session of a page is not told
        return self._told.listed(self.word) if told is None else [secret["name"] for secret in told]

    def item(self, name: str) -> str:
        """See `Items`."""
        return placeholder(self.word, name)


class Variables(Items):
    """Inside, an item is its value; the placeholder, where nobody can be asked for that."""

    word = "VARS"

    def names(self) -> list[str] | None:
        """See `Items`."""
        about = self._told.about()
        return self._told.listed(self.word) if about is None else list(about["variables"])

    def item(self, name: str) -> str:
        """See `Items`."""
        about = self._told.about()
        return placeholder(self.word, name) if about is None else str(about["variables"][name])


class Resolved(Mapping[str, str | None]):
    """NAME → what `ctx.secrets[NAME]` is to a plugin: a variable's value, an address mostly, or a secret's placeholder.

    In the order that plugins know: the environment, then what the session has. There is an item for every name; of one
    that is nowhere it is None, and inside a session that is said, once a place.
    """

    def __init__(self, secrets: Secrets, variables: Variables, told: Told) -> None:
        self._sources: tuple[Items, ...] = (variables, secrets)
        self._told = told

    def __getitem__(self, name: str) -> str | None:
        """Never raises KeyError."""
        found = self._look(name)
        if found is None and self._told.inside:
            said = (
                f"this session has no secret or variable {name!r}: upload it, or declare it where the session is opened"
            )
            warnings.warn(said, stacklevel=2)
        return found

    def _look(self, name: str) -> str | None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return None
        if self._told.environ.get(name):
            return self._told.environ[name]
        return next((each[name] for each in self._sources if self._told.inside and name in each), None)

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - the caller's
        """Return an item, `default` where it is nowhere."""
        found = self._look(name)
        return default if found is None else found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._look(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for each in self._sources for name in each))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        """Names only: items may be values."""
        return f"<{type(self).__name__}: {', '.join(self)}>"


class Context:
    """What a plugin is given as `ctx`, as far as it is about secrets."""

    __slots__ = ("secrets",)

    def __init__(self, secrets: Resolved) -> None:
        self.secrets = secrets


def placeholder(word: str, name: str) -> str:
    """Spell the placeholder of a name; `word` is SECRETS or VARS."""
    return f"#{{{word}.{name}}}"


def proxy_of(environ: Mapping[str, str]) -> str:
    """Return the proxy of an environment for plain HTTP; "" without one."""
    return environ.get("http_proxy") or environ.get("HTTP_PROXY") or ""


def variables_inside(
    session: str, secrets: Iterable[str], variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment that makes a process "inside": what `egret run` adds to the child's.

    `session` is the session's id, never its token. Each secret gets its placeholder under its own name, for programs
    that read their credentials from the environment, each variable its value; where they share a name, the secret has
    it.
    """
    variables = variables or {}
    names = list(secrets)
    placeholders = {name: placeholder("SECRETS", name) for name in names}
    marks = {SESSION: session, "EGRET_SECRETS": ",".join(names), "EGRET_VARS": ",".join(variables)}
    return {**variables, **placeholders, **marks}


# The environment of the program that imports this is the subject here, not a setting of Egret's.
_told: Final = Told(os.environ)  # noqa: TID251
secrets: Final = Secrets(_told)
variables: Final = Variables(_told)
ctx: Final = Context(Resolved(secrets, variables, _told))
