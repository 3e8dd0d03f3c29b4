"""Files of other systems: read as they are meant, refused where they are not plain, never quoted."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import dotenv
from store.importing import FORMATS, ImportFault, read

CANARY = "canary-9f3Kq7Zp"


def values(form, text):
    return {item.name: item.value for item in read(form, text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=two words \n", {"A": "1", "B": "two words"}),
        ("export A=1\n\texport  B = 2 # comment", {"A": "1", "B": "2"}),
        ("# comment\n\n  # another\nA=1", {"A": "1"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A='$x \"y\" \\n'", {"A": '$x "y" \\n'}),
        ('A="a\\nb\\tc\\"d\\\\e\\$f\\qg" # c', {"A": 'a\nb\tc"d\\e$f\\qg'}),
        (
            "A='-----BEGIN\nx=1\n# no comment\n-----END'\nB=2",
            {"A": "-----BEGIN\nx=1\n# no comment\n-----END", "B": "2"},
        ),
        ("A=a=b==\nB=a'b", {"A": "a=b==", "B": "a'b"}),
        ("A=\nB=''\nC= # nothing", None),
        ("db-password=x\napi.key=y\na/b=z", {"DB_PASSWORD": "x", "API_KEY": "y", "A_B": "z"}),
    ],
)
def test_dotenv(text, expected):
    """The dialects' common part; an empty value is left out."""
    if expected is None:
        with pytest.raises(ImportFault, match="line 3"):
            read("dotenv", text)
        assert [(item.value, item.note) for item in read("dotenv", "A=\nB=''")] == [(None, "empty, left out")] * 2
    else:
        assert values("dotenv", text) == expected


def test_what_others_would_interpolate():
    """A dollar is kept and noted, unless it was escaped or stands in single quotes."""
    notes = [item.note for item in read("dotenv", 'A=$X\nB="${X}"\nC="\\$X"\nD=\'$X\'\nE="\\\\$X"')]
    assert [bool(note) for note in notes] == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("form", "text", "says"),
    [
        ("dotenv", f"A=1\n{CANARY}\n", "line 2: no KEY=value"),
        ("dotenv", f"A='{CANARY}", "line 1: a quote is not closed"),
        ("dotenv", f'A="{CANARY}" {CANARY}', "line 1: there is more behind"),
        ("dotenv", f"A={CANARY}#{CANARY}", "line 1: a # in a value"),
        ("dotenv", f"A=#{CANARY}", "line 1: a # in a value"),
        ("dotenv", f"A=1\n1{CANARY}=x", "line 2: its key does not become a name"),
        ("dotenv", f"A_B={CANARY}\n\na-b={CANARY}", "line 3: its key becomes the same name as that of line 1"),
        ("dotenv", f"A={CANARY}\nA={CANARY}", "line 2: its key becomes the same name"),
        ("dotenv", f"A={CANARY}\x00", "line 1: A value has no control characters"),
        ("dotenv", f"A={CANARY * 9999}", "line 1: A value has at most"),
        ("doppler", f'{{"A": "{CANARY}"', "not JSON"),
        ("doppler", f'["{CANARY}"]', "not a JSON object"),
        ("doppler", f'{{"A": {{"computed": ["{CANARY}"]}}}}', "entry 1: its value is a list or object"),
        ("doppler", f'{{"A": "{CANARY}", "A": "{CANARY}"}}', "stands in one object twice"),
        ("doppler", '{"A": "\\ud800"}', "entry 1: its value is not UTF-8"),
        ("vault", f'{{"data": {{"a": {{"b": "{CANARY}"}}}}}}', "entry 1: its value is a list or object"),
        ("vault", "[" * 100_000, "not JSON"),
        ("github", f'{{"secrets": "{CANARY}"}}', "not a list of names"),
        ("github", f'[{{"value": "{CANARY}"}}]', "entry 1: has no name"),
        ("github", f"{CANARY} {CANARY}!\n", "line 1: its key does not become a name"),
    ],
)  # fmt: skip
def test_a_fault_says_where_and_nothing_of_it(form, text, says):
    """The place and the remedy; never the value, the key, or a piece of the file."""
    with pytest.raises(ImportFault) as caught:
        read(form, text)
    assert says in str(caught.value)
    assert "canary" not in str(caught.value).lower()


def test_every_fault_is_told_at_once():
    """One run shows all that has to be mended."""
    with pytest.raises(ImportFault) as caught:
        read("dotenv", "1=x\nA=1\nA=2\nB=\x01")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["line 1", "line 4", "line 3"]


def test_doppler():
    """A download and a listing; Doppler's own names and what it does not show are left out."""
    own = {"DOPPLER_PROJECT": "p", "DOPPLER_CONFIG": "c", "DOPPLER_ENVIRONMENT": "e"}
    assert values("doppler", json.dumps({**own, "A": "1", "B": "2"})) == {"A": "1", "B": "2"}
    listing = {"A": {"computed": "1", "raw": "${B}"}, "B": {"raw": "2"}, "C": {"computed": None, "raw": None}}
    assert values("doppler", json.dumps(listing)) == {"A": "1", "B": "2", "C": None}


def test_vault():
    """Version 2, version 1, and the inner object; numbers stay as they were written."""
    inner = '{"user-name": "u", "port": 5432, "big": 12345678901234567890.10, "tls": true, "none": null}'
    expected = {"USER_NAME": "u", "PORT": "5432", "BIG": "12345678901234567890.10", "TLS": "true", "NONE": None}
    for text in (f'{{"data": {{"data": {inner}, "metadata": {{"version": 3}}}}}}', f'{{"data": {inner}}}', inner):
        assert values("vault", text) == expected


@pytest.mark.parametrize(
    "text",
    ["A\t2026-01-01\nB\t2026-01-02\n", '[{"name": "A"}, {"name": "B"}]', '{"total_count": 2, "secrets": [{"name": "A"}, {"name": "B"}]}'],
)  # fmt: skip
def test_github(text):
    """The table, `--json name` and the REST answer: names without values."""
    assert values("github", text) == {"A": None, "B": None}


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]), max_size=30), max_size=6)
)
def test_what_is_quoted_comes_back(found):
    """Any text, written in double quotes, is read as it was."""
    quoted = (re.sub(r'(["\\$])', r"\\\1", value).replace("\n", "\\n") for value in found)
    text = "".join(f'K{number}="{value}" # c\n' for number, value in enumerate(quoted))
    assert [line.value for line in dotenv.parse(text)] == found


@given(st.sampled_from(sorted(FORMATS)), st.text("Aa1=\"'\\#$ \n\t{}[]:,", max_size=60), st.text(max_size=5))
def test_nothing_is_quoted_and_nothing_crashes(form, noise, more):
    """Broken files of every format: read, or a fault, without a word of what they hold."""
    for text in (f"{noise}{CANARY}{more}", f"A={CANARY}{noise}", f'{{"A": "{CANARY}", {noise}'):
        said = ""
        try:
            read(form, text)
        except ImportFault as error:
            said = str(error)
        assert "canary" not in said.lower()
