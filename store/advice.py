"""What is said of a value to who uploads it, and to nobody else: it is neither stored nor listed, nor shown again.

Whoever has the value judges it: the API and the dashboard where they are given it in clear, the client where it seals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from store.credential import secrets_of
from store.kinds import STATIC
from store.model import Kind, SecretValue
from store.records import EntryInfo, NewEntry, Warned
from store.strength import strong

WEAK: Final = Warned(
    "weak_value",
    "The value has fewer than 80 random bits in one run: it can be found by guessing, at the hosts that it may go to. "
    "Take a longer random one where you can; see docs/scrubbing.md.",
)
SAID_ONCE: Final = frozenset({WEAK.code})
"""Codes of warnings that no answer repeats."""


def on_value(value: bytes, kind: str | None = None) -> tuple[Warned, ...]:
    """Return what is to be said of a secret's value, of a given kind: each secret part of it counts."""
    parts = secrets_of(kind or STATIC, SecretValue(value))
    return () if all(strong(part.reveal()) for part in parts) else (WEAK,)


def advised(infos: Sequence[EntryInfo], uploaded: Sequence[NewEntry]) -> tuple[EntryInfo, ...]:
    """Return what is told of entries after their upload: with what is said once."""
    said = {
        (entry.name, entry.environment): on_value(entry.value.reveal(), entry.kind)
        for entry in uploaded
        if entry.value is not None
    }
    return tuple(
        replace(info, warnings=(*info.warnings, *told))
        if info.kind is Kind.SECRET and (told := said.get((info.name, info.environment)))
        else info
        for info in infos
    )


def forgotten(document: object) -> object:
    """Return an answer as JSON has it without what is said once, so that it can be kept for a repetition."""
    if isinstance(document, list):
        return [forgotten(each) for each in document if not _once(each)]
    if isinstance(document, Mapping):
        return {name: forgotten(each) for name, each in document.items()}
    return document


def _once(each: object) -> bool:
    return isinstance(each, Mapping) and set(each) == {"code", "detail"} and each["code"] in SAID_ONCE
