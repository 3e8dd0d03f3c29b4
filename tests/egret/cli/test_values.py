"""egret.cli.values: a value comes from a prompt, stdin, a file or a variable, never from argv."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import shown
from certificates import Authority
from clouds import PEM, VALUES
from opening_server import OpeningServer
from terminal import run_on_terminal

EGRET = str(Path(sys.executable).with_name("egret"))
VALUE = "sk-canary-4Kf8Zq1"


@pytest.fixture(scope="module")
def server():
    """Answers as a store does a put, and opens what was sealed."""
    with OpeningServer() as upstream:
        yield upstream


@pytest.fixture
def env(server, tmp_path):
    server.forget()
    return {
        **os.environ, "EGRET_URL": server.url, "EGRET_API_KEY": "egk_x", "HOME": str(tmp_path), "MY_VALUE": VALUE,
    }  # fmt: skip


def put(env, *args, stdin=b"", command=("secret", "put")):
    return subprocess.run([EGRET, *command, *args], input=stdin, env=env, capture_output=True, timeout=60)


def sent(server) -> str:
    return server.opened()


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (("secret", "put"), ["KEY", VALUE]),
        (("secret", "put"), [f"KEY={VALUE}"]),
        (("secret", "put"), ["KEY", "--value", VALUE]),
        (("secret", "put"), ["KEY", f"--value={VALUE}"]),
        (("secret", "put"), ["KEY", "-v", VALUE]),
        (("secret", "put"), ["--host", "api.example.com", "KEY", VALUE]),
        (("secret", "put"), ["KEY", "-", VALUE]),
        (("secret", "put"), [f"-{VALUE}=", VALUE]),
        (("kv", "put"), ["-s", "prod/db", VALUE]),
        (("kv", "put"), ["prod/db", VALUE, "-s"]),
    ],
)
def test_a_value_in_argv_is_refused(env, server, command, args):
    """Exit 2, the right command printed, nothing sent, the value not repeated."""
    done = put(env, *args, command=command)
    assert done.returncode == 2
    assert VALUE.encode() not in done.stdout
    if args[0] != f"-{VALUE}=":  # an unknown option is named by the parser
        assert VALUE.encode() not in done.stderr
        assert b"--from-file FILE" in done.stderr
    assert server.log == []


def test_the_right_command_is_printed(env):
    """What was said about where and for whom stays in it; a name that cannot be one is not repeated."""
    done = put(env, "KEY", VALUE, "-d", "my set", "-H", "a.example")
    assert b"egret secret put KEY --dataset 'my set' --host a.example --from-file FILE" in done.stderr
    assert VALUE.encode() not in put(env, VALUE, "KEY").stderr
    done = put(env, "db/key", VALUE, "-e", "prod", "-g", "quants", "-p", "use", command=("kv", "put", "-s"))
    assert b"egret kv put -s db/key --environment prod --group quants --permissions use --from-file" in done.stderr


def test_a_value_in_argv_is_refused_without_credentials_too(env):
    """The trap acts first, so that the user hears of the leak and not of the login."""
    del env["EGRET_URL"]
    assert put(env, "KEY", VALUE).returncode == 2


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("v", "v"),
        ("v\n", "v"),
        ("v\r\n", "v"),
        ("v\n\n", "v\n"),
        ("a\nb\n", "a\nb"),
        (" v ", " v "),
        ("ключ🔑\n", "ключ🔑"),
    ],
)
def test_stdin_loses_exactly_one_line_break(env, server, given, kept):
    """What `echo` adds is not meant; everything else is."""
    assert put(env, "KEY", stdin=given.encode()).returncode == 0
    assert sent(server) == kept


def test_a_dash_means_stdin(env, server):
    """`-` is accepted for people who are used to it."""
    assert put(env, "KEY", "-", stdin=b"v\n").returncode == 0
    assert sent(server) == "v"


def test_a_put_says_in_a_line_what_it_allows(env, server):
    """And why, on stderr: scripts that read stdout are not disturbed. The rules are the store's answer."""
    server.more = {"hosts": ["api.groq.com"], "locations": ["header"]}
    try:
        done = put(env, "KEY", "-", stdin=VALUE.encode())
    finally:
        server.more = {}
    assert done.returncode == 0, done.stderr
    told = b"egret: KEY: at api.groq.com in the header authorization alone (models with tools, which call servers"
    assert [line for line in done.stderr.splitlines() if line.startswith(told)]
    assert b"alone" not in done.stdout


