"""egret.sandbox.inherited: which variables a command gets."""

import pytest

from egret.sandbox.inherited import variables

LEFT = {
    "GITHUB_TOKEN": "x", "OPENAI_API_KEY": "x", "STRIPE_KEY": "x", "DB_PASSWORD": "x", "PGPASSWORD": "x", "MYSQL_PWD": "x",
    "AWS_SECRET_ACCESS_KEY": "x", "AWS_ACCESS_KEY_ID": "x", "CLIENT_SECRET": "x", "npm_config__auth": "x", "NPM_TOKEN": "x",
    "GH_PAT": "x", "SENTRY_DSN": "x", "SESSION_COOKIE": "x", "Private_Key": "x", "AZURE_STORAGE_CONNECTION_STRING": "x",
    "MY_CREDENTIALS": "x", "DATABASE_URL": "postgres://user:pass@host/db", "REDIS": "redis://:pass@host", "PEM": "-----BEGIN RSA PRIVATE KEY-----",
    "WEBHOOK": "token=ghp_0123456789abcdef", "THING": "sk-0123456789abcdef", "CLOUD": "AKIA0123456789ABCDEF", "J": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.x",
}  # fmt: skip
GONE = {
    "EGRET_API_KEY": "egk_owner", "EGRET_URL": "http://x", "EGRET_RUN__SANDBOX": "off", "SSH_AUTH_SOCK": "/tmp/x", "DOCKER_HOST": "unix:///x",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x", "DISPLAY": ":0", "WAYLAND_DISPLAY": "x", "XDG_RUNTIME_DIR": "/run/user/1", "KUBECONFIG": "/x",
    "WSL_INTEROP": "/run/x", "TMUX": "/tmp/x", "COPY": "my egk_owner", "XDG_CONFIG_HOME": "/home/x/.config", "TMPDIR": "/var/folders",
    "GCE_METADATA_HOST": "10.0.0.1", "IDENTITY_ENDPOINT": "http://x", "IDENTITY_HEADER": "x", "MSI_SECRET": "x", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x",
}  # fmt: skip
PASS = {
    "PATH": "/bin", "LANG": "C.UTF-8", "TERM": "xterm", "EDITOR": "vi", "VIRTUAL_ENV": "/x", "PYTHONPATH": "/x", "NODE_ENV": "test", "CI": "true",
    "KEYBOARD": "us", "MONKEY": "x", "TOKENIZERS_PARALLELISM": "false", "API": "https://api.example.com/v1", "PROXY_HOST": "x:1", "AUTHOR": "me",
    "USER": "me", "SHELL": "/bin/sh", "DEBUG": "1", "MAIL": "a@b", "EMPTY": "",
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_looks_like_a_credential(name):
    """Left out and named, unless it is asked for."""
    assert variables({name: LEFT[name]}, (), ()) == ({}, [name])
    assert variables({name: LEFT[name]}, (), [name]) == ({name: LEFT[name]}, [])


@pytest.mark.parametrize("name", GONE)
def test_what_leads_outside(name):
    """Not worth a word."""
    environ = {"EGRET_API_KEY": "egk_owner", name: GONE[name]}
    assert variables(environ, (), ()) == ({}, [])


@pytest.mark.parametrize("name", PASS)
def test_what_programs_need(name):
    """Passes as it is."""
    assert variables({name: PASS[name]}, (), ()) == ({name: PASS[name]}, [])


def test_the_key_never_passes():
    """Not even when it is asked for, nor inside another variable."""
    environ = {"EGRET_API_KEY": "egk_owner", "MINE": "egk_owner"}
    assert variables(environ, (), ["EGRET_API_KEY", "MINE"]) == ({}, [])


def test_names_of_the_dataset():
    """Become placeholders later: what the user has under them does not pass, and is not worth a word."""
    assert variables({"REGION": "eu", "API_TOKEN": "true-value"}, ["REGION", "API_TOKEN"], ()) == ({}, [])
