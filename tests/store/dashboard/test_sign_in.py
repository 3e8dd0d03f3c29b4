"""Signing in at an identity provider: the real store and dashboard, and a provider over TLS, all on sockets."""

import http.client
import json
import logging
import shutil
import ssl
import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from apis import Api
from identity import CLIENT, SECRET, IdentityProvider

from store.api.limits import Buckets, Rate
from store.dashboard import flows, logins
from store.dashboard.provider import Client, Provider
from store.errors import Forbidden, Unavailable
from store.vault.sign_ins import Identity

OURS = {"Sec-Fetch-Site": "same-origin"}
CROSS = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    found = IdentityProvider(tmp_path_factory.mktemp("identity"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def api(tmp_path_factory, provider):
    def client(url):
        provider.redirect_uri = f"{url}/dashboard/sign-in/done"
        teams = {"/nowhere": "nobody-1", "/platform": "team-1", "/second": "viewer-1"}
        trust = [provider.authority.path]
        return Client(provider.issuer, CLIENT, provider.redirect_uri, SECRET, trust=trust, teams=teams)

    made = Api(tmp_path_factory.mktemp("sign-in") / "data", client=client)
    for name, role in (("mia", "admin"), ("viewer", "viewer"), ("gone", "viewer"), ("boss", "owner")):
        email = f"{name.title()}@Example.com"
        assert made("POST", "/members/", {"name": name, "id": f"{name}-1", "email": email, "role": role}).status == 201
    made("POST", "/members/", {"name": "Platform", "id": "team-1", "role": "developer"})
    for number in (1, 2):
        made("POST", "/members/", {"name": "Twin", "id": f"twin-{number}", "email": "twin@example.com"})
    made("POST", "/members/", {"name": "Kelvin", "id": "kelvin-1", "email": "kelvin@example.com"})
    yield made
    made.close()


@pytest.fixture(autouse=True)
def afresh(provider, request):
    provider.change, provider.asks, provider.log[:] = {}, False, []
    provider.sit("mia")
    if "api" in request.fixturenames:
        request.getfixturevalue("api").state.failures._filled.clear()


class Browser:
    """Keeps cookies; those of a login (Strict) are not sent where another site leads."""

    def __init__(self, api, provider):
        self.api, self.provider, self.cookies, self.seen = api, provider, {}, b""

    def ask(self, method, path, fields=None, headers=OURS):
        sent = dict(headers)
        kept = {name: each for name, each in self.cookies.items() if name != "egret" or headers != CROSS}
        sent["Cookie"] = "; ".join(f"{name}={each}" for name, each in kept.items())
        raw = None if fields is None else urlencode(fields).encode()
        if raw is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=60)
        connection.request(method, path, raw, sent)
        answer = connection.getresponse()
        self.body = answer.read()
        self.seen += self.body
        connection.close()
        for each in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if "Max-Age=0" not in each:
                self.cookies[name] = value
                assert "HttpOnly" in each and f"SameSite={'Strict' if name == 'egret' else 'Lax'}" in each
        self.headers = answer.headers
        return answer.status

    def begin(self, path="/dashboard/sign-in"):
        """Go to the provider and sign in; return where it leads."""
        assert self.ask("GET", path) == 303, self.body
        url = urlsplit(self.headers["Location"])
        assert f"https://{url.netloc}" == self.provider.url
        context = ssl.create_default_context(cafile=self.provider.authority.path)
        connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=60)
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        assert answer.status == 302, answer.read()
        connection.close()
        back = answer.headers["Location"]
        assert back.startswith(self.provider.redirect_uri + "?")
        return back.removeprefix(self.api.url)

    def sign_in(self, path="/dashboard/sign-in"):
        return self.ask("GET", self.begin(path), headers=CROSS)

    @property
    def logged_in(self):
        return self.ask("GET", "/dashboard/") == 200


@pytest.fixture
def browser(api, provider):
    return Browser(api, provider)


def sign_in_keys(api):
    return [each for each in api("GET", "/keys/?limit=200").json["items"] if each["created_by"] == "sign-in"]


