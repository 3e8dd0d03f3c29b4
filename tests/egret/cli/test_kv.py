"""egret.cli.kv: keys with slashes and names map one to one."""

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egret.cli.kv import KEY, to_key, to_name
from store.model import NAME


@pytest.mark.parametrize(
    ("key", "name"),
    [("password", "PASSWORD"), ("prod/db/password", "PROD__DB__PASSWORD"), ("a/b_c/1", "A__B_C__1")],
)
def test_examples(key, name):
    """The mapping as documented."""
    assert (to_name(key), to_key(name)) == (name, key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "1a",
        "_a",
        "a_",
        "a__b",
        "a/_b",
        "a-b",
        "a b",
        "a/b\n",
        "ä",
        "a/" * 60 + "aaaaaaaaaa",
    ],
)
def test_what_is_no_key(key):
    """Refused instead of guessed."""
    with pytest.raises(click.exceptions.Exit):
        to_name(key)


@given(st.from_regex(KEY, fullmatch=True).filter(lambda key: len(key) < 60))
def test_every_key_has_its_own_name(key):
    """Back and forth is the identity, and the name is a legal one: so two keys never share a name."""
    assert NAME.fullmatch(to_name(key))
    assert to_key(to_name(key)) == key


@given(st.from_regex(NAME, fullmatch=True))
def test_a_name_has_one_key_or_none(name):
    """A name that is listed under a key is reached by that key."""
    key = to_key(name)
    assert key is None or to_name(key) == name
    assert key is None or not re.search(r"_$|___", name)
