"""The search against one that is slow and plain: every place, every form, every spelling of every character."""

import re
from functools import cache

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from vectors import FORMS

from proxy.refusal import Refused
from proxy.scrub import Scrubber
from proxy.scrub.needle import Needle, needles
from proxy.scrub.reach import reaches
from proxy.scrub.spelling import escapes
from proxy.scrub.stream import Stream
from store.model import SecretValue

BREAKS = (b"\n", b"\r", b"\\n", b"\\r", b"%0a", b"%0d")
SPELLED = sorted(set(FORMS) - {"mime"})
PIECE = st.sampled_from([b"a", b"b", b"ab", b"aaaa", b"/", b"%", b"\\", b"&", b"+", b" ", b'"', b"=", b"\n", "é".encode(), "Ã".encode(), "☃".encode(), b"https://", b"7"])  # fmt: skip
VALUE = st.one_of(
    st.lists(PIECE, min_size=4, max_size=12).map(b"".join),
    st.builds(lambda piece, count, rest: piece * count + rest, PIECE, st.integers(8, 70), PIECE),
).filter(lambda value: len(value) >= 8)
QUICK = settings(max_examples=60, deadline=None)


@cache
def spellings(character: str) -> tuple[bytes, ...]:
    return escapes(character)


def readings(needle: Needle, index: int, rest: bytes) -> set[tuple[int, int]]:
    """How many bytes of text and of data one character, or line break, may take."""
    text, found = needle.text, set()
    raw = text[index : index + 1]
    if rest[:1] == raw or (needle.folds and rest[:1].lower() == raw):
        found.add((1, 1))
    spelled = {(form, 1) for form in spellings(chr(text[index]))}
    for length in (2, 3, 4):
        character = text[index : index + length].decode("utf-8", "replace")
        if len(character) == 1 and len(character.encode()) == length and character != "\ufffd":
            spelled |= {(form, length) for form in spellings(character)}
            spelled |= {(bytes([ord(character)]), length)} if ord(character) < 0x100 else set()
    if needle.wraps and index:
        spelled |= {(form, 0) for form in BREAKS}
    return found | {(length, len(form)) for form, length in spelled if rest[: len(form)].lower() == form}


def end(needle: Needle, data: bytes, start: int) -> int:
    """The furthest end of a form that begins there, or -1."""
    best, todo, seen = -1, [(0, start)], set()
    while todo:
        index, at = todo.pop()
        if (index, at) in seen:
            continue
        seen.add((index, at))
        if index == len(needle.text):
            best = max(best, at + (at < len(data) and data[at] in needle.last))
        elif at < len(data):
            todo += [(index + length, at + size) for length, size in readings(needle, index, data[at : at + 41])]
    return best


def outside(values: list[bytes], data: bytes) -> bytes:
    """What no value covers."""
    covered = set[int]()
    for value, reach in zip(values, reaches(values), strict=True):
        for needle in needles(value, b"", reach):
            heads = tuple(needle.heads())
            for start in range(len(data)):
                if data.startswith(heads, start):
                    covered.update(range(start, end(needle, data, start)))
    return bytes(byte for at, byte in enumerate(data) if at not in covered)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@QUICK
@given(st.lists(VALUE, min_size=1, max_size=3), st.data())
def test_what_is_left_is_what_no_value_covers(values: list[bytes], data: st.DataObject) -> None:
    """Whole and split, of values, of what almost is one, and of noise."""
    near = st.builds(
        lambda v, form, cut: FORMS[form](v)[:cut], st.sampled_from(values), st.sampled_from(SPELLED), st.integers(1, 60)
    )
    whole = st.builds(lambda v, form: FORMS[form](v), st.sampled_from(values), st.sampled_from(SPELLED))
    text = b"".join(data.draw(st.lists(st.one_of(near, whole, PIECE), max_size=6)))[:600]
    scrubber = Scrubber([(f"S{i}", SecretValue(value)) for i, value in enumerate(values)])
    expected = outside(values, text)
    size = data.draw(st.integers(1, 40))
    stream = Stream(scrubber.search)
    try:
        outs = [scrubber.text(text), b"".join([*map(stream.feed, cut(text, size)), stream.feed(b"", final=True)])]
    except Refused:  # forks without end
        reject()
    for out in outs:
        assert re.sub(rb"(?:#\0?\{\0?S\0?E\0?C\0?R\0?E\0?T\0?S\0?\.\0?S\0?\d\0?\})", b"", out) == expected
