"""XML and HTML: text and attributes, where values are escaped, and CDATA sections, where nothing is (XML 1.0 2.7)."""

from dataclasses import dataclass, field
from typing import Final

from proxy.core.body.text import TextRewriter
from proxy.core.edit import Editor
from proxy.core.placeholder import Surface

_BEGIN: Final = b"<![CDATA["
_END: Final = b"]]>"


@dataclass(slots=True)
class MarkupRewriter:
    """Follows where CDATA sections begin and end, also across chunks."""

    editor: Editor
    _text: TextRewriter = field(init=False)
    _held: bytes = b""
    _inside: bool = False

    def __post_init__(self) -> None:
        self._text = TextRewriter(self.editor, Surface.MARKUP)

    def feed(self, data: bytes) -> bytes:
        """Return what is decided; raises `Refused`."""
        data = self._held + data
        out, place = [], 0
        while (at := data.find(marker := _END if self._inside else _BEGIN, place)) >= 0:
            out += [self._text.feed(data[place:at]), self._text.finish(), marker]
            place = at + len(marker)
            self._inside = not self._inside
            self._text = TextRewriter(self.editor, Surface.CDATA if self._inside else Surface.MARKUP)
        end = len(data) - overlap(data[place:], marker)
        self._held = data[end:]
        out.append(self._text.feed(data[place:end]))
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, b""
        return self._text.feed(held) + self._text.finish()


def overlap(data: bytes, marker: bytes) -> int:
    """Return the length of the longest end of `data` that properly begins `marker`."""
    for length in range(min(len(marker) - 1, len(data)), 0, -1):
        if data.endswith(marker[:length]):
            return length
    return 0
