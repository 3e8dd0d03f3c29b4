"""egret.sandbox.identity: git's name and e-mail, read without git."""

import os
import subprocess

import pytest

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
