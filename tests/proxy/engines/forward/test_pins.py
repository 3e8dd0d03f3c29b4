"""The pins on mitmproxy."""

import subprocess
import sys

import pytest
from mitmproxy import version
from mitmproxy.proxy import layer
from mitmproxy.test import tflow

from proxy.admission.admitted import Asked
from proxy.admission.trail import Trail
from proxy.engines.mitm import pins
from proxy.engines.mitm.flow import Flow

OURS = {"id", "intercepted", "marked", "comment", "is_replay", "timestamp_created", "_backup", "_resume_event", "live"}
"""What belongs to mitmproxy's own user interface, and to nobody here."""


def test_this_mitmproxy_is_the_pinned_one():
    """What is installed passes."""
    pins.check()


def test_every_part_has_its_digest():
    """None is forgotten, none is left over."""
    assert set(pins.PARTS) == set(pins.DIGESTS)


def test_another_version_stops_the_start(monkeypatch):
    """With a sentence that names both."""
    monkeypatch.setattr(version, "VERSION", "12.9.9")
    with pytest.raises(pins.ChangedUpstream, match=r"needs mitmproxy 12\.2\.3; 12\.9\.9 is installed"):
        pins.check()


@pytest.mark.parametrize("name", pins.PARTS)
def test_a_changed_part_stops_the_start(monkeypatch, name):
    """Each one, by name."""
    monkeypatch.setitem(pins.DIGESTS, name, "0" * 16)
    with pytest.raises(pins.ChangedUpstream, match=name.replace(".", r"\.")):
        pins.check()


def test_digests_follow_the_source(monkeypatch):
    """A part whose source is another has another digest."""
    assert pins.digest(layer.Layer) != pins.digest(layer.NextLayer)


def test_flow_is_as_mitmproxy_would_make_it():
    """Without its constructors, but with all that they set."""
    client = tflow.tclient_conn()
    flow = Flow.begin(client, Asked(b"GET", b"/x", ((b"Host", b"h"),), 0), Trail(None), None, None)
    made = tflow.tflow()
    assert set(vars(flow.request.data)) == set(vars(made.request.data))
    assert {*vars(made)} <= {*vars(flow), *OURS}
    assert (flow.request.method, flow.request.path, flow.request.headers["host"]) == ("GET", "/x", "h")
    assert flow.asked == Asked(b"GET", b"/x", ((b"Host", b"h"),), 0)


def test_digests_are_printed():
    """The module prints what to write down after an upgrade."""
    done = subprocess.run([sys.executable, "-m", "proxy.engines.mitm.pins"], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == len(pins.PARTS)
    assert all(digest in done.stdout for digest in pins.DIGESTS.values())
