"""Spans of requests, made when they are over, of what the request log tells about them: names, ids and times."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

SECOND: Final = 1_000_000_000
"""In nanoseconds, in which OTLP has times."""
NAMES: Final = 128
"""Of secrets that a span tells at most."""
_PLAIN: Final = {
    "request_id": "egret.request_id", "result": "egret.result", "session": "egret.session", "scope": "egret.scope",
    "carried": "egret.carried", "added": "egret.added_seconds", "upstream": "egret.upstream_seconds",
    "code": "error.type",
}  # fmt: skip
"""What is told as it is, where it is anything, and by which name."""


def attributes(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a request: what the log has, by the names of OpenTelemetry's conventions where it can."""
    told = {name: members[ours] for ours, name in _PLAIN.items() if members.get(ours) not in (None, "")}
    told["http.request.method"] = members.get("method") or "_OTHER"
    if members.get("injected"):
        told["egret.injected"] = members["injected"][:NAMES]
    if members.get("status"):
        told["http.response.status_code"] = members["status"]
    if destination := members.get("destination"):
        scheme, _, authority = destination.rpartition("://")
        told["url.scheme"] = scheme or "https"
        host, colon, port = authority.rpartition(":")
        if not colon or not port.isdigit():
            host, port = authority, "443" if told["url.scheme"] == "https" else "80"
        told |= {"server.address": host.strip("[]"), "server.port": int(port)}
    return told


class Spans:
    """Makes them."""

    def __init__(self, resource: Resource) -> None:
        self._ids, self._made = _Ids(), _Made()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            id_generator=self._ids,
            shutdown_on_exit=False,
            span_limits=SpanLimits(),
        )
        provider.add_span_processor(self._made)
        self._tracer = provider.get_tracer("egret")

    def made(self, lines: Sequence[Mapping[str, Any]]) -> list[ReadableSpan]:
        """Return the spans of requests; each line learns the ids of its own, for the log."""
        for members in lines:
            self._make(members)
        made, self._made.spans = self._made.spans, []
        return made

    def _make(self, members: Mapping[str, Any]) -> None:
        end = int(members["at"] * SECOND)
        told = attributes(members)
        context, self._ids.span = Context(), None
        if trace := members.get("trace"):
            id_, parent, flags, span = trace
            remote = SpanContext(int(id_, 16), int(parent, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
            context, self._ids.span = set_span_in_context(NonRecordingSpan(remote), context), int(span, 16)
        made = self._tracer.start_span(
            members.get("method") or "HTTP",
            context,
            SpanKind.SERVER,
            told,
            start_time=end - int(members.get("seconds", 0.0) * SECOND),
        )
        if members.get("result") == "refused":
            made.set_status(Status(StatusCode.ERROR))
        made.end(end)


class _Ids(IdGenerator):
    """The span's id that the upstream was told, where it was; else one that nobody can guess."""

    def __init__(self) -> None:
        self.span: int | None = None
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        return self.span or self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._random.generate_trace_id()


class _Made(SpanProcessor):
    """Keeps what is made."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)
