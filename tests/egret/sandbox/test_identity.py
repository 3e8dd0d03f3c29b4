"""egret.sandbox.identity: git's name and e-mail, read without git; and which programs Egret starts outside."""

import ast
import os
import subprocess
from pathlib import Path

import pytest

import egret.sandbox
from egret.sandbox.identity import git_identity, identity

CONFIGURATIONS = [
    "[user]\n\tname = Ada L.\n\temail = ada@example.com\n",
    '[User]\nNAME="Ada \\"the\\" L."   ; comment\nEmail = a@x # another\n',
    "[core]\nname = no\n[user]\nname =   spaced   out  \n[other]\nemail = no\n",
    '[user "sub"]\nname = no\n[user]\nname = yes\n',
    '[user] name = on the line\n[user]\nemail = "a;b#c"@x\n',
    "[user]\nname = first\nname = second\n; name = third\n# email = x\nemail = a\\\\b\n",
    '[user]\nname = "  kept  "  \nemail = Zoë\n',
    "",
    "[user]\n",
]


@pytest.mark.needs("git")
@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_as_git_reads_it(tmp_path, text):
    """The same two values, with quotes, escapes, comments and sections."""
    (tmp_path / ".gitconfig").write_text(text)
    read = {}
    for name in ("name", "email"):
        asked = ["git", "config", "--file", tmp_path / ".gitconfig", "--get", f"user.{name}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            read[name] = done.stdout.removesuffix("\n")
    assert identity(text) == read
    variables = git_identity(tmp_path, {"HOME": str(tmp_path)})
    assert bool(variables) == bool(read)
    for name, value in read.items():
        asked = ["git", "config", "--system", "--get", f"user.{name}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, env={**os.environ, **variables})
        assert done.stdout == value + "\n"


@pytest.mark.parametrize("text", ['[user]\nname = "open\n', "[user]\nname = on\\\nand on\n", "[user]\nname = \\x\n"])
def test_what_is_not_simple_gives_nothing(text):
    """A broken value, or one that goes on in the next line, is left out, not guessed."""
    assert identity(text) == {}


def test_a_configuration_that_is_no_file(tmp_path):
    """A pipe is not waited for, a device does not end the machine; the other file counts still."""
    os.mkfifo(tmp_path / ".gitconfig")
    (tmp_path / ".config/git").mkdir(parents=True)
    (tmp_path / ".config/git/config").symlink_to("/dev/zero")
    assert git_identity(tmp_path, {"HOME": str(tmp_path)}) == {}
    (tmp_path / ".config/git/config").unlink()
    (tmp_path / ".config/git/config").write_text("[user]\nname = Ada\n")
    assert list(git_identity(tmp_path, {"HOME": str(tmp_path)})) == ["GIT_CONFIG_SYSTEM"]


STARTS = {"run", "Popen", "call", "check_call", "check_output", "system", "popen"} | {
    name for name in dir(os) if name.startswith(("exec", "spawn", "posix_spawn"))
}
OUTSIDE = {
    ("bubblewrap.py", "Popen", "{}"),
    ("machine.py", "run", "{}"),
    ("namespace.py", "run", "{'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'}"),
    ("landlock.py", "execve", "dict(environ)"),  # the command itself, confined by then
}
"""Every program that the sandbox starts, with its environment. A new one needs a reason to stand here."""


def test_programs_started_outside():
    """None by PATH, and each with an environment of its own: what a folder or file holds must not choose it."""
    started = set()
    for path in Path(egret.sandbox.__file__).parent.glob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            function = call.func
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                owner, name = function.value.id, function.attr
                if owner in ("subprocess", "os") and name in STARTS:
                    given = [word.value for word in call.keywords if word.arg == "env"] or call.args[2:3]
                    started.add((path.name, name, ast.unparse(given[0]) if given else None))
    assert started == OUTSIDE


def test_system_programs_are_found_in_system_folders():
    """bubblewrap and nft by folders that are root's, never by the user's PATH."""
    from egret.sandbox import machine

    assert all(Path(folder).stat().st_uid == 0 for folder in machine.SBIN.split(":") if Path(folder).is_dir())
    for program in (machine.find().bwrap, machine.find().nft):
        assert program is None or str(Path(program).parent) in machine.SBIN.split(":")
