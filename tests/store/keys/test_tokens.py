"""Tokens: shape, checksum, keyed hash."""

import re

from hypothesis import given
from hypothesis import strategies as st

from store.keys.tokens import API_KEY, SESSION, keyed_hash, mint, token_id

KEY = b"k" * 32


def test_a_token_has_the_shape_that_scanners_know():
    """Prefix, public id, secret, checksum; 190 bits of secret."""
    minted = mint(API_KEY, KEY)
    token = minted.token.reveal().decode()
    assert re.fullmatch(r"egk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", token)
    assert token_id(token, API_KEY) == minted.id
    assert token_id(token, SESSION) is None
    assert minted.keyed == keyed_hash(token, KEY) != keyed_hash(token, b"x" * 32)
    assert token not in repr(minted)


def test_tokens_do_not_repeat():
    """A thousand, all different in id and secret."""
    made = [mint(SESSION, KEY) for _ in range(1000)]
    assert len({one.id for one in made}) == len({one.keyed for one in made}) == 1000


def test_every_single_typo_is_known_offline():
    """Each character replaced: the checksum says so before the store is asked."""
    token = mint(SESSION, KEY).token.reveal().decode()
    for index in range(len(token)):
        wrong = "B" if token[index] != "B" else "C"
        assert token_id(token[:index] + wrong + token[index + 1 :], SESSION) is None


@given(st.text(max_size=80))
def test_any_text_is_judged(text):
    """Nothing raises."""
    assert token_id(text, SESSION) is None
    assert token_id("egs_" + text, SESSION) is None
