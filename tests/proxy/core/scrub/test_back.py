"""Ways back: many parts at once, each where it would be found alone."""

from draw import Draw

from proxy.core.scrub.back import Marks, Places, Segments


def test_marks_are_found_in_any_order() -> None:
    """In regular texts and in others, nearby, far on, and before."""
    draw = Draw("marks")
    for turn in range(60):
        text = bytes(draw.randrange(2) for _ in range(draw.randrange(1, 1500))) + b"\1"
        if turn % 2:
            text = draw.choice([b"\1\0", b"\0\1\0\0", b"\1" * 40 + b"\0"]) * 30 + b"\1"
        places = [at for at, mark in enumerate(text) if mark]
        asked = [draw.randrange(len(places)) for _ in range(40)]
        for numbers in (asked, sorted(asked), range(len(places)), range(0, len(places), 7)):
            assert list(map(Marks(text).place, numbers)) == [places[number] for number in numbers]


def test_parts_of_what_is_left_stand_where_it_was() -> None:
    """Also of a text that begins somewhere, asked for more than once."""
    draw = Draw("left")
    keeps = bytes(byte in b"abc" for byte in range(0x100))
    for at in (0, 7):
        text = "".join(draw.choice(["a", "b", "c", "-", "--"]) for _ in range(900)).encode()
        places = [at + place for place, byte in enumerate(text) if keeps[byte]]
        parts = sorted((start, start + draw.randrange(1, 9)) for start in range(0, len(places) - 9, 5))
        back = Places(text, keeps, at).back
        for few in (parts, parts[::3]):
            found = back([start for start, _ in few], [end for _, end in few])
            assert list(zip(*found, strict=True)) == [(places[start], places[end - 1] + 1) for start, end in few]


def test_parts_of_segments_stand_in_theirs() -> None:
    data, spans = b"0123456789", [(1, 3), (5, 6), (7, 10)]
    segments = Segments(data, spans, b"..")
    assert segments.text == b"12..5..789"
    starts, ends = segments.back([0, 1, 4, 7, 8], [2, 2, 5, 10, 9])
    assert [data[start:end] for start, end in zip(starts, ends, strict=True)] == [b"12", b"2", b"5", b"789", b"8"]
    assert Segments(data, [(2, 9)], b"..").back([0, 3], [1, 4]) == ([2, 5], [3, 6])
    assert Segments(data, [(0, 10)], b"..").back([4], [6]) == ([4], [6])
