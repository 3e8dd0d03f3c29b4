"""The environment of code behind the proxy: proxy and CA variables of every client we know, and placeholders.

Variables are a convenience, not a fence: some clients go direct whatever is set (docs/clients.md lists them). What
keeps code from going round the proxy is the sandbox's network.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from egret.trust import JAVA_PASSWORD, bundle, java_trust_store, kept_java_trust_store

PROXY: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "WSS_PROXY", "WS_PROXY")
BUNDLES: Final = (
    "SSL_CERT_FILE",  # OpenSSL, Go, Python's ssl, httpx, aiohttp, Ruby, uv
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "DENO_CERT",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "npm_config_cafile",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
    "PERL_LWP_SSL_CA_FILE",
    "HTTPLIB2_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
)

LOOPBACK: Final = ("127.0.0.1", "localhost")

OURS: Final = ("EGRET_URL", "EGRET_API_KEY")
"""Never passed on: with the API key the code could open sessions and replace secrets."""

MARKS: Final = ("EGRET_SESSION", "EGRET_SECRETS", "EGRET_VARS")
"""What `egret.secrets` reads."""

RESERVED: Final = re.compile(
    r"PATH|HOME|SHELL|USER|LOGNAME|TERM|LANG|PWD|IFS|ENV|BASH_ENV|TMPDIR|WGETRC|CLASSPATH|PROMPT_COMMAND|NO_PROXY"
    r"|(LD|DYLD|PYTHON|NODE|JAVA|JDK|PERL5?|RUBY|GIT|SSL|EGRET|XDG|LC|BASH_FUNC|GCONV|MALLOC|GLIBC)_.*"
    r"|(PHP|OPENSSL|CURL|CARGO|RUSTC|RUSTUP|GO|GEM|BUNDLE|PIP|UV|MAVEN|GRADLE|DOTNET|MAKE|CMAKE)_.*"
    r"|PYTHON.*|RUBY(OPT|LIB)|PERL5?(OPT|LIB|DB)|.*_PROXY|.*CERT.*_FILE|PHPRC|RUSTFLAGS|MAKEFLAGS|GO(FLAGS|PROXY|ROOT|BIN)"
    r"|EDITOR|VISUAL|PAGER|MANPAGER|BROWSER|LESS(OPEN|CLOSE)|CC|CXX|NPM_CONFIG_.*|HOSTALIASES|RES_OPTIONS|LOCALDOMAIN"
)
"""Names that steer programs. A secret or variable of such a name is not put into the environment: an upload must not be
a way to change which program runs."""

CREDENTIALS: Final = re.compile(r"(?!(LD|DYLD|EGRET)_).*_(TOKEN|PASSWORD|API_KEY)")
"""Names of credentials, which steer nothing, whatever they begin with: NODE_AUTH_TOKEN, GIT_TOKEN, PYTHON_API_KEY."""

LEFT_OUT: Final = ("AWS_CA_BUNDLE",)
"""Taken away: botocore reads REQUESTS_CA_BUNDLE as well, Go reads SSL_CERT_FILE, and programs that bring a transport of
their own to the AWS SDK for Go (rclone) do not start with it."""


@dataclass(frozen=True, slots=True)
class Files:
    """What `write` wrote."""

    bundle: Path
    ca: Path
    wgetrc: Path
    php: Path
    java: Path | None
    java_credentials: Path | None


def write(folder: Path, ca: bytes, proxy_url: str = "", kept: Path | None = None) -> Files:
    """Write trust stores into `folder`, which only its owner can enter.

    Java's is made where there is a Java, with a file of its proxy credentials where there is a `proxy_url`; in `kept`
    it is kept for the next time.
    """
    pem = bundle(ca)
    certs = folder / "certs"
    certs.mkdir(mode=0o700)
    java = folder / "trust.p12" if shutil.which("java") else None
    credentials = folder / "java.options" if java is not None and proxy_url else None
    php = folder / "php"
    php.mkdir(mode=0o700)
    files = Files(certs / "bundle.pem", folder / "ca.pem", folder / "wgetrc", php, java, credentials)
    _put(files.bundle, pem)
    _put(files.ca, ca)
    _put(files.wgetrc, f"ca_certificate = {files.bundle}\n".encode())
    _put(php / "egret.ini", f'curl.cainfo = "{files.bundle}"\nopenssl.cafile = "{files.bundle}"\n'.encode())
    if java is not None:
        _put(java, java_trust_store(pem) if kept is None else kept_java_trust_store(pem, kept))
    if credentials is not None:
        _put(credentials, _java_credentials(proxy_url))
    return files


def _put(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)


def variables(
    proxy_url: str, files: Files, inside: Mapping[str, str], environ: Mapping[str, str], *, captured: bool = False
) -> dict[str, str]:
    """Return the whole environment: `environ` without our key, with proxy, CA and placeholder variables.

    `inside` is what `egret.secrets.variables_inside` gives: placeholders, and the marks that this is a session. Where
    connections are `captured` Java is told of no proxy: it would ask it without the token, which it has no place for.
    """
    made = {name: value for name, value in environ.items() if name not in (*OURS, *LEFT_OUT)}
    made |= {name: value for name, value in inside.items() if name in MARKS or not reserved(name)}
    for name in PROXY:
        made[name] = made[name.lower()] = proxy_url
    made["NO_PROXY"] = made["no_proxy"] = ""
    made |= dict.fromkeys(BUNDLES, str(files.bundle))
    made["SSL_CERT_DIR"] = str(files.bundle.parent)
    made["NODE_EXTRA_CA_CERTS"] = str(files.ca)  # added to Node's own roots
    made["NODE_USE_ENV_PROXY"] = "1"
    made["WGETRC"] = str(files.wgetrc)
    # An empty entry is the folder that PHP was built with.
    made["PHP_INI_SCAN_DIR"] = f"{environ.get('PHP_INI_SCAN_DIR', '')}:{files.php}"
    if files.java is not None:
        made["JAVA_TOOL_OPTIONS"] = _java(
            None if captured else proxy_url, files.java, environ.get("JAVA_TOOL_OPTIONS", "")
        )
    if files.java_credentials is not None and not captured:
        options = environ.get("JDK_JAVA_OPTIONS", "")  # java's launcher prints the name of the file, not what is in it
        made["JDK_JAVA_OPTIONS"] = f"{options} @{files.java_credentials}".strip()
    return made


def of_clouds(proxy_url: str, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return what leads SDKs of clouds to the proxy's identity endpoints, where secrets have their kinds.

    `kinds` is the kind of each secret. SDKs of AWS take credentials from loopback alone, where the token has to be in a
    variable of its own; those that ask for nothing but variables find the key under its name and need a filler.
    """
    from store.kinds import AWS, AZURE_CLIENT, GCP_SERVICE_ACCOUNT  # noqa: PLC0415  # not there inside a sandbox

    made: dict[str, str] = {}
    found = set(kinds.values())
    if GCP_SERVICE_ACCOUNT in found:
        made |= dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_IP"), "egret.internal")
        made["METADATA_SERVER_DETECTION"] = "assume-present"
    if AZURE_CLIENT in found:
        made |= {"IDENTITY_ENDPOINT": "http://egret.internal/identity/azure", "IDENTITY_HEADER": "egret"}
    proxy = urlsplit(proxy_url)
    if kinds.get("AWS_ACCESS_KEY_ID") == AWS:
        made["AWS_SECRET_ACCESS_KEY"] = "egret"
    elif AWS in found and proxy.scheme == "http" and proxy.hostname in LOOPBACK:
        made["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{proxy.hostname}:{proxy.port}/identity/aws"
        made["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = f"Bearer {unquote(proxy.username or '')}"
    return made


def reserved(name: str) -> bool:
    """Whether a secret or variable of this name stays out of the environment."""
    return RESERVED.fullmatch(name) is not None and CREDENTIALS.fullmatch(name) is None


def _java(proxy_url: str | None, store: Path, before: str) -> str:
    """Return Java's options, without the token: every JVM prints them at start."""
    options = [] if proxy_url is None else _java_proxy(proxy_url)
    options += [
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={JAVA_PASSWORD}",
    ]
    return " ".join(filter(None, [before, *options]))


def _java_proxy(proxy_url: str) -> list[str]:
    parts = urlsplit(proxy_url)
    options = [
        f"-D{scheme}.proxy{what}={value}"
        for scheme in ("http", "https")
        for what, value in (("Host", parts.hostname), ("Port", parts.port))
    ]
    # The last one lets a program's Authenticator answer the proxy with Basic.
    return [*options, "-Dhttp.nonProxyHosts=", "-Djdk.http.auth.tunneling.disabledSchemes="]


def _java_credentials(proxy_url: str) -> bytes:
    """Return the properties from which Gradle, sbt and Apache's HttpClient take a proxy's credentials.

    The file is read by java's launcher (9 and later), and is for its owner alone.
    """
    parts = urlsplit(proxy_url)
    named = [("User", unquote(parts.username or "")), ("Password", unquote(parts.password or "x"))]
    lines = [f"-D{scheme}.proxy{what}={value}" for scheme in ("http", "https") for what, value in named]
    return ("\n".join(lines) + "\n").encode()