def test_signing_in(api, provider, browser, caplog):
    """The member of the verified address is logged in, with a key of twelve hours that nobody has; tokens stay away."""
    caplog.set_level(logging.DEBUG)
    assert browser.sign_in() == 200 and browser.headers["Refresh"] == "0; url=/dashboard/"
    assert browser.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert browser.logged_in and b"sign-in of mia" in browser.body
    (key,) = sign_in_keys(api)
    assert key["member"] == "mia-1" and key["permission"] == "full"
    assert 12 * 3600 - 60 < datetime.fromisoformat(key["expires_at"]).timestamp() - time.time() <= 12 * 3600
    asked = dict(provider.log)["/auth"]
    assert asked["code_challenge_method"] == "S256" and asked["scope"] == "openid email"
    assert "prompt" not in asked and "max_age" not in asked
    (event,) = api("GET", "/audit/?action=keys:sign_in").json["items"]
    assert event["actor"] == f"member:mia-1/key:{key['id']}" and event["outcome"] == "ok"
    traded = dict(provider.log)["/token"]
    for secret in ("access-canary", traded["code_verifier"], traded["code"], asked["nonce"], SECRET, "mia@", "eyJ"):
        assert secret not in caplog.text and secret.encode() not in browser.seen


def test_roles_bound_it(api, provider, browser):
    """A viewer sees what a viewer sees; an owner is an owner; a changed role counts at once."""
    provider.sit("viewer")
    assert browser.sign_in() == 200 and browser.logged_in
    assert browser.ask("GET", "/dashboard/audit/") == 403
    api("PATCH", "/members/viewer-1", {"role": "admin"})
    assert browser.ask("GET", "/dashboard/audit/") == 200
    api("PATCH", "/members/viewer-1", {"role": "viewer"})
    assert browser.ask("GET", "/dashboard/audit/") == 403
    provider.sit("boss")
    assert browser.sign_in() == 200
    assert {each["permission"] for each in sign_in_keys(api) if each["member"] == "boss-1"} == {"owner"}


def test_what_ends_a_login(api, provider):
    """Revoking its key, logging out everywhere, or removing the member: the next page is the login."""
    browsers = [Browser(api, provider) for _ in range(3)]
    provider.sit("gone")
    for each in browsers:
        assert each.sign_in() == 200 and each.logged_in
    keys = {each["id"] for each in sign_in_keys(api) if each["member"] == "gone-1"}
    assert len(keys) == 3
    for key in keys:
        api("DELETE", f"/keys/{key}")
    assert not any(each.logged_in for each in browsers)
    for each in browsers:
        assert each.sign_in() == 200
    assert browsers[0].ask("POST", "/dashboard/logout/everywhere", {}) == 303
    assert not any(each.logged_in for each in browsers)
    assert browsers[1].sign_in() == 200 and browsers[1].logged_in
    assert api("DELETE", "/members/gone-1").status == 204
    assert not browsers[1].logged_in
    assert browsers[1].sign_in() == 403


def test_spent_keys_do_not_pile_up(api):
    """The keys of logins that ran out are ended by the next sign-in."""
    verb = api.store.vault.sign_ins.sign_in
    for _ in range(3):
        last = verb(Identity("kelvin@example.com"), 0).key
    assert [each["id"] for each in sign_in_keys(api) if each["member"] == "kelvin-1"] == [last]


@pytest.mark.parametrize(
    ("groups", "member"),
    [(["/platform"], "team-1"), (["/second", "/platform"], "team-1"), (["/second", 7], "viewer-1")],
)
def test_by_group(api, provider, browser, groups, member):
    """Who has no member of its own signs in as that of the first group that the operator named."""
    provider.sit("stranger", groups=groups)
    assert browser.sign_in() == 200 and browser.logged_in
    known = sorted(sign_in_keys(api), key=lambda each: each["created_at"])
    assert known[-1]["member"] == member


def test_an_own_member_goes_first(api, provider, browser):
    """Being in a group gives nothing to who is a member."""
    provider.sit("viewer", groups=["/platform"])
    assert browser.sign_in() == 200 and b"sign-in of viewer" in (browser.logged_in and browser.body)


