"""Path patterns: matched as sent; what an upstream could read otherwise matches nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.paths import covers_path, matches_path, path_is_plain


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin", "/v1/./x", "/v1/..", "/..", "/v1/%2e%2e/admin", "/v1/%2E./admin", "/v1/.%2e/admin",
        "/v1/%252e%252e/admin", "/v1/%25252e%25252e/x", "/v1%2fadmin", "/v1%2Fadmin", "/v1%252fadmin",
        "/v1\\admin", "/v1%5cadmin", "/v1%255cadmin", "/v1/..;/admin", "/v1/..;x=1/admin", "/v1/.;/x",
        "/v1/%2e%2e;/x", "/v1/%c0%ae%c0%ae/x", "/v1/%u002e%u002e/x", "/v1/\x00", "/v1/%00", "/v1/%0d%0a", "/v1/\x7f",
        "/%" + "25" * 12 + "2e",
    ],
)  # fmt: skip
def test_paths_with_a_second_reading_are_not_plain(path):
    """Dot segments, encoded separators, overlong and nested encodings."""
    assert not path_is_plain(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/items",
        "/v1/a.b",
        "/v1/...",
        "/v1/.well-known/x",
        "/v1/a%20b",
        "/v1/%7Bx%7D",
        "/v1//x",
        "/v1/caf%C3%A9",
        "/v1/100%25",
    ],
)
def test_ordinary_paths_are_plain(path):
    """Dots in names, percent-encoded spaces and letters."""
    assert path_is_plain(path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/v1/*", "/v1/", True),
        ("/v1/*", "/v1/a/b", True),
        ("/v1/*", "/v10", False),
        ("/*", "/anything/at/all", True),
        ("/v1/a", "/v1/a", True),
        ("/v1/a", "/v1/a/", False),
        ("/v1/a", "/V1/a", False),
        ("/v1/a", "/v1/%61", False),
        ("/v1/*/x", "/v1/a/x", True),
        ("/v1/*/x", "/v1/a/b/x", False),
        ("/v1/*/x", "/v1//x", True),
        ("/v1/a*c/x", "/v1/abc/x", True),
        ("/v1/a*c/x", "/v1/ac/x", True),
        ("/v1/a*c/x", "/v1/a/c/x", False),
        ("/v1/*/x/*", "/v1/a/x/b/c", True),
        ("/a*b*c", "/axxbyybzzc", True),
        ("/a*b*c", "/axxbyyd", False),
    ],
)
def test_patterns(pattern, path, matches):
    """A star is a part of one segment, and the rest at the end."""
    assert matches_path(pattern, path) is matches


patterns = st.text("/ab*", max_size=6).map(lambda text: "/" + text)


@given(patterns, patterns, st.text("/ab", max_size=6).map(lambda text: "/" + text))
def test_covering_is_sound(wide, narrow, path):
    """What the narrow pattern matches, the wide one matches."""
    if covers_path(wide, narrow) and matches_path(narrow, path):
        assert matches_path(wide, path)


def test_many_stars_do_not_explode():
    """A hostile pattern is matched in time."""
    assert not matches_path("/" + "a*" * 20 + "b/", "/" + "a" * 60)
