"""Every metric of the data plane: its name, kind, labels, and the sentence that operators read about it.

What is exported, and `docs/observability.md`, are made from this table. Every series has the labels `engine`
(mitmproxy, express, gateway) and `worker` (the process's id: one that is restarted begins a series of its own).
"""

from dataclasses import dataclass
from typing import Final

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
PREFIX: Final = "egret_proxy_"
COMMON: Final = ("engine", "worker")
OTHER: Final = "(other)"
"""Stands for every scope and secret beyond `proxy.status_series`: no name may hold a parenthesis."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is without `PREFIX`, and without the `_total` that counters end in."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """The name as it is scraped."""
        return PREFIX + self.name + ("_total" if self.kind == COUNTER else "")


_ALL: Final = (
    Metric(
        "requests", COUNTER,
        "Requests, by how they ended: answered by an upstream, own (Egret itself: CONNECT, preflights, health, a "
        "session's own), refused, gone (the client went first).",
        ("result",),
    ),
    Metric("answers", COUNTER, "Answers of upstreams that began to go out, by class of status.", ("class",)),
    Metric(
        "refusals", COUNTER, "Refusals by code (docs/errors.md), of WebSocket messages and of strangers too.", ("code",)
    ),
    Metric("turned_away", COUNTER, "Connections that came when there were too many, and were told 429 at once."),
    Metric("injections", COUNTER, "Values put into requests, by where they stood.", ("location",)),
    Metric("carried", COUNTER, "Placeholders in bodies and messages that were sent on as the text that they are."),
    Metric("scrub_hits", COUNTER, "Values taken out of answers."),
    Metric(
        "unasked_hits", COUNTER,
        "Values in answers to requests that had not sent them. None is normal: docs/scrubbing.md.",
    ),
    Metric("sessions_ended", COUNTER, "Sessions ended for unasked hits (limits.unasked_hits)."),
    Metric("passages", COUNTER, "Tunnels that were not looked into (egress.passthrough)."),
    Metric(
        "added_seconds", HISTOGRAM,
        "What Egret added to an answered request until its answer began: all time but that spent waiting for the "
        "upstream (connection included) and for the client's body.",
    ),
    Metric(
        "upstream_seconds", HISTOGRAM, "From what was last sent to the upstream to the head of its answer.",
    ),
    Metric(
        "open", GAUGE,
        "What is open now: client connections, tunnels, HTTP/2 streams, requests, WebSockets, passages.", ("kind",),
    ),
    Metric("upstream_connections", GAUGE, "Connections to upstreams: idle ones, and those of HTTP/2.", ("state",)),
    Metric("upstream_dials", COUNTER, "Connections to upstreams that were made."),
    Metric("tokens_kept", GAUGE, "Tokens in use that secrets were traded for: docs/credentials-oauth2.md."),
    Metric(
        "token_calls", COUNTER, "How making a token ended: made, refused, blocked, unavailable, needs_login.",
        ("result",),
    ),
    Metric("searches_built", COUNTER, "Searches for values in answers that were built."),
    Metric("searched_values", GAUGE, "Values that the searches kept now look for, each counted in each search."),
    Metric("view_fresh", GAUGE, "1 while the view of the store may be acted on; at 0 every request is refused."),
    Metric("view_age_seconds", GAUGE, "Since the store last vouched for the view; at limits.max_stale it is too old."),
    Metric("view_alarms", COUNTER, "Times that the store was away, or something in it did not verify."),
    Metric(
        "unpriced_answers", COUNTER,
        "Answers that a budget of cost counted at the price of unknown models: docs/budgets.md.",
    ),
    Metric("audit_lines", COUNTER, "Lines of the audit that were spooled."),
    Metric(
        "spool_bytes", GAUGE,
        "Bytes of spools in the data folder, of all its processes; a file goes when it is full and taken in.",
    ),
    Metric("spool_held", GAUGE, "1 while requests are refused because lines of the audit cannot be handed on."),
    Metric("log_lines_dropped", COUNTER, "Lines of log.requests that nobody took fast enough."),
    Metric("otlp_dropped", COUNTER, "Requests, or numbers, of which the collector was not told (otlp.endpoint)."),
    Metric("cpu_seconds", COUNTER, "Processor time."),
    Metric("resident_bytes", GAUGE, "Memory."),
    Metric("descriptors", GAUGE, "Open file descriptors."),
    Metric("start_time_seconds", GAUGE, "When the process started, in Unix seconds."),
    Metric(
        "scope_requests", COUNTER, "As requests, by dataset; with proxy.status_series only.", ("scope", "result"),
    ),
    Metric(
        "secret_injections", COUNTER, "As injections, by dataset and secret; with proxy.status_series only.",
        ("scope", "secret"),
    ),
)  # fmt: skip

METRICS: Final = {metric.name: metric for metric in _ALL}
