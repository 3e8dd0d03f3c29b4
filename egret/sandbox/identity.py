"""Who the user is to git: name and e-mail, and nothing else of the user's configuration.

Read by ourselves: `git` would be found by PATH, in which a folder may stand that code in a sandbox could write.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from egret.regular import contents
from egret.sandbox.places import home

MOST: Final = 1 << 20
"""Bytes of a configuration that are read; a longer one gives nothing."""

_SECTION: Final = re.compile(r"\s*\[\s*([^\]]*?)\s*\]")
_KEY: Final = re.compile(r"\s*(name|email)\s*=\s*(.*)", re.IGNORECASE)
_ESCAPES: Final = {"\\": "\\", '"': '"', "n": "\n", "t": "\t", "b": "\b"}


def git_identity(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write name and e-mail into `folder` and return what makes git read them; nothing where git has none.

    As the system's configuration, with the machine's own included: the lowest there is, so that a repository's name
    and what the code sets in its HOME go before it (GIT_CONFIG_SYSTEM, git 2.32). What the user's files include is
    not read.
    """
    user = home(environ)
    found: dict[str, str] = {}
    for path in (Path(environ.get("XDG_CONFIG_HOME") or user / ".config") / "git" / "config", user / ".gitconfig"):
        try:
            found |= identity(contents(path, MOST).decode("utf-8", "replace"))
        except (OSError, ValueError):
            continue
    if not found:
        return {}
    lines = ["[include]", "\tpath = /etc/gitconfig", "[user]"]
    lines += [f"\t{name} = {_quoted(value)}" for name, value in found.items()]
    made = folder / "gitconfig"
    made.write_text("\n".join(lines) + "\n")
    return {"GIT_CONFIG_SYSTEM": str(made)}


def identity(text: str) -> dict[str, str]:
    """Return `name` and `email` of the section `user` of a git configuration (git-config(1), Syntax)."""
    found: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            section = heading[1].lower()
            line = line[heading.end() :]  # noqa: PLW2901  # what follows on the same line
        if section == "user" and (key := _KEY.fullmatch(line)) and (value := _value(key[2])):
            found[key[1].lower()] = value
    return found


def _value(text: str) -> str | None:
    """Return a value without its quotes and comment; None for one that goes on in the next line, or is broken."""
    made, kept, quoted = "", 0, False
    characters = iter(text)
    for one in characters:
        if one == '"':
            quoted = not quoted
            kept = len(made)
        elif one == "\\":
            meant = _ESCAPES.get(next(characters, ""))
            if meant is None:
                return None
            made += meant
            kept = len(made)
        elif one in "#;" and not quoted:
            break
        else:
            made += one
            kept = len(made) if quoted or not one.isspace() else kept
    return None if quoted else made[:kept]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
