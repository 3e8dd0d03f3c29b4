"""How a key of the configuration is declared."""

from dataclasses import field
from typing import Any

from egret.kinds import Kind


def option[T](kind: Kind[T], default: T, doc: str) -> T:
    """Declare a key: its kind, its default, and the sentence that users read about it."""
    declared: Any = field(default=default, metadata={"kind": kind, "doc": doc})
    value: T = declared
    return value
