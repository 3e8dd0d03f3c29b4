"""Credentials of GitHub, Google and Microsoft: traded as their endpoints ask for it, and as narrow as was sealed."""

import base64
import json

import pytest
from clouds import NAMES, PEM, VALUES, Clouds
from issuer import answer
from token_house import House

from store.credential import parse_credential

SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
CASES = {
    "github": ("github_app", {"installation_id": "42"}, {}),
    "github, narrowed": (
        "github_app",
        {"installation_id": "42", "repositories": ["b", "a"], "permissions": ["contents:read", "issues:write"]},
        {"repositories": ["a", "b"], "permissions": {"contents": "read", "issues": "write"}},
    ),
    "google": ("gcp_service_account", {"scope": SCOPE}, {"scope": SCOPE}),
    "google, identity": ("gcp_service_account", {"audience": "https://x.example/"}, {"target_audience": "https://x.example/"}),
    "microsoft": ("azure_client", {"scope": "https://vault.azure.net/.default"}, {"scope": "https://vault.azure.net/.default"}),
    "microsoft, another cloud": ("azure_client", {"scope": "x/.default", "cloud": "government"}, {"scope": "x/.default"}),
}  # fmt: skip


@pytest.fixture
async def house(tmp_path):
    house = House(tmp_path)
    house.clouds = Clouds(house.authority, {})
    house.pool.ports = {443: house.clouds.port}
    yield house
    house.close()
    house.clouds.close()


def put(house, kind, parameters, **parts):
    value = json.dumps({**VALUES[kind], **parts}).encode()
    return house.reader.put("API", value, "api.test", credential=parse_credential(kind, parameters))


async def test_each_is_traded_as_its_endpoint_asks(house, caplog):
    """Signature, claims, form and narrowing verify at the other side; a token is used for as long as it lives."""
    for name, (kind, parameters, wants) in CASES.items():
        house.clouds.wants = wants
        put(house, kind, parameters)
        tokens = [await house.token(), await house.token()]
        assert house.clouds.faults == [] and tokens == [house.clouds.tokens[-1]] * 2, name
        text = f"{tokens[0]} {VALUES[kind].get('client_secret', '')}".strip()
        assert house.last.scrubber.text(text.encode()).split(b" ") == [b"#{SECRETS.API}"] * len(text.split(" "))
        house.now += 3600 - 200
        assert await house.token() == tokens[0]
        await house.settled()
        assert await house.token() == house.clouds.tokens[-1] != tokens[0], name
    assert len(house.clouds.log) == 2 * len(CASES)
    hosts = {request.header("Host").decode() for request in house.clouds.log}
    assert hosts == set(NAMES), "the genuine ones, without a port"
    assert not any(token in caplog.text for token in house.clouds.tokens)


async def test_a_key_is_searched_for(house):
    """As the text that it is, and as JSON has it, in answers of what it reaches."""
    put(house, "gcp_service_account", {"scope": SCOPE})
    house.clouds.wants = {"scope": SCOPE}
    await house.token()
    for text in (PEM, json.dumps(PEM)):
        said = house.last.scrubber.text(text.encode()).decode()
        assert said.count("#{SECRETS.API}") > 20 and not any(line in said for line in PEM.splitlines()[2:-2])


async def test_what_they_do_not_take(house):
    """A key that they do not know, an installation that is not there: the owner's to mend."""
    for kind, parameters in (("github_app", {"installation_id": "43"}), ("gcp_service_account", {"scope": "x"}), ("azure_client", {"scope": "x"})):  # fmt: skip
        put(house, kind, parameters)
        assert await house.code() == "token_refused"
    put(house, "github_app", {"installation_id": "42"}, private_key=PEM.replace("A", "B"))
    assert await house.code() == "value_not_encodable"
    assert len(house.clouds.faults) == 3


def jwt(claims) -> str:
    return (
        "eyJhbGciOiJSUzI1NiJ9." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode() + ".c2ln"
    )


BAD = {
    "github_app": [
        ({"token": "ghs_" + "x" * 36, "expires_at": "2020-01-01T00:00:00Z"}, b"201 Created"),
        ({"token": "ghs_" + "x" * 36, "expires_at": 4e9}, b"201 Created"),
        ({"token": "ghs_" + "x" * 36}, b"201 Created"),
        ({"token": "ghs_" + "x" * 36, "expires_at": "2099-01-01T00:00:00Z"}, b"201 Created"),
        ({"access_token": "ghs_" + "x" * 36, "token_type": "Bearer", "expires_in": 3600}, b"200 OK"),
    ],
    "gcp_service_account": [
        ({"id_token": "x" * 40}, b"200 OK"),
        ({"id_token": "x.y.zzzzzzzzzzzzzzzz"}, b"200 OK"),
        ({"id_token": jwt({"exp": "soon"})}, b"200 OK"),
        ({"id_token": jwt({"exp": 1})}, b"200 OK"),
        ({"id_token": jwt([])}, b"200 OK"),
        ({"access_token": "x" * 40, "token_type": "Bearer", "expires_in": 3600}, b"200 OK"),
    ],
}


async def test_answers_that_are_none(house):
    """Of their own forms."""
    for kind, answers in BAD.items():
        for document, status in answers:
            house.clouds.routes[b"/"] = lambda *_, given=(document, status): answer(given[0], status=given[1])
            put(house, kind, {"installation_id": "42"} if kind == "github_app" else {"audience": "a"})
            assert await house.code() == "token_unavailable", document
