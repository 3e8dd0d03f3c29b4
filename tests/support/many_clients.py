"""Clients that people use, each with one command that sends a placeholder in its head: as its documentation shows it.

Nothing is added for Egret: no proxy, no CA, no code. `tests/e2e/test_many_clients.py` runs them all.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "clients"
KEY = "#{SECRETS.KEY}"
ENCODED = "%23%7BSECRETS.KEY%7D"
"""The spelling for a name or password in a URL."""

HEADER = f"X-Key: {KEY}"
NO_PROXY = ("env", "-u", "https_proxy", "-u", "http_proxy", "-u", "HTTPS_PROXY", "-u", "HTTP_PROXY")
WITH_A_LINE = ("lynx",)
"""What needs something of its own, as its line in docs/clients.md says: a proxy with a user name it cannot use."""

CANNOT = ("wget2",)
"""What was tried and cannot be used; it has its line too."""

NEEDS = {
    "aria2": "aria2c",
    "lynx": "lynx",
    "lftp": "lftp",
    "gh": "gh",
    "restic": "restic",
    "apt": "/usr/lib/apt/apt-helper",
    "Composer": "composer",
    "OkHttp": "/usr/share/java/okhttp.jar",
    "Apache 4": "/usr/share/java/httpclient.jar",
    "Apache 5": "/usr/share/java/httpclient5.jar",
    "Ruby Faraday": "/usr/share/doc/ruby-faraday",
    "PHP Guzzle": "/usr/share/php/GuzzleHttp/autoload.php",
    "Perl LWP": "lwp-request",
    "Perl Mojo": "/usr/share/doc/libmojolicious-perl",
}
"""What must be installed (tools/system-parts), where it is not the command's first word."""

JARS = [
    f"/usr/share/java/{name}.jar"
    for name in (
        "okhttp", "okio", "httpclient", "httpcore", "commons-logging", "commons-codec",
        "httpclient5", "httpcore5", "httpcore5-h2", "slf4j-api", "slf4j-nop",
    )
]  # fmt: skip


@dataclass(frozen=True)
class Places:
    """Where things are: the upstream's `host` with its port, and interpreters with clients of their own."""

    host: str
    python: Path
    alone: Path
    """niquests and others, which replace modules that the clients of `python` use."""

    go: Path

    def url(self, name: str) -> str:
        return f"https://{self.host}/{slug(name)}"

    def user(self, name: str) -> str:
        """The URL with the placeholder as password."""
        return f"https://x:{ENCODED}@{self.host}/{slug(name)}"


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


Command = Callable[[Places, str], list]
"""What to run at these places under this name."""


def tool(*words: str) -> Command:
    """A program, then its URL."""
    return lambda at, name: [*words, at.url(name)]


def shell(script: str) -> Command:
    """`$0` is the URL, `$1` the same with the placeholder as password, `$2` the host; in a folder of its own."""
    script = f'cd "$(mktemp -d)" && {script}'
    return lambda at, name: ["sh", "-c", script, at.url(name), at.user(name), at.host]


def python(function: str) -> Command:
    """A library of the environment that the tests run in."""
    return lambda at, name: [sys.executable, CLIENTS / "python" / "asks.py", function, at.url(name)]


def library(function: str) -> Command:
    """One of tests/clients/python/clients.txt."""
    return lambda at, name: [at.python, CLIENTS / "python" / "asks.py", function, at.url(name)]


def alone(function: str) -> Command:
    """One of tests/egret/shims/python/clients.txt."""
    return lambda at, name: [at.alone, CLIENTS / "python" / "asks.py", function, at.url(name)]


def node(function: str) -> Command:
    return lambda at, name: ["node", CLIENTS / "node" / "asks.cjs", function, at.url(name)]


def package(name: str, *words: str) -> list:
    """A program of tests/clients/node/package.json."""
    return [*(sorted(CLIENTS.glob(f"node/node_modules/{name}")) or [CLIENTS / name])[:1], *words]


