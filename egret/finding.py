"""What a check of `egret doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `ok` is None for what could not be tried."""

    name: str
    ok: bool | None
    said: str
