"""Work grows as the answer does, whatever stands in it: who may have one answered must not stop a worker with it.

Counted is what Python calls, and how many bytes are handed to methods of bytes: a pass over all of a text for each part of it
is its square, though each pass takes one call.
"""

import base64
from collections.abc import Callable

import pytest
from counting import profiled
from forms import SCRUBBED

from proxy.core.scrub import Scrubber, columns
from proxy.core.scrub.stream import EVENTS, LINES, Stream
from store.model import SecretValue

VALUE = b"sk-Ab9Zq8xW2vLr5tYn3uMk7pQc4Hd"
OTHER = b"sk-Zq8Ab9Lr5xW2vtYn3uQc4Mk7pHd"
"""Of the same shape."""
WIDE = "sk-pässwörd-Zq8xW2vLr5tYn3u".encode()
UNIT = b"Zq8xW2vLr"
SIZE = 4096
GROWTH = 4
FROM_A_PLACE = {"find", "rfind", "startswith"}
SLACK = 1.5  # passes go by powers of two, and hits are whole; a square takes sixteen times as much

VALUES = {
    "one": [VALUE],
    "beyond ASCII": [WIDE, VALUE],
    "hex, with case": [b"0123456789abcdef" * 2, VALUE],
    "parts of one text": [(UNIT * 40)[at : at + size] for at in range(9) for size in range(18, 100, 9)],
    "a letter over and over": [b"a" * 8, b"a" * 40, b"aaaaaaab" * 4, b"a" * 300],
    "long": [UNIT * 66 + b"%03d" % number for number in range(9)] + [UNIT * 60],
    "backslashes": [b"\\\\\\" + VALUE + b"\\\\", b"C:\\" + VALUE],
}


