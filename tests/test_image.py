"""What ships: the wheel holds everything that the sources need, and the image's recipe keeps its promises."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel as the image's build makes it, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check",
         "--wheel-dir", folder, ROOT], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    """Shims, providers, migrations and type markers are in it; tests, tools and configuration are not."""
    tracked = subprocess.run(
        ["git", "ls-files", "proxy", "store", "egret"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    held = set(wheel.namelist())
    assert set(tracked) - held == set()
    assert "store/providers.yaml" in held
    strange = {name for name in held if not re.match(r"(proxy|store|egret|egret_proxy-[\d.]+\.dist-info)/", name)}
    assert strange == set()


def test_the_wheel_is_not_for_an_index(wheel):
    """Two of its packages have common names: it is never uploaded."""
    (name,) = [name for name in wheel.namelist() if name.endswith("dist-info/METADATA")]
    assert "Private :: Do Not Upload" in wheel.read(name).decode()


def test_the_image_has_two_stages_and_runs_as_nobody_special():
    """The last stage copies the environment only, runs no pip, and is not root."""
    text = (ROOT / "Dockerfile").read_text()
    build, last = re.split(r"(?m)^FROM ", text)[1:]
    assert "AS build" in build
    assert re.findall(r"(?m)^COPY (.*)$", last) == ["--from=build /opt/egret /opt/egret"]
    assert re.search(r"(?m)^USER egret$", last)
    assert "pip install" not in last
    assert "rm -rf /usr/local/lib/python3.13/site-packages/*" in last


def test_what_the_image_copies_is_in_the_build_context():
    """.dockerignore lets through what the Dockerfile asks for, and nothing else that is tracked."""
    copied = {
        name.rstrip("/")
        for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text())
        for name in line.split()[:-1]
    }
    allowed = set(re.findall(r"(?m)^!(.*)$", (ROOT / ".dockerignore").read_text()))
    assert {name.split("/")[0] for name in copied} == allowed
    assert all((ROOT / name).exists() for name in copied)
