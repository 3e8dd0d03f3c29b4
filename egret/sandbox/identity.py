"""Who the user is to git: name and e-mail, and nothing else of the user's configuration."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from egret.sandbox.places import home


def git_identity(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write name and e-mail into `folder` and return what makes git read them; nothing where git has none.

    As the system's configuration, with the machine's own included: the lowest there is, so that a repository's name
    and what the code sets in its HOME go before it (GIT_CONFIG_SYSTEM, git 2.32).
    """
    git = shutil.which("git", path=environ.get("PATH"))
    user = home(environ)
    base = Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
    if git is None or not any(path.exists() for path in (user / ".gitconfig", base / "git" / "config")):
        return {}
    asked = [git, "config", "--global", "--includes", "--null", "--get-regexp", r"^user\.(name|email)$"]
    done = subprocess.run(asked, capture_output=True, check=False, env=dict(environ), cwd="/")  # noqa: S603
    found = dict(item.split("\n", 1) for item in done.stdout.decode(errors="replace").split("\0") if "\n" in item)
    lines = ["[include]", "\tpath = /etc/gitconfig", "[user]"]
    lines += [f"\t{name.removeprefix('user.')} = {_quoted(value)}" for name, value in found.items()]
    if not found:
        return {}
    made = folder / "gitconfig"
    made.write_text("\n".join(lines) + "\n")
    return {"GIT_CONFIG_SYSTEM": str(made)}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
