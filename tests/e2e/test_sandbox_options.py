"""What `egret run` shows of the machine when it is told to, what it refuses to, and what it says where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from served import EGRET
from terminal import run_on_terminal

pytestmark = pytest.mark.needs("bwrap", "nft")


@pytest.fixture(scope="module")
def dataset(egret):
    return egret.dataset({"name": "TOKEN", "value": "sk-options-1Qw9Er", "hosts": ["api.example.com"]}, name="options")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home/project").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def run(egret, dataset, home):
    def run(*words, cwd=None, env=None, prefix=(), **kwargs):
        environ = {"HOME": str(home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", **(env or {})}
        return egret.cli(
            *prefix,
            "run",
            "-d",
            "options",
            *map(str, words),
            check=False,
            cwd=cwd or home / "project",
            env=environ,
            **kwargs,
        )

    return run


def test_folders(run, home, tmp_path):
    """Read-only, writable, not at all; and what is written is there afterwards."""
    for name in ("read", "write", "neither"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    script = f"cd {tmp_path}; cat read/file write/file; cat neither/file; echo x > read/new; echo y > write/new; echo z > {home}/project/new"
    done = run("--share", tmp_path / "read", "--share-rw", tmp_path / "write", "--", "sh", "-c", script)
    assert done.stdout == "readwrite"
    assert "neither/file: No such file" in done.stderr
    assert not (tmp_path / "read/new").exists()
    assert (tmp_path / "write/new").read_text() == "y\n"
    assert (home / "project/new").read_text() == "z\n"
    assert sorted(path.name for path in (home / "project").iterdir()) == ["new"]
    assert sorted(path.name for path in (tmp_path / "write").iterdir()) == ["file", "new"]


def test_a_home_of_its_own(run, home):
    """Kept from one run to the next, and not the user's; programs that ask the user database find it too."""
    (home / ".bashrc").write_text("mine")
    (home / ".gitconfig").write_text(
        "[user]\n name = Ada L.\n email = ada@example.com\n[credential]\n helper = store\n"
    )
    script = "ls -A ~; echo kept > ~/.note; python3 -c 'import pwd,os; print(pwd.getpwuid(os.getuid()).pw_dir == os.environ[\"HOME\"])'; git config user.name; git config credential.helper"
    first, second = run("--", "sh", "-c", script), run("--", "sh", "-c", script)
    assert first.stdout == "True\nAda L.\n"
    assert second.stdout == ".note\nTrue\nAda L.\n"
    assert not (home / ".note").exists()


@pytest.mark.parametrize("where", ["home", "root", "data", "config", "above"])
def test_folders_that_are_not_shown(run, egret, home, tmp_path, where):
    """The start is refused with what to do, and the command is not run."""
    (home / ".config/egret").mkdir(parents=True)
    folder = {
        "home": home, "root": Path("/"), "data": egret.data, "config": home / ".config/egret", "above": egret.folder,
    }[where]  # fmt: skip
    for words in (("--", "touch", tmp_path / "ran"), ("--share", folder, "--", "touch", tmp_path / "ran")):
        done = run(*words, cwd=folder if words[0] == "--" else None)
        assert done.returncode == 2, done.stderr
        assert str(folder).rstrip("/") in done.stderr
    assert not (tmp_path / "ran").exists()


def test_data_in_an_installation(run, egret, home, tmp_path):
    """What PATH names is shown; not with keys in it."""
    for name in ("tool/bin", "tool/lib", "tool/var/anything/keys/data"):
        (tmp_path / name).mkdir(parents=True)
    done = run("--", "touch", "ran", env={"PATH": f"{tmp_path}/tool/bin:{os.environ['PATH']}"})
    assert done.returncode == 2, done.stderr
    assert "tool/var/anything is an Egret data folder" in done.stderr
    assert not list((home / "project").iterdir())


