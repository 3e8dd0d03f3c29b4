"""Columns read as loops over tokens do, wherever a text is cut."""

import re

import pytest
from draw import Draw

from proxy.core.scrub import columns

OFTEN = 300


def drawn(draw: Draw, words: list[str]) -> bytes:
    return "".join(draw.choice(words) for _ in range(draw.randrange(1, 120))).encode()


def entity(found: re.Match[bytes]) -> bytes:
    """Three digits where there are as many; none of them where that is above 255."""
    return found[0] if int(found[1]) > 255 else bytes([int(found[1])])


@pytest.mark.parametrize("part", [1, 7, 1 << 14])
def test_numbers(monkeypatch, part: int) -> None:
    """From -255 to 255, with zeros before; others are a NUL; `bounds` tells where each of them stands."""
    monkeypatch.setattr(columns, "_PART", part)
    draw = Draw("numbers")
    for signs in ([], ["-", " -", " -25"]):
        for _ in range(OFTEN):
            text = drawn(draw, ["0", "1", "2", "5", "6", "9", "55", "255", "256", " ", "  ", *signs])
            found = list(re.finditer(rb"-?[0-9]+", text))
            small = (int(each[0]) if len(each[0].lstrip(b"-")) < 4 and abs(int(each[0])) < 256 else 0 for each in found)
            assert columns.numbers(text) == bytes(number & 0xFF for number in small)
            first, last = columns.bounds(text)
            assert [at for at, mark in enumerate(first) if mark] == [each.start() for each in found]
            assert [at for at, mark in enumerate(last) if mark] == [each.end() - 1 for each in found]


@pytest.mark.parametrize("part", [1, 7, 1 << 14])
def test_decimal_entities(monkeypatch, part: int) -> None:
    monkeypatch.setattr(columns, "_PART", part)
    draw = Draw("entities")
    for _ in range(OFTEN):
        text = drawn(draw, ["&#", "&#", "&", "#", "1", "2", "5", "6", "25", "255", "256", "0", "9", "a"])
        expected = re.sub(rb"&#([0-9]{1,3})", entity, text)
        assert columns.decimals(text).translate(None, b";") == expected.translate(None, b";")


@pytest.mark.parametrize("part", [1, 7, 1 << 14])
def test_what_backslashes_begin(monkeypatch, part: int) -> None:
    monkeypatch.setattr(columns, "_PART", part)
    letters = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"x": b"%"}
    draw = Draw("backslashes")
    for _ in range(OFTEN):
        text = drawn(draw, ["\\1", "\\0", "\\n", "\\x", "\\u", "\\", *"781nrftbz34"])
        text = re.sub(rb"\\+", rb"\\", text)
        octal = re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]).replace(b"\\", b""), text)
        expected = re.sub(rb"\\([ntrbfx])", lambda found: letters[found[1]], octal)
        assert columns.backslashed(text).translate(None, b"\\") == expected.translate(None, b"\\")


def test_percents() -> None:
    """What is left of each escape is its first byte."""
    draw = Draw("percents")
    for _ in range(OFTEN):
        text = drawn(draw, ["%41", "%25", "%fF", "a", "4", "12"])
        assert columns.escaped(text) == re.sub(rb"%..", b"\1\0\0", text.replace(b"\1", b"")).translate(
            bytes(1 if byte != 0 else 0 for byte in range(0x100))
        )
