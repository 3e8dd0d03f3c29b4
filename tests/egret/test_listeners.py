"""egret.listeners: what the supervisor binds."""

import socket

import pytest

from egret.kinds import Address
from egret.listeners import ListenError, bind


def test_port_zero_picks_one_port_for_all_copies():
    """Workers share the port that was picked, and the URL names it."""
    listener = bind("proxy.listen", Address("127.0.0.1", 0), None, copies=3)
    ports = {sock.getsockname()[1] for sock in listener.sockets}
    assert len(listener.sockets) == 3
    assert listener.url == listener.public_url == f"http://127.0.0.1:{ports.pop()}"
    assert not ports
    listener.close()


@pytest.mark.parametrize("copies", [1, 2])
def test_a_port_in_use_is_refused(copies):
    """A second server on the port is refused, also when it and the first want to share it among their own workers."""
    first = bind("proxy.listen", Address("127.0.0.1", 0), None, copies=copies)
    taken = Address("127.0.0.1", first.sockets[0].getsockname()[1])
    with pytest.raises(ListenError, match=r"proxy\.listen: cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
        bind("proxy.listen", taken, None, copies=copies)
    first.close()


def test_public_url_and_wildcard():
    """A wildcard address has a URL that a client on this machine can use; the public URL is the operator's word."""
    listener = bind("gateway.listen", Address("0.0.0.0", 0), "https://gw.example.com")
    assert listener.url.startswith("http://127.0.0.1:")
    assert listener.public_url == "https://gw.example.com"
    listener.close()


def test_ipv6():
    """IPv6 addresses have brackets in the URL, and do not take the IPv4 port with them."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    listener = bind("admin.listen", Address("::1", 0), None)
    assert listener.url.startswith("http://[::1]:")
    listener.close()


def test_an_unknown_host_is_named():
    """A host that does not resolve stops the start with the setting's name."""
    with pytest.raises(ListenError, match=r"admin\.listen: cannot listen on nowhere\.invalid:1"):
        bind("admin.listen", Address("nowhere.invalid", 1), None)
