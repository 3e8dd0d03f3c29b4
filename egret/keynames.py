"""Keys with slashes, as `egret kv` and `egret.kv` take them, and the names that they stand for: one to one.

A key is made of letters and digits, in runs that one `_`, `/` or `-` separates: `prod/db/password`, `2fa-seed`,
`dbMain`. In its name all letters are capitals, and a run of underscores says what was there:

    1, 2, 3     _ / -                               db/host → DB__HOST      db-host → DB___HOST
    + 4         from here on letters are capitals,   dbMain → DB____M____AIN
                or no longer
    + 8         after a K in front: the key starts   2fa → K________2FA     API_KEY → K____________API_KEY
                here, with a digit or a capital

So lower-case keys with slashes have the name that one expects, every key has a name of its own, and every name that
was made so leads back to its key. Nothing else is guessed: `key_of` is None for all other names.
"""

import re
from typing import Final

SEPARATORS: Final = ("", "_", "/", "-")
KEY: Final = re.compile(r"[A-Za-z0-9]+(?:[_/-][A-Za-z0-9]+)*")
LONGEST: Final = 128
_RUN: Final = re.compile(r"_+|[A-Z0-9]")
_TURN: Final = 4
_START: Final = 8
RULE: Final = "a key looks like prod/db/password: runs of letters and digits, with one _, / or - between them"
"""What is wrong with a key, in words that do not repeat it."""


def name_of(key: str) -> str:
    """Return the name that a key stands for; raises `ValueError` with `RULE`, or that it is too long."""
    if not KEY.fullmatch(key):
        raise ValueError(RULE)
    made, run, capitals = [], 0, False
    if not ("a" <= key[0] <= "z"):
        made, run = ["K"], _START
    for char in key:
        if char in "_/-":
            run += SEPARATORS.index(char)
            continue
        if char.isalpha() and char.isupper() is not capitals:
            capitals = not capitals
            run += _TURN
        made.append("_" * run + char.upper())
        run = 0
    name = "".join(made)
    if len(name) > LONGEST:
        raise ValueError(f"the key's name has more than {LONGEST} characters; - and capitals take several")
    return name


def key_of(name: str) -> str | None:
    """Return the key of a name, or None when no key maps to it."""
    parts = _RUN.findall(name)
    made, capitals = "", False
    if parts[:1] == ["K"] and len(parts) > 1 and len(parts[1]) >= _START and parts[1][0] == "_":
        parts = [parts[1][_START:], *parts[2:]]
    for part in parts:
        if not part.startswith("_"):
            made += part if capitals else part.lower()
        elif len(part) < _START:
            made += SEPARATORS[len(part) % _TURN]
            capitals ^= len(part) >= _TURN
    try:
        return made if name_of(made) == name else None
    except ValueError:
        return None
