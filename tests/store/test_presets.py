"""What is known of a host decides where a value stands there, whatever rule matched; naming overrides it, and is told."""

import pytest
from stores import CANARY, secret

from store.errors import Invalid
from store.hosts import too_wide
from store.model import Denial, Destination, Kind, Location, SecretValue, Use
from store.presets import preset_of, told
from store.providers import load_providers
from store.records import Change, NewEntry

PRESETS = sorted(load_providers().items())
CUSTOMERS = (
    "hf.space", "endpoints.huggingface.cloud", "vercel.app", "netlify.app", "herokuapp.com", "workers.dev", "pages.dev",
    "fly.dev", "onrender.com", "github.io", "gitlab.io", "azurewebsites.net", "cloudapp.azure.com", "windows.net", "run.app",
    "appspot.com", "cloudfunctions.net", "web.app", "firebaseapp.com", "execute-api.us-east-1.amazonaws.com", "on.aws",
    "elasticbeanstalk.com", "elb.amazonaws.com", "compute.amazonaws.com", "cloudfront.net", "pipedream.net", "make.com",
    "ngrok.io", "ngrok-free.app", "webhook.site", "modal.run", "replit.app", "apify.actor", "twil.io", "my.salesforce.com",
    "myshopify.com", "supabase.co", "deno.dev", "digitaloceanspaces.com", "ondigitalocean.app", "fal.run", "services.ai.azure.com",
    "openai.azure.com", "cognitiveservices.azure.com",
)  # fmt: skip
"""At and below these, customers run servers of their own, or have a name of their own."""


def allowed(store, reader, host, location, header="authorization", fields=(), **options):
    view = reader.view(store.caller(reader))
    asked = Use(
        Destination(True, host, 443), location, "POST", "/", header if location == "header" else "",
        fields=frozenset(fields), **options,
    )  # fmt: skip
    found = view.resolve(Kind.SECRET, "API_KEY", asked)
    assert not isinstance(found, Denial) or found is Denial.LOCATION
    return not isinstance(found, Denial)


def allowed_anywhere(store, reader, host):
    view = reader.view(store.caller(reader))
    asked = (Use(Destination(True, host, 443), place, "POST", "/", "authorization") for place in Location)
    return any(not isinstance(view.resolve(Kind.SECRET, "API_KEY", use), Denial) for use in asked)


ACTING = [rule.host for _, preset in PRESETS if preset.acts for rule in preset.judged]


def test_there_are_forty_that_act():
    """And more."""
    assert len(set(ACTING)) >= 40


@pytest.mark.parametrize(("name", "preset"), PRESETS, ids=[name for name, _ in PRESETS])
def test_a_preset_names_its_source_and_nobodys_servers(name, preset):
    """A page of documentation; no host where customers run servers, and none below which they could."""
    assert preset.source.startswith("https://")
    assert preset.headers == {header.lower() for header in preset.headers}
    for rule in preset.rules:
        assert not any(rule.names("x." + end) or f".{rule.host}".endswith(f".{end}") for end in CUSTOMERS), rule.host
        assert not (rule.wildcard and too_wide(rule.host))


@pytest.mark.parametrize(("name", "preset"), PRESETS, ids=[name for name, _ in PRESETS])
def test_no_preset_lets_a_value_into_what_an_api_reads(name, preset):
    """Bodies, messages, and fields that no documentation gives; at any host of it, however the rule was written."""
    for rule in preset.judged:
        known = preset_of("x." + rule.host if rule.wildcard else rule.host)
        assert known is not None
        for location in (Location.BODY, Location.MESSAGE):
            assert not known.allows(Use(Destination(True, rule.host, 443), location), (), widened=False)
        assert not known.allows(
            Use(Destination(True, rule.host, 443), Location.HEADER, header="x-tool"), (), widened=False
        )
        for header in preset.headers if Location.HEADER in known.locations else ():
            assert known.allows(
                Use(Destination(True, rule.host, 443), Location.HEADER, header=header), (), widened=False
            )


RULES = {
    "by name": ["api.openai.com"],
    "by a wildcard": ["*.openai.com"],
    "with others": ["api.example.com", "api.openai.com"],
}


@pytest.mark.parametrize("how", RULES)
@pytest.mark.parametrize("provider", [None, "openai", "github"])
def test_by_the_host_that_is_dialled(store, reader, how, provider):
    """Without --provider, and whatever the label says."""
    made = store.dataset(secret(hosts=RULES[how], provider=provider)).secrets[0]
    assert "widens_preset" not in [warning.code for warning in made.warnings]
    assert allowed(store, reader, "api.openai.com", Location.HEADER)
    assert not allowed(store, reader, "api.openai.com", Location.HEADER, "x-tool")
    for location in (Location.URL, Location.BODY, Location.MESSAGE):
        assert not allowed(store, reader, "api.openai.com", location)
    view = reader.view(store.caller(reader))
    assert not view.reachable(Destination(True, "api.openai.com", 443), Location.BODY)
    if provider is None and how != "by name":
        host = "api.example.com" if how == "with others" else "other.openai.com"
        assert all(allowed(store, reader, host, location) for location in Location)


