"""The grammar: what is an occurrence, what is none, and what may still become one."""

import itertools

import pytest

from proxy.core.placeholder import LONGEST, Occurrence, Surface, escaped, find, pending
from store.model import MAX_SEALED, MIN_SEALED, Kind

URLS = (Surface.PATH, Surface.QUERY, Surface.HEADER, Surface.COOKIE, Surface.BASIC, Surface.PROTOCOL, Surface.FORM)


def names(data: bytes, surface: Surface) -> list[str]:
    return [occurrence.name for occurrence in find(data, surface)]


def test_an_occurrence_has_place_kind_and_name() -> None:
    """Secrets and variables, in either pair of delimiters."""
    assert find(b"a#{SECRETS.A_1}b#<VARS.B>", Surface.RAW) == [
        Occurrence(1, 15, Kind.SECRET, "A_1"),
        Occurrence(16, 25, Kind.VARIABLE, "B"),
    ]


@pytest.mark.parametrize("sharp", [b"#", b"%23"])
@pytest.mark.parametrize(
    "pair",
    [(o, c) for o in (b"{", b"%7B", b"%7b") for c in (b"}", b"%7D", b"%7d")]
    + [(o, c) for o in (b"<", b"%3C", b"%3c") for c in (b">", b"%3E", b"%3e")],
)
def test_urls_headers_and_forms_take_each_delimiter_raw_or_percent_encoded(
    sharp: bytes, pair: tuple[bytes, bytes]
) -> None:
    """Independently of the others, in either hex case."""
    for surface in URLS:
        assert names(sharp + pair[0] + b"SECRETS.A" + pair[1], surface) == ["A"]


@pytest.mark.parametrize("sharp", [b"#", b"\\u0023"])
@pytest.mark.parametrize(
    "pair",
    [(o, c) for o in (b"{", b"\\u007b", b"\\u007B") for c in (b"}", b"\\u007d", b"\\u007D")]
    + [(o, c) for o in (b"<", b"\\u003c", b"\\u003C") for c in (b">", b"\\u003e", b"\\u003E")],
)
def test_json_takes_each_delimiter_raw_or_escaped(sharp: bytes, pair: tuple[bytes, bytes]) -> None:
    """And no other surface does."""
    spelled = sharp + pair[0] + b"SECRETS.A" + pair[1]
    assert names(spelled, Surface.JSON) == ["A"]
    assert b"\\" not in spelled or not any(names(spelled, surface) for surface in (*URLS, Surface.MARKUP, Surface.RAW))


@pytest.mark.parametrize("sharp", [b"#", b"&#35;"])
@pytest.mark.parametrize("pair", [(b"{", b"}")] + [(o, c) for o in (b"<", b"&lt;") for c in (b">", b"&gt;")])
def test_markup_takes_entities(sharp: bytes, pair: tuple[bytes, bytes]) -> None:
    """And no other surface does."""
    spelled = sharp + pair[0] + b"VARS.A" + pair[1]
    assert names(spelled, Surface.MARKUP) == ["A"]
    assert b"&" not in spelled or not any(names(spelled, surface) for surface in (*URLS, Surface.JSON, Surface.RAW))


@pytest.mark.parametrize(
    "text",
    [
        b"#{SECRETS.a}", b"#{secrets.A}", b"#{SECRET.A}", b"#{SECRETS.}", b"#{SECRETS.1A}", b"#{SECRETS._A}", b"#{SECRETS.A-B}",
        b"#{SECRETS.A B}", b"#{ SECRETS.A}", b"#{SECRETS.A }", b"# {SECRETS.A}", b"#{SECRETS.A>", b"#<SECRETS.A}", b"#{SECRETS.A",
        b"{SECRETS.A}", b"SECRETS.A", b"#(SECRETS.A)", b"#{SECRETS.\xc3\x84}", b"#{SECRETS.A\x00}", b"%2523%257BSECRETS.A%257D",
        b"%2523{SECRETS.A}", b"#%257BSECRETS.A}", b"#{SECRETS%2EA}", b"#{SECRETS.%41}", b"#{SECRETS.A%257D",
        b"#{SECRETS." + b"A" * 129 + b"}", "＃{SECRETS.A}".encode(), "#{SECRETS.А}".encode(), b"#\xa0{SECRETS.A}",
    ],
)  # fmt: skip
def test_what_only_resembles_a_placeholder_is_text(text: bytes) -> None:
    """On every surface."""
    assert not any(find(text, surface) for surface in Surface)


def test_the_longest_name_is_a_name() -> None:
    """128 characters."""
    assert names(b"#{SECRETS." + b"A" * 128 + b"}", Surface.RAW) == ["A" * 128]


def test_neighbours_do_not_hide_an_occurrence() -> None:
    """Delimiters that belong to nothing stand beside it, and occurrences stand side by side."""
    assert names(b"##{{#{SECRETS.A}}#<#{SECRETS.B}>#{SECRETS.#{SECRETS.C}#{SECRETS.D}", Surface.RAW) == [
        "A",
        "B",
        "C",
        "D",
    ]
    assert names(b"%%23{SECRETS.A}%23%23%7BSECRETS.B%7D%7D", Surface.QUERY) == ["A", "B"]