def test_a_file_is_read_byte_for_byte(env, server, tmp_path):
    """A key file keeps its last line break."""
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN\nx\n")
    assert put(env, "KEY", "--from-file", str(file)).returncode == 0
    assert sent(server) == "-----BEGIN\nx\n"


def test_a_variable(env, server):
    """The variable's value, unchanged."""
    assert put(env, "KEY", "--from-env", "MY_VALUE").returncode == 0
    assert sent(server) == VALUE


def test_a_prompt_shows_nothing_and_asks_twice(env, server):
    """On a terminal the value is asked for without echo."""
    answers = [("Value of KEY:", VALUE), ("Repeat for confirmation:", VALUE)]
    code, shown = run_on_terminal([EGRET, "secret", "put", "KEY"], answers, env)
    assert code == 0, shown
    assert VALUE not in shown
    assert sent(server) == VALUE


AWS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "k3Vq9xPw2LmN8rT5yB1/" * 2}
PROFILE = "[other]\naws_access_key_id=x\n[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(
    *AWS.values()
)


@pytest.mark.parametrize("how", ["stdin", "profile", "variables", "prompt"])
def test_an_aws_key_comes_in_parts(env, server, tmp_path, how):
    """As JSON, from AWS's own file or variables, or asked for one by one; what is sealed is the same."""
    args = ["KEY", "--kind", "aws", "--parameter", "regions=us-east-1"]
    if how == "prompt":
        answers = [("Access key id of KEY:", AWS["access_key_id"]), ("Secret access key:", AWS["secret_access_key"])]
        code, shown = run_on_terminal([EGRET, "secret", "put", *args], [*answers, ("Session token", "")], env)
        assert code == 0 and AWS["secret_access_key"] not in shown, shown
    else:
        (tmp_path / "credentials").write_text(PROFILE)
        env |= {f"AWS_{name.upper()}": part for name, part in AWS.items()}
        more = {"profile": ["--from-file", str(tmp_path / "credentials")], "variables": ["--from-env", "AWS_ACCESS_KEY_ID"]}  # fmt: skip
        done = put(env, *args, *more.get(how, []), stdin=json.dumps(AWS).encode())
        assert done.returncode == 0, done.stderr
    assert json.loads(sent(server)) == AWS
    assert json.loads(server.puts[0].body)["parameters"] == {"regions": ["us-east-1"]}


CLIENT = {"client_id": "client-7", "client_secret": "k3Vq9xPw2LmN8rT5yB1/" * 2}


@pytest.mark.parametrize("how", ["stdin", "variables", "prompt"])
def test_a_client_comes_in_parts(env, server, how):
    """As JSON, from variables whose names end as its parts', or asked for; with where it is traded."""
    url = "https://auth.example.com/token?a=b"
    args = ["KEY", "--kind", "oauth2_client", "--parameter", f"token_url={url}", "--parameter", "scope=a b"]
    if how == "prompt":
        answers = [("Client id of KEY:", CLIENT["client_id"]), ("Client secret:", CLIENT["client_secret"])]
        code, shown = run_on_terminal([EGRET, "secret", "put", *args], answers, env)
        assert code == 0 and CLIENT["client_secret"] not in shown, shown
    else:
        env |= {f"AUTH_{name.upper()}": part for name, part in CLIENT.items()}
        more = ["--from-env", "AUTH_CLIENT_ID"] if how == "variables" else []
        done = put(env, *args, *more, stdin=json.dumps(CLIENT).encode())
        assert done.returncode == 0, done.stderr
    assert json.loads(sent(server)) == CLIENT
    assert json.loads(server.puts[0].body)["parameters"] == {"token_url": url, "scope": "a b"}
    server.forget()
    again = put(env, *args, "--parameter", f"token_url={url}", stdin=json.dumps(CLIENT).encode())
    assert again.returncode == 2 and server.puts == [], "it is no list"


SIGNER = {"key_id": "kid-7", "secret": "k3Vq9xPw2LmN8rT5yB1/" * 2}


