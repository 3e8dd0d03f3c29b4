"""egret.sandbox.namespace: the network is set up whenever it is there, not only when bubblewrap was quicker."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from served import wait_for

from egret.sandbox.namespace import CAPTURE, DNS, PROXY, enter

pytestmark = pytest.mark.needs("bwrap", "nft")

LATE = """
import fcntl, pathlib, socket, struct, sys
print("made", flush=True)
sys.stdin.readline()
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
sys.stdin.readline()
print(pathlib.Path("/proc/net/ipv6_route").read_text())
"""
"""A network whose loopback comes up when it is told, as bubblewrap's does on a machine that is busy elsewhere."""

NFT = "/usr/sbin/nft"


@pytest.fixture
def network():
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", LATE]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "made\n"
        yield process
        process.stdin.close()


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_it_waits_for_loopback(network):
    """Bubblewrap makes the namespace first and sets loopback up a moment later: capture was lost about once in forty runs."""
    helper = enter(network.pid, NFT)
    stat = Path(f"/proc/{helper.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] in "SZ", "the helper to wait or end")
    tell(network)
    made = helper.listeners()
    try:
        assert made.proxy.getsockname()[:2] == ("127.0.0.1", PROXY)
        assert [one.getsockname()[1] for one in made.capture] == [CAPTURE]
        assert [one.getsockname()[1] for one in (*made.dns, *made.resolver)] == [DNS] * 3
        assert {one.family for one in made.dns} == {socket.AF_INET, socket.AF_INET6}
    finally:
        for one in (made.proxy, *made.capture, *made.dns, *made.resolver):
            one.close()
    routes = network.communicate("\n")[0].splitlines()
    assert any(route.startswith("0" * 32 + " 00 ") and route.endswith(" lo") for route in routes), "no route for IPv6"
