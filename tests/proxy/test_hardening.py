"""No trace of plaintext outside the process."""

import subprocess
import sys

CODE = """
import os, resource, ctypes
from proxy.hardening import harden
harden()
assert "SSLKEYLOGFILE" not in os.environ and "MITMPROXY_SSLKEYLOGFILE" not in os.environ
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
import mitmproxy.net.tls
assert mitmproxy.net.tls.log_master_secret is None
"""


def test_process_keeps_its_memory_to_itself(tmp_path):
    """No key log, no core image, not dumpable."""
    log = tmp_path / "keys"
    environ = {"SSLKEYLOGFILE": str(log), "MITMPROXY_SSLKEYLOGFILE": str(log), "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not log.exists()
