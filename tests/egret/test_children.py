"""egret.children: what a child is started with."""

import sys
from pathlib import Path

from egret.children import command, environ_of

ENVIRON = {
    "PATH": "/bin", "EGRET_PROXY__WORKERS": "2", "EGRET_API_KEY": "egk_x", "SSLKEYLOGFILE": "/tmp/keys",
    "PYTHONPATH": "/evil", "PYTHONSTARTUP": "/evil.py", "PYTHONMALLOC": "debug",
}  # fmt: skip


def test_a_child_inherits_settings_and_nothing_that_steers_or_leaks():
    """Settings pass; interpreter switches, TLS key logs and the operator's API key do not."""
    assert environ_of("data", ENVIRON) == {"PATH": "/bin", "EGRET_PROXY__WORKERS": "2"}


def test_the_control_plane_overwrites_what_it_frees():
    """Its allocator is told to; the data plane's, which is on the path of every request, is not."""
    made = environ_of("control", ENVIRON)
    assert made["PYTHONMALLOC"] == "malloc"
    assert "glibc.malloc.perturb" in made["GLIBC_TUNABLES"]


def test_a_child_imports_nothing_from_where_it_was_started(tmp_path):
    """The interpreter is ours, with the current folder and user packages out of the way, and all paths absolute."""
    argv = command(["store"], Path("data"), Path("egret.yaml"))
    assert argv[:5] == [sys.executable, "-P", "-s", "-m", "store"]
    assert argv[5:] == ["--data", str(Path("data").resolve()), "--config", str(Path("egret.yaml").resolve())]
