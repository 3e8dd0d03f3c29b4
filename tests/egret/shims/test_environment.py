"""What `egret run` adds to the environment of a child, and what it leaves alone."""

import os
import shutil
import subprocess
import sys

import pytest
from node_clients import node

from egret.shims import FOLDER, environment

PRELOAD = f"--require={FOLDER}/node/preload.cjs"
HOOK = f"{FOLDER}/python"


def test_an_empty_environment_gets_both():
    """One variable for each interpreter, and nothing else."""
    assert environment({}) == {"NODE_OPTIONS": PRELOAD, "PYTHONPATH": HOOK}


def test_what_was_set_stays_in_force():
    """The program's own options come first, its modules after ours; the given mapping is not changed."""
    base = {"NODE_OPTIONS": "--max-old-space-size=99", "PYTHONPATH": "/a::/b", "OTHER": "x"}
    assert environment(base) == {
        "NODE_OPTIONS": f"--max-old-space-size=99 {PRELOAD}",
        "PYTHONPATH": f"{HOOK}:/a::/b",
        "OTHER": "x",
    }
    assert base["NODE_OPTIONS"] == "--max-old-space-size=99"


def test_doing_it_twice_changes_nothing():
    """`egret run` inside `egret run`."""
    once = environment({"NODE_OPTIONS": "--trace-warnings", "PYTHONPATH": ""})
    assert environment(once) == once


@pytest.mark.parametrize("name", ["plain", "with space", 'quo"te', "back\\slash", "Ünï", "#{SECRETS.X}"])
def test_the_folder_may_have_any_name(tmp_path, name):
    """NODE_OPTIONS has a quoting of its own; a sandbox may keep the shims anywhere."""
    folder = shutil.copytree(FOLDER, tmp_path / name)
    environ = environment(dict(os.environ) | {"PYTHONPATH": ""}, folder)
    print_url = "console.log(new URL('http://h/#{SECRETS.X}').href)"
    done = subprocess.run([node("20"), "-e", print_url], env=environ, capture_output=True, text=True)
    assert done.stdout == "http://h/%23%7BSECRETS.X%7D\n", done.stderr
    print_url = "import urllib.request as r; print(r.Request('http://h/#{SECRETS.X}').full_url)"
    done = subprocess.run([sys.executable, "-c", print_url], env=environ, capture_output=True, text=True)
    assert done.stdout == "http://h/%23%7BSECRETS.X%7D\n", done.stderr


def test_a_folder_that_python_cannot_be_told_of_is_left_out():
    """A colon cannot stand in PYTHONPATH: no entry is better than two wrong ones."""
    environ = environment({"PYTHONPATH": "/a"}, "/opt/a:b")
    assert environ["PYTHONPATH"] == "/a"
    assert environ["NODE_OPTIONS"] == "--require=/opt/a:b/node/preload.cjs"


def test_the_hooks_are_part_of_the_distribution():
    """Files that no module imports are easily forgotten in a wheel."""
    present = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert {
        "node/preload.cjs", "node/urls.cjs", "node/proxy.cjs", "python/sitecustomize.py", "python/egret_shims.pth",
        "python/egret_shims_hook.py", "python/egret_shims_proxy.py",
    } <= present  # fmt: skip
