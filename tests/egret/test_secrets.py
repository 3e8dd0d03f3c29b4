"""One mapping for code inside a session and outside of one."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from rawserver import RawServer

from egret.secrets import Resolved, Secrets, Told, Variables, variables_inside


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """No test depends on how long it takes."""
    module = sys.modules["egret.secrets"]
    monkeypatch.setattr(module, "FRESH", 3600.0)
    monkeypatch.setattr(module, "AGAIN", 3600.0)


OUTSIDE = {"API_TOKEN": "canary-value", "HOME": "/home/u", "lower": "x", "API_KEY": ""}


def secrets_in(environ):
    return Secrets(Told(environ))


def variables_in(environ):
    return Variables(Told(environ))


def test_inside_an_item_is_its_placeholder():
    """Whatever the environment holds under that name, inside it is never read."""
    environ = {"EGRET_SESSION": "id", "API_TOKEN": "canary-value"}
    assert secrets_in(environ)["API_TOKEN"] == "#{SECRETS.API_TOKEN}"
    assert variables_in(environ)["REGION"] == "#{VARS.REGION}"


def test_outside_an_item_is_the_environment_variable():
    """A developer's machine has the value itself, as ever."""
    secrets = secrets_in(OUTSIDE)
    assert secrets["API_TOKEN"] == "canary-value"
    assert secrets["API_KEY"] == ""
    assert secrets.get("ABSENT") is None
    assert dict(secrets) == {"API_TOKEN": "canary-value", "HOME": "/home/u", "API_KEY": ""}


def test_inside_the_listed_names_are_the_items():
    """Code asks `in` to see what it was given."""
    environ = variables_inside("id", ["A", "B"], {"REGION": "eu-1"}) | {"OTHER": "x"}
    secrets = secrets_in(environ)
    assert dict(secrets) == {"A": "#{SECRETS.A}", "B": "#{SECRETS.B}"}
    assert "OTHER" not in secrets and "REGION" not in secrets and len(secrets) == 2
    assert list(variables_in(environ)) == ["REGION"]


def test_a_session_without_names_has_no_items():
    """The empty list is a list: nothing declared is nothing there."""
    secrets = secrets_in(variables_inside("id", []))
    assert not secrets and "A" not in secrets
    with pytest.raises(KeyError):
        secrets["A"]


def test_without_a_list_the_proxy_decides():
    """A sandbox that only says it is one: any name spells its placeholder; the known ones are those that are set."""
    secrets = secrets_in({"EGRET_SESSION": "id", "A": "#{SECRETS.A}", "B": "#{SECRETS.A}", "C": "canary-value"})
    assert secrets["ANY"] == "#{SECRETS.ANY}"
    assert list(secrets) == ["A"]


@pytest.mark.parametrize("name", ["lower", "", "A B", "A\n", "1A", "_A", "A" * 129, "A}#{SECRETS.B", 3, None])
@pytest.mark.parametrize("environ", [OUTSIDE, {"EGRET_SESSION": "id"}])
def test_what_is_no_name_is_no_item(environ, name):
    """A mapping answers KeyError, and never spells something that is not one placeholder."""
    with pytest.raises(KeyError):
        secrets_in(environ)[name]
    assert name not in secrets_in(environ)


def test_showing_the_mapping_shows_no_value():
    """Outside, a traceback or a log line with the mapping in it must not hold credentials."""
    shown = repr(secrets_in(OUTSIDE)) + str(secrets_in(OUTSIDE))
    assert "canary-value" not in shown and "API_TOKEN" in shown


def test_the_child_gets_placeholders_and_values():
    """Programs that read credentials and settings from the environment need no change."""
    assert variables_inside("s1", ["A", "BOTH"], {"V": "eu-1", "BOTH": "never"}) == {
        "A": "#{SECRETS.A}",
        "V": "eu-1",
        "BOTH": "#{SECRETS.BOTH}",
        "EGRET_SESSION": "s1",
        "EGRET_SECRETS": "A,BOTH",
        "EGRET_VARS": "V,BOTH",
    }


ABOUT = {
    "dataset": "d1",
    "expires_at": "2096-10-02T07:06:40+00:00",
    "secrets": [{"name": "A", "hosts": ["api.example.com"], "locations": ["header"]}],
    "variables": {"REGION": "eu-1", "FLAG": "false"},
}


@contextmanager
def proxy(answers: list):
    """What stands in for the session's proxy: gives each answer once, the last one for ever; keeps what it was asked."""
    asked = []

    def answer(conn):
        head = b""
        while b"\r\n\r\n" not in head:
            head += conn.recv(65536)
        asked.append(head)
        document = answers.pop(0) if len(answers) > 1 else answers[0]
        status = b"200 OK" if "variables" in document else b"403 session_invalid\r\nEgret-Error: session_invalid"
        body = json.dumps(document).encode()
        conn.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    with RawServer(None, answer) as server:
        yield f"http://egs_token:x@127.0.0.1:{server.port}", asked