def test_without_hosts_too(store, tmp_path):
    """Where secrets without hosts may go anywhere."""
    store.dataset(secret(hosts=[]))
    reader = store.reader(unbound_secrets=True)
    try:
        assert allowed(store, reader, "api.openai.com", Location.HEADER)
        assert not allowed(store, reader, "api.openai.com", Location.BODY)
        assert allowed(store, reader, "api.example.com", Location.BODY)
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("hosts", "locations", "warned", "at"),
    [
        (["api.openai.com"], ["header", "body"], True, {"header", "body"}),
        (["api.openai.com"], ["header", "url", "body", "message"], True, {"header", "url", "body", "message"}),
        (["*.openai.com"], ["body"], True, {"body"}),
        (["api.openai.com"], ["header"], False, {"header"}),
        (["api.openai.com"], None, False, {"header"}),
        ([{"host": "api.openai.com", "headers": ["x-tool"]}], None, True, {"header", "x-tool"}),
        ([{"host": "api.openai.com", "headers": ["authorization"]}], None, False, {"header"}),
        (["api.openai.com"], ["widened"], True, {"header", "url", "body", "message"}),
        (["api.telegram.org"], None, False, {"url"}),
        (["api.telegram.org"], ["url", "header"], True, {"url", "header"}),
        (["api.example.com"], ["body"], False, {"body"}),
    ],
)
def test_naming_overrides(store, reader, hosts, locations, warned, at):
    """Sealed with the value, with a warning that stays."""
    store.dataset(secret(hosts=hosts, locations=locations))
    host = (hosts[0] if isinstance(hosts[0], str) else hosts[0]["host"]).replace("*.", "api.")
    found = {place for place in Location if allowed(store, reader, host, place)}
    found |= {"x-tool"} if allowed(store, reader, host, Location.HEADER, "x-tool") else set()
    # a rule that names headers stands for those alone
    expected = (at - {"header"} if "x-tool" in at else at) | (
        {"x-tool"} if host == "api.example.com" and "header" in at else set()
    )
    assert found == expected
    assert ("widens_preset" in [warning.code for warning in store.info().warnings]) is warned


def test_narrowing_names_nothing(store, reader):
    """A change of metadata cannot take a preset away; what was named stays named when it is narrowed, and rotated."""
    store.dataset(secret(hosts=["api.openai.com"]))
    change = store.vault.entries.patch
    change(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(locations=["header", "body"]))
    assert not allowed(store, reader, "api.openai.com", Location.BODY)
    with pytest.raises(Invalid):
        change(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(locations=["url"]))
    store.put(secret(hosts=["api.openai.com"], locations=["header", "body", "url"]))
    change(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(locations=["header", "body"]))
    store.put(NewEntry("API_KEY", SecretValue(CANARY + b"2")))
    assert allowed(store, reader, "api.openai.com", Location.BODY)
    assert not allowed(store, reader, "api.openai.com", Location.URL)


@pytest.mark.parametrize(
    ("host", "header", "field"),
    [
        (rule.host, min(preset.headers), field)
        for _, preset in PRESETS for rule in preset.judged for field in sorted(preset.refused)
    ],
)  # fmt: skip
def test_fields_that_redirect_a_relay(store, reader, host, header, field):
    """No value goes beside them, in any place, unless a rule names the field."""
    store.dataset(secret(hosts=[host], locations=["header", "body"]))
    assert allowed(store, reader, host, Location.HEADER, header)
    assert not allowed(store, reader, host, Location.HEADER, header, fields=["accept", field])
    assert not allowed(store, reader, host, Location.BODY, fields=[field])
    store.put(secret(hosts=[{"host": host, "headers": [header, field]}]))
    assert allowed(store, reader, host, Location.HEADER, header, fields=[field])
    assert "widens_preset" in [warning.code for warning in store.info().warnings]


@pytest.mark.parametrize(
    ("host", "own"), [("api.portkey.ai", "x-portkey-api-key"), ("gateway.ai.cloudflare.com", "cf-aig-authorization")]
)
def test_anybodys_target_behind_a_relay(store, reader, host, own):
    """A key of the API behind it would go to whoever's account the request names; the relay's own key does not."""
    store.dataset(secret(hosts=[host]))
    assert allowed(store, reader, host, Location.HEADER, own)
    for header in ("authorization", "x-api-key", "api-key"):
        assert not allowed(store, reader, host, Location.HEADER, header)


