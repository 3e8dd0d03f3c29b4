"""Stand-in keys: SDKs that sign or trade by themselves, unmodified, hold placeholders, and what they send then verifies."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote_plus, urlencode

import pytest
from clouds import PEM, SECRET, VALUES, Clouds
from forward import Forward
from gatehouse import Elsewhere
from issuer import SECRET as OA_SECRET
from issuer import VALUE as OA_VALUE
from issuer import Issuer
from served import code, receive
from upstream import echo, response

from egret.sandbox import stand_in
from egret.shims import environment as with_shims
from store.credential import parse_credential

PYTHON = Path(__file__).parents[3] / "clients" / "python" / "with_key.py"
NODE = Path(__file__).parents[3] / "clients" / "node" / "with_key.cjs"
READ = "https://www.googleapis.com/auth/devstorage.read_only"
VAULT = "https://vault.azure.net/.default"


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    async def resolve(host, port):
        return ["127.0.0.1"]

    folder = tmp_path_factory.mktemp("stand-in")
    with Forward(folder, resolve=resolve, pool=Elsewhere) as forward:
        clouds = forward.clouds = Clouds(forward.authority, {})
        issuer = forward.issuer = Issuer(forward.authority)
        forward.border.pool.ports = {443: clouds.port}
        tokens = lambda: [*clouds.tokens, *issuer.tokens]  # noqa: E731
        forward.upstream.routes[b"/api"] = lambda request, conn: (
            echo(request, conn) if request.header("Authorization").decode().partition(" ")[2] in tokens() else response(status=b"401 No")
        )  # fmt: skip
        hosts = [forward.upstream.origin, forward.plain.url]
        forward.plain.routes = forward.upstream.routes
        for name, kind, parameters in (
            ("GCP", "gcp_service_account", {"scope": READ}),
            ("GCP_ID", "gcp_service_account", {"audience": "https://x/"}),
            ("AZ", "azure_client", {"scope": VAULT}),
            ("GH", "github_app", {"installation_id": "42"}),
        ):
            credential = parse_credential(kind, parameters)
            forward.reader.put(name, json.dumps(VALUES[kind]).encode(), *hosts, credential=credential)
        credential = parse_credential("oauth2_client", issuer.parameters)
        forward.reader.put("OA", OA_VALUE, *hosts, credential=credential)
        credential = parse_credential("oauth2_refresh", {"token_url": issuer.token_url})
        value = json.dumps({"client_id": "c", "refresh_token": "r" * 40}).encode()
        forward.reader.put("RT", value, *hosts, credential=credential)
        forward.reader.put("PLAIN", b"plain-value-1234567", *hosts)
        forward.token = forward.reader.open()
        forward.kinds = {name: each.kind for name, each in forward.reader.view(forward.reader.sessions[forward.token]).credentials.items()}  # fmt: skip
        forward.keys = stand_in.write(folder, forward.kinds)
        yield forward
        clouds.close()
        issuer.close()


def run(made, program, client, which):
    proxy = f"http://{made.token}:x@127.0.0.1:{made.port}"
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environ |= {"HOME": str(made.folder), "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(made.ca)}
    environ |= {"NODE_EXTRA_CA_CERTS": str(made.ca), "TOKEN_URL": made.issuer.token_url, **made.keys}
    command = [program, client, which, f"{made.plain.url}/api"]
    done = subprocess.run(command, env=with_shims(environ), capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert not any(part in said for part in (SECRET, OA_SECRET, PEM[40:200], *made.clouds.tokens, *made.issuer.tokens))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("which", "wants", "held"),
    [
        ("google", {"scope": READ}, "#{SECRETS.GCP}"),
        ("gapic", {"scope": READ}, 3),
        ("identity", {"target_audience": "https://x/"}, None),
        ("azure", {"scope": VAULT}, "#{SECRETS.AZ}"),
        ("oauth", {}, "#{SECRETS.OA}"),
    ],
)
def test_sdks_of_python(made, which, wants, held):
    """google-auth with a key file (traded, self-signed, for identity tokens), azure-identity, an OAuth client."""
    made.clouds.wants = wants
    status, token = run(made, sys.executable, PYTHON, which)
    assert status == 200 and made.clouds.faults == made.issuer.faults == []
    assert held is None or token == held


@pytest.mark.needs("node")
@pytest.mark.parametrize(
    ("which", "wants", "held"),
    [("octokit", {}, "GH"), ("google", {"scope": READ}, "GCP"), ("azure", {"scope": VAULT}, "AZ")],
)
def test_sdks_of_javascript(made, which, wants, held):
    """octokit's auth-app, google-auth-library and @azure/identity."""
    if not (NODE.parent / "node_modules/@octokit/auth-app").exists():
        pytest.skip("needs the packages of tests/clients/node: run tools/system-parts")
    made.clouds.wants = wants
    assert run(made, shutil.which("node"), NODE, which) == [200, f"#{{SECRETS.{held}}}"]
    assert made.clouds.faults == []


