"""The image's recipe keeps its promises."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_image_has_two_stages_and_runs_as_nobody_special():
    """The last stage copies the environment only, runs no pip, and is not root."""
    text = (ROOT / "Dockerfile").read_text()
    build, last = re.split(r"(?m)^FROM ", text)[1:]
    assert "AS build" in build
    assert re.findall(r"(?m)^COPY (.*)$", last) == ["--from=build /opt/egret /opt/egret"]
    (number,) = re.findall(r"useradd .*--uid (\d+)", last)
    assert int(number) >= 1000 and re.findall(r"(?m)^USER (.*)$", last) == [number]
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