def test_the_proxy_says_what_there_is():
    """It is asked when an item is, with the session's token; what the list of the start says is old news."""
    with proxy([ABOUT]) as (url, asked):
        environ = variables_inside("id", ["A", "GONE"], {"OLD": "x"}) | {"HTTP_PROXY": url}
        told = Told(environ)
        secrets, variables = Secrets(told), Variables(told)
        assert asked == []
        assert dict(secrets) == {"A": "#{SECRETS.A}"}
        assert dict(variables) == {"REGION": "eu-1", "FLAG": "false"}
        assert variables["FLAG"] == "false" and variables.get("OLD") is None and "A" not in variables
        with pytest.raises(KeyError):
            secrets["GONE"]
        assert repr(secrets) == "<Secrets: A>" and "eu-1" not in repr(variables) + repr(told)
    assert len(asked) == 1
    assert asked[0].startswith(b"GET http://egret.internal/session HTTP/1.1\r\n")
    assert b"\r\nEgret-Session: 1\r\n" in asked[0]
    assert b"\r\nProxy-Authorization: Bearer egs_token\r\n" in asked[0]


def test_a_change_is_seen():
    """What the proxy said is kept for a while, and then asked anew."""
    with proxy([ABOUT, ABOUT | {"variables": {"REGION": "us-1"}}]) as (url, _):
        variables = variables_in({"EGRET_SESSION": "id", "http_proxy": url})
        assert [variables["REGION"] for _ in range(9)] == ["eu-1"] * 9
        variables._told._until = 0.0
        assert variables["REGION"] == "us-1"


def test_where_the_proxy_does_not_say():
    """A session that is over, a page's session, another proxy, none at all: the lists of the start, and placeholders."""
    listed = variables_inside("id", ["A"], {"REGION": "eu-1"})
    with proxy([{"code": "session_invalid"}]) as (url, asked):
        environ = listed | {"HTTP_PROXY": url}
        secrets = secrets_in(environ)
        assert dict(secrets) == {"A": "#{SECRETS.A}"} == dict(secrets)
        assert len(asked) == 1  # who did not answer is not asked again at once
        assert dict(variables_in(environ)) == {"REGION": "#{VARS.REGION}"}
    with proxy([{"variables": {"X": "1"}}]) as (url, _):
        assert dict(secrets_in(listed | {"HTTP_PROXY": url})) == {"A": "#{SECRETS.A}"}
        assert dict(variables_in(listed | {"HTTP_PROXY": url})) == {"X": "1"}
    for elsewhere in (url, "", "nonsense", "http://127.0.0.1:0"):
        assert dict(secrets_in(listed | {"HTTP_PROXY": elsewhere})) == {"A": "#{SECRETS.A}"}


def test_the_import_gives_the_mapping():
    """`egret.secrets[...]`, however it was imported, looks at the environment of now."""
    program = (
        "import os, egret, egret.secrets as direct\n"
        "from egret import secrets, variables\n"
        "from egret.secrets import secrets as inner\n"
        "assert egret.secrets is secrets is inner is direct\n"
        "before = secrets['K']\n"
        "os.environ['EGRET_SESSION'] = 'id'\n"
        "print(before, secrets['K'], variables['K'])"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("EGRET_")} | {"K": "outside"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["outside", "#{SECRETS.K}", "#{VARS.K}"]


def resolved_in(environ):
    told = Told(environ)
    return Resolved(Secrets(told), Variables(told), told)


def test_a_plugin_gets_an_address_where_a_variable_holds_one():
    """`ctx.secrets[...]`: the environment, then the session's variable, then its secret; None where there is none."""
    document = {
        "secrets": [{"name": "CVAT_PASSWORD"}, {"name": "BOTH"}],
        "variables": {"CVAT_URL": "https://cvat", "BOTH": "v"},
    }
    with proxy([document]) as (url, _):
        environ = {"EGRET_SESSION": "id", "HTTP_PROXY": url}
        found = resolved_in(environ)
        assert found["CVAT_URL"] == "https://cvat" and found["CVAT_PASSWORD"] == "#{SECRETS.CVAT_PASSWORD}"
        assert found["BOTH"] == "v" and sorted(found) == ["BOTH", "CVAT_PASSWORD", "CVAT_URL"] and len(found) == 3
        assert resolved_in(environ | {"CVAT_URL": "https://mine"})["CVAT_URL"] == "https://mine"
        assert resolved_in(environ | {"CVAT_URL": ""})["CVAT_URL"] == "https://cvat"
        with pytest.warns(UserWarning, match="'CVAT_USERNAME'"):
            assert found["CVAT_USERNAME"] is None
        assert (
            "CVAT_USERNAME" not in found
            and found.get("CVAT_USERNAME", "x") == "x"
            and found.get("CVAT_URL") == "https://cvat"
        )
        with pytest.warns(UserWarning, match="no secret or variable"):
            assert found["lower case"] is None
        assert repr(found) == "<Resolved: CVAT_URL, BOTH, CVAT_PASSWORD>"


def test_outside_a_plugin_has_its_environment_as_before(recwarn):
    """None where it is not set, without a word: there is no manager to be asked."""
    found = resolved_in(OUTSIDE)
    assert found["API_TOKEN"] == "canary-value" and found["ABSENT"] is None and "ABSENT" not in found
    assert not recwarn.list and "canary-value" not in repr(found)


def test_ctx_is_imported():
    """`from egret import ctx` is what a plugin writes."""
    from egret import ctx

    assert isinstance(ctx.secrets, Resolved)
