"""What is fuzzed, and what must hold for every input. A target takes bytes and raises when something does not hold."""

from collections.abc import Callable, Iterator

import vectors
from names import Known, Names
from vectors import FORMS

from proxy.core import body, inject
from proxy.core.coding import Codec
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.placeholder import LONGEST, Surface, find, pending
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import Scrubber, searchable
from proxy.core.scrub.stream import Stream
from proxy.core.socket_message import MessageRewriter
from store.model import Destination, Location, SecretValue

HOST = Destination(True, "api.example.com", 443)
VALUE = b"canary&\"\\/'<+ \xc3\xa9=%23#"
EVERY = frozenset(Location)
NAMES = Names(
    [
        Known("KEY", VALUE, (HOST,), locations=EVERY),
        Known("A", b"canary-two-two", (HOST,), locations=EVERY),
        Known("BIN", b"\x00\xff\r\n canary", (HOST,), locations=EVERY),
    ]
)
ROTATED = bytes.maketrans(b"abcdefghijklmnopqrstuvwxyz", b"bcdefghijklmnopqrstuvwxyza")
LIMITS = Limits(body_bytes=1 << 20, expansion_bytes=1 << 16, inflate_floor=1 << 20, buffer_bytes=256)
TYPES = (
    b"application/json", b"application/x-www-form-urlencoded", b"text/xml", b"text/plain", b"multipart/form-data; boundary=B1",
)  # fmt: skip
CODINGS = ("", "gzip", "deflate", "br", "zstd", "gzip, br")
SCRUBBER = Scrubber([(known.name, SecretValue(known.value)) for known in NAMES.known])
OTHER = Scrubber([(known.name, SecretValue(known.value.translate(ROTATED))) for known in NAMES.known])
SPELLED = sorted(set(FORMS) - {"mime", "utf16"})


class Broken(Exception):
    """A property does not hold."""


