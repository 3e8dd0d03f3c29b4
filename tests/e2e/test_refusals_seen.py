"""What clients show of a refusal at CONNECT and inside the tunnel: the table of docs/clients.md, row by row.

Each client asks once for a host that the dataset's egress list does not allow, and once with a name that there is not. What
it prints, unmodified, decides the cell. A row that differs fails, and says what to write. `test_many_clients.py` is about what
clients send.
"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from programs import GO_RUN
from upstream import Upstream, response

from egret.sandbox.environment import variables, write
from egret.shims import environment as with_shims
from proxy.core.codes import CODES

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "clients"
NAME = socket.gethostname()
BLOCKED, UNKNOWN = "destination_blocked", "unknown_secret"
ADVICE, CODE, STATUS, NOTHING = "advice", "code", "status", "nothing"
"""It shows what to do next; the code; that it was 403; nothing of it."""

PYTHON = [sys.executable, PROGRAMS / "python" / "asks.py"]
NODE = ["node", PROGRAMS / "node" / "asks.cjs"]
JAVA = ["java", PROGRAMS / "java" / "Asks.java"]
PHP = (
    "$c = curl_init($argv[1]); curl_setopt($c, CURLOPT_FAILONERROR, true);"
    "curl_setopt($c, CURLOPT_RETURNTRANSFER, true); curl_exec($c); echo curl_error($c);"
)
PIP = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries", "0", "nothing"]
SKOPEO = 'rest=${0#https://}; skopeo inspect --registry-token "#{SECRETS.KEY}" "docker://${rest%%/*}/some/image"'
PERL = "$r = LWP::UserAgent->new(env_proxy => 1)->get(shift); die $r->status_line"

CLIENTS = {
    "curl": (["curl", "-sS"], "curl"),
    "curl -f": (["curl", "-sSf"], "curl"),
    "wget": (["wget", "-t1", "-O", "-"], "wget"),
    "git": (["git", "ls-remote"], "git"),
    "aria2": (["sh", "-c", 'aria2c --ca-certificate="$SSL_CERT_FILE" --max-tries=1 -o got "$0"'], "aria2c"),
    "rclone": (["rclone", "lsf", ":http:", "--low-level-retries=1", "--retries=1", "--http-url"], "rclone"),
    "skopeo": (["sh", "-c", SKOPEO], "skopeo"),
    "pip": ([*PIP, "--index-url"], None),
    "pip -vv": ([*PIP, "-vv", "--index-url"], None),
    "npm": (["npm", "view", "nothing", "--fetch-retries=0", "--cache", "cache", "--registry"], "npm"),
    "requests": ([*PYTHON, "requests"], None),
    "httpx": ([*PYTHON, "httpx"], None),
    "urllib": ([*PYTHON, "urllib"], None),
    "urllib3": ([*PYTHON, "urllib3"], None),
    "aiohttp": ([*PYTHON, "aiohttp"], None),
    "openai (Python)": ([*PYTHON, "openai"], None),
    "anthropic (Python)": ([*PYTHON, "anthropic"], None),
    "boto3": ([*PYTHON, "boto3"], None),
    "websockets (Python)": ([*PYTHON, "websockets"], None),
    "gRPC (Python)": ([*PYTHON, "grpc"], None),
    "Node fetch": ([*NODE, "fetch"], "node"),
    "Node https": ([*NODE, "https"], "node"),
    "undici": ([*NODE, "undici"], "npm"),
    "axios": ([*NODE, "axios"], "npm"),
    "got": ([*NODE, "got"], "npm"),
    "ky": ([*NODE, "ky"], "npm"),
    "openai (Node)": ([*NODE, "openai"], "npm"),
    "octokit": ([*NODE, "octokit"], "npm"),
    "slack (Node)": ([*NODE, "slack"], "npm"),
    "ws (Node)": ([*NODE, "ws"], "npm"),
    "gRPC (Node)": ([*NODE, "grpc"], "npm"),
    "Go net/http": (["go", "run", PROGRAMS / "go" / "asks.go"], "go"),
    "Java HttpClient": ([*JAVA, "HttpClient"], "javac"),
    "Java HttpURLConnection": ([*JAVA, "HttpURLConnection"], "javac"),
    "PHP curl": (["php", "-r", PHP], "php"),
    "Perl LWP": (["perl", "-MLWP::UserAgent", "-e", PERL], "lwp-request"),
}


@pytest.fixture(scope="module")
def upstream(egret):
    def registry(request, _conn):
        """Ask for the token, as registries do."""
        return response(
            b"", b'WWW-Authenticate: Bearer realm="https://%s/token"' % request.header("Host"), status=b"401 No"
        )

    with Upstream(egret.authority.leaf(NAME), {b"/v2/": registry}, host="0.0.0.0") as named:
        yield named


@pytest.fixture(scope="module")
def run(egret, upstream, tmp_path_factory):
    """Run a client where there is no secret."""
    folder = tmp_path_factory.mktemp("seen")
    dataset = egret.dataset(egress={"allow": [f"{NAME}:{upstream.port}"]})
    session = egret.session(dataset)
    files = write(folder, egret.ca.read_bytes(), session["proxy_url"])
    keep = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_TERMINAL_PROMPT": "0", **GO_RUN}
    environ = with_shims(variables(session["proxy_url"], files, {}, keep))

    def run(argv, url):
        command = [str(each) for each in argv] + [url]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=170)
        return done.stdout + done.stderr

    return run


def cell(shown: str, code: str) -> str:
    """What a client shows of a refusal."""
    words = " ".join(re.sub(r"[\\\"']", "", shown).split())
    if any(" ".join(text.split()) in words for text in (CODES[code].detail, CODES[code].hint)):
        return ADVICE
    return CODE if code in shown else STATUS if "403" in shown else NOTHING


def table() -> dict[str, tuple[str, str]]:
    """The rows of docs/clients.md."""
    text = (ROOT / "docs" / "clients.md").read_text().partition("## What clients show of a refusal")[2]
    rows = [[each.strip() for each in row.strip("|").split("|")] for row in re.findall(r"(?m)^\|.*\|$", text)]
    return {row[0]: (row[1], row[2]) for row in rows[2:]}


def test_the_table_is_of_these_clients():
    """Neither more nor fewer, in this order."""
    assert list(table()) == list(CLIENTS)


EACH = [
    pytest.param(name, marks=[pytest.mark.needs(tool)] if tool else [], id=name) for name, (_, tool) in CLIENTS.items()
]


@pytest.mark.parametrize("client", EACH)
def test_what_a_client_shows(egret, upstream, run, client):
    """At CONNECT, and inside the tunnel; nothing reaches an upstream."""
    command, _ = CLIENTS[client]
    upstream.forget()
    at_connect = run(command, "https://blocked.example.com/x")
    inside = run(command, f"https://{NAME}:{upstream.port}/%23%7BSECRETS.KEY%7D/x")
    assert b"SECRETS" not in upstream.received
    assert TOKEN.search(at_connect + inside) is None
    row = (cell(at_connect, BLOCKED), cell(inside, UNKNOWN))
    said = f"| {client} | {row[0]} | {row[1]} |\n{at_connect[-1500:]}\n---\n{inside[-1500:]}"
    assert table().get(client) == row, said


TOKEN = re.compile(r"\begs_[0-9A-Za-z]{12}_")
"""A session token is nothing to be shown."""
