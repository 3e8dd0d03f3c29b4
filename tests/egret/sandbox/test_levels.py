"""egret.sandbox.levels and machine: what happens where there is no sandbox, and what is said."""

import pytest

from egret.sandbox import machine as machines
from egret.sandbox.levels import Level, NoSandbox, choose, protects
from egret.sandbox.machine import Machine, lacks, why_not

FULL = Machine("/usr/bin/env", "/usr/sbin/nft")
NO_NFT = Machine("/usr/bin/env", None)
NOTHING = Machine(None, None)
MAC = Machine(None, None, foreign=machines.FOREIGN.format("macOS"))
KEY = ["EGRET_API_KEY"]

TABLE = [
    ("auto", FULL, KEY, Level.FULL), ("auto", FULL, [], Level.FULL), ("auto", NO_NFT, KEY, Level.PROXY_ONLY),
    ("auto", NOTHING, KEY, None), ("auto", NOTHING, [], Level.OFF), ("auto", MAC, KEY, None), ("auto", MAC, [], Level.OFF),
    ("require", FULL, [], Level.FULL), ("require", NO_NFT, [], Level.PROXY_ONLY), ("require", NOTHING, [], None), ("require", MAC, [], None),
    ("landlock", NOTHING, KEY, Level.LANDLOCK), ("off", FULL, KEY, Level.OFF), ("off", MAC, KEY, Level.OFF),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "machine", "stake", "level"), TABLE)
def test_modes(mode, machine, stake, level):
    """`auto` goes on unconfined only where nothing is at stake; `require` never does."""
    if level is not None:
        assert choose(mode, machine, stake) is level
        return
    with pytest.raises(NoSandbox, match="--sandbox off") as raised:
        choose(mode, machine, stake)
    assert all(one in str(raised.value) for one in stake)


def test_remedies(monkeypatch, tmp_path):
    """Each thing that may be missing has its own command."""
    assert "bubblewrap" in lacks(NOTHING)
    assert "macOS" in lacks(MAC)
    assert lacks(FULL) is None
    setuid = tmp_path / "bwrap"
    setuid.touch()
    setuid.chmod(0o4755)
    assert "chmod u-s" in lacks(Machine(str(setuid), None))
    for place, remedy in (("CLONE", "unprivileged_userns_clone=1"), ("MOST", "max_user_namespaces")):
        switch = tmp_path / place
        switch.write_text("0\n")
        monkeypatch.setattr(machines, place, switch)
        assert remedy in why_not("bwrap: No permissions to create new namespace")
        monkeypatch.undo()
    apparmor = tmp_path / "apparmor"
    apparmor.write_text("1\n")
    monkeypatch.setattr(machines, "APPARMOR", apparmor)
    assert "bwrap-userns-restrict" in why_not("bwrap: setting up uid map: Permission denied")


@pytest.mark.parametrize(
    ("manager", "command"), [("dnf", "sudo dnf install"), ("apk", "sudo apk add"), (None, "install bubblewrap")]
)
def test_how_to_install(monkeypatch, manager, command):
    """By what this machine has."""
    monkeypatch.setattr(machines.programs, "system", lambda name: name if name == manager else None)
    assert machines.install("bubblewrap").startswith(command)


def test_what_is_at_stake(tmp_path):
    """Data folder, login and key of this user, in words and without a value."""
    environ = {"HOME": str(tmp_path)}
    assert protects(environ) == []
    assert "egk_x" not in str(protects(environ | {"EGRET_API_KEY": "egk_x"}))
    assert len(protects(environ | {"EGRET_API_KEY": "egk_x"})) == 1
    (tmp_path / ".local/share/egret/data/keys").mkdir(parents=True)
    (tmp_path / ".config/egret").mkdir(parents=True)
    (tmp_path / ".config/egret/credentials.json").touch()
    assert len(protects(environ)) == 2
