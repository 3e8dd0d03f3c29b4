"""Keys, logins and other people's files; and what runs outside later."""

import contextlib
import ctypes
import errno
import glob
import os
import struct

from common import ARM, DATA, PIDS, WANTED, attempt, call, content, table


@table(
    ("the opening key", f"{DATA}/keys/data/opening.key"),
    ("the database", f"{DATA}/egret.db"),
    ("by the server's root", f"/proc/{PIDS[0]}/root{DATA}/egret.db"),
    ("by the root of PID 1", f"/proc/1/root{DATA}/egret.db"),
    ("by the server's working folder", f"/proc/{PIDS[0]}/cwd/{os.path.relpath(DATA, WANTED['server_cwd'])}/egret.db"),
    ("by a relative path", os.path.relpath(f"{DATA}/egret.db")),
    ("the login", WANTED["login"]),
    ("an SSH key", f"{WANTED['home']}/.ssh/id_ed25519"),
    ("the user's .netrc", f"{WANTED['home']}/.netrc"),
    ("the shell's history", f"{WANTED['home']}/.bash_history"),
    ("shadow", "/etc/shadow"),
    ("another's file in /tmp", WANTED["tmp_file"]),
    ("shared memory", f"/dev/shm/{WANTED['shm']}"),
    ("the server's memory", f"/proc/{PIDS[0]}/mem"),
    ("the server's maps", f"/proc/{PIDS[0]}/maps"),
    ("kernel memory", "/dev/mem"),
    ("a disk", next(iter(glob.glob("/dev/[svx]d[a-z]")), "/dev/vda")),
)  # fmt: skip
def read(path):
    return content(path)[:40].decode(errors="replace") or "empty"


@attempt
def a_link_to_the_keys():
    with contextlib.suppress(FileExistsError):
        os.symlink(f"{DATA}/egret.db", "link")
    return content("link")[:10].decode(errors="replace")


@attempt
def a_hard_link_to_the_keys():
    os.link(f"{DATA}/egret.db", "hard")
    return "linked"


@attempt
def a_file_handle():
    """open_by_handle_at walks past every mount."""
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + bytes(120), 128)
    descriptor = call(265 if ARM else 304, os.open("/", os.O_RDONLY), handle, os.O_RDONLY)
    return f"descriptor {descriptor}"


@attempt
def a_device_of_my_own():
    os.mknod("disk", 0o600 | 0o060000, os.makedev(8, 0))
    return "made"


@table(
    ("git's configuration", ".git/config", "[core]\n fsmonitor = evil\n"),
    ("a git hook", ".git/hooks/pre-commit", "#!/bin/sh\n"),
    ("git's common folder", ".git/commondir", "../evil"),
    ("submodules", ".gitmodules", "x"),
    ("direnv", ".envrc", "evil"),
    ("an editor's tasks", ".vscode/tasks.json", "{}"),
    ("an agent's hooks", ".claude/settings.json", "{}"),
    ("an agent's servers", ".mcp.json", "{}"),
    ("another editor's servers", ".cursor/mcp.json", "{}"),
    ("another editor's tasks", ".zed/tasks.json", "{}"),
    ("Egret's own file", ".egret", "dataset: other"),
    ("the system's programs", "/usr/bin/egret-was-here", "x"),
    ("core_pattern", "/proc/sys/kernel/core_pattern", "|/tmp/x"),
    ("modprobe's path", "/proc/sys/kernel/modprobe", "/tmp/x"),
    ("sysrq", "/proc/sysrq-trigger", "h"),
    ("the release agent", "/sys/fs/cgroup/release_agent", "/tmp/x"),
)
def write(path, text):
    if not os.path.isdir(os.path.dirname(path) or ".") or (
        WANTED["control"] and path.startswith(("/usr", "/proc", "/sys"))
    ):
        raise FileNotFoundError(path)
    with open(path, "a") as stream:
        if not path.startswith(("/proc", "/sys", "/usr")):  # opening says enough
            stream.write(text)
    return "writable"


@attempt
def git_moved_away():
    os.rename(".git", ".git-moved")
    os.rename(".git-moved", ".git")
    return "renamed"


@table(
    ("tmpfs", 165, 40, [b"none", b"/mnt", b"tmpfs", 0, None]),
    ("unmount of what hides", 166, 39, [b"/tmp", 2]),
    ("chroot", 161, 51, [b"."]),
    ("a new mount tree", 428, 428, [-100, b"/", 1]),
)
def mount(intel, arm, arguments):
    if WANTED["control"]:
        raise OSError(errno.EPERM, "not in the control: it would change the machine")
    return f"call gave {call(arm if ARM else intel, *arguments)}"
