"""Secrets for code that runs inside a session and outside of one.

    from egret import secrets

    httpx.get("https://api.example.com/v1", headers={"Authorization": f"Bearer {secrets['API_TOKEN']}"})

Inside a session an item is its placeholder, `#{SECRETS.API_TOKEN}`: the proxy puts the value in. Outside, on a
developer's machine, an item is the environment variable of that name. Code written for `ctx.secrets["X"]` runs in both
when `ctx.secrets` is this mapping. `variables` is the same for plain variables: `#{VARS.NAME}`.

Inside means that EGRET_SESSION is set, which `egret run` does (`variables_inside`). Where EGRET_SECRETS lists the
session's names, those are the items; a sandbox that was given a session some other way has no list, and there every
legal name is an item: the proxy refuses the ones it does not know, and says so.

`egret.secrets` is the mapping; what else is here is imported by `from egret.secrets import …`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

SESSION: Final = "EGRET_SESSION"
"""The variable that says "inside": the session's public id."""

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")


class Placeholders(Mapping[str, str]):
    """NAME → placeholder inside a session, environment variable outside.

    `word` is SECRETS or VARS; EGRET_<word> lists the session's names, separated by commas. `environ` is looked at when
    an item is, not before.
    """

    def __init__(self, word: str, environ: Mapping[str, str]) -> None:
        self._word = word
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        """Raise KeyError for what is no name, is not the session's, or is not in the environment."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise KeyError(name)
        if SESSION not in self._environ:
            return self._environ[name]
        if (names := self._listed()) is not None and name not in names:
            raise KeyError(name)
        return placeholder(self._word, name)

    def __iter__(self) -> Iterator[str]:
        if (names := self._listed()) is not None:
            return iter(names)
        inside = SESSION in self._environ
        legal = [name for name in self._environ if _NAME.fullmatch(name)]
        return iter([n for n in legal if not inside or self._environ[n] == placeholder(self._word, n)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        """Names only: outside of a session the items are values."""
        return f"<{type(self).__name__} {self._word}: {', '.join(self)}>"

    def _listed(self) -> list[str] | None:
        listed = self._environ.get(f"EGRET_{self._word}")
        if SESSION not in self._environ or listed is None:
            return None
        return [name for name in listed.split(",") if _NAME.fullmatch(name)]


def placeholder(word: str, name: str) -> str:
    """Spell the placeholder of a name; `word` is SECRETS or VARS."""
    return f"#{{{word}.{name}}}"


def variables_inside(session: str, secrets: Iterable[str], variables: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment that makes a process "inside": what `egret run` adds to the child's.

    `session` is the session's id, never its token. Each name gets its placeholder under its own name, for programs that
    read their credentials from the environment; where a secret and a variable share a name, the secret has it.
    """
    words = {"VARS": list(variables), "SECRETS": list(secrets)}
    named = {name: placeholder(word, name) for word, names in words.items() for name in names}
    return {**named, SESSION: session, **{f"EGRET_{word}": ",".join(names) for word, names in words.items()}}


# The environment of the program that imports this is the subject here, not a setting of Egret's.
secrets: Final = Placeholders("SECRETS", os.environ)  # noqa: TID251
variables: Final = Placeholders("VARS", os.environ)  # noqa: TID251
