"""Path patterns: matched as sent; what an upstream could read otherwise matches nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.paths import allows_path, covers_path, matches_path, path_is_plain, says_otherwise


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin", "/v1/./x", "/v1/..", "/..", "/v1/%2e%2e/admin", "/v1/%2E./admin", "/v1/.%2e/admin",
        "/v1/%252e%252e/admin", "/v1/%25252e%25252e/x", "/v1%2fadmin", "/v1%2Fadmin", "/v1%252fadmin",
        "/v1\\admin", "/v1%5cadmin", "/v1%255cadmin", "/v1/..;/admin", "/v1/..;x=1/admin", "/v1/.;/x",
        "/v1/%2e%2e;/x", "/v1/%c0%ae%c0%ae/x", "/v1/%u002e%u002e/x", "/v1/\x00", "/v1/%00", "/v1/%0d%0a", "/v1/\x7f",
        "/%" + "25" * 12 + "2e",
        "/v1/%e0%80%ae%e0%80%ae/admin", "/v1/%f0%80%80%ae./x", "/v1/%c0%2e/x", "/v1/\xc0\xae\xc0\xae/x", "/v1/caf%e9",
        "/v1/..%20/admin", "/v1/%20../admin", "/v1/.. /admin", "/v1/..+/admin", "/v1/.%20;x/y", "/v1/..%2520/admin",
        "/v1/%ef%bc%8e%ef%bc%8e/admin", "/v1/\xef\xbc\x8e\xef\xbc\x8e/admin", "/v1/.%ef%bc%8e/x", "/v1/a%ef%bc%8fadmin",
        "/v1/a%ef%bc%bcadmin", "/v1/%ef%bc%852e/x", "/v1/%e2%80%a5/x", "/v1/%e2%80%a4%e2%80%a4/x", "/v1/a%e2%88%95b",
        "/v1/a%e2%81%84b", "/v1/%e3%80%82%e3%80%82/x", "/v1/..%ef%bc%9b/x", "/v1/.%e2%80%8b./x", "/v1/..%c2%a0/x",
        "/v1/..%c2%ad/x", "/v1/%ef%bb%bf../x", "/v1/%25ef%25bc%258e./x", "/v1/a%ef%bc%83b", "/v1/a%ef%bc%9fb",
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
        ("/v1/*/x", "/v1//x", False),
        ("/v1/*/x", "/v1/;a/x", False),
        ("/*/x", "//x", False),
        ("/v1/*", "/v1//x", True),
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


@pytest.mark.parametrize("cut", ["#", "%23", "%2523", "%3f", "%3F", "%25253F", ";", "%3b", "%253B"])
@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/files/*.pdf", "/files/private.key@.pdf"), ("/v1/*/read", "/v1/delete@/read"), ("/v1/a*c/x", "/v1/admin@c/x")],
)
def test_what_servers_cut_off_lets_nothing_through(pattern, path, cut):
    """`/files/private.key#.pdf` is `/files/private.key` for most, with `;` for many; and for some, decoded once more."""
    given = path.replace("@", cut)
    expected = cut in {";", "%3b", "%253B"} and pattern.endswith(("read", "x")) and "admin" not in path
    assert matches_path(pattern, given)
    assert allows_path([pattern], given) is expected  # without parameters `/v1/delete;/read` is `/v1/delete/read`


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("/v1/*", "/v1/a#b", True),
        ("/v1/*", "/v1/a;v=1/b%3Fc", True),
        ("/v1/a", "/v1/a#", False),
        ("/v1/a", "/v1/a;v=1", False),
        ("/v1/*/read", "/v1/#{SECRETS.KEY}/read", True),
        ("/v1/*/read", "/v1/%23%7BSECRETS.KEY%7d/read", True),
        ("/bot*/send", "/bot#<SECRETS.KEY>/send", True),
        ("/v1/*/read", "/v1/#{SECRETS.key}/read", False),
        ("/v1/*/read", "/v1/#{SECRETS.KEY}#/read", False),
        ("/v1/x/read", "/v1/#{SECRETS.KEY}/read", False),
        ("/v1/*/read", "/v1/a/../read", False),
    ],
)
def test_what_a_pattern_allows(pattern, path, allowed):
    """A placeholder is a part of a segment: its `#` cuts nothing off."""
    assert allows_path([pattern], path) is allowed


patterns = st.text("/ab*", max_size=6).map(lambda text: "/" + text)


@given(patterns, patterns, st.text("/ab", max_size=6).map(lambda text: "/" + text))
def test_covering_is_sound(wide, narrow, path):
    """What the narrow pattern matches, the wide one matches."""
    if covers_path(wide, narrow) and matches_path(narrow, path):
        assert matches_path(wide, path)


def test_many_stars_do_not_explode():
    """A hostile pattern is matched in time."""
    assert not matches_path("/" + "a*" * 20 + "b/", "/" + "a" * 60)


@pytest.mark.parametrize(
    "field",
    [
        "x-http-method-override", "x-http-method", "x-method-override", "x-method", "method-override", "x-rest-method",
        "x-forwarded-method", "x-original-method", "x-original-url", "x-rewrite-url", "x-original-uri", "x-forwarded-uri",
        "x-forwarded-url", "x-forwarded-path", "x-forwarded-prefix", "x-original-path", "x-request-uri", "request-uri",
        "x-envoy-original-path", "x-override-url", "x-waws-unencoded-url", "x-ms-original-url", "x-script-name", "destination",
    ],
)  # fmt: skip
def test_fields_that_say_otherwise(field):
    """Each makes some server or framework take the request for another."""
    assert says_otherwise({"accept", field}, "")


@pytest.mark.parametrize(
    "field",
    [
        "accept", "authorization", "content-type", "content-location", "access-control-request-method", "referer", "origin",
        "x-api-key", "x-request-id", "x-forwarded-for", "x-stainless-runtime", "curl-version", "x-methodology", "user-agent",
        "openai-beta", "anthropic-version", "x-goog-user-project", "if-match", "x-amz-target", "grpc-encoding",
    ],
)  # fmt: skip
def test_fields_that_say_nothing_of_it(field):
    """What SDKs and browsers send."""
    assert not says_otherwise({field}, "")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("_method=DELETE", True), ("a=1&_method=put", True), ("a=1;_METHOD=put", True), ("%5Fmethod=x", True),
        ("_%6dethod=x", True), ("+_method=x", True), ("_method", True), ("_http_method=x", True), ("X-HTTP-Method=x", True),
        ("X-HTTP-Method-Override=x", True), ("method_override=x", True), ("method=x", False),
        ("a%0Amethod-override%0A=x", True),
        ("", False), ("a=_method", False), ("payment_method=card", False), ("methods=x", False), ("a=%5Fmethod", False),
    ],
)  # fmt: skip
def test_queries_that_say_otherwise(query, says):
    """By the name of a parameter, however it is written."""
    assert says_otherwise((), query) is says
