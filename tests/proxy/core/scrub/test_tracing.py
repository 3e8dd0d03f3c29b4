"""Where text that was made plain came from does not go by what else is traced with it, nor by which way is faster."""

import pytest
from draw import Draw

from proxy.core.scrub import tracing
from proxy.core.scrub.plain import STEPS, Style, plain
from proxy.core.scrub.tracing import Tokens, Trail, read, trails

STYLES = [Style(form=form, wide=wide) for form in (False, True) for wide in (False, True)]
LETTERS = b"ab1;}&%\\ #x5/"
SPELLED = [
    "%c",
    "%%%02x",
    "%%25%02x",
    "\\u%04x",
    "\\x%02x",
    "\\%03o",
    "\\u{%x}",
    "&#%d;",
    "&#x%x;",
    "&#%d",
    "&amp;#%d;",
    "&#000%d;",
]
BETWEEN = [
    "%", "\\", "&", ";", "}", "&#", "&#x", "\\u{", "%2", "%25", "&amp;", "\\n", "0", "5", "x", "\x1d", "&#233;", "\\u{1f600}",
    "\\ud83d", "&#999", "&#59;", "&semi;", "%3b", "%7d", "\0", "\n", "\\\\",
]  # fmt: skip


def drawn(draw: Draw, plainly: bool) -> bytes:
    """Return a text of letters, each spelled in some way, or nothing but entities or percents."""
    forms = [draw.choice(["&#%d;", "%%%02x"])] if plainly else [draw.choice(SPELLED) for _ in range(3)]
    out = [draw.choice(forms) % draw.choice(LETTERS) for _ in range(draw.randrange(1, 12))]
    if not plainly:
        out.insert(draw.randrange(len(out)), draw.choice(BETWEEN))
    return "".join(out).encode()


def traced(texts: list[bytes], style: Style) -> dict[bytes, Trail]:
    return trails(dict(zip(texts, read(texts, style), strict=True)), style, [Tokens(index, style) for index in STEPS])


def spans(trail: Trail) -> list[tuple[int, int]]:
    """Return where each part stands, unless it does not read as it should: then nobody asks."""
    if not trail.true:
        return []
    return [trail.span(start, end) for start in range(trail.length) for end in range(start + 1, trail.length + 1)]


@pytest.mark.parametrize("style", STYLES)
def test_texts_that_are_traced_together_are_traced_as_each_alone(monkeypatch, style: Style) -> None:
    """And token by token as by arithmetic."""
    draw, by_arithmetic = Draw("tracing"), 0
    for turn in range(150):
        texts = list(dict.fromkeys(drawn(draw, turn % 3 == 0) for _ in range(draw.randrange(1, 6))))
        assert read(texts, style) == [plain(text, style) for text in texts]
        together = {text: spans(trail) for text, trail in traced(texts, style).items()}
        assert together == {text: spans(traced([text], style)[text]) for text in texts}
        by_arithmetic += any(
            isinstance(made, tracing._Level) for trail in traced(texts, style).values() for made, *_ in trail._steps
        )
        with monkeypatch.context() as patch:
            patch.setattr(tracing, "_made", tracing._Step)
            assert together == {text: spans(trail) for text, trail in traced(texts, style).items()}
    assert by_arithmetic > 20


@pytest.mark.parametrize("style", STYLES)
def test_a_letter_of_a_row_goes_whole_and_nothing_else(style: Style) -> None:
    """In any order of ways to write it."""
    draw = Draw("rows")
    for _ in range(100):
        row = [draw.choice(SPELLED) % draw.choice(b"abcxyz") for _ in range(10)]
        text = "".join(each if each[:1] != "&" or each[-1:] == ";" else each + ";" for each in row).encode()
        trail = traced([text], style)[text]
        assert trail.true
        ends = [trail.span(at, at + 1) for at in range(10)]
        assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]
        assert (ends[0][0], ends[-1][1]) == (0, len(text))


@pytest.mark.parametrize("behind", ["\\u{a}", "\\u{31}x", "}"])
def test_what_stands_behind_in_braces_stays(behind: str) -> None:
    """Also where characters beyond ASCII are read, each with its brace."""
    text = ("\\u{41}\\u{42}" + behind).encode()
    assert traced([text], Style(wide=True))[text].span(0, 2) == (0, len("\\u{41}\\u{42}"))


def test_texts_that_hold_every_joint_are_read_one_by_one() -> None:
    """Whatever stands between them would stand in them, too."""
    texts = [b"%41" + bytes(range(9)) + bytes(range(0xF8, 0x100)), b"&#66;"]
    assert read(texts, Style()) == [plain(text, Style()) for text in texts]
