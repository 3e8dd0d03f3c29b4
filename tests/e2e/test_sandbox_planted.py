"""What hostile code in one sandbox leaves behind for the next `egret run`, or for Egret itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from served import EGRET

pytestmark = pytest.mark.needs("bwrap", "nft")

CANARY = "canary-7Hq2Lw9T"


@pytest.fixture(scope="module")
def dataset(egret):
    return egret.dataset({"name": "TOKEN", "value": "sk-planted-1Qw9Er", "hosts": ["api.example.com"]}, name="planted")


@pytest.fixture
def home(tmp_path):
    for name in ("project", ".ssh", "deep/a/b/c/d/data/keys/data"):
        (tmp_path / "home" / name).mkdir(parents=True)
    (tmp_path / "home/.ssh/id_rsa").write_text(CANARY)
    (tmp_path / "home/deep/a/b/c/d/data/keys/data/opening.key").write_text(CANARY)
    (tmp_path / "home/.gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
    return tmp_path / "home"


@pytest.fixture
def run(egret, dataset, home):
    def run(*words, cwd=None, **env):
        environ = {"HOME": str(home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", **env}
        return egret.cli(
            "run", "-d", "planted", *map(str, words), check=False, cwd=cwd or home / "project", env=environ
        )

    return run


@pytest.mark.parametrize("level", ["auto", "landlock"])
def test_roots_named_by_what_was_written_inside(run, home, level):
    """No `pyvenv.cfg`, script or link of the working folder decides what the next run sees, at any level."""
    if level == "landlock":
        from egret.sandbox.landlock import abi

        if abi() < 4:
            pytest.skip("needs a kernel with Landlock ABI 4")
    plant = f"""
import os
for folder, base in ((".venv", "{home}/.ssh"), ("venv", "{home}/deep")):
    os.makedirs(folder)
    open(folder + "/pyvenv.cfg", "w").write(f"home = {{base}}/bin\\n")
open("script", "w").write("#!{home}/.ssh/sh\\n"); os.chmod("script", 0o755)
os.symlink("{home}/.ssh/id_rsa", "link")
os.makedirs("env/lib"); os.symlink("{home}/.ssh", "env/bin")
"""
    assert run("--sandbox", level, "--", "/usr/bin/python3", "-c", plant).returncode == 0
    (home / ".ssh/id_rsa").chmod(0o700)  # so that `link` can be run
    look = f"cat {home}/.ssh/id_rsa link env/bin/id_rsa {home}/deep/a/b/c/d/data/keys/data/opening.key; ls {home}/deep"
    done = run("--sandbox", level, "--", "sh", "-c", look)
    assert done.stdout == "", done.stdout
    assert f"not shown: {home}/.ssh: " in done.stderr
    done = run("--sandbox", level, "--", "sh", "-c", look, PATH=f"{home}/project/env/bin:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (2, ""), "a link in a folder of PATH: refused"
    for words in (["./script"], ["./link"]):
        assert CANARY not in run("--sandbox", level, "--", *words).stdout


def test_the_environment_of_the_project_works(run, home):
    """Made outside with an interpreter that is known, although code inside could have written it."""
    (home / "project/.venv/bin").mkdir(parents=True)
    (home / "project/.venv/pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    (home / "project/.venv/bin/python").symlink_to(Path(sys.base_prefix) / "bin/python3")
    done = run("--", ".venv/bin/python", "-c", "import sys, ssl; print(sys.prefix)")
    assert done.stdout == f"{home}/project/.venv\n", done.stderr


PRELOADED = """
import os
os.makedirs("bin", exist_ok=True)
for name in ("git", "bwrap", "nft", "env", "sh", "java", "python3"):
    open("bin/" + name, "w").write("#!/bin/sh\\necho ran > PROOF\\n"); os.chmod("bin/" + name, 0o755)
"""
LIBRARY = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void ran(void) { char at[64] = {0}; readlink("/proc/self/ns/net", at, 63);
  int made = open("PROOF", O_CREAT | O_WRONLY | O_APPEND, 0644); write(made, at, 63); close(made); }
"""