NPMRC = f"echo '//'\"$2\"'/NAME/:_authToken=\"{KEY}\"' > .npmrc"
PHP_CURL = (
    f"$c = curl_init($argv[1]); curl_setopt($c, CURLOPT_HTTPHEADER, ['{HEADER}']); echo curl_exec($c) . curl_error($c);"
)
PHP_STREAMS = f"echo file_get_contents($argv[1], false, stream_context_create(['http' => ['header' => '{HEADER}']]));"
PHP_GUZZLE = (
    "require '/usr/share/php/GuzzleHttp/autoload.php';"
    f"(new GuzzleHttp\\Client())->get($argv[1], ['headers' => ['X-Key' => '{KEY}']]);"
)
RUBY = f"require 'net/http'; puts Net::HTTP.get_response(URI(ARGV[0]), {{'X-Key' => '{KEY}'}}).code"
FARADAY = f"require 'faraday'; puts Faraday.get(ARGV[0], nil, {{'X-Key' => '{KEY}'}}).status"
PERL_LWP = f"print LWP::UserAgent->new(env_proxy => 1)->get(shift, 'X-Key' => '{KEY}')->status_line"
PERL_TINY = f"print HTTP::Tiny->new(verify_SSL => 1)->get(shift, {{headers => {{'X-Key' => '{KEY}'}}}})->{{content}}"
PERL_MOJO = f"print Mojo::UserAgent->new->get(shift, {{'X-Key' => '{KEY}'}})->result->code"
APT = (
    'host=${2%%:*}; printf "machine https://%s login x password %s\\n" "$2" \'' + KEY + "' > auth; "
    '/usr/lib/apt/apt-helper -o Dir::Etc::netrc="$PWD/auth" -o APT::Sandbox::User=root download-file "$0" got'
)
COMPOSER = (
    'echo \'{"repositories":[{"type":"composer","url":"\'"$0"\'"},{"packagist.org":false}]}\' > composer.json; '
    'COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_AUTH=\'{"http-basic":{"\'"$2"\'":'
    '{"username":"x","password":"' + KEY + "\"}}}' composer -n show --all some/package"
)

