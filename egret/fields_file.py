"""A file with header fields, `Name: value` a line, of mode 0600 or less: credentials that are in no configuration."""

import re
from pathlib import Path
from typing import Final

from egret.settings import SettingsError

_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*)")


def read_fields(path: Path, key: str) -> dict[str, str]:
    """Return the fields; raises `SettingsError`, which names the setting `key`, and never what the file holds."""
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{key}: others may read {path}: chmod 600 it")
        lines = [line for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, ValueError):
        raise SettingsError(
            f"{key}: {path}: cannot be read: it needs lines such as `Authorization: Bearer …`"
        ) from None
    found = [_LINE.fullmatch(line.strip()) for line in lines]
    if not found or None in found:
        raise SettingsError(f"{key}: {path}: needs lines such as `Authorization: Bearer …`, in ASCII")
    return {match[1]: match[2] for match in found if match is not None}
