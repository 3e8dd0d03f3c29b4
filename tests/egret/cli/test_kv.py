"""Keys with slashes and names map one to one."""

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egret.cli.kv import to_name
from egret.keynames import KEY, key_of
from store.model import NAME


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("password", "PASSWORD"),
        ("prod/db/password", "PROD__DB__PASSWORD"),
        ("a/b_c/1", "A__B_C__1"),
        ("db-host", "DB___HOST"),
        ("dbMain", "DB____M____AIN"),
        ("db/Main", "DB______M____AIN"),
        ("2fa/token", "K________2FA__TOKEN"),
        ("API_KEY", "K____________API_KEY"),
        ("API-Key", "K____________API___K____EY"),
        ("a1B", "A1____B"),
        ("k/2fa", "K__2FA"),
    ],
)
def test_examples(key, name):
    """The mapping as documented."""
    assert (to_name(key), key_of(name)) == (name, key)


@pytest.mark.parametrize(
    "key",
    ["", "/", "a/", "/a", "a//b", "_a", "a_", "-a", "a-", "a__b", "a/_b", "a--b", "a.b", "a b", "a/b\n", "ä", "²", "İ",
     "a/" * 60 + "aaaaaaaaaa", "A1b2" * 20],
)  # fmt: skip
def test_what_is_no_key(key):
    """Refused instead of guessed."""
    with pytest.raises(click.exceptions.Exit):
        to_name(key)


@given(st.from_regex(KEY, fullmatch=True).filter(lambda key: len(key) < 16))
def test_every_key_has_its_own_name(key):
    """Back and forth is the identity, and the name is a legal one: so two keys never share a name."""
    assert NAME.fullmatch(to_name(key))
    assert key_of(to_name(key)) == key


@given(
    st.from_regex(re.compile(r"[A-Z][A-Z0-9_]{0,30}"), fullmatch=True)
    | st.from_regex(re.compile(r"K?(_{1,15}[A-Z0-9]){1,5}"), fullmatch=True)
)
def test_a_name_has_one_key_or_none(name):
    """A name that is listed under a key is reached by that key."""
    key = key_of(name)
    assert key is None or to_name(key) == name
