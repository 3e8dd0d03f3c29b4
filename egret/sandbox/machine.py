"""What this machine has for a sandbox, and how to get what it lacks."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret import programs
from egret.sandbox import seccomp

PACKAGES: Final = {
    "apt-get": "sudo apt-get install -y {}",
    "dnf": "sudo dnf install -y {}",
    "zypper": "sudo zypper install -y {}",
    "pacman": "sudo pacman -S --noconfirm {}",
    "apk": "sudo apk add {}",
}
NAMESPACES: Final = ("user", "pid", "net", "ipc", "uts")
APPARMOR: Final = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
CLONE: Final = Path("/proc/sys/kernel/unprivileged_userns_clone")
MOST: Final = Path("/proc/sys/user/max_user_namespaces")


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found. `bwrap` and `nft` are paths or None; `disables`: it knows --disable-userns."""

    bwrap: str | None
    nft: str | None
    disables: bool = True
    foreign: str | None = None


def find() -> Machine:
    """Look for the programs; nothing is started."""
    if sys.platform != "linux":
        return Machine(
            None, None, foreign=FOREIGN.format({"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform))
        )
    if not seccomp.supported():
        return Machine(None, None, foreign=f"the sandbox has no system call filter for {os.uname().machine}")
    bwrap = programs.system("bwrap")
    return Machine(bwrap, programs.system("nft"), bwrap is not None and _knows(bwrap, b"disable-userns"))


FOREIGN: Final = (
    "the sandbox of `egret run` needs Linux, and this is {}: run the command in a Linux virtual machine or container, "
    "or with --sandbox off, where it can read all that you can"
)


def _knows(bwrap: str, option: bytes) -> bool:
    """Whether a program has an option, by its text: asking it would cost a process at each start."""
    try:
        return option in Path(bwrap).read_bytes()
    except OSError:
        return False


def install(*packages: str) -> str:
    """Return the command that installs packages here."""
    for manager, command in PACKAGES.items():
        if programs.system(manager):
            return command.format(" ".join(packages))
    return "install " + " and ".join(packages)


def lacks(machine: Machine) -> str | None:
    """Say what must be had before there can be any sandbox; None when nothing is missing."""
    if machine.foreign is not None:
        return machine.foreign
    if machine.bwrap is None:
        return f"there is no bubblewrap: {install('bubblewrap', 'nftables')}"
    if Path(machine.bwrap).stat().st_mode & stat.S_ISUID:
        return f"{machine.bwrap} is setuid root, which this sandbox does not use: sudo chmod u-s {machine.bwrap}"
    return None


def probe(machine: Machine) -> str:
    """Make the namespaces once more, for nothing, and return what bubblewrap says about it."""
    namespaces = [f"--unshare-{name}" for name in NAMESPACES]
    argv = [str(machine.bwrap), *namespaces, "--ro-bind", "/", "/", "--proc", "/proc"]
    done = programs.run([*argv, "--", "/bin/true"], capture_output=True, text=True, env={})
    return str(done.stderr)


def why_not(said: str) -> str:
    """Say why bubblewrap could not make its namespaces, and what helps, from what it `said`."""
    if _reads(APPARMOR) == "1" and "Permission denied" in said:
        return (
            "AppArmor keeps bubblewrap from making user namespaces (Ubuntu 24.04): install its profile, "
            "sudo apt-get install -y apparmor-profiles && "
            "sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
            "sudo systemctl reload apparmor"
        )
    if _reads(CLONE) == "0":
        return "user namespaces are switched off: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _reads(MOST) == "0":
        return "user namespaces are switched off: sudo sysctl -w user.max_user_namespaces=10000"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "this container may not make user namespaces or mount /proc: start it with "
            "--security-opt seccomp=unconfined --security-opt systempaths=unconfined, or "
            "give the code a container of its own whose network ends at the "
            "proxy (docs/sandbox.md, Containers)"
        )
    return f"bubblewrap could not make its namespaces ({said.strip()[:200] or 'no reason given'}); see docs/sandbox.md"


def _reads(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
