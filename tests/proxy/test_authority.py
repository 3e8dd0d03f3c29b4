"""The certificate authority and its leaves, before strict verifiers."""

import datetime as dt
import os
import ssl
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from programs import GO_RUN, program
from rawserver import RawServer

from proxy.authority import Authority, AuthorityError, create, paths


@pytest.fixture
def authority(tmp_path):
    create(tmp_path)
    return Authority.load(tmp_path)


def pem(leaf) -> bytes:
    return leaf.certificate.public_bytes(serialization.Encoding.PEM) + leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def serve(conn):
    conn.recv(65536)
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


@pytest.fixture
def server(authority, tmp_path):
    path = tmp_path / "leaf.pem"
    path.write_bytes(pem(authority.leaf("localhost")))
    with RawServer(path, serve) as running:
        yield running


def test_files_and_modes(tmp_path):
    """The key is the owner's alone, and lies with the data plane."""
    create(tmp_path)
    key, certificate = paths(tmp_path)
    assert key == tmp_path / "keys" / "data" / "ca.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert b"PRIVATE" not in certificate.read_bytes()


def test_authority_is_never_replaced(tmp_path):
    """A second call would cut off every client that trusts the first."""
    create(tmp_path)
    before = paths(tmp_path)[1].read_bytes()
    with pytest.raises(AuthorityError):
        create(tmp_path)
    assert paths(tmp_path)[1].read_bytes() == before


def test_unusable_authorities_say_what_to_do(tmp_path):
    """Missing, mixed up."""
    with pytest.raises(AuthorityError, match="egret init"):
        Authority.load(tmp_path)
    create(tmp_path)
    create(tmp_path / "other")
    paths(tmp_path)[0].write_bytes(paths(tmp_path / "other")[0].read_bytes())
    with pytest.raises(AuthorityError, match="does not belong"):
        Authority.load(tmp_path)


def test_certificates_are_as_strict_verifiers_want_them(authority):
    """P-256, critical key usage, key identifiers, names in the alternative name, server authentication only."""
    ca = authority.certificate.extensions
    assert isinstance(authority.certificate.public_key(), ec.EllipticCurvePublicKey)
    usage = ca.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert ca.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    leaf = authority.leaf("api.example.com").certificate
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).critical
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == (
        ca.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < dt.timedelta(days=10)
    leaf.verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "a." * 60 + "example.com", "_dmarc.example.com"])
def test_leaf_names(authority, host):
    """Addresses are addresses, and a name too long for a common name still has its alternative name."""
    names = authority.leaf(host).certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(name.value) for name in names.value] == [host]


def test_leaf_key_is_not_the_authoritys(authority):
    """The authority's key signs certificates and nothing else."""
    assert authority.leaf("a.test").key.public_key() != authority.certificate.public_key()


def test_python_accepts_strictly(server, tmp_path):
    """The default context of 3.13 (`VERIFY_X509_STRICT`, partial chains)."""
    import socket

    context = ssl.create_default_context(cafile=paths(tmp_path)[1])
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    with (
        socket.create_connection(("127.0.0.1", server.port)) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert tls.recv(100).startswith(b"HTTP/1.1 200")


def run(*argv, **kwargs) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **kwargs)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.needs("curl")
def test_curl_accepts(server, tmp_path):
    """curl, by OpenSSL."""
    ca = str(paths(tmp_path)[1])
    assert run("curl", "-sS", "--noproxy", "*", "--cacert", ca, f"https://localhost:{server.port}/") == "ok"


@pytest.mark.needs("node")
def test_node_accepts(server, tmp_path):
    """Node, with the authority as an extra root."""
    script = (
        f"require('https').get('https://localhost:{server.port}/', r => r.on('data', d => process.stdout.write(d)))"
    )
    environ = {**os.environ, "NODE_EXTRA_CA_CERTS": str(paths(tmp_path)[1])}
    assert run("node", "-e", script, env=environ) == "ok"


GO = """package main

import ("crypto/tls"; "crypto/x509"; "fmt"; "io"; "net/http"; "os")

func main() {
	pool := x509.NewCertPool()
	pem, _ := os.ReadFile(os.Args[1])
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	answer, err := client.Get(os.Args[2])
	if err != nil { panic(err) }
	body, _ := io.ReadAll(answer.Body)
	fmt.Print(string(body))
}
"""


@pytest.mark.needs("go")
def test_go_accepts(server, tmp_path):
    """Go's own verifier."""
    source = tmp_path / "main.go"
    source.write_text(GO)
    url = f"https://localhost:{server.port}/"
    assert run(program("go"), "run", str(source), str(paths(tmp_path)[1]), url, env={**os.environ, **GO_RUN}) == "ok"


JAVA = """
import java.io.*; import java.net.*; import java.security.*; import java.security.cert.*; import javax.net.ssl.*;

public class Fetch {
  public static void main(String[] a) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(a[0])));
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    HttpsURLConnection c = (HttpsURLConnection) new URL(a[1]).openConnection(Proxy.NO_PROXY);
    c.setSSLSocketFactory(context.getSocketFactory());
    System.out.print(new String(c.getInputStream().readAllBytes()));
  }
}
"""


@pytest.mark.needs("java", "javac")
def test_java_accepts(server, tmp_path):
    """Java's PKIX verifier."""
    source = tmp_path / "Fetch.java"
    source.write_text(JAVA)
    assert run("java", str(source), str(paths(tmp_path)[1]), f"https://localhost:{server.port}/") == "ok"
