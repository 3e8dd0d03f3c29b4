"""WebSocket messages from client to server: placeholders in text messages become values (RFC 6455 5.6).

A message whose first character opens a JSON object, array or string is JSON; any other text is raw. Binary messages
are not touched. What may not be injected is carried, as in a body.
"""

from dataclasses import dataclass, field

from proxy.core.body.text import TextRewriter
from proxy.core.edit import Budget, Editor
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.placeholder import Surface, worded
from proxy.core.refusal import Refusal, Refused
from store.model import Grant, Location, Resolver

_SPACE = b" \t\r\n"


@dataclass(slots=True)
class MessageRewriter:
    """One text message, in fragments. Make a new one for each message, with a fresh resolver: rules may have changed.

    `head` is that of the handshake.
    """

    head: Head
    resolver: Resolver
    limits: Limits
    strict: bool = False
    injected: dict[str, Grant] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)
    _text: TextRewriter | None = None
    _taken: int = 0

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Rewrite a fragment; `final` ends the message. Raises `Refused`."""
        self._taken += len(data)
        if self._taken > self.limits.message_bytes:
            raise Refused(Refusal("body_too_large"))
        if self._text is None:
            if final and not worded(data):  # a whole message, and nothing in it to replace
                return data
            if not data.strip(_SPACE):
                return data
            self._text = self._begin(data.lstrip(_SPACE))
        out = self._text.feed(data)
        return out + self._text.finish() if final else out

    def _begin(self, data: bytes) -> TextRewriter:
        surface = Surface.JSON if data[:1] in (b"{", b"[", b'"') else Surface.MESSAGE
        use, budget = self.head.use(Location.MESSAGE), Budget(self.limits.expansion_bytes)
        editor = Editor(self.resolver, use, budget, self.strict, injected=self.injected, carried=self.carried)
        return TextRewriter(editor, surface)
