"""egret.sandbox.environment and egret.trust: the environment of code behind the proxy."""

import os
import ssl
import stat
import subprocess

import pytest
from certificates import Authority

from egret.sandbox.environment import BUNDLES, reserved, variables, write
from egret.secrets import variables_inside
from egret.trust import bundle, java_trust_store, kept_java_trust_store, system_roots

PROXY = "http://egs_token:x@127.0.0.1:8080"


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path).path.read_bytes()


@pytest.fixture
def files(tmp_path, ca):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return write(folder, ca)


def test_the_bundle_is_the_systems_roots_and_ours(ca, tmp_path):
    """Both load, so that nothing else stops working."""
    made = bundle(ca)
    assert made.startswith(ca.rstrip())
    assert made.endswith(system_roots())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=made.decode())
    roots = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    roots.load_verify_locations(cadata=system_roots().decode())
    assert len(context.get_ca_certs()) == len(roots.get_ca_certs()) + 1


def test_the_systems_bundle_is_the_one_in_force(tmp_path, monkeypatch, ca):
    """Where SSL_CERT_FILE names another bundle, that is what the system trusts."""
    file = tmp_path / "corporate.pem"
    file.write_bytes(ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert system_roots() == ca


@pytest.mark.needs("java")
def test_java_reads_the_trust_store(tmp_path, ca):
    """keytool lists every root of the bundle as trusted."""
    file = tmp_path / "trust.p12"
    file.write_bytes(java_trust_store(ca + system_roots()))
    done = subprocess.run(
        ["keytool", "-list", "-keystore", file, "-storetype", "PKCS12", "-storepass", "changeit"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("trustedCertEntry") >= 2


def test_a_kept_trust_store_is_of_these_certificates_and_whole(tmp_path, ca):
    """It is made once; another bundle, or a file that was cut or edited, has it made anew; no folder for it is no harm."""
    folder = tmp_path / "state"
    first = kept_java_trust_store(ca, folder)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_java_trust_store(ca, folder) == first  # its salt is random: made anew it differs
    for spoilt in (file.read_bytes()[:-1], b"", file.read_bytes()[:-1] + b"x"):
        file.write_bytes(spoilt)
        assert kept_java_trust_store(ca, folder) != first
        assert file.read_bytes() != spoilt
    kept = file.read_bytes()
    kept_java_trust_store(ca + ca, folder)
    assert file.read_bytes() != kept
    assert kept_java_trust_store(ca, file / "below")
    assert list(folder.iterdir()) == [file]


def test_files_are_for_their_owner_alone(files):
    """The folder is the caller's; the files in it are 0600."""
    for path in (files.bundle, files.ca, files.wgetrc, files.php / "egret.ini"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_proxies_in_both_cases_and_nothing_around_them(files):
    """What was set before is replaced, NO_PROXY too; our key does not get in."""
    before = {
        "HTTPS_PROXY": "http://old", "https_proxy": "http://old", "NO_PROXY": "*", "no_proxy": "*", "HOME": "/home/x",
        "EGRET_API_KEY": "egk_secret", "EGRET_URL": "http://admin",
    }  # fmt: skip
    made = variables(PROXY, files, {}, before)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        assert made[name] == made[name.lower()] == PROXY
    assert made["NO_PROXY"] == made["no_proxy"] == ""
    assert made["HOME"] == "/home/x"
    assert not {"EGRET_API_KEY", "EGRET_URL"} & made.keys()
    assert "egk_secret" not in str(made)
    for name in BUNDLES:
        assert made[name] == str(files.bundle)
    assert made["NODE_EXTRA_CA_CERTS"] == str(files.ca)


def test_java_options_are_added_and_hold_no_token(files):
    """Every JVM prints them when it starts."""
    if files.java is None:
        pytest.skip("needs java: run tools/system-parts")
    made = variables(PROXY, files, {}, {"JAVA_TOOL_OPTIONS": "-Xmx1g"})
    options = made["JAVA_TOOL_OPTIONS"].split()
    assert options[0] == "-Xmx1g"
    assert {"-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort=8080"} <= set(options)
    assert "egs_" not in made["JAVA_TOOL_OPTIONS"]


def test_java_gets_credentials_by_a_file(tmp_path, ca):
    """The launcher prints the file's name; where connections are captured nobody needs them."""
    files = write(tmp_path, ca, PROXY)
    if files.java_credentials is None:
        pytest.skip("needs java: run tools/system-parts")
    assert stat.S_IMODE(files.java_credentials.stat().st_mode) == 0o600
    made = variables(PROXY, files, {}, {"JDK_JAVA_OPTIONS": "-ea"})
    assert made["JDK_JAVA_OPTIONS"] == f"-ea @{files.java_credentials}"
    assert "egs_" not in made["JDK_JAVA_OPTIONS"] + made["JAVA_TOOL_OPTIONS"]
    done = subprocess.run(
        ["java", "-XshowSettings:properties", "-version"], env=made | {"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "https.proxyUser = egs_token" in done.stderr
    assert "https.proxyPassword = x" in done.stderr
    captured = variables(PROXY, files, {}, {}, captured=True)
    assert "JDK_JAVA_OPTIONS" not in captured and "proxyHost" not in captured["JAVA_TOOL_OPTIONS"]


def test_php_and_the_aws_sdks(files):
    """PHP's own folder comes first; botocore reads REQUESTS_CA_BUNDLE, so that the variable which breaks others is gone."""
    made = variables(PROXY, files, {}, {"AWS_CA_BUNDLE": "/corporate.pem"})
    assert made["PHP_INI_SCAN_DIR"] == f":{files.php}"
    assert "AWS_CA_BUNDLE" not in made
    assert variables(PROXY, files, {}, {"PHP_INI_SCAN_DIR": "/a"})["PHP_INI_SCAN_DIR"] == f"/a:{files.php}"


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "PYTHONSTARTUP",
        "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "PERL5LIB", "RUBYOPT", "BASH_ENV", "ENV", "IFS", "GIT_SSH_COMMAND",
        "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY", "EGRET_SESSION", "EGRET_API_KEY", "GCONV_PATH", "SHELL",
        "EGRET_TOKEN", "LD_API_KEY", "PHP_INI_SCAN_DIR", "RUSTC_WRAPPER", "GOFLAGS", "EDITOR", "BROWSER", "MAKEFLAGS",
        "CARGO_BUILD_RUSTC", "PIP_INDEX_URL", "OPENSSL_CONF", "NPM_CONFIG_REGISTRY", "NODE_EXTRA_CA_CERTS",
    ],
)  # fmt: skip
def test_names_that_steer_programs(name, files):
    """Uploading a secret of such a name changes nothing in the environment but the list of names."""
    assert reserved(name)
    inside = variables_inside("s1", [name])
    made = variables(PROXY, files, inside, {"PATH": "/bin"})
    assert made.get(name) != f"#{{SECRETS.{name}}}"


@pytest.mark.parametrize(
    "name",
    [
        "API_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "NODE", "PATHS", "AWS_SECRET_ACCESS_KEY",
        "NODE_AUTH_TOKEN", "GIT_TOKEN", "CARGO_REGISTRY_TOKEN", "GEM_HOST_API_KEY", "PYTHON_API_KEY", "UV_PUBLISH_PASSWORD",
    ],
)  # fmt: skip
def test_ordinary_names_are_set(name, files):
    """A secret of an ordinary name is there under its name, as its placeholder."""
    assert variables(PROXY, files, variables_inside("s1", [name]), {})[name] == f"#{{SECRETS.{name}}}"