def test_no_program_is_run_outside_that_was_written_inside(run, home):
    """Neither by a PATH of the user's or of an env file, nor by a library that such a file names."""
    project = home / "project"
    assert run("--", "/usr/bin/python3", "-c", PRELOADED).returncode == 0
    (project / ".env").write_text(f"PATH={project}/bin:/usr/bin:/bin\nDEBUG=1\n")
    assert run("--", "/bin/true", PATH=f"{project}/bin:/usr/bin:/bin").returncode == 0
    assert run("--env-file", ".env", "--", "/bin/true").returncode == 0
    assert not (project / "PROOF").exists()
    if (compiler := shutil.which("cc")) is None:
        return
    subprocess.run([compiler, "-shared", "-fPIC", "-o", project / "x.so", "-xc", "-"], input=LIBRARY, text=True, check=True)  # fmt: skip
    (project / ".env").write_text(f"LD_PRELOAD={project}/x.so\n")
    assert run("--env-file", ".env", "--", "/bin/true").returncode == 0
    ran = (project / "PROOF").read_bytes()
    assert ran, "the command itself does load it"
    assert Path("/proc/self/ns/net").readlink().name.encode() not in ran


def test_an_env_file_decides_nothing_outside(run, home):
    """Where HOME and XDG folders in one lead, links on the way to a kept HOME, and what is no file."""
    project = home / "project"
    ours = Path(run("--", "sh", "-c", "echo $HOME").stdout.strip())
    kept = project / "cache/.local/state/egret/homes"
    kept.mkdir(parents=True)
    (kept / ours.name).symlink_to(home)
    names = ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    (project / ".env").write_text("".join(f"{name}={project}/cache\n" for name in names) + "PWD=/\nPLAIN=1\n")
    look = f"echo $HOME $PLAIN; cat $HOME/.ssh/id_rsa {home}/.ssh/id_rsa; echo x >> ~/.bashrc"
    assert run("--env-file", ".env", "--", "sh", "-c", look).stdout == f"{ours} 1\n"
    assert not (home / ".bashrc").exists()
    (project / ".env").write_text("HOME=/zz\n")
    assert run("--env-file", ".env", "--", "sh", "-c", "echo $HOME").stdout == f"{ours}\n"
    (home / "other.env").write_text(f"PLAIN={CANARY}\n")
    (project / "linked.env").symlink_to(home / "other.env")
    os.mkfifo(project / "pipe.env")
    for name, said in (("linked.env", "symbolic link"), ("pipe.env", "not a regular file"), ("/dev/zero", "regular")):
        done = run("--env-file", name, "--", "env")
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    (ours / ".bashrc").unlink()
    ours.rmdir()
    ours.symlink_to(home)
    done = run("--", "sh", "-c", "cat ~/.ssh/id_rsa")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{ours} is not a folder of this user's own" in done.stderr


def test_from_a_folder_that_was_removed(run, home, egret, dataset):
    """A sentence, and nothing is run."""
    (home / "gone").mkdir()
    words = f'cd {home}/gone && rmdir {home}/gone && exec "$@"'
    environ = {**egret.environ, "HOME": str(home), "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key}
    command = ["sh", "-c", words, "sh", EGRET, "run", "-d", "planted", "--", "touch", home / "ran"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert (done.returncode, (home / "ran").exists()) == (2, False), done.stderr
    assert done.stderr == "egret: the working folder was removed: change to one that is there\n"


def test_what_runs_outside_next(run, home):
    """Egret's imports and folders of PATH in the working folder: not written, not renamed, not made, not replaced."""
    project = home / "project"
    for name in ("env/bin", "lib/below", "lib/beside"):
        (project / name).mkdir(parents=True)
    code = """
import os, shutil
def tried(name, function, *arguments):
    try: function(*arguments)
    except OSError: return
    print(name)
tried("write", lambda: open("env/bin/git", "w"))
tried("module", lambda: open("lib/below/sitecustomize.py", "w"))
tried("not there yet", lambda: open("node_modules/.bin/git", "w"))
for name in ("env", "env/bin", "lib", "lib/below", "node_modules", "node_modules/.bin"):
    tried("rename " + name, os.rename, name, "away")
    tried("remove " + name, os.rmdir, name)
open("lib/beside/file", "w").close(); open("env/file", "w").close()
"""
    path = f"{project}/env/bin:{project}/node_modules/.bin:{os.environ['PATH']}"
    # An empty part would be the working folder.
    paths = ":".join(filter(None, [f"{project}/lib/below", os.environ.get("PYTHONPATH", "")]))
    done = run("--", "/usr/bin/python3", "-c", code, PATH=path, PYTHONPATH=paths)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"read-only inside, for it runs outside: {project}/env/bin" in done.stderr
    assert sorted(one.name for one in project.iterdir()) == ["env", "lib"]
    assert (project / "lib/beside/file").exists()
    for variables in ({"PATH": f"{project}:{os.environ['PATH']}"}, {"PYTHONPATH": f"{project}:{paths}"}):
        done = run("--", "touch", "ran", **variables)
        assert done.returncode == 2, done.stderr
        assert f"{project} is " in done.stderr
    assert not (project / "ran").exists()
