"""The shim's minified build belongs to its source, and is small."""

import gzip
import importlib.machinery
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from proxy.engines.gateway import shim

ROOT = Path(__file__).parents[4]
SOURCE = ROOT / "proxy/engines/gateway/shim/egret.js"
BUILT = ROOT / "proxy/engines/gateway/shim/egret.min.js"

_loader = importlib.machinery.SourceFileLoader("minify", str(ROOT / "tools/minify"))
minify = importlib.util.module_from_spec(importlib.util.spec_from_loader("minify", _loader))
_loader.exec_module(minify)


def test_build_is_made_from_the_source():
    """Whoever changes the source runs tools/minify."""
    assert BUILT.read_text() == minify.minify(SOURCE.read_text())
    assert shim.SHIM.body == BUILT.read_bytes()


def test_build_is_small():
    """Under 2 KiB as it travels."""
    assert len(gzip.compress(BUILT.read_bytes(), 9)) < 2048


def test_minifying_loses_nothing():
    """Every token of the source that is no name is in the build: nothing was lost with the white space."""
    literals = re.compile(r"'[^'\n]*'|/(?![*/ ])(?:\[[^\]]*\]|\\.|[^/\n\[])+/")
    source = re.sub(r"/\*.*?\*/", "", SOURCE.read_text(), flags=re.DOTALL)
    wanted = [literal for literal in literals.findall(source) if "script>" not in literal]
    assert len(wanted) > 40
    for literal in wanted:
        assert literal in BUILT.read_text(), literal


@pytest.mark.needs("node")
@pytest.mark.parametrize("path", [SOURCE, BUILT])
def test_both_parse(path):
    """Source and build are JavaScript."""
    subprocess.run(["node", "--check", path], check=True)
