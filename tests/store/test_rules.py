"""Destination rules: what is read, what is refused with a remedy, and what each rule permits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import use

from store.errors import Invalid
from store.model import Location
from store.rules import DestinationRule, canonical_rules, parse_rules


def rule(text):
    return DestinationRule.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM.", "api.example.com"),
        ("api.example.com:443", "api.example.com"),
        ("api.example.com:8443", "api.example.com:8443"),
        ("https://api.example.com", "api.example.com"),
        ("https://api.example.com/", "api.example.com"),
        ("wss://api.example.com", "api.example.com"),
        ("HTTP://api.example.com", "http://api.example.com"),
        ("http://api.example.com:80", "http://api.example.com"),
        ("ws://api.example.com:9000", "http://api.example.com:9000"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("[::1]", "[::1]"),
        ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]:8443"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("*.example.com", "*.example.com"),
        ("*.Example.com:8443", "*.example.com:8443"),
        ("http://*.example.com", "http://*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("ａｐｉ．example．com", "api.example.com"),
        ("localhost", "localhost"),
        ("my_host.example.com", "my_host.example.com"),
        ({"host": "a.example.com"}, "a.example.com"),
        (
            {"host": "a.example.com", "methods": ["post", "GET"], "paths": ["/v1/*"], "headers": ["Authorization"]},
            {"host": "a.example.com", "methods": ["GET", "POST"], "paths": ["/v1/*"], "headers": ["authorization"]},
        ),
    ],
)
def test_rules_have_one_canonical_form(text, canonical):
    """Every spelling comes to the same rule, and the canonical form reads as itself."""
    assert rule(text).canonical() == canonical
    assert rule(canonical) == rule(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "host_invalid"),
        (" ", "host_invalid"),
        ("*", "host_invalid"),
        ("*.", "host_invalid"),
        ("**.example.com", "host_invalid"),
        ("a.*.example.com", "host_invalid"),
        ("*example.com", "host_invalid"),
        ("api.example.*", "host_invalid"),
        ("*.com", "host_too_wide"),
        ("*.co.uk", "host_too_wide"),
        ("*.github.io", "host_too_wide"),
        ("*.localhost", "host_too_wide"),
        ("*.127.0.0.1", "host_invalid"),
        ("*.[::1]", "host_invalid"),
        ("https://api.example.com/v1", "host_has_path"),
        ("api.example.com/v1", "host_has_path"),
        ("api.example.com?x", "host_has_path"),
        ("api.example.com#x", "host_has_path"),
        ("api.example.com\\@evil.example", "host_has_path"),
        ("ftp://api.example.com", "host_invalid"),
        ("://api.example.com", "host_invalid"),
        ("user@api.example.com", "host_invalid"),
        ("user:pass@api.example.com", "host_invalid"),
        ("api.example.com:", "port_invalid"),
        ("api.example.com:0", "port_invalid"),
        ("api.example.com:65536", "port_invalid"),
        ("api.example.com:٤٤٣", "port_invalid"),
        ("api.example.com:+443", "port_invalid"),
        ("::1", "host_invalid"),
        ("[::1", "host_invalid"),
        ("[fe80::1%eth0]", "host_invalid"),
        ("127.1", "host_invalid"),
        ("0x7f.0.0.1", "host_invalid"),
        ("2130706433", "host_invalid"),
        ("0177.0.0.1", "host_invalid"),
        ("1.2.3.4.5", "host_invalid"),
        ("example.0x1", "host_invalid"),
        ("a..example.com", "host_invalid"),
        (".example.com", "host_invalid"),
        ("example.com..", "host_invalid"),
        ("-a.example.com", "host_invalid"),
        ("a" * 64 + ".example.com", "host_invalid"),
        (".".join(["abcdefg"] * 33), "host_invalid"),
        ("exa mple.com", "host_invalid"),
        ("exam\tple.com", "host_invalid"),
        ("exam\r\nple.com", "host_invalid"),
        ("exam\0ple.com", "host_invalid"),
        ("xn--a.example.com", "host_invalid"),
        ("^api[.]example[.]com$", "host_invalid"),
        ("#{SECRETS.HOST}", "host_has_path"),
        (None, "host_invalid"),
        (5, "host_invalid"),
        ([], "host_invalid"),
        ({}, "host_required"),
        ({"host": 5}, "host_required"),
        ({"host": "a.example.com", "port": 5}, "unknown_key"),
        ({"host": "a.example.com", "methods": []}, "methods_invalid"),
        ({"host": "a.example.com", "methods": "GET"}, "methods_invalid"),
        ({"host": "a.example.com", "methods": ["G T"]}, "methods_invalid"),
        ({"host": "a.example.com", "headers": [""]}, "headers_invalid"),
        ({"host": "a.example.com", "headers": ["a:b"]}, "headers_invalid"),
        ({"host": "a.example.com", "paths": ["v1"]}, "path_invalid"),
        ({"host": "a.example.com", "paths": ["/v1/../x"]}, "path_invalid"),
        ({"host": "a.example.com", "paths": ["/v1/%2e%2e/x"]}, "path_invalid"),
        ({"host": "a.example.com", "paths": ["/v1%2fx"]}, "path_invalid"),
        ({"host": "a.example.com", "paths": ["/v1?x=1"]}, "path_invalid"),
        ({"host": "a.example.com", "paths": ["/é"]}, "path_invalid"),
        ({"host": "a.example.com", "paths": ["/x"] * 65}, "too_many"),
    ],
)
def test_bad_rules_are_refused_with_a_code(text, code):
    """Nothing wide, ambiguous or misspelt becomes a rule; the input is not repeated."""
    with pytest.raises(Invalid) as caught:
        DestinationRule.parse(text, "/hosts/0")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.pointer.startswith("/hosts/0")
    if isinstance(text, str) and len(text) > 20:
        assert text not in problem.detail


@pytest.mark.parametrize(
    ("text", "asked", "allowed"),
    [
        ("api.example.com", use("api.example.com"), True),
        ("api.example.com", use("evil.example.com"), False),
        ("api.example.com", use("api.example.com.evil.example"), False),
        ("api.example.com", use("xapi.example.com"), False),
        ("api.example.com", use("api.example.com", port=8443), False),
        ("api.example.com", use("api.example.com", secure=False), False),
        ("api.example.com", use("api.example.com", secure=False, port=443), False),
        ("http://api.example.com", use("api.example.com"), False),
        ("http://api.example.com", use("api.example.com", secure=False), True),
        ("http://api.example.com", use("api.example.com", secure=True, port=80), False),
        ("*.example.com", use("a.example.com"), True),
        ("*.example.com", use("a.b.example.com"), True),
        ("*.example.com", use("example.com"), False),
        ("*.example.com", use("badexample.com"), False),
        ("*.example.com", use(".example.com"), False),
        ("[::1]:9000", use("::1", port=9000), True),
        ({"host": "a.io", "methods": ["POST"]}, use("a.io", method="GET"), False),
        ({"host": "a.io", "methods": ["POST"]}, use("a.io", method="POST"), True),
        ({"host": "a.io", "methods": ["POST"]}, use("a.io", method="post"), False),
        ({"host": "a.io", "headers": ["authorization"]}, use("a.io", header="authorization"), True),
        ({"host": "a.io", "headers": ["authorization"]}, use("a.io", header="Authorization"), True),
        ({"host": "a.io", "headers": ["authorization"]}, use("a.io", header="x-echo"), False),
        ({"host": "a.io", "headers": ["authorization"]}, use("a.io", Location.URL), True),
        ({"host": "a.io", "paths": ["/v1/*"]}, use("a.io", path="/v1/items"), True),
        ({"host": "a.io", "paths": ["/v1/*"]}, use("a.io", path="/v1/items/1"), True),
        ({"host": "a.io", "paths": ["/v1/*"]}, use("a.io", path="/v1"), False),
        ({"host": "a.io", "paths": ["/v1/*"]}, use("a.io", path="/v2/items"), False),
        ({"host": "a.io", "paths": ["/v1/*"]}, use("a.io", path="/v1/../v2/items"), False),
    ],
)
def test_what_a_rule_permits(text, asked, allowed):
    """Scheme, host, port, method, path and header name must all fit."""
    assert rule(text).allows(asked) is allowed


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "*.a.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "http://a.example.com", False),
        ("*.a.example.com", "*.example.com", False),
        ("a.example.com", "*.a.example.com", False),
        ("a.example.com", {"host": "a.example.com", "methods": ["GET"]}, True),
        ({"host": "a.example.com", "methods": ["GET"]}, "a.example.com", False),
        ({"host": "a.io", "methods": ["GET", "POST"]}, {"host": "a.io", "methods": ["GET"]}, True),
        ({"host": "a.io", "methods": ["GET"]}, {"host": "a.io", "methods": ["GET", "POST"]}, False),
        ({"host": "a.io", "headers": ["x"]}, {"host": "a.io", "headers": ["x", "y"]}, False),
        ({"host": "a.io", "paths": ["/v1/*"]}, {"host": "a.io", "paths": ["/v1/a", "/v1/b/*"]}, True),
        ({"host": "a.io", "paths": ["/v1/*"]}, {"host": "a.io", "paths": ["/v1/a", "/v2"]}, False),
        ({"host": "a.io", "paths": ["/v1/*/x"]}, {"host": "a.io", "paths": ["/v1/a/x"]}, True),
        ({"host": "a.io", "paths": ["/v1/*/x"]}, {"host": "a.io", "paths": ["/v1/*"]}, False),
        ({"host": "a.io", "paths": ["/v1/a"]}, {"host": "a.io", "paths": ["/v1/*"]}, False),
        ({"host": "a.io", "paths": ["/v1/*"]}, "a.io", False),
    ],
)
def test_covering_is_what_narrowing_means(wide, narrow, covers):
    """A rule covers another when nothing is permitted there that it does not permit."""
    assert rule(wide).covers(rule(narrow)) is covers


def test_equal_sets_seal_to_equal_bytes():
    """Order and repeats in an upload do not change the canonical list."""
    one = canonical_rules(parse_rules(["b.example.com", "a.example.com", "A.example.com."]))
    two = canonical_rules(parse_rules(["a.example.com", "b.example.com"]))
    assert one == two == ["a.example.com", "b.example.com"]


def test_all_faults_of_a_list_are_told_at_once():
    """Pointers name the items."""
    with pytest.raises(Invalid) as caught:
        parse_rules(["*", "ok.example.com", "ftp://x"])
    assert [problem.pointer for problem in caught.value.problems] == ["/hosts/0", "/hosts/2"]


def test_there_is_a_limit_to_rules():
    """64 hosts per secret."""
    with pytest.raises(Invalid):
        parse_rules([f"h{number}.example.com" for number in range(65)])


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
names = st.lists(labels, min_size=2, max_size=4).map(lambda parts: ".".join([*parts, "example.com"]))
paths = st.sampled_from(["/v1/*", "/v1/a", "/v1/*/x", "/*", "/v1/a/x"])
rules = st.builds(
    lambda host, wild, method, path: {
        "host": ("*." if wild else "") + host,
        **({"methods": method} if method else {}),
        **({"paths": path} if path else {}),
    },
    st.sampled_from(["a.example.com", "b.a.example.com", "example.com"]),
    st.booleans(),
    st.lists(st.sampled_from(["GET", "POST"]), max_size=2),
    st.lists(paths, max_size=2),
)
uses = st.builds(
    lambda host, method, path: use(host, method=method, path=path),
    st.sampled_from(["a.example.com", "b.a.example.com", "example.com", "c.b.a.example.com"]),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/v1/a", "/v1/b/x", "/v1/", "/", "/v1/a/x", "/v1/%2e%2e/a"]),
)


@given(rules, rules, uses)
def test_a_covered_rule_permits_nothing_more(wide, narrow, asked):
    """If A covers B, every use that B permits is permitted by A: narrowing can never widen."""
    if rule(wide).covers(rule(narrow)) and rule(narrow).allows(asked):
        assert rule(wide).allows(asked)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    """No input raises anything but `Invalid`, and what is read has a stable canonical form."""
    try:
        one = rule(text)
    except Invalid:
        return
    assert rule(one.canonical()) == one


@given(names)
def test_host_names_are_stable(name):
    """A plain name reads as itself in any case."""
    assert rule(name.upper()).host == name


@pytest.mark.parametrize(
    "text",
    ["egret.internal", "http://EGRET.Internal.:8080", "ｅｇｒｅｔ.internal", "x.egret.internal", "*.egret.internal"],
)
def test_egrets_own_name_is_reserved(text):
    """No upload may name it; a rule that an old store holds reads, and matches nothing."""
    with pytest.raises(Invalid) as refused:
        parse_rules(["api.example.com", text])
    assert [(problem.pointer, problem.code) for problem in refused.value.problems] == [("/hosts/1", "host_reserved")]
    old = rule(text)
    assert not old.names("egret.internal") and not old.names("x.egret.internal")
    assert not rule("*.example.com").names("egret.internal")


CAPTURE = {"members": ["refresh_token", "access_token"], "hosts": ["API.example.com"]}
LOGIN = {"host": "auth.example.com", "methods": ["POST"], "paths": ["/oauth/token"], "capture": CAPTURE}


def test_a_capture_has_one_canonical_form():
    """Members and hosts are sorted and normalised, so that two spellings seal to equal bytes."""
    made = rule(LOGIN)
    assert made.canonical()["capture"] == {"hosts": ["api.example.com"], "members": ["access_token", "refresh_token"]}
    assert rule(made.canonical()) == made


@pytest.mark.parametrize(
    ("capture", "pointer", "code"),
    [
        ("access_token", "/capture", "capture_invalid"),
        ({"members": ["a"]}, "/capture", "capture_invalid"),
        (CAPTURE | {"more": 1}, "/capture", "capture_invalid"),
        (CAPTURE | {"members": []}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": "a"}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["a"] * 17}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["$.a"]}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["a[0]"]}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["a..b"]}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["a.b.c.d"]}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["a" * 65]}, "/capture/members", "members_invalid"),
        (CAPTURE | {"members": ["auth", "auth.token"]}, "/capture/members", "members_invalid"),
        (CAPTURE | {"hosts": "api.example.com"}, "/capture/hosts", "host_invalid"),
        (CAPTURE | {"hosts": ["ok.example.com", "*"]}, "/capture/hosts/1", "host_invalid"),
        (CAPTURE | {"hosts": ["egret.internal"]}, "/capture/hosts/0", "host_reserved"),
        (CAPTURE | {"hosts": [LOGIN]}, "/capture/hosts", "capture_invalid"),
    ],
)
def test_bad_captures_are_refused_at_their_place(capture, pointer, code):
    with pytest.raises(Invalid) as refused:
        parse_rules([LOGIN | {"capture": capture}])
    (problem,) = refused.value.problems
    assert (problem.pointer, problem.code) == (f"/hosts/0{pointer}", code) and problem.detail


def capturing(members=("access_token", "refresh_token"), hosts=("api.example.com",), **more):
    return LOGIN | {"capture": {"members": list(members), "hosts": list(hosts)}} | more


@pytest.mark.parametrize(
    ("narrow", "covers"),
    [
        (LOGIN, True),
        (capturing(hosts=[]), True),
        (capturing(hosts=[{"host": "api.example.com", "headers": ["x-token"]}]), True),
        (capturing(hosts=["evil.example.com"]), False),
        (capturing(hosts=["api.example.com", "evil.example.com"]), False),
        (capturing(["access_token"]), False),  # what is left out would be shown
        (capturing(["access_token", "refresh_token", "more"]), False),
        ({key: value for key, value in LOGIN.items() if key != "capture"}, False),
        (capturing(paths=["/*"]), False),
    ],
)
def test_a_capture_is_narrowed_to_fewer_hosts(narrow, covers):
    assert rule(LOGIN).covers(rule(narrow)) is covers
    plain = {"host": "auth.example.com"}
    assert not rule(plain).covers(rule(LOGIN)), "nor is one added, whose hosts nobody sealed"


@pytest.mark.parametrize(
    ("beside", "apart"),
    [
        ("auth.example.com", False),
        ("*.example.com", False),
        ({"host": "auth.example.com", "headers": ["authorization"]}, False),
        ({"host": "auth.example.com", "methods": ["POST", "GET"]}, False),
        ({"host": "auth.example.com", "paths": ["/*"]}, False),
        ({"host": "auth.example.com", "paths": ["/oauth/*"]}, False),
        ({"host": "auth.example.com", "paths": ["/*/token"]}, False),
        ({"host": "auth.example.com", "paths": ["/oauth/token"]}, False),
        ({"host": "auth.example.com", "paths": ["/api/*", "/oauth/revoke"]}, True),
        ({"host": "auth.example.com", "methods": ["GET"], "paths": ["/oauth/token"]}, True),
        (capturing(paths=["/oauth/*"]), True),
        ("auth.example.com:8443", True),
        ("http://auth.example.com", True),
        ("api.example.com", True),
    ],
)
def test_nothing_lets_a_request_by_beside_a_capture(beside, apart):
    """A rule without it, for the same requests, would show what the other one captures."""
    for rules in ([LOGIN, beside], [beside, LOGIN]):
        if apart:
            assert len(parse_rules(rules)) == 2
            continue
        with pytest.raises(Invalid) as refused:
            parse_rules(rules)
        assert [problem.code for problem in refused.value.problems] == ["capture_overlaps"]