def over(unit: bytes, before: bytes = b"") -> Callable[[int], bytes]:
    """Return what makes a text of so many bytes."""
    return lambda size: (before + unit * (size // len(unit) + 1))[:size]


def near(form: str) -> Callable[[int], bytes]:
    """Return what makes a text of a value but for its last byte, in a form."""
    return over(SCRUBBED[form](VALUE[:-1]) + b"~ ")


TEXTS = {
    **{f"{form}, over and over": over(SCRUBBED[form](VALUE) + b" ") for form in SCRUBBED},
    **{f"{form}, side by side": over(SCRUBBED[form](VALUE)) for form in ("as it is", "hex, lower", "UTF-16, little", "percent throughout, lower")},
    **{f"{form}, nearly": near(form) for form in ("as it is", "bytes in JSON", "hex with blanks", "UTF-16, little", "xxd", "base64")},
    **{f"zeros after {start!r}": over(b"0", start) for start in (b"&#", b"&#x", b"&#X", b"\\u{", b"\\U", b"\\x", b"%")},
    **{f"{unit!r}": over(unit) for unit in (
        b"&", b"&#", b"&#x", b"&#00", b"&#0065", b"&amp;", b"&amp", b"\\", b"\\u{", b"\\u", b"\\u{0", b"\\u0041", b"\\x4", b"%", b"%2", b"%25", b"25",
        b";", b"}", b"\0", b"a\0", b"\0\0\0a", b"00 ", b"0x", b"0x63, ", b"-1, ", b"256 ", b": ", b"a", b"A\n", b"=\n", b"+", b"> ", b"\r\n", b"\n\n",
        b"\\ud83d", b"\\ud83d\\ude00", b"\\u00e9", b"&#233;", b"a\\", b"000000 00 000", b"00000000: 6161\n", b"AAAAAAAAAAAAAAAAAAAA\n",
        b"AAAAAAAAAAAAAAAA\n    ", b"\\101", b"\\n", b"ab\\u0041c%41&amp;", UNIT, UNIT * 66 + b"~~~", b"aaaaaaab", b"\\" * 9 + VALUE, b"data: a\n\n",
    )},
    **{f"{form}, each with another end": lambda size, form=form: b" ".join(
        SCRUBBED[form](VALUE) + b"x%04x" % at for at in range(size // (len(SCRUBBED[form](VALUE)) + 6) + 1)
    )[:size] for form in ("as it is", "percent throughout, lower", "octal", "decimal entities", "unicode escapes")},
    "entities in entities": over(b"amp;", b"&"),
    "percents in percents": over(b"25", b"%"),
    "zeros of two lengths": over(b"&#" + b"0" * 900 + b"65;\\u{" + b"0" * 500),
    "lines of base64 of values": over(base64.encodebytes(VALUE * 40)),
    "values in rows of their own": over(VALUE + b"&#65;" + VALUE + b"\n"),
}  # fmt: skip


def work(task: Callable[[], object]) -> int:
    """Return how many calls a task takes, and how many bytes methods of bytes are called for, in thousands."""
    called = handed = 0

    def count(_frame: object, event: str, arg: object) -> None:
        nonlocal called, handed
        if event == "call":
            called += 1
        elif event == "c_call":
            called += 1
            this = getattr(arg, "__self__", None)
            handed += len(this) if isinstance(this, bytes) and arg.__name__ not in FROM_A_PLACE else 0

    with profiled(count):
        task()
    return called * 1000 + handed * 10


def grows(task: Callable[[int], object]) -> None:
    """Fail where four times as much takes more than four times the work."""
    task(SIZE)  # what is kept for all of a length
    few, many = work(lambda: task(SIZE)), work(lambda: task(GROWTH * SIZE))
    assert many <= SLACK * GROWTH * few, (few, many)


SOME = [f"{form}, over and over" for form in ("as it is", "JSON", "hexadecimal entities", "hex with blanks", "base64", "UTF-16, little")] + [
    f"{text!r}" for text in (UNIT, UNIT * 66 + b"~~~", b"a", b"aaaaaaab", b"\\", b"\\" * 9 + VALUE, b"\\ud83d", b"&#233;", b"a\0")
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "text"), [("one", text) for text in TEXTS] + [(v, text) for v in VALUES for text in SOME if v != "one"]
)
def test_work_on_one_text_grows_as_it_does(values, text):
    """Whatever it holds, and whether that is a value or not."""
    scrubber = Scrubber([("A", SecretValue(value)) for value in VALUES[values]])
    grows(lambda size: scrubber.text(TEXTS[text](size)))


@pytest.mark.parametrize("ends", [b"~ ", b"~\n", b"", b"~&#65;\\101"])
@pytest.mark.parametrize("form", SCRUBBED)
def test_work_on_a_near_miss_is_what_it_is_where_another_value_is_kept(form, ends):
    """Step by step, not only as far as it is counted at run time: calls, and bytes that they are given."""
    text = over(SCRUBBED[form](VALUE[:-1]) + ends)(SIZE)
    scrubbers = [Scrubber([("A", SecretValue(value))]) for value in (VALUE, OTHER)]
    found = []
    for scrubber in scrubbers:
        assert scrubber.text(text) == text
        columns._filled.cache_clear()  # what is kept for all of a length
        found.append(work(lambda scrubber=scrubber: scrubber.text(text)))
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{}, {"ends": EVENTS}, {"ends": LINES}, {"keep_length": True}])
@pytest.mark.parametrize(
    "text", ["b'a'", "b'00 '", "b'\\\\'", "b'%25'", "as it is, over and over", "bytes in JSON, over and over"]
)
def test_so_does_that_on_a_stream_in_pieces(text, options):
    """Of some hundred bytes: nothing that is held back is looked at once for each of them."""
    scrubber = Scrubber([("A", SecretValue(value)) for value in VALUES["one"] + VALUES["parts of one text"]])

    def task(size):
        stream, data = Stream(scrubber, **options), TEXTS[text](size * 4)
        for at in range(0, len(data), 256):
            stream.feed(data[at : at + 256])
        stream.feed(b"", final=True)

    grows(task)


@pytest.mark.parametrize("field", [(b"a", b""), (b"a", VALUE), (VALUE, b"&#" + b"0" * 400), (b"x", b"%25" * 40)])
def test_so_does_that_on_fields(field):
    """Many short ones with one hit, and many hits."""
    scrubber = Scrubber([("A", SecretValue(VALUE))])
    grows(lambda size: scrubber.fields((*[field] * (size // 16), (b"x", VALUE))))
