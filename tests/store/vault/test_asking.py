"""What is told of a request is what the data plane decides of it, and nothing is told of what the asker may not see."""

import itertools

import pytest
import shown
from certificates import Authority
from people import OPS, group, member
from stores import secret

from proxy.core import inject
from proxy.core.edit import Budget, Editor
from proxy.core.message import Head
from proxy.core.placeholder import Surface, find
from proxy.core.refusal import Refused
from store.authorities import egress_allows
from store.errors import Forbidden, Invalid, NotFound
from store.model import DEFAULT_LOCATIONS, Denial, Kind, Scope
from store.records import Change, NewEntry
from store.trust.judging import Obstacle
from store.vault import Declaration, Question
from store.vault.asking import use_of

RULE = {"host": "api.example.com", "methods": ["GET"], "paths": ["/v1/*"], "headers": ["x-key"]}
SECRETS = [
    secret("PLAIN", hosts=["api.example.com"]),
    secret("RULED", hosts=[RULE, "*.example.net"]),
    secret("HEADER", hosts=["api.example.com"], locations=["header"]),
    secret("PRESET", hosts=None, provider="openai"),
    secret("BESIDE", hosts=["api.openai.com"]),
    secret("WIDENED", hosts=["api.openai.com"], locations=["header", "body"]),
    secret("NOWHERE", hosts=[]),
    secret("CLEAR", hosts=["http://api.example.com"]),
    secret("STAGED", hosts=["api.example.com"], environment="staging"),
]
URLS = [
    "https://api.example.com/v1/models", "https://api.example.com/v2", "http://api.example.com/", "https://a.example.net/?_method=PUT",
    "https://api.openai.com/v1/chat", "https://api.example.com:8443/v1/x", "wss://api.example.com/v1/x", "https://egret.internal/session",
]  # fmt: skip
PLACES = [("header", "authorization"), ("header", "x-key"), ("url", ""), ("body", ""), ("message", "")]


@pytest.fixture
def asked(store):
    store.dataset(*SECRETS, secret("NARROWED", hosts=["api.example.com", "*.example.net"]), hosts=[])
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "NARROWED", Change(hosts=[RULE]))
    store.vault.entries.put(store.owner, store.owner.scope("default"), Kind.SECRET, secret("PROJECTS"))
    store.vault.entries.disable(store.owner, store.scope(), Kind.SECRET, "CLEAR")

    def ask(name, url="https://api.example.com/v1/models", who=None, **options):
        return store.vault.asking.ask(who or store.owner, store.scope(), Question(name, url, **options))

    return ask


def test_it_is_what_the_data_plane_decides(store, asked, reader):
    """Of each secret, URL, method and place, in two environments, word for word."""
    names = [each.name for each in SECRETS] + ["NARROWED", "PROJECTS", "MISSING"]
    codes = set()
    for environment in ("", "staging"):
        view = reader.view(store.caller(reader, environment=environment))
        for name, url, method, (place, header) in itertools.product(names, URLS, ("GET", "POST"), PLACES):
            question = Question(name, url, method, place, header or "unused", environment)
            decision, use = store.vault.asking.ask(store.owner, store.scope(), question), use_of(question)
            if use.destination.own:
                assert decision.code == "destination_blocked"
                continue
            found = view.resolve(Kind.SECRET, name, use)
            assert decision.code == (found if isinstance(found, Denial) else ""), question
            if decision.allowed:
                assert decision.version == found.version and decision.rules
            codes.add(decision.code)
    assert codes == {"", *Denial}


