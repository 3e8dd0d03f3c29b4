"""What holds for every body, every split and every value."""

import itertools
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st
from names import Known, Names
from vectors import FORMS, decode, encode

from proxy.core import body
from proxy.core.coding import Codec
from proxy.core.edit import Budget, Editor
from proxy.core.limits import DEFAULT
from proxy.core.message import Head
from proxy.core.placeholder import LONGEST, Surface, find, pending
from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import Stream
from store.model import Destination, Location, SecretValue, Use

HOST = Destination(True, "api.example.com", 443)
VALUE = b"canary&\"\\/'<+ \xc3\xa9=%23"
NAMES = Names([Known("A", VALUE, (HOST,)), Known("AB", b"canary-two", (HOST,)), Known("C", b"#{SECRETS.A}", (HOST,))])
TYPES = {
    "application/json": Surface.JSON,
    "application/x-www-form-urlencoded": Surface.FORM,
    "application/xml": Surface.MARKUP,
    "text/plain": Surface.RAW,
    "multipart/form-data; boundary=B": Surface.MULTIPART,
}

TOKENS = [
    b"#", b"%23", b"\\u0023", b"&#35;", b"{", b"%7B", b"%7b", b"\\u007b", b"\\u007B", b"<", b"%3C", b"\\u003c", b"&lt;",
    b"}", b"%7D", b"\\u007D", b">", b"%3e", b"\\u003E", b"&gt;", b"SECRETS.", b"VARS.", b"A", b"AB", b"C", b"NOPE", b"_1",
    b"\\", b"\\\\", b"\\u00", b"%", b"&", b"%25", b"\r\n", b"\n", b"--B", b"\r\n--B\r\n", b"--B--", b"\r\n\r\n", b"A: 1",
    b"Content-Type: multipart/mixed; boundary=BB", b"--BB", b"<![CDATA[", b"]]>", b'"', b"\xff", b" ", b"x",
]  # fmt: skip
PLACEHOLDERS = [
    b"#{SECRETS.A}", b"#<SECRETS.AB>", b"%23%7BSECRETS.C%7d", b"\\u0023\\u007bSECRETS.A\\u007d", b"&#35;&lt;SECRETS.A&gt;",
    b"#{SECRETS.NOPE}", b"#{VARS.A}",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(TOKENS + PLACEHOLDERS) | st.binary(max_size=4), max_size=30).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=20)