NOBODY = {
    "nobody's address": {"email": "eve@example.com"},
    "not verified": {"email_verified": False},
    "verified, in words": {"email_verified": "true"},
    "not said whether verified": {"email_verified": None},
    "none, as members without one have": {"email": ""},
    "no text": {"email": ["mia@example.com"]},
    "of two members": {"email": "twin@example.com"},
    "a letter that looks alike": {"email": "\u212aelvin@example.com"},
    "a group that nobody named": {"email": "eve@example.com", "groups": ["team-1", "platform", "/nowhere"]},
    "groups that are a text": {"email": "eve@example.com", "groups": "/platform"},
}


@pytest.mark.parametrize("claims", NOBODY.values(), ids=NOBODY)
def test_who_is_no_member(api, provider, browser, claims):
    """Nobody is logged in, and told what to do, without a word of what the provider said."""
    before = sign_in_keys(api)
    provider.sit("mia", **claims)
    assert browser.sign_in() == 403 and "egret" not in browser.cookies
    assert b"have " in browser.body and b"example.com" not in browser.body
    assert sign_in_keys(api) == before and not browser.logged_in


def changed(**claims):
    return {"claims": lambda found: {**found, **{name: each for name, each in claims.items() if each is not ...}}}


def without(name):
    return {"claims": lambda found: {each: value for each, value in found.items() if each != name}}


def head(**fields):
    return {"head": lambda found: {each: value for each, value in {**found, **fields}.items() if value is not ...}}


def later(name, seconds):
    return {"claims": lambda found: {**found, name: int(time.time()) + seconds}}


TOKENS = {
    "another nonce": changed(nonce="x"),
    "no nonce": without("nonce"),
    "a nonce that is no text": changed(nonce=7),
    "another issuer": changed(iss="https://evil.test/realms/egret"),
    "no issuer": without("iss"),
    "another audience": changed(aud="other"),
    "an audience that has ours in it": changed(aud=CLIENT + "x"),
    "no audience": without("aud"),
    "audiences, and no party": {"claims": lambda found: {**without("azp")["claims"](found), "aud": [CLIENT, "other"]}},
    "another party": changed(azp="other"),
    "expired": later("exp", -120),
    "no end": without("exp"),
    "an end that is true": changed(exp=True),
    "of tomorrow": later("iat", 86_400),
    "not before tomorrow": later("nbf", 86_400),
    "nobody": without("sub"),
    "nobody's name": changed(sub=""),
    "a claim twice": {"claims": lambda found: json.dumps(found).replace('"aud"', '"iss": "x", "aud"')},
    "no object": {"claims": lambda _: "[]"},
    "alg none": {**head(alg="none", kid=...), "sign": lambda _: b""},
    "alg None": {**head(alg="None"), "sign": lambda _: b""},
    "the public key as a secret": {**head(alg="HS256"), "sign": "hs256"},
    "without a key's id, too": {**head(alg="HS256", kid=...), "sign": "hs256"},
    "another key's signature": {"sign": "other"},
    "another key": head(kid="sig-2"),
    "the key for encryption": head(kid="enc-1"),
    "a signature of another algorithm": head(alg="PS256"),
    "no signature": {"sign": lambda _: b""},
    "a critical field": head(crit=["exp"], exp=1),
    "its own key": {**head(kid=..., jwk="its"), "sign": "other"},
    "no ID token": {"token": lambda found: {**found, "id_token": None}},
    "no token at all": {"token": lambda found: {**found, "id_token": "x.y"}},
}


@pytest.mark.parametrize("change", TOKENS.values(), ids=TOKENS)
def test_tokens_that_are_worth_nothing(api, provider, browser, change):
    """Each is refused, and logs nobody in."""
    names = {"hs256": provider.hs256, "other": partial(provider.rs256, key=provider.other)}
    provider.change = {**change, **({"sign": names.get(change["sign"], change["sign"])} if "sign" in change else {})}
    before = sign_in_keys(api)
    assert browser.sign_in() == 403 and b"sign in refused" in browser.body.replace(b"_", b" ")
    assert "egret" not in browser.cookies and sign_in_keys(api) == before


