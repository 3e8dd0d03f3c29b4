"""Whole values, of however many, and what the library is kept from skipping."""

import pytest
from ahocorasick_rs import Implementation
from draw import Draw

from proxy.core.scrub import Scrubber
from proxy.core.scrub import automaton as automaton_of
from proxy.core.scrub.automaton import Automaton
from proxy.core.scrub.plain import Style, plain
from proxy.core.scrub.search import _escaped, _readings
from proxy.core.scrub.stream import Stream
from store.model import SecretValue


@pytest.mark.parametrize(("count", "length"), [(3, 40), (3000, 40), (500, 300), (7000, 16), (7000, 17)])
def test_of_many_values_each_is_found_and_no_part_of_one(count: int, length: int) -> None:
    """The more there are, the shorter is what the automaton knows of each; all of it is compared."""
    draw = Draw(f"{count} {length}")
    values = [draw.letters(length).encode() for _ in range(count)]
    automaton = Automaton(enumerate(values))
    for index in range(0, count, max(1, count // 50)):
        value = values[index]
        assert automaton.find(b"." + value + value) == [(index, 1, 1 + length), (index, 1 + length, 1 + 2 * length)]
        for part in (value[:-1] + b".", b"." + value[1:], value[: length // 2] + b"." + value[length // 2 + 1 :]):
            assert automaton.find(part * 3) == []


def test_bytes_that_no_text_has_are_no_values() -> None:
    """The automaton searches for some, so that the library does not skip ahead where no value begins."""
    value = "canary-pässword-zq".encode()
    odd = bytes((*range(0xF5, 0x100), 0xC0, 0xC1))
    text = b"".join(bytes((one, two, three)) for one in odd for two in odd for three in odd)
    scrubber = Scrubber([("A", SecretValue(value))])
    assert scrubber.text(text) == text
    assert scrubber.text(text + value + text) == text + b"#{SECRETS.A}" + text


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\ude00", b"\\ude00\\ud83d", b"\\udc00", b"\\ud83d\\ud83d"])
def test_half_a_character_beside_a_value_hides_nothing(half: bytes) -> None:
    """Units of UTF-16 that pair with nothing stay what they are, and pair with no other run's."""
    scrubber = Scrubber([("A", SecretValue("canary-pä☃😀sword".encode()))])
    escaped = b"canary-p\\u00e4\\u2603\\ud83d\\ude00sword"
    around = b'{"a": "' + half + b'", "k": "%s", "z": "' + half + b'"}'
    assert scrubber.text(around % escaped) == around % b"#{SECRETS.A}"


@pytest.mark.parametrize(
    ("values", "text", "covered"),
    [
        ([b"abcdefgh", b"efghijkl"], b"-abcdefghijkl-", 12),
        ([b"canary-0123456789xyz", b"0123456789xyzABCDEFG", b"xyzABCDEFGHIJKLMN"], b"-canary-0123456789xyzABCDEFGHIJKLMN-", 34),
        ([b"abcdefghi" * 2, b"bcdefghia" * 28], b"-" + b"abcdefghi" * 40 + b"bcdefghi-", 360),
        ([b"aaaaaaaa", b"aaaaab" * 3], b"-" + b"a" * 100 + b"b" + b"aaaaab" * 2 + b"-", 113),
        ([b"abcdefghi" * 60 + b"x", b"cdefghiab"], b"-" + b"abcdefghi" * 60 + b"-", 531),
        ([b"abcdefghi" * 60 + b"x", b"abcdefghi" * 2], b"-" + b"abcdefghi" * 60 + b"-", 540),
    ],
)  # fmt: skip
def test_of_values_that_overlap_each_byte_goes_however_it_is_cut(values, text, covered):
    """Within another, across the end of one, in rows of one, where the anchor of a longer one stands and no more."""
    scrubber = Scrubber([("A", SecretValue(value)) for value in values])
    rest = len(text) - covered
    assert len(scrubber.text(text).replace(b"#{SECRETS.A}", b"")) == rest
    for size in (1, 7, 50):
        stream = Stream(scrubber)
        out = b"".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.feed(
            b"", final=True
        )
        assert len(out.replace(b"#{SECRETS.A}", b"")) == rest


@pytest.mark.parametrize("count", [1, 30])
def test_long_values_that_repeat_themselves_are_found_wherever_they_stand(count):
    """Also after so many comparisons that sums are compared."""
    unit = b"Zq8xW2vLr"
    values = [unit * 100 + b"%02d" % number + unit * 100 for number in range(count)]
    automaton = Automaton(enumerate(values))
    near = (unit * 100 + b"~~" + unit * 100) * 20
    for index in {0, count - 1}:
        assert automaton.find(near + values[index] + near) == [(index, len(near), len(near) + len(values[index]))]


@pytest.mark.parametrize(("count", "length"), [(3, 40), (1500, 40), (5000, 24), (300, 300), (7000, 16), (9000, 40)])
def test_no_table_is_built_in_one_go_that_is_large(monkeypatch, count: int, length: int) -> None:
    """Nothing else of the process runs beside it. What is found does not go by which table a value is in."""
    tables = list[tuple[int, bool]]()
    build = automaton_of.BytesAhoCorasick

    def counted(anchors: list[bytes], **options: object) -> object:
        tables.append((sum(map(len, anchors)), options["implementation"] is Implementation.DFA))
        return build(anchors, **options)

    monkeypatch.setattr(automaton_of, "BytesAhoCorasick", counted)
    draw = Draw(f"{count} {length} in tables")
    values = [draw.letters(length).encode() for _ in range(count)]
    automaton = Automaton(enumerate(values))
    assert len(tables) <= 6
    assert {dense for _, dense in tables} == {count <= 6000}
    assert all(size <= (26_000 if dense else 126_000) for size, dense in tables)
    text = b" ".join(values[:: max(1, count // 40)])
    found = automaton.find(text)
    assert [text[start:end] for _, start, end in found] == text.split()
    assert [values[index] for index, _, _ in found] == text.split()


def test_values_of_other_tables_overlap_as_those_of_one_do() -> None:
    """Those at either end of two thousand others."""
    draw = Draw("tables that overlap")
    values = [
        b"canary-0123456789xyz",
        *(draw.letters(40).encode() for _ in range(2000)),
        b"xyzABCDEFGHIJKLMN",
        b"456789xyzA",
    ]
    text = b"-canary-0123456789xyzABCDEFGHIJKLMN-"
    assert Automaton(enumerate(values)).find(text) == [(0, 1, 21), (2002, 12, 22), (2001, 18, 35)]
    assert (
        Scrubber([(f"S{i}", SecretValue(value)) for i, value in enumerate(values)]).text(text)
        == b"-#{SECRETS.S0}#{SECRETS.S2001}-"
    )


@pytest.mark.parametrize("style", [Style(form=form, wide=wide) for form in (False, True) for wide in (False, True)])
def test_a_value_that_nothing_escapes_has_one_reading(style: Style) -> None:
    """It is not spelled in all ways to see that: a value of 64 KiB took a tenth of a second."""
    draw = Draw("readings")
    for alphabet in ("0123456789abcdefxuU{+#=/n ", "".join(map(chr, range(0x20, 0x7F))) + "\n\t"):
        for _ in range(300):
            value = draw.letters(draw.randrange(8, 40), "".join(c for c in alphabet if c not in "%\\&;}")).encode()
            spelled = {plain(text, style) for text in _escaped(value)}
            assert set(_readings(value, style)) == spelled
            assert len(spelled) == 1
