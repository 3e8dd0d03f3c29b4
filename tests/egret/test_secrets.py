"""One mapping for code inside a session and outside of one."""

import os
import subprocess
import sys

import pytest

from egret.secrets import Placeholders, variables_inside

OUTSIDE = {"API_TOKEN": "canary-value", "HOME": "/home/u", "lower": "x", "API_KEY": ""}


def secrets_in(environ):
    return Placeholders("SECRETS", environ)


def test_inside_an_item_is_its_placeholder():
    """Whatever the environment holds under that name, inside it is never read."""
    environ = {"EGRET_SESSION": "id", "API_TOKEN": "canary-value"}
    assert secrets_in(environ)["API_TOKEN"] == "#{SECRETS.API_TOKEN}"
    assert Placeholders("VARS", environ)["REGION"] == "#{VARS.REGION}"


def test_outside_an_item_is_the_environment_variable():
    """A developer's machine has the value itself, as ever."""
    secrets = secrets_in(OUTSIDE)
    assert secrets["API_TOKEN"] == "canary-value"
    assert secrets["API_KEY"] == ""
    assert secrets.get("ABSENT") is None
    assert dict(secrets) == {"API_TOKEN": "canary-value", "HOME": "/home/u", "API_KEY": ""}


def test_inside_the_listed_names_are_the_items():
    """Code asks `in` to see what it was given."""
    environ = variables_inside("id", ["A", "B"], ["REGION"]) | {"OTHER": "x"}
    secrets = secrets_in(environ)
    assert dict(secrets) == {"A": "#{SECRETS.A}", "B": "#{SECRETS.B}"}
    assert "OTHER" not in secrets and "REGION" not in secrets and len(secrets) == 2
    assert dict(Placeholders("VARS", environ)) == {"REGION": "#{VARS.REGION}"}


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


def test_the_child_gets_each_name_as_its_placeholder():
    """Programs that read credentials from the environment need no change."""
    assert variables_inside("s1", ["A", "BOTH"], ["V", "BOTH"]) == {
        "A": "#{SECRETS.A}",
        "V": "#{VARS.V}",
        "BOTH": "#{SECRETS.BOTH}",
        "EGRET_SESSION": "s1",
        "EGRET_SECRETS": "A,BOTH",
        "EGRET_VARS": "V,BOTH",
    }


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
