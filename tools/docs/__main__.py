"""Writes the pages that are made from the sources: `make docs`. With `--check`, says which ones are out of date."""

import sys
from pathlib import Path

import cli
import configuration
import errors
import example
import metrics

ROOT = Path(__file__).parents[2]
PAGES = {
    "docs/cli.md": cli.page,
    "docs/configuration.md": configuration.page,
    "docs/errors.md": errors.page,
    "docs/metrics.md": metrics.page,
    "config/egret.example.yaml": example.page,
}


def main() -> int:
    """Write, or check; return the exit code."""
    stale = [name for name, page in PAGES.items() if not _same(ROOT / name, page())]
    if "--check" in sys.argv:
        print("\n".join(f"{name} is out of date: make docs" for name in stale), end="\n" if stale else "")
        return int(bool(stale))
    for name in stale:
        (ROOT / name).write_text(PAGES[name]())
        print(f"wrote {name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


sys.exit(main())
