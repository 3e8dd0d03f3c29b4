"""egret.programs: what Egret starts outside of a sandbox; and that nothing else in it starts anything."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from egret import programs
from egret.sandbox import machine
from egret.sandbox.places import record, records
from egret.sandbox.trust import program

ROOT = Path(programs.__file__).parents[1]
STARTERS = {"subprocess", "pty", "webbrowser", "multiprocessing", "pexpect", "sh", "plumbum"}
NAMES = {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "ctypes.util.find_library"}
NAMES |= {f"click.{name}" for name in ("edit", "launch", "echo_via_pager")}
NAMES |= {f"os.{name}" for name in dir(os) if name.startswith(("exec", "spawn", "posix_spawn", "popen", "startfile"))}
NAMES |= {"os.system", "shutil.which"}
HARMLESS = {f"subprocess.{name}" for name in ("DEVNULL", "PIPE", "STDOUT", "SubprocessError", "TimeoutExpired")}
"""Numbers and names of errors."""

ELSEWHERE = {
    ("egret/programs.py", "os.execve"), ("egret/programs.py", "shutil.which"), ("egret/programs.py", "subprocess"),
    ("egret/sandbox/landlock.py", "os.execve"),  # the command itself, confined by then
    ("egret/cli/run.py", "os.execve"),  # the command itself, with --sandbox off
    ("egret/cli/run.py", "shutil.which"),  # what the command is: as a shell would find it
    ("egret/sandbox/roots.py", "shutil.which"),  # its interpreter, likewise
    ("egret/sandbox/environment.py", "shutil.which"),  # whether there is a Java; it is not started
    ("proxy/admission/exporter.py", "subprocess"),  # the proxy's own interpreter, by its path
}  # fmt: skip
"""Whoever can start a program, or looks one up by PATH, with the reason; whatever else comes to that fails the test."""


def starters(source: str) -> set[str]:
    """What in a module could start or find a program, whatever it calls it."""
    tree = ast.parse(source)
    called, found = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                called[one.asname or one.name.partition(".")[0]] = (
                    one.name if one.asname else one.name.partition(".")[0]
                )
                found |= {one.name.partition(".")[0]} & STARTERS - {"subprocess"}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.partition(".")[0]} & STARTERS
            for one in node.names:
                called[one.asname or one.name] = f"{node.module}.{one.name}"
                found |= {f"{node.module}.{one.name}"} & NAMES
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            first, _, rest = name.partition(".")
            meant = f"{called.get(first, first)}.{rest}"
            found |= {meant} & NAMES
            if meant.startswith("subprocess.") and ".".join(meant.split(".")[:2]) not in HARMLESS:
                found.add("subprocess")
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import subprocess as s; s.run([])", {"subprocess"}),
        ("import subprocess; start = subprocess.Popen", {"subprocess"}),
        ("import subprocess; subprocess.PIPE", set()),
        ("from subprocess import run", {"subprocess"}),
        ("import os as o; o.execvp('x', [])", {"os.execvp"}),
        ("from os import system as f", {"os.system"}),
        ("import ctypes.util; ctypes.util.find_library('c')", {"ctypes.util.find_library"}),
        ("import shutil; w = shutil.which; w('git')", {"shutil.which"}),
        ("import asyncio; asyncio.create_subprocess_exec('x')", {"asyncio.create_subprocess_exec"}),
        ("import os; os.path.join('x')", set()),
    ],
)
def test_a_start_shows(source, found):
    """By its module's name, by another one, by its own."""
    assert starters(source) == found


def test_programs_are_started_in_one_place():
    """In all of Egret; the shims are loaded into other people's programs, and start nothing of ours."""
    found = set()
    for package in ("egret", "proxy", "store"):
        for path in (ROOT / package).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if "/shims/python/" not in name and name != "egret/demo/client_code.py":
                found |= {(name, one) for one in starters(path.read_text())}
    assert found == ELSEWHERE


@pytest.mark.parametrize("name", ["git", "./git", "bin/git", ""])
def test_a_program_without_its_path_is_not_started(tmp_path, monkeypatch, name):
    """Whatever PATH says, and although it is there."""
    monkeypatch.chdir(tmp_path)
    for place in ("git", "bin/git"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("#!/bin/sh\necho ran > PROOF\n")
        (tmp_path / place).chmod(0o755)
    for begin in (programs.run, programs.start):
        with pytest.raises(programs.Relative):
            begin([name], env={"PATH": ":bin"})
    with pytest.raises(programs.Relative):
        programs.become([name], {"PATH": ":bin"})
    assert not (tmp_path / "PROOF").exists()


def test_system_programs_are_found_in_system_folders():
    """bubblewrap and nft by folders that are root's, never by the user's PATH."""
    folders = programs.FOLDERS.split(":")
    assert all(Path(folder).stat().st_uid == 0 for folder in folders if Path(folder).is_dir())
    for found in (machine.find().bwrap, machine.find().nft):
        assert found is None or str(Path(found).parent) in folders


def test_a_program_of_the_users(tmp_path, monkeypatch):
    """By a whole path in PATH, from folders that no sandbox could write, now or before, and no link from there."""
    environ = {"HOME": str(tmp_path / "home")}
    for folder in ("home", "tools", "project/bin", "before/bin", "linked"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("tools", "project", "project/bin", "before/bin"):
        (tmp_path / folder / "a-tool").write_text("#!/bin/sh\n")
        (tmp_path / folder / "a-tool").chmod(0o755)
    (tmp_path / "linked/a-tool").symlink_to(tmp_path / "before/bin/a-tool")
    kept = records(environ)
    kept.mkdir(parents=True)
    record(kept, tmp_path / "before").touch()
    monkeypatch.chdir(tmp_path / "project")
    planted = f":.:./bin:bin:{tmp_path}/project:{tmp_path}/project/bin:{tmp_path}/before/bin:{tmp_path}/linked"
    assert program("a-tool", {**environ, "PATH": planted}) is None
    assert program("a-tool", {**environ, "PATH": f"{planted}:{tmp_path}/tools"}) == f"{tmp_path}/tools/a-tool"


PLANTED = """#!/bin/sh
echo ran > {}/PROOF
"""


@pytest.mark.parametrize(
    "words", [("install", "mitmproxy"), ("doctor",), ("run", "--", "true")], ids=lambda words: words[0]
)
def test_nothing_from_where_the_user_stands(tmp_path, words):
    """`PATH=:./bin`, and modules by the names of what we run; nothing is installed, and there is no server."""
    (tmp_path / "bin").mkdir()
    for name in (
        "uv",
        "pip",
        "curl",
        "git",
        "bwrap",
        "nft",
        "sh",
        "env",
        "java",
        "python",
        "python3",
        "uname",
        "ldconfig",
        "gcc",
    ):
        for place in (tmp_path / name, tmp_path / "bin" / name):
            place.write_text(PLANTED.format(tmp_path))
            place.chmod(0o755)
    for name in ("pip", "sitecustomize", "egret", "click", "json"):
        (tmp_path / f"{name}.py").write_text(f"open('{tmp_path}/PROOF', 'w')")
    environ = {
        "PATH": f":./bin:.:{os.environ['PATH']}:", "HOME": str(tmp_path / "home"), "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [Path(sys.executable).with_name("egret"), *words]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "PROOF").exists()
