"""Occurrences in a stream of text: any split gives what the whole would give."""

from dataclasses import dataclass

from proxy.edit import Editor
from proxy.placeholder import Surface, escaped, find, pending


@dataclass(slots=True)
class TextRewriter:
    """Rewrites one surface as it streams, and holds back only what may still become an occurrence."""

    editor: Editor
    _held: bytes = b""
    _backslash: bool = False

    def feed(self, data: bytes) -> bytes:
        """Return what is decided."""
        data = self._held + data if self._held else data
        surface = self.editor.surface
        occurrences = find(data, surface, after_backslash=self._backslash)
        end = pending(data, surface, after_backslash=self._backslash)
        self._held, ready = data[end:], data[:end] if end < len(data) else data
        if surface is Surface.JSON and ready:
            self._backslash = escaped(data, end, before=self._backslash)
        return self.editor.apply(ready, occurrences)

    def finish(self) -> bytes:
        """Return the beginning of an occurrence that never ended."""
        held, self._held = self._held, b""
        return held