@pytest.mark.parametrize(
    ("provider", "host"),
    [("azure", "mine.services.ai.azure.com"), ("azure", "mine.openai.azure.com"), ("fal", "queue.fal.run")],
)
def test_hosts_that_customers_share(store, reader, provider, host):
    """Filled in by no preset, since anybody has one; named by an upload, a value stands in the header alone."""
    store.dataset(secret(hosts=None, provider=provider))
    assert allowed(store, reader, load_providers()[provider].rules[0].host, Location.HEADER)
    assert not allowed_anywhere(store, reader, host)
    store.put(secret(hosts=[host]))
    assert allowed(store, reader, host, Location.HEADER)
    assert not allowed(store, reader, host, Location.HEADER, "x-tool")
    assert not any(allowed(store, reader, host, place) for place in Location if place is not Location.HEADER)


def test_a_variable_is_public(store, reader):
    """It goes where it went."""
    store.dataset(variables=[secret("V", b"plain", hosts=["api.openai.com"])])
    view = reader.view(store.caller(reader))
    use = Use(Destination(True, "api.openai.com", 443), Location.BODY)
    assert not isinstance(view.resolve(Kind.VARIABLE, "V", use), Denial)


@pytest.mark.parametrize(
    ("hosts", "locations", "line"),
    [
        ([], ["header"], "it is injected nowhere, as it has no hosts"),
        (["api.example.com"], sorted(Location), "at api.example.com in any header, the URL, bodies, messages (nothing is known of it)"),
        (["api.groq.com"], sorted(Location), "at api.groq.com in the header authorization alone (models with tools, which call servers that a request names)"),
        (["api.groq.com"], ["body", "widened"], "at api.groq.com in bodies (as named, beyond its preset)"),
        (["api.telegram.org"], ["header"], "at api.telegram.org nowhere (it shows people what a request says, and calls webhooks that it names)"),
        (["*.openai.com"], ["header"], "at *.openai.com in any header; less at hosts below it that a preset names"),
        ([f"{n}.example.com" for n in "abcde"], ["url"], "at a.example.com, b.example.com, c.example.com and 2 more in the URL (nothing is known of it)"),
    ],
)  # fmt: skip
def test_what_is_told(hosts, locations, line):
    """In a line, with the reason."""
    assert told(hosts, locations) == line


@pytest.mark.parametrize(
    ("locations", "line"),
    [
        (sorted(Location), "in the header Authorization and as presigned URLs; the key itself is sent nowhere"),
        (["header", "widened"], "in the header Authorization; the key itself is sent nowhere"),
        (["url"], "as presigned URLs; the key itself is sent nowhere"),
    ],
)
def test_what_is_told_of_a_signing_key(locations, line):
    """It signs there: no header, body or message has it."""
    assert (
        told(["s3.eu-west-1.amazonaws.com"], locations, "aws")
        == f"at s3.eu-west-1.amazonaws.com it signs requests, {line}"
    )
    assert "signs nothing" in told(["s3.eu-west-1.amazonaws.com"], ["body"], "aws")


def test_what_is_told_of_a_key_that_signs_by_a_template():
    """Where it stands is its template's."""
    said = "at api.example.com it signs requests by its template; the key itself is sent nowhere"
    assert told(["api.example.com"], sorted(Location), "hmac") == said


def test_what_is_told_of_a_client_certificate():
    """A request asks for it; nothing is written."""
    said = "at api.example.com connections show the certificate, where a request asks for it; the key is sent nowhere"
    assert told(["api.example.com"], sorted(Location), "client_certificate") == said


def test_what_is_told_of_what_is_traded():
    """The token stands where a value would, but in no body and no message."""
    hosts, locations = ["api.example.com", "api.groq.com"], sorted(Location)
    assert told(hosts, locations, "oauth2_client") == (
        "at api.example.com a token that it is traded for, in any header, the URL (nothing is known of it); "
        "at api.groq.com a token that it is traded for, in the header authorization alone "
        "(models with tools, which call servers that a request names)"
    )


def test_what_is_told_of_answers_that_are_captured():
    """What becomes of them, and where that goes."""
    rule = {"host": "auth.example.com", "capture": {"members": ["token", "access_token"], "hosts": ["api.example.com"]}}
    assert told([rule], ["header"]) == (
        "at auth.example.com in any header (nothing is known of it), and access_token, token of its answers becomes "
        "a placeholder for api.example.com"
    )
