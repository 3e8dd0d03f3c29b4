"""The sandbox of `egret run` against hostile code, run by root or whoever tests, by an ordinary user, by another user."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from otheruser import UID, as_other

pytestmark = [pytest.mark.needs("bwrap", "nft"), pytest.mark.timeout(300), pytest.mark.long]

SUPPORT = Path(__file__).parents[1] / "support"
REACHED_UNCONFINED = {
    "read: the opening key", "read: the database", "read: the login", "read: an SSH key", "read: another's file in /tmp",
    "read: shared memory", "a_link_to_the_keys", "an_egret_process_is_seen", "write: git's configuration", "write: direnv",
    "write: an editor's tasks", "write: an agent's hooks", "git_moved_away", "my_variables_that_are_credentials",
    "signal_to: process 0", "a_descriptor_of_a_process", "a_unix_socket: in /tmp", "a_unix_socket: in the working folder",
    "a_unix_socket: abstract", "a_unix_socket: Docker's", "a_unix_socket: the session bus", "a_unix_socket: the SSH agent",
    "a_pipe_in_the_working_folder", "tcp_to: loopback", "tcp_to: another loopback address", "tcp_to: the admin API", "multipath_tcp",
    "udp_to: loopback", "a_tunnel_in_dns: the machine's resolver", "system_v_memory",
}  # fmt: skip
"""What shows that the attempts are real: each succeeds without the sandbox, where server and code are one user."""


def standoff(prefix, *arguments):
    folder = Path(tempfile.mkdtemp(prefix="standoff-"))
    try:
        if prefix or arguments:
            folder.chmod(0o755)
        if prefix:
            os.chown(folder, UID, UID)
        command = [sys.executable, str(SUPPORT / "standoff.py"), str(folder), *arguments]
        paths = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")]))
        environ = {**os.environ, "PYTHONPATH": paths, "HOME": str(folder)}
        done = subprocess.run(
            as_other(command) if prefix else command, capture_output=True, text=True, env=environ, cwd=folder, timeout=290
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def holds(result):
    """Nothing was reached, nothing arrived, nothing stayed; and there were enough attempts to mean something."""
    confined = result["auto"]
    assert "sandbox: full" in confined["stderr"]
    assert {name: found for name, found in confined["found"].items() if found} == {}
    assert len(confined["found"]) >= 60
    assert [name for name, reason in confined["reasons"].items() if reason == "hangs"] == []
    assert confined["arrived"] == []
    assert confined["stayed"] == []
    assert "survivor" not in confined["left"]
    assert ".envrc" not in confined["left"], "what held a place was not taken away"


def test_the_same_user():
    """Whoever runs the tests runs server and code; outside of the sandbox the same code has everything."""
    result = standoff(prefix=False)
    holds(result)
    reached = {name for name, found in result["off"]["found"].items() if found}
    assert reached >= REACHED_UNCONFINED, result["off"]["reasons"]


def test_an_ordinary_user():
    """Server and code are one user who is not root, as on a developer's machine."""
    result = standoff(prefix=True)
    holds(result)
    reached = {name for name, found in result["off"]["found"].items() if found}
    assert reached >= REACHED_UNCONFINED, result["off"]["reasons"]


def test_another_user():
    """The server is root's, the code another user's."""
    if os.getuid() != 0:
        pytest.skip("needs root: run as another user")
    holds(standoff(False, "other"))