def test_it_says_what_stands_in_the_way(asked):
    """The rule that serves, or all that there are; and which of the places and headers are allowed."""
    assert (asked("RULED", header="x-key").rules, asked("RULED", header="x-key").obstacle) == ([RULE], None)
    assert asked("RULED", header="authorization").obstacle is Obstacle.HEADER
    assert asked("RULED", method="POST").obstacle is Obstacle.RULES and len(asked("RULED", method="POST").rules) == 2
    assert asked("HEADER", location="url").obstacle is Obstacle.PLACE
    assert asked("HEADER").locations == ("header",) and set(asked("PLAIN").locations) == {*DEFAULT_LOCATIONS}
    assert asked("BESIDE", "https://api.openai.com/", location="body").obstacle is Obstacle.PRESET
    assert asked("PROJECTS").scope == Scope("default", "default") and asked("PROJECTS").allowed
    assert asked("PLAIN", location="body").carried is False and asked("NOWHERE", location="body").carried is True


def test_the_egress_list_comes_first(store):
    """As the proxy asks it, by the same function."""
    store.dataset(secret("PLAIN"), egress={"allow": ["other.example.com"]})
    ask = lambda url: store.vault.asking.ask(store.owner, store.scope(), Question("PLAIN", url))  # noqa: E731
    assert ask("https://api.example.com/").code == "destination_blocked"
    assert ask("https://other.example.com/").code == Denial.DESTINATION
    assert egress_allows({"allow": ["other.example.com"]}, ask("https://other.example.com/").use.destination)


def test_a_consumer_has_what_it_declares(store, asked, reader):
    """No more; one that is not there cannot be asked for."""
    store.vault.consumers.declare(store.owner, "default", "job", Declaration("Job", ["PLAIN"]))
    assert asked("PLAIN", consumer="job").allowed and asked("BESIDE", consumer="job").code == Denial.UNKNOWN
    with pytest.raises(Invalid):
        asked("PLAIN", consumer="none")


def test_what_one_may_not_see_is_not_there(store, asked):
    """A hidden secret is answered as a missing one; a group's member is told of its own; who may not read asks nothing."""
    key = member(store, "developer")
    who = store.vault.keys.authenticate(key)
    with pytest.raises(Forbidden):
        asked("PLAIN", who=who)
    group(store, "mia")
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "PLAIN", Change(groups=OPS))
    who = store.vault.keys.authenticate(key)
    assert asked("PLAIN", who=who).allowed
    hidden, missing = asked("HEADER", who=who), asked("MISSING", who=who)
    assert (hidden.code, hidden.scope, hidden.rules) == (missing.code, missing.scope, missing.rules)
    assert (missing.code, missing.scope) == (Denial.UNKNOWN, None)
    with pytest.raises(NotFound):
        store.vault.asking.ask(store.owner, store.owner.scope("default", "none"), Question("PLAIN", URLS[0]))


