"""What a terminal of 80 columns shows: nothing is cut, nothing wraps letter by letter, nothing is obeyed."""

import os
import re
import sys

from terminal import run_on_terminal

COLUMNS = ("id", "name", "created_at", "last_used_at")
TIME = "2026-11-21T20:19:56.184000Z"


def shown(call: str, columns: int = 80) -> list[str]:
    """What `call` prints on a terminal of that width, without colours."""
    script = f"""
import click
from egret.cli.output import hanging, one, rows
with click.Context(click.Command("x")):
    {call}
"""
    code, text = run_on_terminal([sys.executable, "-c", script], env=os.environ | {"COLUMNS": str(columns)})
    assert code == 0, text
    return re.sub(r"\x1b\[\d*m", "", text).split("\r\n")[:-1]


def item(name: str) -> dict[str, object]:
    return {"id": "wTnwt56RbCrfM7OZ", "name": name, "created_at": TIME, "last_used_at": None}


def test_a_table_that_fits():
    """Heads over columns, times to the minute, a column that holds nothing is left out."""
    assert shown(f"rows({[item('reviews'), item('x')]!r}, {COLUMNS!r})") == [
        "ID                NAME     CREATED AT",
        "wTnwt56RbCrfM7OZ  reviews  2026-11-21 20:19",
        "wTnwt56RbCrfM7OZ  x        2026-11-21 20:19",
    ]


def test_what_does_not_fit_is_a_block_each():
    """Whole ids and names, whatever the width; a wider terminal shows the same as a table."""
    name = "n" * 60
    lines = shown(f"rows({[item(name), item('x')]!r}, {COLUMNS!r})")
    assert lines == [
        "id:         wTnwt56RbCrfM7OZ", f"name:       {name}", f"created_at: {TIME}", "",
        "id:         wTnwt56RbCrfM7OZ", "name:       x", f"created_at: {TIME}",
    ]  # fmt: skip
    assert len(shown(f"rows({[item(name), item('x')]!r}, {COLUMNS!r})", 120)) == 3


def test_an_empty_list_says_so():
    """On stderr, so that nothing is taken for a name."""
    assert shown(f"rows([], {COLUMNS!r})") == ["egret: there are none"]


def test_one_document_is_aligned_by_its_longest_name():
    """Values begin in one column."""
    assert shown("one({'id': 'x', 'date_last_used': 'y'})") == ["id:             x", "date_last_used: y"]


def test_what_a_terminal_would_obey_is_shown():
    """Names that others entered are not control sequences here."""
    assert shown(r"rows([{'id': '\x1b[2J\x07'}], ('id',))") == ["ID", r"\x1b[2J\x07"]


def test_long_words_hang_below_themselves():
    """A sentence goes on under its beginning; a word that is too long stays whole."""
    url = "https://example.com/" + "x" * 40
    assert shown(f"print(hanging('ok  ', 'one two three {url} end'))", 24) == [
        "ok  one two three", f"    {url}", "    end",
    ]  # fmt: skip
