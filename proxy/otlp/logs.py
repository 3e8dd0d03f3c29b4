"""A line of the log for each request, beside its span: for who reads logs at the collector, and not on stderr."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from proxy.otlp.spans import SECOND, attributes

SCOPE = InstrumentationScope("egret.requests")


def logged(
    resource: Resource, lines: Sequence[Mapping[str, Any]], spans: Sequence[ReadableSpan]
) -> list[ReadableLogRecord]:
    """Return the records of requests; each names its span."""
    return [_record(resource, members, span) for members, span in zip(lines, spans, strict=True)]


def _record(resource: Resource, members: Mapping[str, Any], span: ReadableSpan) -> ReadableLogRecord:
    at, refused = int(members["at"] * SECOND), members.get("result") == "refused"
    context = span.get_span_context()
    record = LogRecord(
        timestamp=at,
        observed_timestamp=at,
        context=None if context is None else set_span_in_context(NonRecordingSpan(context), Context()),
        severity_text="WARN" if refused else "INFO",
        severity_number=SeverityNumber.WARN if refused else SeverityNumber.INFO,
        body=f"request {members.get('result')}",
        attributes=attributes(members),
    )
    return ReadableLogRecord(record, resource, SCOPE)