CLIENTS_OF: dict[str, dict[str, Command]] = {
    "Programs": {
        "curl": tool("curl", "-sS", "-H", HEADER),
        "wget": tool("wget", "-t1", "-O", "-", "--header", HEADER),
        "HTTPie": lambda at, name: [at.python.with_name("http"), "--ignore-stdin", at.url(name), f"X-Key:{KEY}"],
        "aria2": shell(f"aria2c --max-tries=1 --header '{HEADER}' -o got \"$0\""),
        "lftp": shell(f"lftp -u 'x,{KEY}' -e 'set net:max-retries 1; cat lftp; exit' \"https://$2\""),
        "lynx": tool(*NO_PROXY, "lynx", "-dump", f"-auth=x:{KEY}"),
        "w3m": lambda at, name: ["w3m", "-dump", at.user(name)],
        "git": tool("git", "-c", f"http.extraHeader=Authorization: Bearer {KEY}", "ls-remote"),
        "Mercurial": lambda at, name: ["hg", "--noninteractive", "identify", at.user(name)],
        "Subversion": tool("svn", "ls", "--non-interactive", "--username", "x", "--password", KEY),
        "gh": tool("env", f"GH_TOKEN={KEY}", "gh", "api", "-H", HEADER),
        "rclone": tool("rclone", "lsf", ":http:", "--retries=1", "--http-headers", f"X-Key,{KEY}", "--http-url"),
        "restic": lambda at, name: [
            "env", "RESTIC_PASSWORD=x", "restic", "--no-cache", "-r", f"rest:{at.user(name)}/", "cat", "config",
        ],
        "skopeo": lambda at, name: [
            "skopeo", "inspect", "--registry-token", KEY, f"docker://{at.host}/{slug(name)}/image",
        ],
        "yt-dlp": lambda at, name: [at.python.with_name("yt-dlp"), "--add-headers", f"X-Key:{KEY}", at.url(name)],
        "apt": shell(APT),
        "pip": lambda at, name: [
            sys.executable, "-m", "pip", "download", "--retries=0", "--index-url", at.user(name), "nothing",
        ],
        "uv": lambda at, name: [
            at.python.with_name("uv"), "pip", "install", "--dry-run", "--python", sys.executable, "--index-url",
            at.user(name), "nothing",
        ],
        "npm": shell(f'{NPMRC.replace("NAME", "npm")}; npm view nothing --fetch-retries=0 --cache=c --registry="$0/"'),
        "pnpm": lambda at, name: shell(
            f'{NPMRC.replace('NAME', name)}; node {package('pnpm/bin/pnpm.cjs')[0]} view nothing --registry="$0/"'
        )(at, name),
        "yarn": lambda at, name: shell(
            f"{NPMRC.replace('NAME', name)}; echo 'always-auth=true' >> .npmrc; "
            f'node {package('yarn/bin/yarn.js')[0]} info nothing --registry "$0/"'
        )(at, name),
        "gem": lambda at, name: ["gem", "list", "-r", "--clear-sources", "--source", f"{at.user(name)}/", "nothing"],
        "Composer": shell(COMPOSER),
        "go": shell('GOPROXY="$1" GONOSUMDB="*" go list -m example.com/nothing@v1.0.0'),
    },
    "Python": {
        "requests": python("requests"),
        "httpx": python("httpx"),
        "urllib": python("urllib"),
        "urllib3": python("urllib3"),
        "aiohttp": python("aiohttp"),
        "http.client": python("http_client"),
        "tornado": python("tornado"),
        "websockets": python("websockets"),
        "openai (Python)": python("openai"),
        "anthropic (Python)": python("anthropic"),
        "boto3 (Bedrock key)": python("bedrock"),
        "gRPC (Python)": python("grpc"),
        "httplib2": alone("httplib2"),
        "niquests": alone("niquests"),
        "curl_cffi": alone("curl_cffi"),
        "websocket-client": alone("websocket_client"),
        "treq (Twisted)": library("treq"),
        "pycurl": library("pycurl"),
        "fsspec": library("fsspec"),
        "dulwich": library("dulwich"),
        "mistralai": library("mistralai"),
        "google-genai": library("google_genai"),
        "google-auth": library("google_auth"),
        "huggingface_hub": library("huggingface_hub"),
        "azure-core": library("azure_core"),
        "stripe (Python)": library("stripe"),
        "slack_sdk": library("slack_sdk"),
        "PyGithub": library("pygithub"),
        "twilio": library("twilio"),
        "elasticsearch": library("elasticsearch"),
        "hvac": library("hvac"),
    },
    "JavaScript": {
        "Node fetch": node("fetch"),
        "Node https": node("https"),
        "Node http2": node("http2"),
        "undici": node("undici"),
        "axios": node("axios"),
        "got": node("got"),
        "ky": node("ky"),
        "superagent": node("superagent"),
        "node-fetch": node("node-fetch"),
        "needle": node("needle"),
        "ofetch": node("ofetch"),
        "gaxios": node("gaxios"),
        "isomorphic-git": node("isomorphic-git"),
        "ws": node("ws"),
        "openai (Node)": node("openai"),
        "anthropic (Node)": node("anthropic"),
        "stripe (Node)": node("stripe"),
        "octokit": node("octokit"),
        "slack (Node)": node("slack"),
        "gRPC (Node)": node("grpc"),
        "Bun fetch": lambda at, name: package("@oven/bun-linux-*/bin/bun", CLIENTS / "node" / "bun.js", at.url(name)),
        "Bun WebSocket": lambda at, name: package(
            "@oven/bun-linux-*/bin/bun", CLIENTS / "node" / "bun.js", at.url(name).replace("https", "wss")
        ),
        "Deno fetch": lambda at, name: package(
            "@deno/linux-*/deno", "run", "--quiet", "--allow-net", CLIENTS / "node" / "deno.js", at.url(name)
        ),
    },
    "Other languages": {
        "Go net/http": lambda at, name: [at.go, at.url(name)],
        "Java HttpClient": lambda at, name: ["java", CLIENTS / "java" / "Asks.java", "HttpClient", at.url(name)],
        "Java HttpURLConnection": lambda at, name: [
            "java", CLIENTS / "java" / "Asks.java", "HttpURLConnection", at.url(name),
        ],
        "OkHttp": lambda at, name: [
            "java", "-cp", ":".join(JARS), CLIENTS / "java" / "Libraries.java", f"https://{at.host}",
        ],
        "Apache 4": lambda at, name: [],
        "Apache 5": lambda at, name: [],
        "Ruby Net::HTTP": lambda at, name: ["ruby", "-e", RUBY, at.url(name)],
        "Ruby Faraday": lambda at, name: ["ruby", "-e", FARADAY, at.url(name)],
        "PHP curl": lambda at, name: ["php", "-r", PHP_CURL, at.url(name)],
        "PHP streams": lambda at, name: ["php", "-r", PHP_STREAMS, at.url(name)],
        "PHP Guzzle": lambda at, name: ["php", "-r", PHP_GUZZLE, at.url(name)],
        "Perl LWP": lambda at, name: ["perl", "-MLWP::UserAgent", "-e", PERL_LWP, at.url(name)],
        "Perl HTTP::Tiny": lambda at, name: ["perl", "-MHTTP::Tiny", "-e", PERL_TINY, at.url(name)],
        "Perl Mojo": lambda at, name: ["perl", "-MMojo::UserAgent", "-e", PERL_MOJO, at.url(name)],
    },
}  # fmt: skip
"""By kind, as docs/clients.md lists them. An empty command: the one before it asks for both."""
