"""egret.sandbox.roots: what a command needs of the file system, and no more."""

import os
import sys
from pathlib import Path

import pytest

from egret.sandbox import roots as places_of
from egret.sandbox.made import Made
from egret.sandbox.places import MARKER, entries, records
from egret.sandbox.roots import companions, of, refuse_data
from egret.sandbox.trust import Trust
from egret.sandbox.writable import Unshareable


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


def roots(command: Path, user: Path, path: str = "/usr/bin", cwd: Path | None = None, **environ: str) -> set[str]:
    found = of(str(command), {"HOME": str(user), "PATH": path, **environ}, cwd or user / "nowhere")
    refuse_data(found.beside)
    return {os.path.relpath(one, user) for one in found.shown}


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


def venv(folder: Path, base: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {base}/bin\n")
    return folder


def private(user: Path, *names: str) -> list[Path]:
    """Folders that an attacker wants to see: each with a `bin`, so that nothing but trust keeps them away."""
    for name in names:
        program(user / name / "bin/python3")
        (user / name / "lib").mkdir()
    return [user / name for name in names]


ATTACKS = ["pyvenv.cfg", "pyvenv.cfg elsewhere", "#!", "env", "link", "links", "bin is a link", "environment is a link"]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("when", ["this run", "an earlier run"])
def test_what_code_in_a_sandbox_could_write_is_not_believed(user, attack, when):
    """Whichever file or link names a folder of the user's, in the working folder or in that of an earlier run."""
    work = user / "work"
    work.mkdir()
    command, path, environ = Path("/bin/sh"), "/usr/bin", {}
    (wanted,) = private(user, "papers")
    if attack == "pyvenv.cfg":
        environ = {"VIRTUAL_ENV": str(venv(work / "env", wanted))}
        venv(work / ".venv", wanted)
    elif attack == "pyvenv.cfg elsewhere":
        (work / ".venv").symlink_to(venv(work / "a/b", wanted))
        environ = {"VIRTUAL_ENV": str(work / ".venv")}
    elif attack == "#!":
        command = program(work / "run", f"#!{wanted}/bin/python3\n")
    elif attack == "env":
        command = program(work / "run", f"#!/usr/bin/env {wanted}/bin/python3\n")
    elif attack == "link":
        command = work / "run"
        command.symlink_to(wanted / "bin/python3")
    elif attack == "links":
        command = work / "run"
        command.symlink_to(user / "hop")
        (user / "hop").symlink_to(wanted / "bin/python3")
    elif attack == "bin is a link":
        (work / "env/lib").mkdir(parents=True)
        (work / "env/bin").symlink_to(wanted / "bin")
        path = f"{work}/env/bin:/usr/bin"
    else:
        (work / "env").symlink_to(wanted)
        path = f"{work}/env/bin:/usr/bin"
    where = {"HOME": str(user), "PATH": path, **environ}
    believed = of(str(command), where, user / "nowhere")
    assert any(one.resolve().is_relative_to(wanted) for one in believed.shown), "the attack works where it is believed"
    if when == "an earlier run":
        Made(work, records({"HOME": str(user)})).close()
    found = of(str(command), where, work if when == "this run" else user / "nowhere")
    assert not any(one.resolve().is_relative_to(wanted) for one in found.shown)
    assert any(one.resolve().is_relative_to(wanted) for one in found.left), "and it is said"


def test_installations_of_known_kinds_need_no_word(user):
    """A project's own environment works, whoever could write its `pyvenv.cfg`."""
    base = user / ".local/share/uv/python/cpython-3.13"
    program(base / "bin/python3.13")
    (base / "lib").mkdir()
    work = user / "work"
    venv(work / ".venv", base)
    (work / ".venv/bin").mkdir()
    (work / ".venv/bin/python").symlink_to(base / "bin/python3.13")
    for command in (Path("/bin/sh"), work / ".venv/bin/python"):
        assert ".local/share/uv/python/cpython-3.13" in roots(command, user, cwd=work)
    (work / ".venv/pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        assert os.path.relpath(sys.base_prefix, user) in roots(Path("/bin/sh"), user, cwd=work)
    (work / ".venv/pyvenv.cfg").write_text(f"home = {user}/.local/share/uv/bin\n")
    assert ".local/share/uv" not in roots(Path("/bin/sh"), user, cwd=work), "no more than one installation"
    assert ".local/share/uv/python" not in roots(Path("/bin/sh"), user, cwd=work)


@pytest.mark.parametrize("name", [".ssh", ".aws", ".gnupg", ".config/egret", ".local/share/egret"])
def test_credentials_are_no_installation(user, name):
    """Not even where the user's own environment names them, or a file that is believed."""
    (wanted,) = private(user, name)
    env = venv(user / "env", wanted)
    environ = {"VIRTUAL_ENV": str(env), "JAVA_HOME": str(wanted)}
    assert roots(wanted / "bin/python3", user, f"{wanted}/bin", **environ) == {"env"}


@pytest.mark.parametrize("depth", [1, 3, 9])
def test_data_in_an_installation_however_deep(user, depth):
    """Refused, for it would be shown with the rest."""
    tool = program(user / "tool/bin/tool").parent
    data = (user / "tool/lib").joinpath(*"abcdefghi"[:depth])
    data.mkdir(parents=True)
    roots(tool / "tool", user)
    (data / MARKER).touch()
    for command, path in ((tool / "tool", "/usr/bin"), (Path("/bin/sh"), str(tool))):
        with pytest.raises(Unshareable, match="data folder"):
            roots(command, user, path)


@pytest.mark.parametrize(
    "name",
    ["__pycache__", "dist-packages", "node_modules", "site-packages", "share/doc", "share/man", "lib/python3.14"],
)
def test_packages_are_not_looked_through(user, monkeypatch, name):
    """They are what takes the time of a start, and no place for data; what is beside them is looked at."""
    tool = program(user / "tool/bin/tool")
    (user / "tool/lib" / name / "package/inner").mkdir(parents=True)
    (user / "tool/lib/beside").mkdir()
    (user / "tool/lib/pythonic").mkdir()
    looked = []
    monkeypatch.setattr(places_of, "entries", lambda folder: looked.append(folder) or entries(folder))
    roots(tool, user)
    above = {"share"} if name.startswith("share/") else set()
    assert {Path(folder).name for folder in looked} == {"tool", "bin", "lib", "beside", "pythonic"} | above


def test_links_are_resolved_as_the_kernel_does(user):
    """To the same place, `..` after a link included; a loop is not believed."""
    (user / "a/b").mkdir(parents=True)
    (user / "l").symlink_to("a/b")
    (user / "m").symlink_to(f"{user}/l/../b/./")
    (user / "o").symlink_to("o")
    trust = Trust((user / "a",), user / "none")
    for name in ("l", "l/..", "m", "m/../../l/nothing", "a/b"):
        assert trust.resolve(user / name, believed=True) == (Path(os.path.realpath(user / name)), True)
    assert trust.resolve(user / "o", believed=True)[1] is False
    (user / "a/out").symlink_to(user)
    assert trust.resolve(user / "a/out/l", believed=True) == (user / "a/b", False)