def jwt(issuer, **claims):
    parts = ({"alg": "RS256"}, {"iss": issuer, **claims})
    return ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (*parts, "s"))


def post(made, url, form=None, *fields, method="POST", token=None):
    """Ask through a tunnel; returns status and body, a refusal's code, or None for what the upstream answered."""
    authority, _, path = url.removeprefix("https://").partition("/")
    host, _, port = authority.partition(":")
    body = urlencode(form).encode() if isinstance(form, dict) else form or b""
    lines = [f"{method} /{path} HTTP/1.1", f"Host: {authority}", *fields, f"Content-Length: {len(body)}"]
    with made.tunnel(token or made.token, f"{host}:{port or 443}", host) as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = receive(sock)
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b"Egret-Error" in head or (b"Egret-Request-Id" in head and not head[9:10] == b"2"):
        return code(answer)
    return (int(head[9:12]), json.loads(rest)) if b"Cache-Control: no-store" in head else None


GOOGLE, OLD = "https://oauth2.googleapis.com/token", "https://www.googleapis.com/oauth2/v4/token"
LOGIN = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
APP = "https://api.github.com/app/installations/42/access_tokens"


def bearer(name):
    return {"access_token": f"#{{SECRETS.{name}}}", "token_type": "Bearer", "expires_in": 3600}


def test_what_is_answered(made):
    """Each endpoint in its own words, and nobody is asked; sealed scopes are told where one was asked for."""
    asked = len(made.clouds.log), len(made.issuer.log)
    said = jwt("#{SECRETS.GCP}", scope="everything", aud="x")
    assert post(made, GOOGLE, {"assertion": said, "grant_type": "g"}) == (200, bearer("GCP"))
    assert post(made, OLD, {"assertion": said, "grant_type": "g"}) == (200, bearer("GCP"))
    assert post(made, LOGIN, {"client_secret": "#{SECRETS.AZ}", "scope": "other"}) == (
        200,
        bearer("AZ") | {"scope": VAULT},
    )
    assert post(made, LOGIN.replace("v2.0/", ""), {"client_secret": "#{SECRETS.AZ}"}) == (200, bearer("AZ"))
    pair = f"id:{quote_plus('#{SECRETS.OA}')}", "id:#{SECRETS.OA}"
    for each in pair:
        basic = f"Authorization: Basic {base64.b64encode(each.encode()).decode()}"
        assert post(made, made.issuer.token_url, {"grant_type": "client_credentials"}, basic) == (200, bearer("OA"))
    form = {"grant_type": "refresh_token", "refresh_token": "#{SECRETS.RT}", "client_id": "c"}
    assert post(made, made.issuer.token_url, form) == (200, bearer("RT"))
    for shown in (f"bearer {jwt('#{SECRETS.GH}')}", "token #{SECRETS.GH}"):
        status, told = post(made, APP, b"{}", f"Authorization: {shown}")
        assert (status, told["token"], told["permissions"]) == (201, "#{SECRETS.GH}", {})
    status, told = post(made, GOOGLE, {"assertion": jwt("#{SECRETS.GCP_ID}")})
    _, claims, signature = told["id_token"].split(".")
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"] == "#{SECRETS.GCP_ID}" and not signature
    assert (len(made.clouds.log), len(made.issuer.log)) == asked
    assert all("Egret-Injected" not in str(line) for line in made.audit())