@pytest.mark.parametrize(
    "question",
    [
        {"url": "api.example.com/x"}, {"url": "ftp://api.example.com/"}, {"url": "https://user:pw@api.example.com/"}, {"url": "https://[::1/"},
        {"url": "https://127.1/"}, {"url": "https:///x"}, {"url": URLS[0], "location": "elsewhere"}, {"url": URLS[0], "name": "lower"},
        {"url": URLS[0], "environment": "\x00"}, {"url": "https://api.example.com:99999/"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked(store, asked, question):
    """It says why, and repeats nothing of it."""
    with pytest.raises(Invalid) as caught:
        asked(question.pop("name", "PLAIN"), **question)
    assert question["url"] not in str(caught.value.problems)


def test_a_text_in_the_field_for_certificates(asked):
    """It is refused there, whatever the rules say: the field is Egret's."""
    told = asked("PLAIN", location="header", header="Egret-Client-Certificate")
    assert told.code == "client_certificate_misplaced"


def test_variables_are_asked_for_too(store, asked):
    """They are public, and go anywhere unless they name destinations."""
    entry = NewEntry("REGION", secret().value, hosts=None)
    store.vault.entries.put(store.owner, store.scope(), Kind.VARIABLE, entry)
    assert asked("REGION", "http://anywhere.example.org/", kind=Kind.VARIABLE).allowed


CLIENT = b'{"client_id": "id-7", "client_secret": "canary-ask-7Rk2Lw9Qx"}'
AWS_KEY = b'{"access_key_id": "AKIA2222222222222222", "secret_access_key": "canary+ask/9Zq4Nd8Vb2Xc5Mf7Hj3Kt6Lp1Rw0Y"}'
HOOK = b'{"secret": "canary-ask-hook-4Tn8Yb2Vc6", "key_id": "kid-7"}'
SIGNED = {"payload": ["body"], "signature_in": "header:X-Key", "key_id_in": "query:key"}
HEADS = {
    "MINE": (b"#{SECRETS.MINE}", "client_certificate"),
    "HOOK": (b"#{SECRETS.HOOK}", "signing_key"),
    "CRM": (b"Bearer #{SECRETS.CRM}", "token"),
    "CLOUD": (
        b"AWS4-HMAC-SHA256 Credential=#{SECRETS.CLOUD}/20261122/us-east-1/s3/aws4_request, "
        b"SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64,
        "signing_key",
    ),
}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_what_is_not_written_as_it_is(store, reader, tmp_path, name, strict):
    """What signs or is traded stands where the data plane's own plan and editor let it, and is told so."""
    url = "https://s3.us-east-1.amazonaws.com/b/k"
    where = {"token_url": "https://auth.example.com/token"}
    hosts = ["s3.us-east-1.amazonaws.com"]
    entries = [
        secret("CRM", CLIENT, hosts, kind="oauth2_client", parameters=where),
        secret("CLOUD", AWS_KEY, hosts, kind="aws"),
        secret("MINE", shown.value(Authority(tmp_path), "client-a"), hosts, kind="client_certificate"),
        secret("HOOK", HOOK, hosts, kind="hmac", parameters=SIGNED),
    ]
    store.dataset(*entries, strict_bodies=strict)
    view = reader.view(store.caller(reader))

    def decided(place, header):
        target, fields, text = b"/b/k", [(b"Host", b"s3.us-east-1.amazonaws.com")], HEADS[name][0]
        asked = Question(name, url, "GET", place, header)
        if place == "header":
            fields += [(header.encode(), text), (b"X-Amz-Date", b"20261122T000000Z")]
            head = Head("GET", target, tuple(fields), use_of(asked).destination)
            try:
                return (inject.plan(head, view).names != (name,) and "not planned") or ""
            except Refused as refused:
                return refused.refusal.code
        editor = Editor(view, use_of(asked), Budget(1 << 20), strict=strict)
        data, surface = b'"#{SECRETS.%s}"' % name.encode(), Surface.JSON if place == "body" else Surface.MESSAGE
        try:
            editor.apply(data, find(data, surface), surface)
        except Refused as refused:
            return refused.refusal.code
        return editor.carried[name]

    for place, header in [*PLACES, ("header", "egret-client-certificate")]:
        if place == "url":
            continue
        told = store.vault.asking.ask(store.owner, store.scope(), Question(name, url, "GET", place, header))
        assert told.code == decided(place, header), (place, header)
        assert told.carried == (bool(told.code) and place in {"body", "message"} and not strict)
    whole = store.vault.asking.ask(store.owner, store.scope(), Question(name, url, location="url"))
    assert whole.allowed is (name != "MINE")


def test_a_token_endpoint_is_on_the_egress_list(store):
    """As the proxy asks it before a token is made."""
    where = {"token_url": "https://auth.example.com/token"}
    entry = secret("CRM", CLIENT, kind="oauth2_client", parameters=where)
    for allow, code in ((["api.example.com"], "token_blocked"), (["api.example.com", "auth.example.com"], "")):
        store.dataset(entry, dataset=f"ds{len(allow)}", egress={"allow": allow})
        question = Question("CRM", "https://api.example.com/")
        assert store.vault.asking.ask(store.owner, store.scope(f"ds{len(allow)}"), question).code == code
