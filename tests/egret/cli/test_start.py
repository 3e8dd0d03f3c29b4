"""The command line starts quickly, because it imports what a command needs and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from egret.cli.__main__ import COMMANDS
from egret.cli.parts import KINDS
from store import kinds

EGRET = Path(sys.executable).with_name("egret")
HEAVY = ("aiohttp", "alembic", "cryptography", "keyring", "mitmproxy", "pydantic", "sqlalchemy", "yaml", "ssl")


def test_help_imports_nothing_heavy():
    """Showing the help imports click and ourselves."""
    script = f"""
import sys
from egret.cli.__main__ import main
main(["--help"], standalone_mode=False)
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    """Each command in the table exists under its own name and explains itself."""
    done = subprocess.run([EGRET, command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: egret {command}")


def test_an_unknown_command_is_a_usage_error():
    """Exit code 2, and the name that was not found."""
    done = subprocess.run([EGRET, "frobnicate"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "No such command 'frobnicate'" in done.stderr


def test_commands_of_a_session_need_nothing_of_the_store():
    """Inside a sandbox the client alone is shown: what works there imports neither store nor proxy until it must."""
    code = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"store", "proxy"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nowhere())
import egret.cli.kv, egret.cli.var, egret.kv, egret.secrets, egret.through
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_kinds_are_those_of_the_store():
    """The command line has a list of its own for the test above."""
    assert KINDS == kinds.KINDS