def test_several_audiences(provider, browser):
    """Are fine where we are the party."""
    provider.change = changed(aud=["other", CLIENT])
    assert browser.sign_in() == 200


def again(path, **fields):
    """The same address with other parameters; None leaves one out."""
    url = urlsplit(path)
    asked = {**{name: each[0] for name, each in parse_qs(url.query).items()}, **fields}
    return f"{url.path}?{urlencode({name: each for name, each in asked.items() if each is not None})}"


WAYS_BACK = {
    "another state": {"state": "x"},
    "no state": {"state": None},
    "an error": {"error": "access_denied", "code": None},
    "an error beside a code": {"error": "access_denied"},
    "no code": {"code": None},
    "a code that was never given": {"code": "code-0"},
    "another provider's (mix-up)": {"iss": "https://evil.test"},
    "no provider's": {"iss": None},
}


@pytest.mark.parametrize("fields", WAYS_BACK.values(), ids=WAYS_BACK)
def test_ways_back_that_are_not_ours(api, provider, browser, fields):
    """Each is refused; the sign-in is over by it, and its code cannot be used after that."""
    good = browser.begin()
    before = sign_in_keys(api)
    for path in (again(good, **fields), good):
        assert browser.ask("GET", path, headers=CROSS) == 403
        assert "egret" not in browser.cookies and b"code-" not in browser.body and b"denied" not in browser.body
    assert sign_in_keys(api) == before
    if {"state", "error", "iss"} & set(fields):
        assert "/token" not in dict(provider.log), "the code was shown to somebody"


def test_a_way_back_counts_once(api, provider, browser):
    """Not twice, not in another browser, not with another's cookie: nobody is logged in as somebody else (RFC 6819)."""
    other = Browser(api, provider)
    mine, theirs = browser.begin(), other.begin()
    assert Browser(api, provider).ask("GET", mine, headers=CROSS) == 403
    assert other.ask("GET", mine, headers=CROSS) == 403
    assert other.ask("GET", theirs, headers=CROSS) == 403
    assert browser.ask("GET", mine, headers=CROSS) == 200
    cookie = dict(browser.cookies)
    assert browser.ask("GET", mine, headers=CROSS) == 403 and browser.cookies == cookie
    # The code in another sign-in of the same browser: the provider knows that it was used, PKCE that it is another's.
    assert browser.ask("GET", again(browser.begin(), code="code-1"), headers=CROSS) == 403
    twice = browser.begin()
    assert browser.ask("GET", f"{twice}&code=code-1", headers=CROSS) == 403


def test_a_sign_in_does_not_wait_for_ever(browser, monkeypatch):
    """Ten minutes after it began it is over."""
    path = browser.begin()
    ended = time.monotonic() + flows.LASTS

    class Clock:
        monotonic = staticmethod(lambda: ended)

    monkeypatch.setattr(flows, "time", Clock)
    assert browser.ask("GET", path, headers=CROSS) == 403


def test_nobody_elses_page_begins_one(browser):
    """And no parameter leads anywhere."""
    for headers in (CROSS, {"Sec-Fetch-Site": "same-site"}, {}):
        assert browser.ask("GET", "/dashboard/sign-in", headers=headers) == 403 and not browser.cookies
    path = browser.begin("/dashboard/sign-in?next=https://evil.test&redirect_uri=https://evil.test")
    assert browser.ask("GET", f"{path}&next=//evil.test", headers=CROSS) == 200
    assert browser.headers["Refresh"] == "0; url=/dashboard/" and b"evil" not in browser.seen


DESCRIPTION, TOKEN, CERTS = "/.well-known/openid-configuration", "/token", "/certs"
JSON = {"Content-Type": "application/json"}
FAULTS = {
    "a description elsewhere": (DESCRIPTION, (302, {"Location": "/realms/egret/elsewhere"}, b"")),
    "no description": (DESCRIPTION, (404, {}, b"{}")),
    "a description that is none": (DESCRIPTION, (200, JSON, b"[]")),
    "a description that is too long": (DESCRIPTION, (200, JSON, b" " * (300 << 10) + b"{}")),
    "a token elsewhere": (TOKEN, (307, {"Location": "/realms/egret/elsewhere"}, b"")),
    "a token that is no JSON": (TOKEN, (200, JSON, b"{'a'}")),
    "a token that has a member twice": (TOKEN, (200, JSON, b'{"id_token": "a", "id_token": "b"}')),
    "a broken endpoint": (TOKEN, (500, JSON, b"{}")),
    "keys elsewhere": (CERTS, (302, {"Location": "/realms/egret/elsewhere"}, b"")),
    "keys that are too many": (CERTS, (200, JSON, b" " * (300 << 10) + b"{}")),
}


