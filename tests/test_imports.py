"""What a process imports is what its start takes, and what an attacker finds in it: not what nobody calls."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORWARD = "import proxy.__main__, proxy.plane, store.reader, proxy.engines.mitm.serve"
STORE = "import store.__main__, store.vault, store.api.run"
HELP = "import egret.cli.__main__"


@pytest.mark.parametrize(
    ("imports", "needless"),
    [
        (FORWARD, "flask ldap3 werkzeug aiohttp alembic sqlalchemy.dialects.postgresql"),
        (STORE, "mitmproxy alembic sqlalchemy.dialects.postgresql"),
        (HELP, "egret.sections yaml json importlib.metadata importlib.resources http.client asyncio"),
    ],
)
def test_nothing_is_imported_that_is_not_called(imports, needless):
    """PostgreSQL's dialect is for stores on it, mitmproxy's addons are for mitmproxy, and `--help` needs click."""
    script = f"{imports}; import sys; print(*[name for name in {needless.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