@pytest.mark.parametrize(
    ("backslashes", "occurs"), [(0, True), (1, False), (2, True), (3, False), (40, True), (41, False)]
)
def test_an_escape_begins_after_an_even_number_of_backslashes(backslashes: int, occurs: bool) -> None:
    """Also when the backslashes were in an earlier chunk."""
    escape = b"\\u0023{SECRETS.A}"
    assert bool(find(b"\\" * backslashes + escape, Surface.JSON)) == occurs
    assert bool(find(escape, Surface.JSON, after_backslash=backslashes % 2 == 1)) == occurs
    assert find(b"x" + b"\\" * (backslashes // 2 * 2) + escape, Surface.JSON, after_backslash=True)


def test_escaped_counts_over_the_beginning() -> None:
    """The run may have begun in an earlier chunk, or not."""
    assert escaped(b"", 0, before=True)
    assert not escaped(b"\\", 1, before=True)
    assert escaped(b"x\\", 2, before=True)


SPELLED = {
    Surface.QUERY: b"%23%7bSECRETS.ABC%7D",
    Surface.JSON: b"\\u0023\\u003cVARS.ABC\\u003E",
    Surface.MARKUP: b"&#35;&lt;SECRETS.ABC&gt;",
    Surface.RAW: b"#{SECRETS.ABC}",
}


@pytest.mark.parametrize("surface", SPELLED, ids=str)
def test_every_proper_prefix_is_pending(surface: Surface) -> None:
    """And the whole is not."""
    spelled = SPELLED[surface]
    for length in range(1, len(spelled)):
        assert pending(b"text " + spelled[:length], surface) == 5
    assert pending(b"text " + spelled, surface) == 5 + len(spelled)


def test_nothing_else_is_pending() -> None:
    """A prefix that went wrong is let go at once."""
    for text in (b"", b"abc", b"#x", b"#{S}", b"#{SECRETS.a", b"#{SECRETS.A ", b"#{VAR ", b"#<SECRETS.A}"):
        assert pending(text, Surface.RAW) == len(text)
    assert pending(b"\\\\", Surface.JSON) == 2  # an escaped backslash
    assert pending(b"\\", Surface.JSON) == 0


def test_what_is_pending_is_shorter_than_the_longest_occurrence() -> None:
    """A name without end is given up, and so is what was captured."""
    named = b"\\u0023\\u007bSECRETS." + b"A" * 128
    longest = named + b"." + b"a" * MAX_SEALED + b"\\u007d"
    assert len(longest) == LONGEST
    for text in (named + b"\\u007", longest[:-1]):
        assert pending(text, Surface.JSON) == 0
    assert pending(b"#{SECRETS." + b"A" * 129, Surface.JSON) == 139
    assert pending(b"#{SECRETS.A." + b"a" * (MAX_SEALED + 1), Surface.JSON) == 12 + MAX_SEALED + 1


CAPTURED = {
    Surface.RAW: (("#",), ("{", "}")),
    Surface.FORM: (("#", "%23"), ("{", "}"), ("%7B", "%7d"), ("<", "%3E")),
    Surface.JSON: (("#", "\\u0023"), ("{", "\\u007d"), ("\\u003C", ">")),
    Surface.MARKUP: (("#", "&#35;"), ("&lt;", "&gt;"), ("{", "}")),
}


@pytest.mark.parametrize("surface", CAPTURED)
@pytest.mark.parametrize("name", ["A", "SECRETS", "VARS", "A" * 128])
def test_what_was_captured_is_found_wherever_it_is_cut(surface, name) -> None:
    """It has the secret's name, and is asked for as another thing; each of its beginnings is pending."""
    sharps, *pairs = CAPTURED[surface]
    sealed = "Az09-_" * 20
    for sharp, (opened, closed) in itertools.product(sharps, pairs):
        text = f"{sharp}{opened}SECRETS.{name}.{sealed}{closed}".encode()
        (found,) = find(b"x" + text + b"x", surface)
        assert found[:2] == (1, 1 + len(text)) and (found.name, found.sealed) == (name, sealed)
        assert found.asked == f"{name}.{sealed}"
        for length in range(1, len(text)):
            assert pending(b"x" + text[:length], surface) == 1, text[:length]
        assert pending(b"x" + text, surface) == 1 + len(text)


def test_what_is_no_captured_value_is_text() -> None:
    """Too short, too long, of other characters, of a variable; with an escaped backslash before it."""
    sealed = "a" * MIN_SEALED
    for text in (
        f"#{{SECRETS.A.{sealed[1:]}}}", f"#{{SECRETS.A.{'a' * (MAX_SEALED + 1)}}}", f"#{{SECRETS.A.{sealed}=}}",
        f"#{{SECRETS.A.{sealed}.x}}", f"#{{VARS.A.{sealed}}}", f"#{{SECRETS.A.{sealed}>", f"\\\\u0023{{SECRETS.A.{sealed}}}",
    ):  # fmt: skip
        assert find(text.encode(), Surface.JSON) == []


def test_hostile_text_is_searched_in_linear_time() -> None:
    """A megabyte of beginnings, backslashes or words: what grew with its square would not end."""
    for text in (b"#{SECRETS.", b"\\", b"SECRETS.", b"\\u0023", b"#{SECRETS.A", b"\\u0023{SECRETS.A}", b"%23%7B"):
        data = text * (1_000_000 // len(text))
        find(data, Surface.JSON)
        pending(data, Surface.JSON)
