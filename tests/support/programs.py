"""System programs that some tests need, and where they are."""

import glob
import os
import shutil
from pathlib import Path

PROGRAMS = {
    "postgresql": ("/usr/lib/postgresql/*/bin/initdb", "initdb"),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox": ("firefox-esr", "firefox"),
    "webkit": ("/usr/lib/*/webkit2gtk-4.1/MiniBrowser",),
    "node": ("node",),
    "npm": ("npm",),
    "go": ("go", "/usr/local/go/bin/go"),
    "java": ("java",),
    "javac": ("javac",),
    "curl": ("curl",),
    "git": ("git",),
    "gdb": ("gdb",),
    "caddy": ("caddy",),
    "nginx": ("/usr/sbin/nginx", "nginx"),
    "bwrap": ("bwrap",),
    "nft": ("/usr/sbin/nft", "nft"),
}

GO_RUN = {
    "GOCACHE": os.environ.get("GOCACHE") or str(Path.home() / ".cache" / "go-build"),
    "GO111MODULE": "off",
    "GOTOOLCHAIN": "local",
}
"""What `go run` needs in its environment. All share Go's own cache: its standard library takes a minute to compile."""


def program(tool: str) -> str | None:
    """Where a system program is, or None."""
    for name in PROGRAMS.get(tool, (tool,)):
        found = sorted(glob.glob(name))[-1:] if "/" in name else [shutil.which(name)]
        if found and found[0]:
            return found[0]
    return None
