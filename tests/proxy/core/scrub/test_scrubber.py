"""Texts, fields and messages."""

import base64
import json
import pickle
import textwrap

import pytest
from counting import calls
from draw import Draw

from proxy.core.scrub import Scrubber
from store.model import SecretValue

VALUE = b"canary-0123456789abcdef"
SCRUBBER = Scrubber([("A", SecretValue(VALUE)), ("B", SecretValue(b"12345678"))])


def test_a_text_is_scrubbed_whole() -> None:
    """Nothing is held back."""
    assert SCRUBBER.text(b"no " + VALUE + b" canary-") == b"no #{SECRETS.A} canary-"


def test_field_names_and_values_are_scrubbed() -> None:
    """A placeholder in a name keeps to the characters of a name; framing stays."""
    fields = ((b"X-" + VALUE, VALUE), (b"Location", b"/?t=" + VALUE), (b"Content-Length", b"12345678"))
    assert SCRUBBER.fields(fields) == (
        (
            (b"X-%23%7BSECRETS.A%7D", b"#{SECRETS.A}"),
            (b"Location", b"/?t=#{SECRETS.A}"),
            (b"Content-Length", b"12345678"),
        ),
        True,
    )


def test_clean_fields_are_the_same_fields() -> None:
    """Not copied, and said to be unchanged."""
    fields = ((b"A", b"b"), (b"C", b"canary-01234567"))
    scrubbed, changed = SCRUBBER.fields(fields)
    assert scrubbed == fields
    assert not changed


def test_every_field_with_a_hit_is_scrubbed_and_no_other_is_looked_at_again() -> None:
    """Wherever they stand among thousands, side by side and at either end."""
    hit, clean = (b"X-" + VALUE, b"a " + VALUE), (b"A", b"")
    scrubbed = (b"X-%23%7BSECRETS.A%7D", b"a #{SECRETS.A}")
    for fields in ((hit, *[clean] * 40, hit, hit), (clean, hit, clean), ((b"A", VALUE.hex().encode()), clean, hit)):
        whole = tuple(
            scrubbed if field is hit else field if field is clean else (b"A", b"#{SECRETS.A}") for field in fields
        )
        assert SCRUBBER.fields(fields) == (whole, True)
    few, many = (calls(lambda count=count: SCRUBBER.fields((*[clean] * count, hit))) for count in (10, 4000))
    assert many < few + 10 * 4000


def test_a_control_payload_keeps_its_limit() -> None:
    """It is scrubbed before it is cut, and cut between characters."""
    assert SCRUBBER.control(b"x" * 110 + VALUE) == (b"x" * 110 + b"#{SECRETS.A}")[:125]
    assert SCRUBBER.control(b"12345678" * 15) == (b"#{SECRETS.B}" * 15)[:125]
    assert SCRUBBER.control("é".encode() * 100, 123) == "é".encode() * 61
    assert SCRUBBER.control(VALUE, 123) == b"#{SECRETS.A}"


@pytest.mark.parametrize("size", range(1, 30))
def test_a_message_is_scrubbed_across_its_fragments(size: int) -> None:
    """And ends with its last one."""
    message = SCRUBBER.message()
    data = b"\xff" + VALUE + b" \x00 " + VALUE
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    out = b"".join(message.feed(piece, final=piece is pieces[-1]) for piece in pieces)
    assert out == b"\xff#{SECRETS.A} \x00 #{SECRETS.A}"


def test_of_two_names_for_one_value_one_is_told() -> None:
    """Always the same."""
    scrubber = Scrubber([("FIRST", SecretValue(VALUE)), ("SECOND", SecretValue(VALUE))])
    assert scrubber.text(VALUE) == b"#{SECRETS.FIRST}"


def test_old_and_new_values_have_one_name() -> None:
    """Rotation does not show which one it was."""
    scrubber = Scrubber([("A", SecretValue(b"canary-old-one")), ("A", SecretValue(b"canary-new-one"))])
    assert scrubber.text(b"canary-old-one canary-new-one") == b"#{SECRETS.A} #{SECRETS.A}"


def test_a_scrubber_does_not_show_its_values() -> None:
    """Printed, and not pickled by accident into anything readable."""
    assert "canary" not in repr([SCRUBBER, SCRUBBER.search, SCRUBBER.body(()), SCRUBBER.message()])
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(SCRUBBER)


def test_a_key_file_is_scrubbed_whatever_its_lines_are_made_of() -> None:
    """Also lines in which the marks of base64 stand so close that no run of letters is strong by itself."""
    draw = Draw("key files")
    lines = textwrap.wrap(base64.b64encode(draw.randbytes(48 * 400)).decode(), 64)
    close = "+".join(draw.letters(9) for _ in range(6))
    for number in range(0, 400, 20):
        key = "\n".join(
            ["-----BEGIN PRIVATE KEY-----", *lines[number : number + 20], close, "-----END PRIVATE KEY-----", ""]
        )
        for text in (key, json.dumps(key), key.replace("\n", "\r\n")):
            said = Scrubber([("A", SecretValue(key.encode()))]).text(text.encode()).decode()
            assert said.count("#{SECRETS.A}") == 21
            assert not [line for line in (*lines, close) if line in said]
