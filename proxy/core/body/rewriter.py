"""Chooses how a request body is searched, and runs it: decode, rewrite, encode.

An encoded body that holds nothing to inject goes up as it came: what is encoded anew has other bytes, and signatures
over the old ones would fail. So the original is kept until something is injected, or until it outgrows the buffer. What
is encoded anew is not compressed: a value and what the client wrote beside it would be, together, and the length tell
how much they have in common.
"""

from proxy.core.body.kind import Kind, kind_of
from proxy.core.body.markup import MarkupRewriter
from proxy.core.body.multipart import MultipartRewriter
from proxy.core.body.text import Part, TextRewriter
from proxy.core.coding import Codec, codings, known
from proxy.core.edit import Budget, Editor
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.placeholder import Surface
from proxy.core.refusal import Refusal, Refused
from store.model import Grant, Location, Resolver

_FRAMED = "aws-chunked"  # lengths and signatures stand between the bytes: not to be touched


class Rewriter:
    """A body on its way up.

    `resizes`: its length may change. Without that, `feed` gives back what it takes, and only watches for what is
    carried. `injected` and `carried` name what was found so far, the carried with their codes.
    """

    __slots__ = ("_codec", "_editor", "_limits", "_original", "_part", "_ready", "_taken", "resizes")

    def __init__(self, part: Part, editor: Editor, codec: Codec, limits: Limits) -> None:
        self._part, self._editor, self._codec, self._limits = part, editor, codec, limits
        self.resizes = not editor.watch
        self._taken = 0
        self._original: list[bytes] | None = [] if self.resizes and not codec.plain else None
        self._ready: list[bytes] = []

    @property
    def injected(self) -> dict[str, Grant]:
        """What was written into the body, by name."""
        return self._editor.injected

    @property
    def carried(self) -> dict[str, str]:
        """Names left as text, each with its code."""
        return self._editor.carried

    def feed(self, data: bytes) -> bytes:
        """Rewrite a piece; may hold back the beginning of a placeholder. Raises `Refused`."""
        self._taken += len(data)
        if self._taken > self._limits.body_bytes:
            raise Refused(Refusal("body_too_large"))
        if not self.resizes:
            self._watch(data)
            return data
        if self._codec.plain:
            return self._part.feed(data)
        out = b"".join(self._codec.encode(self._part.feed(piece)) for piece in self._codec.decode(data))
        return self._keep(data, out)

    def finish(self) -> bytes:
        """Return what was held back; raises `Refused` when an encoded body is cut off."""
        if not self.resizes:
            return b""
        self._codec.decoded()
        out = self._codec.encode(self._part.finish()) + self._codec.encoded()
        if self._original is not None:
            return b"".join((*self._ready, out) if self.injected else self._original)
        return out

    def _keep(self, data: bytes, out: bytes) -> bytes:
        """Hold both the original and what it became, until it is known which goes up."""
        if self._original is None:
            return out
        self._original.append(data)
        self._ready.append(out)
        if not self.injected and self._taken <= self._limits.buffer_bytes:
            return b""
        ready, self._ready, self._original = b"".join(self._ready), [], None
        return ready

    def _watch(self, data: bytes) -> None:
        """Look at a body that passes as it is; one that does not decode holds nothing that anybody could inject."""
        try:
            for piece in self._codec.decode(data):
                self._part.feed(piece)
        except Refused as refused:
            if self._editor.strict and refused.refusal.secret is not None:
                raise
            self._codec = Codec((), self._limits)
            self._part = _Blind()


class _Blind:
    """Looks at nothing any more."""

    def feed(self, data: bytes) -> bytes:
        """Pass."""
        return data

    def finish(self) -> bytes:
        """Nothing was held."""
        return b""


def rewriter(
    head: Head, resolver: Resolver, limits: Limits, *, strict: bool = False, budget: Budget | None = None
) -> Rewriter | None:
    """Return what rewrites the body of `head`; `None` when it passes untouched. Raises `Refused`.

    `budget` is the plan's, so that head and body share one limit of expansion.
    """
    if _length(head) > limits.body_bytes:
        raise Refused(Refusal("body_too_large"))
    chain, kind = codings(head.fields), kind_of(head.values(b"content-type"))
    if kind.surface is None or head.websocket or _FRAMED in chain:
        return None
    watch = not resolver.reachable(head.destination, Location.BODY)
    if not known(chain):
        if watch:
            return None
        raise Refused(Refusal("unsupported_encoding"))
    editor = Editor(resolver, head.use(Location.BODY), budget or Budget(limits.expansion_bytes), strict, watch)
    return Rewriter(_part(kind, editor), editor, Codec(chain, limits, limits.body_bytes, stored=True), limits)


def _length(head: Head) -> int:
    lengths = [int(value[:20]) for value in head.values(b"content-length") if value.isdigit()]
    return max(lengths, default=0)


def _part(kind: Kind, editor: Editor) -> Part:
    match kind.surface:
        case Surface.MULTIPART:
            return MultipartRewriter(editor, kind.boundary)
        case Surface.MARKUP:
            return MarkupRewriter(editor)
        case surface:
            return TextRewriter(editor, surface or Surface.RAW)