def test_variables(run):
    """Credentials are left out and named; `--keep-env` keeps one, and the settings do too."""
    environ = {"GITHUB_TOKEN": "mine", "OTHER_TOKEN": "other", "PLAIN": "plain"}
    script = ("sh", "-c", 'echo "$GITHUB_TOKEN,$OTHER_TOKEN,$PLAIN,$EGRET_API_KEY$EGRET_URL,$TOKEN"')
    done = run("--", *script, env=environ)
    assert done.stdout == ",,plain,,#{SECRETS.TOKEN}\n"
    assert "GITHUB_TOKEN, OTHER_TOKEN" in done.stderr
    assert run("--keep-env", "GITHUB_TOKEN", "--", *script, env=environ).stdout.startswith("mine,,plain")
    assert run("--", *script, env={**environ, "EGRET_RUN__KEEP_ENV": "OTHER_TOKEN"}).stdout.startswith(",other,plain")


def test_the_settings_file(run, tmp_path):
    """`run:` says what the options say."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_text("shared")
    config = tmp_path / "egret.yaml"
    config.write_text(f"run: {{share: ['{shared}'], sandbox: require}}\n")
    assert run("--config", config, "--", "cat", shared / "file").stdout == "shared"
    config.write_text("run: {sandbox: always}\n")
    done = run("--config", config, "--", "true")
    assert done.returncode == 1
    assert "run.sandbox: must be one of auto, require, landlock, off" in done.stderr


def test_user_namespaces_when_allowed(run):
    """For programs that make sandboxes themselves."""
    assert run("--", "unshare", "-U", "true").returncode != 0
    assert run("--allow", "userns", "--", "unshare", "-U", "id", "-u").stdout == "65534\n"


def test_devices(run):
    """What the machine does not have is said before anything is started."""
    if not Path("/dev/dri").exists():
        done = run("--device", "dri", "--", "true")
        assert done.returncode == 2 or "no /dev/dri" in done.stderr
    if Path("/dev/kvm").exists():
        assert run("--device", "kvm", "--", "test", "-c", "/dev/kvm").returncode == 0
    assert run("--", "ls", "/dev").stdout.split() == sorted(
        ["console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"]
    ) or "sda" not in run("--", "ls", "/dev").stdout  # fmt: skip


LESS = (
    "import egret.sandbox.machine as m; find = m.find; m.find = lambda: {}; from egret.cli.__main__ import main; main()"
)


def machine(run, made: str, *words, **kwargs):
    """Run `egret` as on a machine that has less."""
    code = LESS.format(made)
    environ = kwargs.pop("environ")
    return subprocess.run(
        [sys.executable, "-c", code, "run", "-d", "options", *words],
        capture_output=True,
        text=True,
        env=environ,
        **kwargs,
    )


@pytest.fixture
def environ(egret, dataset, home):
    return {**egret.environ, "HOME": str(home), "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key}


def test_without_bubblewrap(run, home, environ):
    """Exit code 7 with the remedy, in every mode but `off`, and the command is not run."""
    nothing = "m.Machine(None, None)"
    for mode in ("auto", "require"):
        done = machine(run, nothing, "--sandbox", mode, "--", "touch", "ran", environ=environ, cwd=home / "project")
        assert (done.returncode, done.stdout) == (7, "")
        assert "bubblewrap" in done.stderr
        assert "--sandbox off" in done.stderr
        assert not (home / "project/ran").exists()
    done = machine(run, nothing, "--sandbox", "off", "--", "echo", "ran", environ=environ, cwd=home / "project")
    assert done.stdout == "ran\n"
    assert "sandbox: off" in done.stderr


def test_without_nftables(run, egret, home, environ):
    """`proxy-only`: said; the proxy works, what ignores it reaches nothing."""
    less = "m.Machine(find().bwrap, None)"
    code = """
import os, socket, urllib.request
for target in (("1.1.1.1", 443), ("example.com", 80), ("127.0.0.1", PORT)):
    try: socket.create_connection(target, 5); print("reached", target)
    except OSError: pass
