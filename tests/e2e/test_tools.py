"""Tools with trust stores, proxies and quoting of their own, by the variables that `egret run` sets."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from upstream import Upstream

from egret.sandbox.environment import variables, write
from egret.secrets import variables_inside
from egret.shims import environment as with_shims

VALUE = "tools-value-8Kd3Vn6Tq"
BEARER = b"Bearer " + VALUE.encode()


NAME = socket.gethostname()
"""A name that the proxy resolves to loopback; Go goes past any proxy for `localhost`."""


@pytest.fixture(scope="module")
def named(egret):
    with Upstream(egret.authority.leaf(NAME), host="0.0.0.0") as upstream:
        yield upstream


@pytest.fixture(scope="module")
def environ(egret, named, tmp_path_factory):
    hosts = [egret.upstream.origin, f"{NAME}:{named.port}"]
    dataset = egret.dataset(
        {"name": "API_TOKEN", "value": VALUE, "hosts": hosts},
        {"name": "NODE_AUTH_TOKEN", "value": VALUE, "hosts": hosts},
    )
    session = egret.session(dataset)
    folder = tmp_path_factory.mktemp("tools")
    files = write(folder, egret.ca.read_bytes(), session["proxy_url"])
    inside = variables_inside(session["id"], ["API_TOKEN", "NODE_AUTH_TOKEN"])
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    made = variables(session["proxy_url"], files, inside, keep | {"HOME": str(folder)})
    return with_shims(made) | {"API": egret.upstream.url, "NAMED": f"https://{NAME}:{named.port}"}


@pytest.fixture
def run(egret, environ, tmp_path):
    def run(*argv, check=True, **more):
        egret.upstream.forget()
        done = subprocess.run(
            [str(each) for each in argv], env=environ | more, cwd=tmp_path, capture_output=True, text=True, timeout=170
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        assert VALUE not in done.stdout + done.stderr
        return done

    return run


def arrived(at) -> list[bytes]:
    """The credentials that an upstream got: this one, or that of the shared server."""
    return [request.header("Authorization") for request in getattr(at, "upstream", at).log]


CERTIFI = """
import os, ssl, certifi, certifi.core, requests.certs
assert certifi.where() == certifi.core.where() == requests.certs.where() == os.environ["SSL_CERT_FILE"]
ssl.create_default_context(cafile=certifi.where()); ssl.create_default_context(cadata=certifi.contents())
import urllib.request as r
context = ssl.create_default_context(cafile=certifi.where())
print(r.urlopen(r.Request(os.environ["API"] + "/x", headers={"Authorization": "Bearer #{SECRETS.API_TOKEN}"}), context=context).status)
os.environ["SSL_CERT_FILE"] = "/nowhere"
assert certifi.where().endswith("cacert.pem") and "BEGIN CERTIFICATE" in certifi.contents()
"""

STRIPE = """
import os, sys, types
sys.path.insert(0, ".")
import stripe
print(stripe.ca_bundle_path == os.environ["SSL_CERT_FILE"])
"""


def test_certifi(egret, run):
    """Whoever asks certifi trusts what OpenSSL is told to; without the variable, or the shim, certifi's own."""
    assert run(sys.executable, "-c", CERTIFI).stdout == "200\n"
    assert arrived(egret) == [BEARER]
    where = "import certifi; print(certifi.where())"
    for more in ({"EGRET_SHIMS": "off"}, {"EGRET_SHIMS": "urls"}, {"SSL_CERT_FILE": ""}):
        assert run(sys.executable, "-c", where, **more).stdout.endswith("cacert.pem\n")


def test_a_library_with_a_path_of_its_own(run, tmp_path):
    """stripe has roots in a file beside it, and names it in an attribute."""
    package = tmp_path / "stripe"
    package.mkdir()
    (package / "__init__.py").write_text("ca_bundle_path = 'data/ca-certificates.crt'\n")
    assert run(sys.executable, "-c", STRIPE).stdout == "True\n"


BOTO = """
import os, boto3
from botocore.config import Config
from botocore import UNSIGNED
client = boto3.client("s3", endpoint_url=os.environ["API"], region_name="eu-1", config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))
client.meta.events.register("before-send.s3", lambda request, **_: request.headers.__setitem__("Authorization", "Bearer #{SECRETS.API_TOKEN}"))
try: client.list_objects(Bucket="b")
except Exception as error: print(type(error).__name__)
"""


def test_botocore_without_its_variable(egret, run):
    """It reads REQUESTS_CA_BUNDLE where AWS_CA_BUNDLE is not set."""
    assert run(sys.executable, "-c", BOTO).stdout != "SSLError\n"
    assert arrived(egret) == [BEARER]


PHP = """
$c = curl_init(getenv("API") . "/php");
curl_setopt_array($c, [CURLOPT_RETURNTRANSFER => true, CURLOPT_HTTPHEADER => ["Authorization: Bearer " . getenv("API_TOKEN")]]);
curl_exec($c); echo curl_getinfo($c, CURLINFO_RESPONSE_CODE), curl_error($c);
"""


@pytest.mark.needs("php")
def test_php(egret, run):
    """curl takes its bundle from an ini file; so do streams, which know no proxy variables."""
    assert run("php", "-r", PHP).stdout == "200"
    assert arrived(egret) == [BEARER]
    shown = run("php", "-r", 'echo ini_get("openssl.cafile"), "\\n", getenv("SSL_CERT_FILE");').stdout.split()
    assert shown[0] == shown[1]