QUICK = settings(max_examples=300)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at places; empty pieces too."""
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def rewritten(kind: str, data: bytes, places: list[int], coding: str = "") -> tuple[bytes, dict, dict]:
    fields = ((b"Content-Type", kind.encode()), *(((b"Content-Encoding", coding.encode()),) if coding else ()))
    rewriter = body.rewriter(Head("POST", b"/", fields, HOST), NAMES, DEFAULT)
    assert isinstance(rewriter, body.Rewriter)
    out = b"".join(rewriter.feed(piece) for piece in cut(data, places)) + rewriter.finish()
    return out, rewriter.injected, rewriter.carried


@QUICK
@given(st.sampled_from(sorted(TYPES)), TEXT, CUTS)
@example("application/json", b"\\\\u0023{SECRETS.A}", [1])
@example("application/json", b"\\\\\\u0023{SECRETS.A}", [2])
@example("multipart/form-data; boundary=B", b"--B\r\n\r\n#{SECRETS.A}\r\n--B--", [20])
def test_any_split_of_a_body_gives_what_the_whole_gives(kind: str, data: bytes, places: list[int]) -> None:
    """At every byte, and with empty pieces."""
    whole = rewritten(kind, data, [])
    assert rewritten(kind, data, places) == whole
    assert rewritten(kind, data, list(range(len(data)))) == whole


GRAMMAR = {
    Surface.JSON: (r"(?:#|(?<!\\)(?:\\\\)*\\u0023)", {"{": r"\{|\\u007[bB]", "}": r"\}|\\u007[dD]", "<": r"<|\\u003[cC]", ">": r">|\\u003[eE]"}),
    Surface.FORM: (r"(?:#|%23)", {"{": r"\{|%7[bB]", "}": r"\}|%7[dD]", "<": r"<|%3[cC]", ">": r">|%3[eE]"}),
    Surface.MARKUP: (r"(?:#|&#35;)", {"{": r"\{", "}": r"\}", "<": "<|&lt;", ">": ">|&gt;"}),
    Surface.RAW: ("#", {"{": r"\{", "}": r"\}", "<": "<", ">": ">"}),
}  # fmt: skip


def by_regex(data: bytes, surface: Surface) -> list[tuple[int, str]]:
    """The grammar once more, as one slow expression over the whole: (end, name) of each occurrence."""
    sharp, marks = GRAMMAR[surface]
    name = "[A-Z][A-Z0-9_]{0,127}"
    bodies = [f"(?:{marks[o]})(SECRETS|VARS)\\.({name})(?:{marks[c]})" for o, c in ("{}", "<>")]
    found = re.finditer(f"{sharp}(?:{bodies[0]}|{bodies[1]})", data.decode("latin-1"))
    return [(m.end(), m[2] or m[4]) for m in found]


@QUICK
@given(st.sampled_from(sorted(GRAMMAR, key=str)), TEXT)
def test_find_agrees_with_the_grammar_written_as_one_expression(surface: Surface, data: bytes) -> None:
    """The fast search finds the same occurrences."""
    assert [(o.end, o.name) for o in find(data, surface)] == by_regex(data, surface)


@QUICK
@given(st.sampled_from(sorted(Surface, key=str)), TEXT, st.sampled_from(PLACEHOLDERS), st.integers(1, 40))
def test_what_is_held_back_is_bounded_and_holds_every_unfinished_placeholder(
    surface, before, placeholder, length
) -> None:
    """A prefix of an occurrence is pending from its start or earlier; nothing longer than an occurrence is."""
    data = before + placeholder[:length]
    held = pending(data, surface)
    assert len(data) - held < LONGEST
    if (
        length < len(placeholder)
        and find(before + placeholder, surface)
        and find(before + placeholder, surface)[-1].end == len(before + placeholder)
    ):
        assert held <= find(before + placeholder, surface)[-1].start


@QUICK
@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=300), CUTS)
def test_a_body_without_the_words_is_never_changed(kind: str, data: bytes, places: list[int]) -> None:
    """Unrelated bytes pass."""
    data = data.replace(b"SECRETS.", b"").replace(b"VARS.", b"")
    assert rewritten(kind, data, places) == (data, {}, {})


@QUICK
@given(
    st.sampled_from(["gzip", "deflate", "raw-deflate", "br", "zstd"]),
    st.lists(TEXT, min_size=1, max_size=4).map(b"".join),
    CUTS,
)
def test_a_coded_body_is_rewritten_inside(coding: str, data: bytes, places: list[int]) -> None:
    """As without the coding; one with nothing to inject goes up byte for byte."""
    wire = encode(coding, data)
    out, injected, carried = rewritten("application/json", wire, places, coding.removeprefix("raw-"))
    assert (decode(coding, out), injected, carried) == rewritten("application/json", data, [])
    assert injected or out == wire


@QUICK
@given(st.permutations(["gzip", "deflate", "br", "zstd"]), st.integers(0, 3), st.binary(max_size=2000), CUTS)
def test_a_chain_of_codings_comes_back(names: list[str], count: int, data: bytes, places: list[int]) -> None:
    """Decoded and encoded in pieces, it decodes to the same."""
    chain = names[:count]
    wire = data
    for name in chain:
        wire = encode(name, wire)
    codec = Codec(chain, DEFAULT)
    out, plain = b"", b""
    for piece in cut(wire, places):
        for decoded in codec.decode(piece):
            plain += decoded
            out += codec.encode(decoded)
    codec.decoded()
    out += codec.encoded()
    assert plain == data
    for name in reversed(chain if wire else ()):
        out = decode(name, out)
    assert out == data


@QUICK
@given(TEXT)
def test_an_editor_leaves_everything_but_occurrences(data: bytes) -> None:
    """Taking the occurrences out of input and output leaves the same bytes."""
    editor = Editor(NAMES, Use(HOST, Location.BODY), Budget(10**6))
    found = [o for o in find(data, Surface.RAW) if o.name in ("A", "AB", "C") and o.kind.value == "secret"]
    expected, done = b"", 0
    for occurrence in found:
        expected += (
            data[done : occurrence.start] + {"A": VALUE, "AB": b"canary-two", "C": b"#{SECRETS.A}"}[occurrence.name]
        )
        done = occurrence.end
    assert editor.apply(data, find(data, Surface.RAW), Surface.RAW) == expected + data[done:]


# ── the way back ──

# What a secret is made of in practice: all of ASCII that can be written, line breaks, letters of other languages. Of what
# escapes begin and end with nothing is left in a reading (docs/scrubbing.md), so there have to be other bytes enough.
ALPHABET = "".join(map(chr, range(0x20, 0x7F))) + "\n\téüß€"
SECRET = st.text(ALPHABET, min_size=8, max_size=24).map(str.encode)
SECRET = SECRET.filter(lambda value: len(set(value)) > 3 and len(value.translate(None, b"%\\;}\n")) >= 8)
ONE_LINE = SECRET.filter(lambda value: value.strip(b"%\\;} \t") == value and b"\n" not in value)
"""What goes whole: of other values an end may be left where it is escaped, or a short line."""
NOISE = st.lists(
    st.sampled_from([b" ", b"x", b"%", b"\\", b"&", b"\n", b"YQ==", b"0", b"data: "]) | st.binary(max_size=3),
    max_size=8,
).map(b"".join)
SPELLED = sorted(set(FORMS) - {"mime", "utf16"})


def beside(noise: bytes, spelled: bytes) -> bytes:
    """Put noise before a value; nothing of an escape, which may take the first of it (docs/scrubbing.md)."""
    return noise + (b" " if set(noise[-3:]) & set(b"%\\&;}") else b"") + spelled


def scrubbed(scrubber: Scrubber, data: bytes, places: list[int]) -> bytes:
    stream = Stream(scrubber)
    return b"".join(stream.feed(piece) for piece in cut(data, places)) + stream.feed(b"", final=True)


@QUICK
@given(
    st.lists(SECRET, min_size=1, max_size=3),
    st.lists(st.tuples(NOISE, st.integers(0, 2), st.sampled_from(SPELLED)), max_size=5),
    CUTS,
)
def test_any_split_of_an_answer_is_scrubbed_alike(values: list[bytes], parts: list, places: list[int]) -> None:
    """At every byte too."""
    scrubber = Scrubber([(f"S{i}", SecretValue(value)) for i, value in enumerate(values)])
    data = b"".join(beside(noise, FORMS[form](values[which % len(values)])) for noise, which, form in parts)
    whole = scrubber.text(data)
    assert scrubbed(scrubber, data, places) == whole
    assert scrubbed(scrubber, data, list(range(len(data)))) == whole


@QUICK
@given(
    st.lists(SECRET, min_size=1, max_size=3),
    st.lists(st.tuples(NOISE, st.integers(0, 2), st.sampled_from(SPELLED)), max_size=5),
)
def test_no_answer_holds_a_value_in_any_form(values: list[bytes], parts: list) -> None:
    """None of the forms is left, whatever stands beside it."""
    scrubber = Scrubber([(f"S{i}", SecretValue(value)) for i, value in enumerate(values)])
    data = b"".join(beside(noise, FORMS[form](values[which % len(values)])) + b"|" for noise, which, form in parts)
    out = scrubber.text(data)
    for value in values:
        for form in SPELLED:
            spelled = FORMS[form](value)
            if form.startswith("b64"):
                spelled = spelled.rstrip(b"=")[: len(value) * 8 // 6]
            assert spelled not in out, form


@QUICK
@given(ONE_LINE, NOISE, st.sampled_from(SPELLED), NOISE)
def test_bytes_beside_a_value_stay(value: bytes, before: bytes, form: str, after: bytes) -> None:
    """What stands before and behind a value is not touched."""
    scrubber = Scrubber([("S", SecretValue(value))])
    spelled = FORMS[form](value)
    if value in before + after or scrubber.text(before + b"|" + after) != before + b"|" + after:
        return
    out = scrubber.text(before + b"|" + spelled + b"|" + after)
    assert out.startswith(before + b"|#{SECRETS.S}")
    assert out.endswith(b"|" + after)


@QUICK
@given(st.binary(max_size=400), CUTS)
def test_an_answer_without_a_value_is_never_changed(data: bytes, places: list[int]) -> None:
    """Clean bytes pass."""
    scrubber = Scrubber([("S", SecretValue(b"canary-that-nobody-types"))])
    assert scrubbed(scrubber, data, places) == data


@QUICK
@given(
    st.sampled_from(sorted(set(TYPES) - {"multipart/form-data; boundary=B"})),
    ONE_LINE,
    st.lists(st.sampled_from([b"a", b" ", b'"', b"=", b"\n", b"#", b"{", b"9"]), max_size=30).map(b"".join),
    st.integers(1, 3),
)
def test_what_is_injected_and_echoed_comes_back_as_it_was(kind: str, value: bytes, text: bytes, count: int) -> None:
    """Inject, then scrub, is the identity on what the client sees."""
    names = Names([Known("S", value, (HOST,))])
    data = (text + b"|#{SECRETS.S}|") * count
    rewriter = body.rewriter(Head("POST", b"/", ((b"Content-Type", kind.encode()),), HOST), names, DEFAULT)
    assert isinstance(rewriter, body.Rewriter)
    sent = rewriter.feed(data) + rewriter.finish()
    if rewriter.carried or Scrubber(names.values()).text(text * 2) != text * 2:
        return
    assert Scrubber(names.values()).text(sent) == data
