"""Occurrences in a stream of text: any split gives what the whole would give."""

from dataclasses import dataclass
from typing import Protocol

from proxy.core.edit import Editor
from proxy.core.placeholder import Surface, escaped, find, pending


class Part(Protocol):
    """Something that is rewritten as it streams."""

    def feed(self, data: bytes) -> bytes:
        """Return what is decided; raises `Refused`."""

    def finish(self) -> bytes:
        """Return what was held back."""


@dataclass(slots=True)
class TextRewriter:
    """Rewrites one surface, and holds back only what may still become an occurrence."""

    editor: Editor
    surface: Surface
    _held: bytes = b""
    _backslash: bool = False

    def feed(self, data: bytes) -> bytes:
        """Return what is decided; raises `Refused`."""
        data = self._held + data if self._held else data
        occurrences = find(data, self.surface, after_backslash=self._backslash)
        end = pending(data, self.surface, after_backslash=self._backslash)
        self._held, ready = data[end:], data[:end] if end < len(data) else data
        if self.surface is Surface.JSON and ready:
            self._backslash = escaped(data, end, before=self._backslash)
        return self.editor.apply(ready, occurrences, self.surface) if occurrences else ready

    def finish(self) -> bytes:
        """Return the beginning of an occurrence that never ended."""
        held, self._held = self._held, b""
        return held