def must(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


def cuts(data: bytes, seed: int) -> Iterator[bytes]:
    """Cut data in a way that the seed decides."""
    at = 0
    while at < len(data):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        size = (1, 2, 3, 7, 50, 500)[seed >> 8 & 7 if seed >> 8 & 7 < 6 else 0]
        yield data[at : at + size]
        at += size


def rewritten(kind: bytes, coding: str, pieces: list[bytes]) -> tuple[bytes, dict, dict] | Refusal | None:
    fields = ((b"Content-Type", kind), (b"Content-Encoding", coding.encode()))
    rewriter = body.rewriter(Head("POST", b"/", fields, HOST), NAMES, LIMITS)
    if not isinstance(rewriter, body.Rewriter):
        return rewriter
    try:
        out = b"".join([rewriter.feed(piece) for piece in pieces]) + rewriter.finish()
    except Refused as refused:
        return refused.refusal
    return out, rewriter.injected, rewriter.carried


def decoded(coding: str, result: tuple[bytes, dict, dict] | Refusal | None) -> object:
    """Decode what went up: how it is encoded depends on how it was cut."""
    if not isinstance(result, tuple):
        return result
    return b"".join(Codec(tuple(filter(None, coding.split(", "))), LIMITS).decode(result[0])), *result[1:]


def grammar(data: bytes) -> None:
    """Occurrences are in order, inside, spelled as they say; little is pending."""
    for surface in Surface:
        end = 0
        for occurrence in find(data, surface):
            must(end <= occurrence.start < occurrence.end <= len(data), "order")
            must(occurrence.name.encode() in data[occurrence.start : occurrence.end], "name")
            end = occurrence.end
        must(len(data) - pending(data, surface) < LONGEST, "pending")


def bodies(data: bytes) -> None:
    """Any split gives what the whole gives; nothing but Refused comes out."""
    if len(data) < 2:
        return
    kind, coding = TYPES[data[0] % len(TYPES)], CODINGS[data[1] % len(CODINGS)]
    plain, wire = data[2:], data[2:]
    for name in coding.split(", ") if data[0] & 0x80 else ():
        wire = vectors.encode(name, wire)
    whole = rewritten(kind, coding, [wire])
    split = rewritten(kind, coding, list(cuts(wire, len(data))))
    must(decoded(coding, whole) == decoded(coding, split) or isinstance(whole, Refusal), "split")
    if (
        b"SECRETS." not in plain
        and b"VARS." not in plain
        and isinstance(whole, tuple)
        and (not coding or data[0] & 0x80)
    ):
        must(whole[1] == {}, "injected")
        must(bool(coding) or whole[0] == plain, "changed")


def heads(data: bytes) -> None:
    """A head is planned and written, or refused."""
    target, *lines = data.split(b"\n")
    fields = tuple((name, value) for name, _, value in (line.partition(b":") for line in lines))
    head = Head("GET", b"/" + target, fields, HOST)
    searchable(fields)
    try:
        plan = inject.plan(head, NAMES, LIMITS)
        written_target, written = plan.write(head)
    except Refused:
        return
    must(len(written) == len(fields), "fields")
    must(
        not any(control in written_target for control in (b"\r", b"\n", b"\0")) or any(c in target for c in b"\r\n\0"),
        "target",
    )
    for (name, before), (same, after) in zip(fields, written, strict=True):
        must(name == same, "name")
        must(not any(c in after and c not in before for c in b"\r\n\0"), "control")


def messages(data: bytes) -> None:
    """Fragments of a message give what the whole gives."""
    results = []
    for pieces in ([data], list(cuts(data, len(data)))):
        rewriter = MessageRewriter(Head("GET", b"/", (), HOST, websocket=True), NAMES, LIMITS)
        try:
            results.append(
                b"".join([rewriter.feed(piece, final=False) for piece in pieces]) + rewriter.feed(b"", final=True)
            )
        except Refused as refused:
            results.append(refused.refusal)
    must(results[0] == results[1], "split")


def answers(data: bytes) -> None:
    """However it is cut, no value is left."""
    whole = SCRUBBER.text(data)
    stream = Stream(SCRUBBER)
    out = b"".join([stream.feed(piece) for piece in cuts(data, len(data))]) + stream.feed(b"", final=True)
    must(VALUE not in whole, "value")
    must(VALUE not in out, "value, cut")


def alike(data: bytes) -> None:
    """Two stores with values of the same shapes give the same bytes in the same pieces, for the same work."""
    told = []
    for scrubber in (SCRUBBER, OTHER):
        stream = Stream(scrubber)
        out = [stream.feed(piece) for piece in cuts(data, len(data))]
        told.append((*out, stream.feed(b"", final=True), stream.work, stream.changed))
    must(told[0][-1] or told[1][-1] or told[0] == told[1], "alike")


def planted(data: bytes) -> None:
    """A value in some form between any bytes is not left."""
    if len(data) < 2:
        return
    form = SPELLED[data[0] % len(SPELLED)]
    at = data[1] % max(1, len(data) - 2)
    known = NAMES.known[data[1] % 2]
    spelled = FORMS[form](known.value)
    out = SCRUBBER.text(data[2 : 2 + at] + b"|" + spelled + b"|" + data[2 + at :])
    core = spelled.rstrip(b"=")[: len(known.value) * 8 // 6] if form.startswith("b64") else spelled
    must(core not in out, form)


def parts(data: bytes) -> None:
    """A part of a body keeps its length, however it is cut."""
    fields = ((b"Content-Range", b"bytes 5-%d/99999" % (4 + len(data))),)
    for pieces in ([data], list(cuts(data, len(data)))):
        scrub = SCRUBBER.body(fields)
        out = b"".join([scrub.feed(piece) for piece in pieces]) + scrub.finish() if scrub else data
        must(len(out) == len(data), "length")


def coded(data: bytes) -> None:
    """Any bytes decode, or are refused; what decodes comes back."""
    if not data:
        return
    chain = tuple(filter(None, CODINGS[data[0] % len(CODINGS)].split(", ")))
    codec = Codec(chain, LIMITS)
    try:
        out = b"".join([codec.encode(piece) for cut in cuts(data[1:], data[0]) for piece in codec.decode(cut)])
        codec.decoded()
        out += codec.encoded()
        again = Codec(chain, LIMITS)
        once = b"".join(Codec(chain, LIMITS).decode(data[1:]))
        must(b"".join(again.decode(out)) == once, "round trip")
        again.decoded()
    except Refused:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (grammar, bodies, heads, messages, answers, alike, planted, parts, coded)
}


def seeds() -> Iterator[bytes]:
    """The bytes of the vectors, small enough to mutate."""
    for vector in vectors.load():
        for sent in (vector.request, vector.answer):
            if sent is None:
                continue
            head = b"\n".join([sent.target, *(b": ".join(pair) for pair in sent.fields)])
            for data in (sent.wire, head, *sent.messages):
                if 0 < len(data) <= 2000:
                    yield data
                    yield b"\x00\x00" + data