@pytest.fixture
def undescribed(api, provider):
    """A dashboard's client that remembers no description, to be asked itself."""
    return Provider(api._client)


@pytest.mark.parametrize(("path", "answer"), FAULTS.values(), ids=FAULTS)
async def test_a_provider_out_of_order(provider, undescribed, path, answer):
    """Nothing is followed, nothing is read without end; nobody is let in."""
    provider.change["answers"] = {TOKEN: (200, JSON, b'{"id_token": "a.b.c"}'), path: answer}
    with pytest.raises(Unavailable) as caught:
        await undescribed.address("s", "n", "v", afresh=False)
        await undescribed.claims("code", provider.issuer, "n", "v")
    assert caught.value.code == "provider_unavailable" and path in dict(provider.log)
    assert "/elsewhere" not in dict(provider.log)


@pytest.mark.parametrize(
    "change",
    [{"issuer": "https://evil.test"}, {"token_endpoint": "http://localhost/token"}, {"jwks_uri": None},
     {"authorization_endpoint": "javascript:alert(1)"}],
)  # fmt: skip
async def test_a_description_of_another(provider, undescribed, monkeypatch, change):
    """What names another issuer, or endpoints in clear, describes nobody."""
    known = {**provider.description(), **change}
    monkeypatch.setattr(provider, "description", lambda: known)
    with pytest.raises(Unavailable, match="cannot be asked now"):
        await undescribed.address("s", "n", "v", afresh=False)


@pytest.mark.parametrize(("issuer", "traded"), [("https://evil.test", False), (None, True)])
async def test_a_provider_that_does_not_announce_its_name(provider, undescribed, monkeypatch, issuer, traded):
    """Where codes come without a name that is fine; one with another's name is another's all the same (mix-up)."""
    known = {name: each for name, each in provider.description().items() if "iss_parameter" not in name}
    monkeypatch.setattr(provider, "description", lambda: known)
    with pytest.raises(Forbidden):
        await undescribed.claims("code-0", issuer, "n", "v")
    assert ("/token" in dict(provider.log)) is traded


async def test_a_provider_that_nobody_vouches_for(api, provider):
    """Without its root it is not believed, and not asked."""
    with pytest.raises(Unavailable, match="cannot be asked now"):
        await Provider(replace(api._client, trust=())).address("s", "n", "v", afresh=False)
    assert provider.log == []


@pytest.mark.parametrize(
    ("secret", "methods"),
    [(SECRET, None), (SECRET, ["client_secret_post"]), ("", ["none"])],
    ids=["basic", "post", "public"],
)
async def test_how_the_secret_goes(api, provider, monkeypatch, secret, methods):
    """As the provider wants it, encoded; a public client has none."""
    known = {**provider.description(), "token_endpoint_auth_methods_supported": methods}
    monkeypatch.setattr(provider, "description", lambda: known)
    monkeypatch.setattr(provider, "secret", secret)
    ours = Provider(replace(api._client, secret=secret))
    assert not secret or secret not in repr(ours.client)
    url = urlsplit(await ours.address("s", "n", "verifier", afresh=False))
    provider._codes["code"] = {name: each[0] for name, each in parse_qs(url.query).items()}
    assert (await ours.claims("code", provider.issuer, "n", "verifier"))["sub"] == "sub-mia"


# keys and members change after a fresh sign-in only


KEY = {"name": "by a form", "permission": "read_only", "days": "7"}


@pytest.fixture
def late(browser, monkeypatch):
    """Signed in ten minutes ago."""
    assert browser.sign_in() == 200
    now = time.monotonic() + logins.CONFIRMED

    class Clock:
        monotonic = staticmethod(lambda: now)

    monkeypatch.setattr(logins, "time", Clock)
    return browser