@pytest.mark.parametrize("how", ["stdin", "bare", "variables", "prompt"])
def test_a_key_that_signs_comes_in_parts(env, server, how):
    """As JSON, the secret alone, from variables or asked for; parts of its template stay in their order."""
    parts = ["timestamp", "text:.", "body", "text:."]
    args = ["KEY", "--kind", "hmac", *(word for part in parts for word in ("--parameter", f"payload={part}"))]
    args += ["--parameter", "signature_in=header:X-A", "--parameter", "timestamp_in=header:X-B"]
    expected = {"secret": SIGNER["secret"]} if how == "bare" else SIGNER
    if how == "prompt":
        answers = [("Key id of KEY", SIGNER["key_id"]), ("Secret:", SIGNER["secret"])]
        code, shown = run_on_terminal([EGRET, "secret", "put", *args], answers, env)
        assert code == 0 and SIGNER["secret"] not in shown, shown
    else:
        env |= {f"HOOK_{name.upper()}": part for name, part in SIGNER.items()}
        more = ["--from-env", "HOOK_KEY_ID"] if how == "variables" else []
        given = SIGNER["secret"] + "\n" if how == "bare" else json.dumps(SIGNER)
        done = put(env, *args, *more, stdin=given.encode())
        assert done.returncode == 0, done.stderr
    assert json.loads(sent(server)) == expected
    assert json.loads(server.puts[0].body)["parameters"]["payload"] == parts


@pytest.mark.parametrize("how", ["json", "one file", "prompt"])
def test_a_client_certificate_comes_in_parts(env, server, tmp_path, how):
    """As JSON, as one PEM file in whatever order, or as two files that are asked for."""
    parts = {name: text.strip() for name, text in shown.credentials(Authority(tmp_path), "client-a").items()}
    args = ["KEY", "--kind", "client_certificate"]
    if how == "prompt":
        for name, text in parts.items():
            (tmp_path / name).write_text(text)
        answers = [("certificate and its chain of KEY", str(tmp_path / "certificate")), ("File of the private key", str(tmp_path / "private_key"))]  # fmt: skip
        code, told = run_on_terminal([EGRET, "secret", "put", *args], answers, env)
        assert code == 0 and parts["private_key"][40:80] not in told, told
    else:
        path = tmp_path / "both.pem"
        path.write_text(
            json.dumps(parts) if how == "json" else f"# mine\n{parts['private_key']}\n{parts['certificate']}\n"
        )
        done = put(env, *args, "--from-file", str(path))
        assert done.returncode == 0, done.stderr
    assert json.loads(sent(server)) == parts


LOGIN = {"client_id": "client-7", "refresh_token": "r3Vq9xPw2LmN8rT5yB1/" * 2}


@pytest.mark.parametrize("how", ["stdin", "variables", "prompt"])
def test_a_refresh_token_comes_in_parts(env, server, how):
    """With a secret of the client's or without one; the token is asked for unseen."""
    args = ["KEY", "--kind", "oauth2_refresh", "--parameter", "token_url=https://auth.example.com/token"]
    if how == "prompt":
        answers = [("Client id of KEY:", "client-7"), ("Client secret (none: enter):", ""), ("Refresh token:", LOGIN["refresh_token"])]  # fmt: skip
        code, shown = run_on_terminal([EGRET, "secret", "put", *args], answers, env)
        assert code == 0 and LOGIN["refresh_token"] not in shown, shown
    else:
        env |= {f"AUTH_{name.upper()}": part for name, part in LOGIN.items()}
        more = ["--from-env", "AUTH_CLIENT_ID"] if how == "variables" else []
        done = put(env, *args, *more, stdin=json.dumps(LOGIN).encode())
        assert done.returncode == 0, done.stderr
    assert json.loads(sent(server)) == LOGIN


def test_other_credentials_come_in_parts(env, server, tmp_path):
    """By the names that their tools have for them; a key from its file."""
    azure = {"tenant_id": "contoso.example", "client_id": "0-1", "client_secret": CLIENT["client_secret"]}
    env |= {f"AZURE_{name.upper()}": part for name, part in azure.items()}
    args = ["KEY", "--kind", "azure_client", "--parameter", "scope=https://vault.azure.net/.default"]
    done = put(env, *args, "--from-env", "AZURE_TENANT_ID")
    assert done.returncode == 0 and json.loads(sent(server)) == azure, done.stderr
    server.forget()
    (tmp_path / "app.pem").write_text(PEM)
    app = [
        "KEY",
        "--kind",
        "github_app",
        "--parameter",
        "installation_id=4",
        "--parameter",
        "permissions=contents:read",
    ]
    answers = [("App id of KEY:", "7"), ("File of the private key:", str(tmp_path / "app.pem"))]
    code, shown = run_on_terminal([EGRET, "secret", "put", *app], answers, env)
    assert code == 0 and json.loads(sent(server)) == {"app_id": "7", "private_key": PEM.strip()}, shown
    assert json.loads(server.puts[0].body)["parameters"]["permissions"] == ["contents:read"]
    server.forget()
    (tmp_path / "key.json").write_text(json.dumps(VALUES["gcp_service_account"], indent=2))
    done = put(env, "KEY", "--kind", "gcp_service_account", "--parameter", "scope=a", "--from-file", str(tmp_path / "key.json"))  # fmt: skip
    assert done.returncode == 0 and json.loads(sent(server)) == VALUES["gcp_service_account"], done.stderr


