"""How much of a sandbox there is, and what happens where there is none.

A mode is what the user asks for, a level what the machine gives. `auto` never degrades in silence: where nothing can be
confined it goes on only if there is nothing to protect.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from egret.sandbox.machine import Machine, lacks
from egret.sandbox.places import config_home, data_home

MODES: Final = ("auto", "require", "landlock", "off")


class Level(StrEnum):
    """What confines a command; docs/sandbox.md has the table."""

    FULL = "full"
    PROXY_ONLY = "proxy-only"
    LANDLOCK = "landlock"
    OFF = "off"


SAID: Final = {
    Level.FULL: "sandbox: full",
    Level.PROXY_ONLY: "sandbox: proxy-only: what ignores the proxy variables reaches nothing",
    Level.LANDLOCK: "sandbox: landlock: UDP and sockets by path are not confined",
    Level.OFF: "sandbox: off: the command can read all that you can, Egret's keys included, and go past the proxy",
}


class NoSandbox(Exception):
    """There can be no sandbox; the message names the remedy."""


def choose(mode: str, machine: Machine, protects: list[str]) -> Level:
    """Return the level to try; raises `NoSandbox` where the mode forbids to go on."""
    if mode == "off":
        return Level.OFF
    if mode == "landlock":
        return Level.LANDLOCK
    missing = lacks(machine)
    if missing is None:
        return Level.PROXY_ONLY if machine.nft is None else Level.FULL
    if mode == "auto" and not protects:
        return Level.OFF
    raise no_sandbox(missing, protects)


def no_sandbox(missing: str, protects: list[str]) -> NoSandbox:
    """Say what is missing, what is at stake, and how to go on all the same."""
    stake = f"Without a sandbox the command could read {protects[0]}.\n" if protects else ""
    return NoSandbox(f"{missing}\n{stake}To run it all the same, for code that you trust: --sandbox off")


def protects(environ: Mapping[str, str]) -> list[str]:
    """Return, in words, what code of this user could read: data folder, login, API key."""
    found = []
    if environ.get("EGRET_API_KEY"):
        found.append("EGRET_API_KEY, from the environment of your shell")
    login = config_home(environ) / "credentials.json"
    if _readable(login):
        found.append(f"the login in {login}")
    if _readable(data_home(environ) / "keys"):
        found.append(f"the keys in {data_home(environ)}")
    return found


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)
