"""What stands beside a value stays as it was: who reads the answer must still be able to."""

import json

import pytest
from forms import SCRUBBED

from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import Stream
from store.model import SecretValue

VALUE = b"Canary<9f3\"a&b='c~Zq=d"
FORMS = (
    "as it is", "percent, as URLs", "percent throughout, lower", "percent, last byte", "percent twice", "JSON",
    "JSON in JSON", "unicode escapes", "unicode escape, last byte", "code points in braces", "eight digits", "backslash x",
    "octal", "unicode escapes in percents", "percents in JSON", "HTML", "HTML in JSON", "HTML twice", "decimal entities",
    "decimal entity, last byte", "hexadecimal entities", "hexadecimal entities in percents",
)  # fmt: skip
BESIDE = {
    "quotes": (b'{"k": "', b'"}\\n'),
    "quotes in JSON": (b'{\\"k\\": \\"', b'\\"}'),
    "quotes in JSON in JSON": (b'{\\\\\\"k\\\\\\": \\\\\\"', b'\\\\\\"}'),
    "a cookie": (b"a=%41;b=", b";c=%41"),
    "braces": (b"\\n{a:{b:", b"}}\\n"),
    "entities": (b"<a b=&quot;", b"&quot;>"),
    "percents": (b"?k=%7B%22", b"%22%7D"),
    "backslashes": (b"\\\\:", b"\\\\more"),
    "a number": (b"&#x22;", b"&#x22;"),
}


def scrubber(value: bytes) -> Scrubber:
    return Scrubber([("S", SecretValue(value))])


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("form", FORMS)
def test_what_stands_beside_a_value_stays(form: str, beside: str) -> None:
    """Escapes of the value go whole, with what ends them; those of others stay whole."""
    before, after = BESIDE[beside]
    data = before + SCRUBBED[form](VALUE) + after
    assert scrubber(VALUE).text(data) == before + b"#{SECRETS.S}" + after


@pytest.mark.parametrize("depth", range(1, 5))
@pytest.mark.parametrize(
    "value",
    [VALUE, b'"canary-9f3ab"', b"/canary/9f3ab/", b"\\canary-9f3ab", b"canary-9f3ab\\", b"\\\\canary\\9f3ab\\\\", b"{canary:9f3ab;}"],
)  # fmt: skip
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_json_in_json_stays_json(value: bytes, depth: int, slash: str) -> None:
    """However deep, and whatever the value begins and ends with."""
    data = value.decode()
    for _ in range(depth):
        data = json.dumps({"k": data, "n": "DOMAIN\\name"}).replace("/", slash)
    out = scrubber(value).text(data.encode())
    for _ in range(depth):
        document = json.loads(out)
        assert document["n"] == "DOMAIN\\name"
        out = document["k"]
    assert out == "#{SECRETS.S}"


def test_a_backslash_before_a_value_is_not_its() -> None:
    """A domain and a user, in JSON."""
    assert scrubber(VALUE).text(b'{"k": "DOMAIN\\\\canary", "v": "D\\\\Canary<9f3\\"a&b=\'c~Zq=d"}') == (
        b'{"k": "DOMAIN\\\\canary", "v": "D\\\\#{SECRETS.S}"}'
    )


@pytest.mark.parametrize("form", [form for form in FORMS if not form.endswith("in percents")])
@pytest.mark.parametrize("value", [b"C:\\canary-9f3ab\\", b"\\canary-9f3ab\\"])
def test_backslashes_of_the_value_itself_go(value: bytes, form: str) -> None:
    """At either end, however they are spelled."""
    data = b'{"k": "' + SCRUBBED[form](value) + b'"}'
    assert scrubber(value).text(data) == b'{"k": "#{SECRETS.S}"}'


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        ("hex with blanks", b"a", b"; "), ("hex with colons", b"0", b"~"), ("hex with blanks", b"deadbeefa", b" ~"),
        ("bytes in JSON, close", b"a", b"b]"), ("bytes in JSON", b"[1, c", b"dd, 3]"),
    ],
)  # fmt: skip
def test_digits_directly_beside_the_first_and_the_last_stay(form: str, before: bytes, after: bytes, size: int) -> None:
    """Of hex pairs any, of numbers the letters among them, however the answer is cut."""
    data = before + SCRUBBED[form](VALUE).strip(b"[]") + after
    stream = Stream(scrubber(VALUE))
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size)) + stream.feed(b"", final=True)
    assert out == before + b"#{SECRETS.S}" + after
