"""The environment of code behind the proxy."""

import pytest

from egret.sandbox import with_password


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("http://egs_a-b_c@127.0.0.1:8080", "http://egs_a-b_c:egret@127.0.0.1:8080"),
        ("http://egs_a:@127.0.0.1:8080", "http://egs_a:egret@127.0.0.1:8080"),
        ("https://egs_a@[::1]:8080/", "https://egs_a:egret@[::1]:8080/"),
        ("http://egs_a:own@127.0.0.1:8080", "http://egs_a:own@127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/a@b", "http://127.0.0.1:8080/a@b"),
    ],
)
def test_a_token_gets_a_password(given, made):
    """Some clients send no credentials when there is only a user name."""
    assert with_password(given) == made
