"""System programs that some tests need, and where they are."""

import glob
import shutil

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


def program(tool: str) -> str | None:
    """Where a system program is, or None."""
    for name in PROGRAMS.get(tool, (tool,)):
        found = sorted(glob.glob(name))[-1:] if "/" in name else [shutil.which(name)]
        if found and found[0]:
            return found[0]
    return None
