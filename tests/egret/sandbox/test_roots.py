"""egret.sandbox.roots: what a command needs of the file system, and no more."""

import os
from pathlib import Path

import pytest

from egret.sandbox.roots import companions, of


@pytest.fixture
def user(tmp_path, monkeypatch):
    home = tmp_path / "home/me"
    home.mkdir(parents=True)
    return home


def program(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def roots(command: Path, user: Path, path: str = "/usr/bin", **environ: str) -> set[str]:
    found = of(str(command), {"HOME": str(user), "PATH": path, **environ}, user / "nowhere")
    return {os.path.relpath(one, user) for one in found}


def test_a_program_by_itself(user):
    """Its folder; a program straight in HOME: itself."""
    assert roots(program(user / "tools-x/run"), user) == {"tools-x"}
    assert roots(program(user / "run"), user) == {"run"}
    assert roots(Path("/usr/bin/env"), user) == set()


def test_a_virtual_environment_and_what_it_was_made_from(user):
    """The environment, the interpreter's installation, links in between."""
    base = user / ".pyenv/versions/3.13.0"
    python = program(base / "bin/python3.13")
    (base / "lib").mkdir()
    venv = user / "work/.venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(python)
    (venv / "pyvenv.cfg").write_text(f"home = {base}/bin\nversion = 3.13.0\n")
    script = program(venv / "bin/pytest", f"#!{venv}/bin/python\n")
    for command in (venv / "bin/python", script):
        assert {"work/.venv", ".pyenv/versions/3.13.0"} <= roots(command, user)
    assert {"work/.venv", ".pyenv/versions/3.13.0"} <= roots(Path("/bin/sh"), user, f"{venv}/bin:/usr/bin")
    assert "work/.venv" in roots(Path("/bin/sh"), user, VIRTUAL_ENV=str(venv))


def test_what_env_looks_up(user):
    """`#!/usr/bin/env node` is followed by PATH."""
    node = program(user / ".nvm/versions/node/v22/bin/node").parent
    (node.parent / "lib").mkdir()
    script = program(user / "work/cli.js", "#!/usr/bin/env node\n")
    assert {".nvm/versions/node/v22", "work"} <= roots(script, user, f"{node}:/usr/bin")


@pytest.mark.parametrize("folder", [".local/bin", "bin", ".cargo/bin", "go/bin"])
def test_folders_of_PATH_are_not_more_than_they_are(user, folder):
    """Beside them are credentials (~/.cargo), keyrings and Egret's keys (~/.local), everything (~)."""
    for name in ("lib", "share/egret/data", "pkg"):
        (user / folder).parent.joinpath(name).mkdir(parents=True, exist_ok=True)
    command = program(user / folder / "tool")
    found = roots(command, user, f"{user / folder}:/usr/bin")
    if folder == ".cargo/bin":
        (user / ".cargo/lib").rmdir()
        (user / ".cargo/pkg").rmdir()
        found = roots(command, user, f"{user / folder}:/usr/bin")
    assert found == {folder}


def test_installations_that_are_looked_for_below_home(user):
    """HOME is another one inside, so their variables are set, where they are there."""
    (user / ".rustup").mkdir()
    assert companions({"HOME": str(user)}) == {"RUSTUP_HOME": str(user / ".rustup")}
    assert companions({"HOME": str(user), "RUSTUP_HOME": "/opt/rust"}) == {}
    assert ".rustup" in roots(Path("/bin/sh"), user)


def test_loops_end(user):
    """A link to itself, a script that is its own interpreter."""
    (user / "a").symlink_to(user / "a")
    script = user / "s/loop"
    program(script, f"#!{script}\n")
    assert roots(script, user) == {"s"}
    roots(user / "a", user)