PASSES = {
    "another's assertion": (GOOGLE, {"assertion": jwt("a@p.iam.gserviceaccount.com")}),
    "no JWT": (GOOGLE, {"assertion": "a.b"}),
    "a JWT of nothing": (GOOGLE, {"assertion": "e30.e30.x"}),
    "a JWT of a list": (GOOGLE, {"assertion": "e30.W10.x"}),
    "not JSON": (GOOGLE, {"assertion": "e30.eHh4.x"}),
    "nested": (GOOGLE, {"assertion": "e30." + base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=") + ".x"}),
    "a number": (GOOGLE, {"assertion": jwt(7)}),
    "twice": (GOOGLE, urlencode([("assertion", jwt("#{SECRETS.GCP}"))] * 2).encode()),
    "too long": (GOOGLE, {"assertion": jwt("#{SECRETS.GCP}"), "x": "y" * (64 << 10)}),
    "a body of no form": (GOOGLE, b"\xff\xfe"),
    "nothing": (GOOGLE, b""),
    "another path": (GOOGLE + "info", {"x": "y"}),
    "beside a name": (GOOGLE, {"assertion": jwt("x#{SECRETS.GCP}")}),
}


@pytest.mark.parametrize(("url", "form"), PASSES.values(), ids=list(PASSES))
def test_what_is_the_clients_own_passes(made, url, form):
    """The token endpoint of a cloud is also that of credentials that code has by itself: byte for byte."""
    before = len(made.clouds.log)
    assert post(made, url, form) is None
    (sent,) = made.clouds.log[before:]
    assert sent.body == (urlencode(form).encode() if isinstance(form, dict) else form)


def test_what_is_refused(made):
    """A name that the session may not use, another endpoint's, a placeholder of a text; in the words for each."""
    assert post(made, GOOGLE, {"assertion": jwt("#{SECRETS.NOBODYS}")}) == "unknown_secret"
    assert post(made, GOOGLE, {"assertion": jwt("#{SECRETS.AZ}")}) == "destination_not_allowed"
    assert post(made, GOOGLE, {"client_secret": "#{SECRETS.PLAIN}"}) is None
    assert b"SECRETS.PLAIN" in made.clouds.log[-1].body, "carried, as in any body"
    assert post(made, APP, b"{}", f"Authorization: Bearer {jwt('#{SECRETS.PLAIN}')}") == "destination_not_allowed"
    other = made.reader.open("elsewhere")
    assert post(made, GOOGLE, {"assertion": jwt("#{SECRETS.GCP}")}, token=other) is None
    page = made.reader.open(origins=("https://app.example",))
    with pytest.raises(AssertionError, match="destination_blocked"):
        post(made, GOOGLE, {"assertion": jwt("#{SECRETS.GCP}")}, token=page)


def test_expectations_and_connections_are_kept(made):
    """A client that waits for 100 is told to go on; the next request of its connection is judged for itself."""
    form = urlencode({"assertion": jwt("#{SECRETS.GCP}")}).encode()
    head = "POST /token HTTP/1.1\r\nHost: oauth2.googleapis.com\r\n{}\r\n\r\n"
    with made.tunnel(made.token, "oauth2.googleapis.com:443", "oauth2.googleapis.com") as sock:
        for _ in range(2):
            sock.sendall(head.format(f"Expect: 100-continue\r\nContent-Length: {len(form)}").encode())
            assert receive(sock, head_only=b"100").startswith(b"HTTP/1.1 100")
            sock.sendall(form)
            assert b"#{SECRETS.GCP}" in receive(sock)
            chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(form), form)
            sock.sendall(head.format("Transfer-Encoding: chunked").encode() + chunked)
            assert b"#{SECRETS.GCP}" in receive(sock)
            before = len(made.clouds.log)
            sock.sendall(head.format("Content-Length: 3").encode() + b"x=y")
            assert receive(sock).startswith(b"HTTP/1.1 400") and len(made.clouds.log) == before + 1
            same = head.format(f"Content-Length: {len(form)}").encode() + form
            for path in (b"/elsewhere", b"/token", b"/elsewhere"):  # the very same fields
                sock.sendall(same.replace(b"/token", path, 1))
                assert (b"#{SECRETS.GCP}" in receive(sock)) is (path == b"/token")


@pytest.mark.parametrize(
    "where",
    [
        "border.exchange.answered",
        "border.shown.write",
        "border.upload.Upload.hold",
        "admission.stand_in._of_form",
        "admission.stand_in._answer",
    ],
)
def test_a_fault_sends_nothing(made, monkeypatch, where):
    """In any step: a refusal without a word of the fault, nothing at the endpoint, and the next one works."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    before = len(made.clouds.log)
    form = {"assertion": jwt("#{SECRETS.GCP}")}
    with monkeypatch.context() as patch:
        patch.setattr(f"proxy.{where}", fails)
        assert post(made, GOOGLE, form) == "internal"
    assert len(made.clouds.log) == before and post(made, GOOGLE, form) == (200, bearer("GCP"))


def test_a_jwt_that_names_a_secret_is_its_placeholder(made):
    """At an API: whatever its other claims and its signature; one that names none is the client's own."""
    made.clouds.wants = {"scope": READ}
    before = len(made.upstream.log)
    for token in (jwt("#{SECRETS.GCP}", aud="x"), jwt("somebody"), "a.b.c"):
        made.get(made.token, "/api", f"Authorization: Bearer {token}")
    first, *own = [request.header("Authorization").decode() for request in made.upstream.log[before:]]
    assert first.removeprefix("Bearer ") in made.clouds.tokens
    assert own == [f"Bearer {jwt('somebody')}", "Bearer a.b.c"]
