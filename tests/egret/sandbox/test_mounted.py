"""egret.sandbox.mounted: what the kernel says was mounted, against what was examined."""

import json
import subprocess
import sys

import pytest

from egret.sandbox.bubblewrap import StartError
from egret.sandbox.made import Made
from egret.sandbox.mounted import Moved, Source, compare, listed, sources, wait

LINE = "{number} 1 {device} {root} {point} {flags} - ext4 /dev/x rw"


def line(root, point, flags="ro,nosuid", device=None):
    return LINE.format(number=7, device=device or here().device, root=root, point=point, flags=flags)


def here():
    """The mount that is the machine's root."""
    return next(mount for mount in listed(open("/proc/self/mountinfo").read()) if mount.point == "/")


def test_lines_of_the_kernel():
    """Escapes, what was removed meanwhile, other fields between."""
    (mount,) = listed(line(r"/a\040b\134c//deleted", r"/p\011q", "rw,relatime"))
    assert (mount.root, mount.point, mount.writable) == ("/a b\\c", "/p\tq", True)


ALLOWED = [("/home/u/work", True), ("/home/u/work/.vscode", False), ("/usr", False), ("/home/u/share", False)]


@pytest.mark.parametrize(
    ("root", "flags"),
    [
        ("/home/u", "ro"),
        ("/home/u/.local/share/egret", "ro"),
        ("/home/u/workshop", "ro"),
        ("/", "ro"),
        ("/usr", "rw"),
        ("/home/u/share/below", "rw"),
        ("/home/u/work/.vscode", "rw"),
        ("/home/u/work/.vscode/below", "rw"),
    ],
)
def test_what_was_not_examined(root, flags):
    """Another place of the file system, or writable where its source is not."""
    with pytest.raises(Moved, match="/inside was changed"):
        compare(listed(line(root, "/inside", flags)), [Source(here().device, *one) for one in ALLOWED])


def test_what_was_examined():
    """What lies in a source, and file systems that are bubblewrap's own."""
    allowed = [Source(here().device, *one) for one in ALLOWED]
    lines = [line("/home/u/work", "/x", "rw"), line("/home/u/work/sub/.git/hooks", "/x"), line("/usr", "/x")]
    lines += [line("/home/u/share/below", "/x"), line("/", "/", "rw", device="0:99999")]
    compare(listed("\n".join(lines)), allowed)
    with pytest.raises(Moved):
        compare(listed(line("/usr", "/x", device="99:1")), []) or compare(listed(line("/usr", "/x")), [])


def test_sources_are_without_links(tmp_path):
    """One that became a link since is refused, at its end or on the way; below a writable folder it is not looked at."""
    (tmp_path / "work/sub").mkdir(parents=True)
    (tmp_path / "other").symlink_to("work")
    work = str(tmp_path / "work")
    found = sources(["--bind", work, work, "--ro-bind-try", f"{work}/gone/.git", "x"], [tmp_path / "work"])
    assert [one.writable for one in found if one.root.endswith(("/work", "/gone/.git"))] == [True, False]
    compare(listed(line(found[0].root, "/x", device=found[0].device)), found)
    with pytest.raises(Moved):
        sources(["--ro-bind", f"{tmp_path}/other/sub", "x"], [])


def test_one_that_ends_before_its_mounts_are_made():
    """A process with the machine's own root is not done, and its end is no success."""
    with subprocess.Popen(["sleep", "0.1"]) as process, pytest.raises(StartError):
        wait(process.pid)


RUN = """
import json, os, sys
from egret.sandbox import landlock, launch
from egret.sandbox.files import home_of
from egret.sandbox.levels import NoSandbox
level, victim, target, environ = json.loads(sys.argv[1])
def flip():
    if victim:
        os.rename(victim, victim + ".away"); os.symlink(target, victim)
chosen = launch.plan(launch.Wishes(mode=level), environ)
start, confine = launch.Bubblewrap, landlock.confine
launch.Bubblewrap = lambda *given: flip() or start(*given)
landlock.confine = lambda *given: flip() or confine(*given)
os.mkdir(environ["ROOM"])
inside = {"PATH": environ["PATH"], "HOME": str(home_of("x", environ))}
words = ["sh", "-c", "cat " + environ["LOOK"]]
from pathlib import Path
try:
    sys.exit(launch.run(chosen, launch.Job("/bin/sh", words, inside, "http://t:x@127.0.0.1:9", [Path(environ["ROOM"])], environ, print, "egret-mounted")))
except NoSandbox as error:
    print("refused:", error)
"""


@pytest.mark.needs("bwrap", "nft")
@pytest.mark.parametrize("level", ["auto", "landlock"])
@pytest.mark.parametrize("flipped", ["nothing", "the working folder", "a folder of PATH"])
def test_a_link_between_two_looks(tmp_path, level, flipped):
    """What code in another sandbox would have to hit the moment for is done here at that moment."""
    from egret.sandbox.landlock import abi

    if level == "landlock" and abi() < 4:
        pytest.skip("needs a kernel with Landlock ABI 4")
    for name in ("home/private", "home/work", "other/bin"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    Made(tmp_path / "home/private", tmp_path / "records")  # else bubblewrap misses what it is to keep read-only there
    victim = {"nothing": "", "the working folder": tmp_path / "home/work", "a folder of PATH": tmp_path / "other/bin"}
    environ = {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{tmp_path}/other/bin:/usr/bin:/bin",
        "ROOM": str(tmp_path / "room"),
        "LOOK": f"{tmp_path}/home/work/file {tmp_path}/other/bin/file",
    }
    given = json.dumps([level, str(victim[flipped]), str(tmp_path / "home/private"), environ])
    command = [sys.executable, "-c", RUN, given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "home/work", timeout=60)
    assert "private" not in done.stdout.replace(str(tmp_path), ""), done.stdout
    if flipped == "nothing":
        assert done.stdout.endswith("home/workother/bin"), done.stdout + done.stderr
    else:
        assert f"refused: {victim[flipped]} was changed" in done.stdout, done.stdout + done.stderr