try: urllib.request.urlopen("http://example.invalid/")
except urllib.error.HTTPError as error: print(error.headers["Egret-Error"])
""".replace("PORT", str(egret.address("admin")[1]))
    done = machine(run, less, "--", "/usr/bin/python3", "-c", code, environ=environ, cwd=home / "project")
    assert "sandbox: proxy-only" in done.stderr
    assert done.stdout == "upstream_unreachable\n", done.stderr


def test_where_namespaces_are_refused(run, home, environ):
    """bubblewrap fails: exit code 7, before the command ran."""
    broken = "m.Machine('/bin/false', find().nft)"
    done = machine(run, broken, "--", "touch", "ran", environ=environ, cwd=home / "project")
    assert done.returncode == 7, done.stderr
    assert "docs/sandbox.md" in done.stderr or "--sandbox off" in done.stderr
    assert not list((home / "project").iterdir())


def test_landlock(run, egret, home, tmp_path):
    """By its own promise: files, TCP ports and processes; each is tried."""
    from egret.sandbox.landlock import abi

    if abi() < 6:
        pytest.skip("needs a kernel with Landlock ABI 6")
    (tmp_path / "secret").write_text("canary")
    code = f"""
import os, signal, socket
def tried(function, *arguments):
    try: function(*arguments); return "reached"
    except OSError as error: return error.strerror
print(tried(open, "{tmp_path}/secret"), tried(open, "{egret.data}/egret.db"), tried(open, "/etc/shadow"), tried(os.listdir, "{home}"))
print(tried(os.kill, {egret.process.pid}, 0), tried(open, "/proc/{egret.process.pid}/environ"), tried(socket.create_connection, ("127.0.0.1", {egret.address("admin")[1]})))
print(tried(socket.socket, 40, 1), tried(os.unshare, os.CLONE_NEWUSER) if hasattr(os, "unshare") else "Operation not permitted")
open("here", "w").close(); open(os.environ["HOME"] + "/there", "w").close(); open(os.environ["TMPDIR"] + "/room", "w").close()
socket.create_connection(("127.0.0.1", {egret.address("proxy")[1]})); print("proxy")
"""
    done = run("--sandbox", "landlock", "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    denied, not_permitted = "Permission denied", "Operation not permitted"
    assert done.stdout.splitlines() == [
        " ".join([denied] * 4),
        f"{not_permitted} {denied} {denied}",
        f"Address family not supported by protocol {not_permitted}",
        "proxy",
    ]
    assert "sandbox: landlock" in done.stderr
    assert (home / "project/here").exists()


def test_the_doctor(egret, home):
    """Every line is proven, without a server or a key."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EGRET_")} | {"HOME": str(home)}
    done = subprocess.run([EGRET, "doctor", "--sandbox"], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) >= 11
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == {"ok"}


@pytest.mark.timeout(150)
def test_on_a_terminal(egret, dataset, home):
    """Ctrl-C is for the command, Ctrl-Z stops both and `fg` goes on, the exit code is the command's."""
    environ = {
        **egret.environ,
        "HOME": str(home),
        "EGRET_URL": egret.urls["admin"],
        "EGRET_API_KEY": egret.key,
        "PS1": "$ ",
        "TERM": "dumb",
    }
    command = f"{EGRET} run -d options -- /usr/bin/python3 -q"
    answers = [
        ("$ ", f"cd {home}/project; {command}"), (">>> ", "print(6*7)"), ("42\r\n>>> ", "\x03"), ("KeyboardInterrupt", "\x1a"),
        ("Stopped", None), (command, None), ("$ ", "fg"), (command, "print(6*9)"), ("54", "raise SystemExit(5)"), ("$ ", "echo code=$?"), ("code=5", "exit"),
    ]  # fmt: skip
    code, shown = run_on_terminal(["bash", "--norc", "--noprofile", "-i"], answers, environ, seconds=120)
    assert code == 0, shown
    assert "code=5" in shown, shown


def test_two_in_one_folder(run, home):
    """The second does not wait for the first, and neither takes the other's places away."""
    script = "echo x > started-$1; n=0; while [ ! -e started-1 ] || [ ! -e started-2 ]; do n=$((n+1)); [ $n -gt 600 ] && exit 9; sleep 0.05; done; ls -A | grep -c envrc"
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda n: run("--", "sh", "-c", script, "sh", str(n)), (1, 2)))
    assert [(done.returncode, done.stdout) for done in both] == [(0, "1\n")] * 2, both
    assert sorted(path.name for path in (home / "project").iterdir()) == ["started-1", "started-2"]