NPMRC = ["//{0}/:_authToken=${{NODE_AUTH_TOKEN}}", '//{0}/:_authToken="#{{SECRETS.API_TOKEN}}"']


@pytest.mark.needs("npm")
@pytest.mark.parametrize("line", NPMRC)
def test_npm(egret, run, tmp_path, line):
    """A token from NODE_AUTH_TOKEN, as CI writes it, and one in quotes."""
    (tmp_path / "npmrc").write_text(line.format(egret.upstream.origin) + "\n")
    command = ["npm", "view", "some-package", "--fetch-retries=0", "--registry", f"{egret.upstream.url}/"]
    run(*command, "--userconfig", tmp_path / "npmrc", "--cache", tmp_path / "cache", check=False)
    assert arrived(egret)[:1] == [BEARER]


@pytest.mark.needs("npm")
def test_npm_cuts_what_is_not_quoted(egret, run, tmp_path):
    """The control: a # begins a comment."""
    (tmp_path / "npmrc").write_text(f"//{egret.upstream.origin}/:_authToken=#{{SECRETS.API_TOKEN}}\n")
    command = ["npm", "view", "some-package", "--fetch-retries=0", "--registry", f"{egret.upstream.url}/"]
    run(*command, "--userconfig", tmp_path / "npmrc", "--cache", tmp_path / "cache", check=False)
    assert arrived(egret)[:1] == [b""]


USERINFO = {
    "curl": ["curl", "-sS", "{url}/repo.git/info/refs"],
    "git": ["git", "ls-remote", "{url}/repo.git"],
    "pip": [sys.executable, "-m", "pip", "download", "--no-deps", "--retries", "0", "--index-url", "{url}/simple/", "nothing"],
    "wget": ["wget", "-q", "-O", "-", "{url}/repo.git/info/refs"],
}  # fmt: skip


@pytest.mark.parametrize("tool", [pytest.param(name, marks=pytest.mark.needs(*{name} - {"pip"})) for name in USERINFO])
def test_a_password_in_a_url(egret, run, tool):
    """The portable spelling; git, pip and wget send it when they are asked."""
    import base64

    pair = b"Basic " + base64.b64encode(b"x:" + VALUE.encode())
    asks = egret.upstream.routes[b"/repo.git/info/refs"]
    egret.upstream.routes[b"/simple/"] = asks
    url = f"https://x:%23%7BSECRETS.API_TOKEN%7D@{egret.upstream.origin}"
    run(*[each.format(url=url) for each in USERINFO[tool]], check=False, GIT_CONFIG_GLOBAL="/dev/null")
    assert pair in arrived(egret)


@pytest.mark.needs("aria2c")
def test_aria2(egret, run, tmp_path):
    """It has a trust store of its own, and an option for it; the proxy it finds."""
    header = "--header=Authorization: Bearer #{SECRETS.API_TOKEN}"
    run("sh", "-c", 'aria2c -q --ca-certificate="$SSL_CERT_FILE" -o got "$0" "$API/x"', header)
    assert arrived(egret) == [BEARER]
    assert "#{SECRETS.API_TOKEN}" in (tmp_path / "got").read_text()


PYCURL = """
import os, pycurl
c = pycurl.Curl()
c.setopt(c.URL, os.environ["API"] + "/x"); c.setopt(c.CAINFO, os.environ["SSL_CERT_FILE"])
c.setopt(c.HTTPHEADER, ["Authorization: Bearer #{SECRETS.API_TOKEN}"]); c.setopt(c.WRITEFUNCTION, lambda data: None)
c.perform(); print(c.getinfo(c.RESPONSE_CODE))
"""


def test_pycurl(egret, run):
    """As aria2. The system's Python has it, or nobody."""
    if not Path("/usr/lib/python3/dist-packages/pycurl.py").exists() and not list(
        Path("/usr/lib/python3/dist-packages").glob("pycurl*")
    ):
        pytest.skip("needs python3-pycurl: run tools/system-parts")
    assert run("/usr/bin/python3", "-c", PYCURL).stdout == "200\n"
    assert arrived(egret) == [BEARER]


JAVA = """
import java.net.URI;
import java.net.http.*;
public class Client { public static void main(String[] a) throws Exception {
  var token = System.getProperty("https.proxyUser");
  var request = HttpRequest.newBuilder(URI.create(System.getenv("API") + "/x"))
      .header("Proxy-Authorization", "Bearer " + token)
      .header("Authorization", "Bearer " + System.getenv("API_TOKEN")).build();
  System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).statusCode()); } }
"""


@pytest.mark.needs("javac")
def test_javas_http_client(egret, run, tmp_path):
    """An Authenticator would make it drop `Authorization`; so the request says who it is, from the file of options."""
    (tmp_path / "Client.java").write_text(JAVA)
    assert run("java", "Client.java").stdout == "200\n"
    assert arrived(egret) == [BEARER]
    assert b"roxy-" not in egret.upstream.received


@pytest.mark.needs("rclone")
def test_rclone(named, run):
    """AWS_CA_BUNDLE stops its S3 back end (1.60 to 1.6x); it reads SSL_CERT_FILE, as all of Go does."""
    endpoint = f"--s3-endpoint=https://{NAME}:{named.port}"
    options = ["--s3-provider=Other", endpoint, "--low-level-retries=1", "--retries=1"]
    named.forget()
    run("rclone", "lsf", ":s3:b", *options, "--s3-access-key-id=a", "--s3-secret-access-key=b", check=False)
    assert [request.path for request in named.log][:1] == [b"/b"]