def test_a_fresh_sign_in_confirms(api, provider, late):
    """The provider is told to ask again; the same login goes on, with the same key."""
    cookie, keys = late.cookies["egret"], sign_in_keys(api)
    assert late.ask("POST", "/dashboard/keys/", KEY) == 403 and b"/dashboard/sign-in/again" in late.body
    assert late.ask("POST", "/dashboard/keys/", {**KEY, "shown_key": api.key}) == 403
    assert late.sign_in("/dashboard/sign-in/again") == 200
    asked = dict(provider.log)["/auth"]
    assert asked["prompt"] == "login" and asked["max_age"] == "0"
    assert late.cookies["egret"] == cookie and sign_in_keys(api) == keys
    assert late.ask("POST", "/dashboard/keys/", KEY) == 303


@pytest.mark.parametrize(
    "change",
    [{"claims": lambda found: {**found, "sub": "sub-other"}}, {"claims": lambda found: {**found, "auth_time": 1}},
     {"claims": lambda found: {**found, "auth_time": True}}, {"claims": lambda found: {**found, "auth_time": None}}],
    ids=["somebody else", "a sign-in of long ago", "no time", "none at all"],
)  # fmt: skip
def test_what_confirms_nothing(provider, late, change):
    """Another person, or a browser that the provider only remembers."""
    provider.change = change
    assert late.sign_in("/dashboard/sign-in/again") == 403
    assert late.ask("POST", "/dashboard/keys/", KEY) == 403


def test_a_login_by_key_is_confirmed_by_that_key(api, provider, browser):
    """A sign-in at the provider confirms no login that began otherwise."""
    assert browser.ask("POST", "/dashboard/login", {"key": api.key}) == 303
    assert browser.ask("GET", "/dashboard/sign-in/again") == 403
    assert provider.log == []


def test_without_a_provider_there_is_no_such_page(shared):
    """The login offers it where there is one."""
    assert b"sign-in" not in shared("GET", "/dashboard/login", key=None).body
    assert shared("GET", "/dashboard/sign-in", key=None, headers=OURS).status == 303  # to the login, as any page


def test_failures_are_slowed(api, browser, monkeypatch):
    """Wrong ways back come out of the bucket of failed keys; a right one is let in all the same."""
    monkeypatch.setattr(api.state, "failures", Buckets(Rate(0.001, 3.0)))
    asked = [browser.ask("GET", "/dashboard/sign-in/done?state=x&code=y", headers=CROSS) for _ in range(6)]
    assert asked == [403] * 3 + [429] * 3
    assert browser.sign_in() == 200


@pytest.mark.needs("chromium")
@pytest.mark.timeout(180)
def test_in_a_browser(api, provider):
    """From the login to the provider and back, on a phone: the cookies survive the way between the two sites."""
    from playwright.sync_api import sync_playwright

    found = next(path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path)
    provider.asks = True
    with sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=found, args=["--headless", "--no-sandbox", "--disable-gpu"])
        window = chromium.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 900})
        page = window.new_page()
        page.goto(f"{api.url}/")
        page.click("text=Sign in with your organisation")
        assert page.url.startswith(provider.url)
        page.click("text=It is me")
        page.wait_for_url(f"{api.url}/dashboard/")
        assert page.inner_text("h1") == "Datasets" and "sign-in of mia" in page.inner_text("header")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert {each["sameSite"] for each in window.cookies() if each["name"] == "egret"} == {"Strict"}
        assert not [each for each in window.cookies() if each["name"] == "egret-sign-in"]
        page.go_back()  # neither the provider nor the way back logs anybody in a second time
        page.goto(f"{api.url}/dashboard/sign-in/again")  # typed by hand: Sec-Fetch-Site is none
        page.click("text=It is me")
        page.wait_for_url(f"{api.url}/dashboard/")
        page.click("text=Log out everywhere")
        assert page.url == f"{api.url}/dashboard/login"
        page.goto(f"{api.url}/dashboard/")
        assert page.url == f"{api.url}/dashboard/login"
        chromium.close()
