"""Our CA and its leaves stand the strict checks of Python 3.13, Go, Node and Java, each by the variables of `egret run`."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest
from programs import GO_RUN, program

from egret.sandbox.environment import variables, write

CLIENTS = Path(__file__).parents[1] / "clients"
VALUE = "sk-strict-tls-5Hn8Rt2"


@pytest.fixture(scope="module")
def run(egret, tmp_path_factory):
    dataset = egret.dataset({"name": "API_TOKEN", "value": VALUE, "hosts": [egret.upstream.origin]})
    session = egret.session(dataset)
    folder = tmp_path_factory.mktemp("trust")
    files = write(folder, egret.ca.read_bytes())
    keep = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    environ = {**variables(session["proxy_url"], files, {}, keep), "API": egret.upstream.url}

    def run(*argv, **more):
        egret.upstream.forget()
        done = subprocess.run(argv, env={**environ, **more}, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("200 ")
        assert "Bearer #{SECRETS.API_TOKEN}" in done.stdout
        assert egret.upstream.log[-1].header("Authorization") == b"Bearer " + VALUE.encode()

    return run


def test_python_with_strict_flags(egret):
    """OpenSSL's X509_STRICT, which Python 3.13 sets by default: key usages, key identifiers, no odd serial numbers."""
    context = ssl.create_default_context(cafile=egret.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    session = egret.session(egret.dataset())
    sock, answer = egret.connect(session["token"], egret.upstream.origin)
    assert b" 200 " in answer
    with context.wrap_socket(sock, server_hostname="localhost") as secure:
        assert secure.version() in {"TLSv1.2", "TLSv1.3"}
    strange = ssl.create_default_context()  # which does not know our CA
    sock, _ = egret.connect(session["token"], egret.upstream.origin)
    with pytest.raises(ssl.SSLCertVerificationError), strange.wrap_socket(sock, server_hostname="localhost"):
        pass


@pytest.mark.needs("node")
def test_node(run):
    """Node's tls."""
    run("node", CLIENTS / "node" / "tls.cjs")


@pytest.mark.needs("go")
def test_go(run):
    """Go's x509 package, net/http with proxy and SSL_CERT_FILE from the environment."""
    run(program("go"), "run", CLIENTS / "go" / "main.go", **GO_RUN)


@pytest.mark.needs("java", "javac")
def test_java(run):
    """Java's PKIX checks, with the PKCS#12 trust store that is made without keytool."""
    run("java", CLIENTS / "java" / "Get.java")
