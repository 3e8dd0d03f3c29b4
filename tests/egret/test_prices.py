"""The file of prices: ours is found, an operator's stands in its place, and one that cannot be used stops the start."""

import subprocess
import sys

import pytest

from egret.prices import read_prices
from egret.settings import SettingsError

CANARY = "canary-7Gq2"


def test_ours_is_found():
    assert read_prices(None)["currency"] == "USD"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"a: [{CANARY}".encode(), "line 1: not valid YAML"),
        (f"a: !!python/object:{CANARY} x".encode(), "not valid YAML"),
        (CANARY.encode() + b"\xff", "not valid YAML in UTF-8"),
        (b"[" * 100_000, "not valid YAML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read(tmp_path, text, says):
    """It is named, and not quoted."""
    path = tmp_path / "prices.yaml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SettingsError) as caught:
        read_prices(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_plane_does_not_start_with_it(tmp_path):
    """With the code that a supervisor does not try again, the member and the remedy."""
    path = tmp_path / "prices.yaml"
    path.write_text(f"currency: USD\nunknown: {{input: {CANARY}, output: 1}}\n")
    environ = {"EGRET_PROXY__PRICES": str(path), "EGRET_PROXY__LISTEN": "127.0.0.1:0"}
    command = [sys.executable, "-m", "proxy", "--role", "forward", "--data", str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78, done.stderr
    assert f"proxy.prices: {path}: unknown.input: must be dollars" in done.stderr
    assert "config/prices.yaml" in done.stderr
    assert CANARY not in done.stderr