@pytest.mark.parametrize(
    ("args", "stdin", "code", "says"),
    [
        (["KEY"], b"", 2, b"empty"),
        (["KEY"], b"\n", 2, b"empty"),
        (["KEY"], b"x" * (64 * 1024 + 1), 2, b"longer than 64 KiB"),
        (["KEY"], b"\xff\xfe", 2, b"not UTF-8"),
        (["KEY", "--from-file", "/nowhere/at/all"], b"", 1, b"No such file"),
        (["KEY", "--from-env", "NO_SUCH_VARIABLE"], b"", 2, b"no environment variable"),
        (["KEY", "--from-env", "MY_VALUE", "--from-file", "x"], b"", 2, b"either"),
    ],
)
def test_what_cannot_be_a_value(env, server, args, stdin, code, says):
    """Refused before anything is sent."""
    done = put(env, *args, stdin=stdin)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert server.log == []


def test_64_kib_with_its_line_break_is_sent(env, server):
    """The longest value may come from `echo`."""
    assert put(env, "KEY", stdin=b"x" * 65536 + b"\r\n").returncode == 0
    assert sent(server) == "x" * 65536


def test_a_carriage_return_is_refused(env, server):
    """What the store would refuse is refused here: a line break too many of Windows."""
    done = put(env, "KEY", stdin=b"v\r\r\n")
    assert (done.returncode, b"value_control" in done.stderr) == (1, True)
    assert server.puts == []


@pytest.mark.parametrize("value", [b"changeme", b"your-api-key", b" padded", b"#{SECRETS.KEY}"])
def test_doubtful_values_are_warned_of_and_kept(env, server, value):
    """A warning on stderr, without the value."""
    done = put(env, "KEY", stdin=value)
    assert done.returncode == 0
    assert b"egret: warning: the value" in done.stderr
    assert value not in done.stderr
    assert sent(server) == value.decode()


def test_a_variable_may_be_typed(env, server):
    """What is no secret may stand in argv: `egret kv put` without -s, and `egret var put`."""
    assert put(env, "prod/region", "eu-1", command=("kv", "put")).returncode == 0
    assert json.loads(server.log[0].body)["value"] == "eu-1"
    assert server.log[0].target == b"/projects/default/variables/PROD__REGION"


RULE = {"host": "api.example.com", "paths": ["/v1/*"], "methods": ["POST"]}


@pytest.mark.parametrize("command", [("secret", "put"), ("kv", "put", "-s")])
def test_a_rule_is_json(env, server, command):
    """Beside hosts, in one list, as the API takes it."""
    name = "KEY" if command[0] == "secret" else "prod/key"
    done = put(env, name, "--host", "b.example.com", "--host", json.dumps(RULE), stdin=VALUE.encode(), command=command)
    assert done.returncode == 0, done.stderr
    (request,) = server.puts
    assert json.loads(request.body)["hosts"] == ["b.example.com", RULE]


def test_a_rule_that_is_no_json_is_not_repeated(env, server):
    """It says how one is written; who swapped the arguments finds no value in a log."""
    done = put(env, "KEY", "--host", "{" + VALUE, stdin=b"x")
    assert done.returncode == 2
    assert b'"paths"' in done.stderr
    assert VALUE.encode() not in done.stdout + done.stderr


def test_a_rule_stands_in_the_command_that_is_advised(env):
    """Quoted, so that it can be pasted."""
    done = put(env, "KEY", VALUE, "--host", json.dumps(RULE))
    assert done.returncode == 2
    assert f"--host '{json.dumps(RULE)}'".encode() in done.stderr
