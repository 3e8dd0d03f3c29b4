"""The pins on mitmproxy."""

import subprocess
import sys

import pytest
from mitmproxy import http, version
from mitmproxy.proxy import layer

from proxy.forward import patches


def test_this_mitmproxy_is_the_pinned_one():
    """What is installed passes."""
    patches.check()


def test_every_part_has_its_digest():
    """None is forgotten, none is left over."""
    assert set(patches.PARTS) == set(patches.DIGESTS)


def test_another_version_stops_the_start(monkeypatch):
    """With a sentence that names both."""
    monkeypatch.setattr(version, "VERSION", "12.9.9")
    with pytest.raises(patches.ChangedUpstream, match=r"needs mitmproxy 12\.2\.3; 12\.9\.9 is installed"):
        patches.check()


@pytest.mark.parametrize("name", patches.PARTS)
def test_a_changed_part_stops_the_start(monkeypatch, name):
    """Each one, by name."""
    monkeypatch.setitem(patches.DIGESTS, name, "0" * 16)
    with pytest.raises(patches.ChangedUpstream, match=name.replace(".", r"\.")):
        patches.check()


def test_digests_follow_the_source(monkeypatch):
    """A part whose source is another has another digest."""
    assert patches.digest(layer.Layer) != patches.digest(layer.NextLayer)


def test_type_checks_are_replaced():
    """A message is made without mitmproxy looking at the type of each member."""
    patches.install()
    assert http.ResponseData(b"", None, None, None, 0, None, "not a number", b"").status_code == "not a number"


def test_digests_are_printed():
    """The module prints what to write down after an upgrade."""
    done = subprocess.run([sys.executable, "-m", "proxy.forward.patches"], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == len(patches.PARTS)
    assert all(digest in done.stdout for digest in patches.DIGESTS.values())
