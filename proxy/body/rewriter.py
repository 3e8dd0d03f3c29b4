"""Chooses how a request body is searched, and runs it: decode, rewrite, encode."""

from dataclasses import dataclass

from proxy.body.kind import surface_of
from proxy.body.text import TextRewriter
from proxy.edit import Budget, Editor
from proxy.limits import Limits
from proxy.message import Head
from proxy.refusal import Refusal, Refused
from store.model import Location, Resolver, Use


@dataclass(slots=True)
class Rewriter:
    """A body on its way up. `resizes`: whether its length may change."""

    text: TextRewriter
    editor: Editor
    limits: Limits
    resizes: bool = True
    taken: int = 0

    @property
    def injected(self) -> dict[str, str]:
        """Names written into the body."""
        return self.editor.injected

    @property
    def carried(self) -> dict[str, str]:
        """Names left as text, each with its code."""
        return self.editor.carried

    def feed(self, data: bytes) -> bytes:
        """Rewrite a piece; may hold back the beginning of a placeholder. Raises `Refused`."""
        self.taken += len(data)
        if self.taken > self.limits.body_bytes:
            raise Refused(Refusal("body_too_large"))
        return self.text.feed(data)

    def finish(self) -> bytes:
        """Return what was held back."""
        return self.text.finish()


def rewriter(
    head: Head, resolver: Resolver, limits: Limits, *, strict: bool = False, budget: Budget | None = None
) -> Rewriter | Refusal | None:
    """Return what rewrites the body of `head`; `None` when it passes untouched."""
    surface = surface_of(head)
    if surface is None or head.websocket:
        return None
    use = Use(head.destination, Location.BODY, head.method, head.path)
    editor = Editor(resolver, use, surface, budget or Budget(limits.expansion_bytes), strict)
    return Rewriter(TextRewriter(editor), editor, limits, resolver.reachable(head.destination, Location.BODY))
