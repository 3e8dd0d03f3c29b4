"""What a process imports is what its start takes, and what an attacker finds in it: not what nobody calls."""

import re
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
        (FORWARD, "flask ldap3 werkzeug aioquic aiohttp alembic sqlalchemy.dialects.postgresql"),
        (STORE, "mitmproxy alembic joserfc sqlalchemy.dialects.postgresql"),
        (HELP, "egret.sections yaml json importlib.metadata importlib.resources http.client asyncio"),
    ],
)
def test_nothing_is_imported_that_is_not_called(imports, needless):
    """PostgreSQL's dialect is for stores on it, mitmproxy's addons and layers are for mitmproxy, and `--help` needs click."""
    script = f"{imports}; import sys; print(*[name for name in {needless.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_nothing_but_bodies_and_messages_is_compressed():
    """An answer of our own that was, with a value and a client's text in it, would tell the value by its length.

    What goes through is compressed in one place for bodies and in one for messages (`stored.py`, `sealed` in `frames.py`).
    """
    compressors = re.compile(r"^\s*(?:import|from) (?:zlib|gzip|bz2|lzma|brotli|zstandard|compression)\b", re.MULTILINE)
    files = {
        str(path.relative_to(ROOT))
        for package in ("proxy", "store", "egret")
        for path in (ROOT / package).rglob("*.py")
        if compressors.search(path.read_text())
    }
    coding = {f"proxy/core/coding/{name}.py" for name in ("decode", "encode", "stored")}
    no_answers = {"proxy/border/endpoints.py", "store/keys/tokens.py"}  # botocore's data, read; a checksum
    assert files == {*coding, "proxy/protocol/frames.py", *no_answers}
