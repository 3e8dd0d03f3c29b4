"""The command line starts quickly, because it imports what a command needs and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from egret.cli.__main__ import COMMANDS

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
