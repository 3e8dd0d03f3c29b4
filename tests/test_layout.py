"""The house rules that no linter knows: who owns our package names, and where files may be."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxy", "store", "egret")


@pytest.mark.parametrize("package", PACKAGES)
def test_nobody_else_claims_our_packages(package):
    """`proxy` and `store` are common names: another distribution of that name would be imported instead of us."""
    owners = importlib.metadata.packages_distributions().get(package, ["egret-proxy"])
    assert set(owners) == {"egret-proxy"}
    __import__(package)
    assert Path(sys.modules[package].__file__).parent == ROOT / package


def test_our_modules_hide_nothing_of_the_standard_library_at_the_top():
    """Top-level packages of ours are no names of the standard library."""
    assert not set(PACKAGES) & sys.stdlib_module_names


def test_tests_are_no_package():
    """An `__init__.py` under tests would turn helper modules into different modules of the same name."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_helper_names_are_unique():
    """Modules under tests/support are imported by their bare names."""
    names = [path.stem for path in (ROOT / "tests" / "support").rglob("*.py")]
    assert len(names) == len(set(names))
    assert not set(names) & set(sys.stdlib_module_names)


def test_config_holds_data_only():
    """Configuration is data."""
    assert [path.name for path in (ROOT / "config").rglob("*.py")] == []


def test_sources_stay_short():
    """A file is one thing; 300 lines is the aim, 400 the end."""
    long = {
        str(path.relative_to(ROOT)): count
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "versions" not in path.parts and (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_every_python_source_says_what_it_is():
    """Each module begins with a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "versions" not in path.parts and not re.match(r'(r)?"""', path.read_text())
    ]
    assert silent == []


def test_lock_files_pin_by_hash():
    """Every requirement in every lock has a version and hashes, and what we know to be bad is not there."""
    for lock in (ROOT / "requirements").glob("*.lock"):
        entries = re.split(r"\n(?=\S)", lock.read_text().strip())
        for entry in entries:
            assert re.match(r"[A-Za-z0-9_.\[\]-]+==\S+", entry), (lock.name, entry[:80])
            assert "--hash=sha256:" in entry, (lock.name, entry[:80])
    assert "\nmitmproxy==12.2.3 " in (ROOT / "requirements" / "runtime.lock").read_text()
