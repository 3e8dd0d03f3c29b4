"""The suite's own rules: in CI nothing is skipped quietly."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPING = """
import pytest
{top}
@pytest.mark.needs("no-such-program")
def test_needs(): pass

def test_skips(): pytest.skip("because")

@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


@pytest.mark.parametrize("top", ["", "pytest.importorskip('no_such_module')"])
@pytest.mark.parametrize(("ci", "code"), [("true", {1, 2}), ("", {0, 5})])
def test_a_skip_is_a_failure_in_ci(tmp_path, ci, code, top):
    """Skipped tests and modules fail there, elsewhere they are reported; an expected failure is neither."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_it.py").write_text(SKIPPING.format(top=top))
    support = Path(__file__).with_name("support")
    ini = f"[pytest]\nmarkers = needs(tool)\npythonpath = {support}\naddopts = -p no:schemathesis\n"
    (tmp_path / "pytest.ini").write_text(ini)
    environ = {**os.environ, "CI": ci}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in code, done.stdout
    assert ("skipped in CI" in done.stdout) == bool(ci)
    assert top or "1 xfailed" in done.stdout
