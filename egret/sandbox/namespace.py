"""The network inside, set up from outside.

A helper, forked off while we have one thread, joins the user namespace that owns the sandbox's network namespace, and
that namespace itself; there it may do what root may. It makes every address local, redirects what would leave to our
listeners, makes those, hands them out over a socket (SCM_RIGHTS), and ends. Nothing stays behind inside that has a
capability, and the listeners belong to a process outside that the command can neither see nor signal.

(The other order, unsharing first and starting bubblewrap inside, fails where AppArmor gives bubblewrap's children no
capabilities: Ubuntu 25.04 and later.)
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from egret import programs
from egret.hardening import close_others, die_with
from egret.sandbox import stops

PROXY, CAPTURE, DNS = 47128, 47129, 47053
"""Ports of our listeners inside: high ones, so that programs find the usual ones free."""

BACKLOG: Final = 1024
NS_GET_USERNS: Final = 0xB701
"""ioctl_ns(2)."""

SIOCGIFFLAGS: Final = 0x8913
IFF_UP: Final = 1
"""netdevice(7)."""

LOOPBACK_CHANGES: Final = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR."""

PATIENCE: Final = 20.0
"""Seconds for bubblewrap to set loopback up, and for nft to load its rules."""

NET_ADMIN: Final = 12
RULES: Final = f"""table inet egret {{
  chain nat {{ type nat hook output priority -100;
    udp dport 53 redirect to :{DNS}
    tcp dport 53 redirect to :{DNS}
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    meta l4proto tcp redirect to :{CAPTURE}
  }}
  chain out {{ type filter hook output priority 0;
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    meta l4proto tcp accept
    udp sport {DNS} accept
    reject with icmpx port-unreachable
  }}
}}
"""
"""Loopback is free; other TCP and all DNS come to us; the rest is rejected, so that nobody waits for a timeout."""


class NamespaceError(Exception):
    """The network inside could not be set up; the message says which part."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """What was made inside; `capture` and `dns` only where connections are captured."""

    proxy: socket.socket | None
    capture: Sequence[socket.socket] = ()
    dns: Sequence[socket.socket] = ()
    resolver: Sequence[socket.socket] = ()


@dataclass(frozen=True, slots=True)
class Helper:
    """The process that sets the network up, while we do something else."""

    channel: socket.socket
    pid: int
    captured: bool

    def listeners(self) -> Listeners:
        """Wait for it and return what it made; raises `NamespaceError`. It does not outlive the wait."""
        try:
            with self.channel:
                return _receive(self.channel, captured=self.captured)
        finally:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def enter(child: int, nft: str | None) -> Helper:
    """Begin to set up the network of process `child`; with `nft` (a path) everything is captured."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(parent)
        stops.block()
        ours.close()
        _help(theirs, child, nft)
    theirs.close()
    return Helper(ours, pid, nft is not None)


def connector(child: int) -> socket.socket:
    """Leave a helper in the network of process `child` that hands out a fresh socket of it for each byte it gets.

    It ends when our end of the channel is closed. Sockets belong to the namespace that they were made in, so whoever
    connects from outside needs one from inside.
    """
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            stops.block()  # they are the command's
            close_others({theirs.fileno()})  # published ports and locks would outlive us, if only for a moment
            _join(child)
            while theirs.recv(1):
                with socket.socket() as made:
                    theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made.fileno()]))])
        finally:
            os._exit(0)
    theirs.close()
    return ours


def _receive(channel: socket.socket, *, captured: bool) -> Listeners:
    said, ancillary, _, _ = channel.recvmsg(512, socket.CMSG_SPACE(8 * 4))
    numbers = array.array("i")
    for _, _, data in ancillary:
        numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    sockets = [socket.socket(fileno=number) for number in numbers]
    if not sockets:
        raise NamespaceError(said.decode(errors="replace") or "the helper ended without a word")
    if not captured:
        return Listeners(sockets[0])
    streams = [one for one in sockets[1:] if one.type == socket.SOCK_STREAM]
    datagrams = [one for one in sockets if one.type == socket.SOCK_DGRAM]
    return Listeners(sockets[0], streams[:1], datagrams, streams[1:])


def _help(channel: socket.socket, child: int, nft: str | None) -> NoReturn:
    """Run in the helper; never return into the caller's code."""
    try:
        _join(child)
        _wait_for_loopback()
        made = [listen("127.0.0.1", PROXY)]
        if nft is not None:
            _capture(nft)
            made += _listeners()
        numbers = array.array("i", [one.fileno() for one in made])
        channel.sendmsg([b"ok"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
    except (OSError, NamespaceError, subprocess.SubprocessError) as error:
        with contextlib.suppress(OSError):
            channel.send(f"{type(error).__name__}: {error}"[:500].encode())
    finally:
        os._exit(0)


def _join(child: int) -> None:
    network = os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(network, NS_GET_USERNS)
    os.setns(owner, os.CLONE_NEWUSER)
    os.setns(network, os.CLONE_NEWNET)
    os.close(owner)
    os.close(network)


def _wait_for_loopback() -> None:
    """Return when loopback is up with its addresses; bubblewrap sees to that, and may be at it still.

    Whoever comes earlier finds no address to listen on, or sets no route for IPv6. Changes are told on the netlink
    socket, which is there before the first look (rtnetlink(7)).
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as changes:
        changes.bind((0, LOOPBACK_CHANGES))
        changes.settimeout(PATIENCE)
        while not _loopback_is_up():
            changes.recv(4096)


def _loopback_is_up() -> bool:
    hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
    try:
        for host in hosts:
            datagrams(host).close()
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return False
        raise
    with socket.socket() as any_socket:
        flags = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
    return bool(struct.unpack_from("H", flags, 16)[0] & IFF_UP)


def has_ipv6() -> bool:
    """Whether this network namespace has IPv6: kernels can lack it, and administrators switch it off."""
    try:
        return Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6").read_text().strip() == "0"
    except FileNotFoundError:
        return False


def _capture(nft: str) -> None:
    _route(socket.AF_INET)
    if has_ipv6():
        _route(socket.AF_INET6)
    load(nft, RULES, _ambient)


def load(nft: str, rules: str, before_exec: Callable[[], None] | None = None) -> None:
    """Have `nft` (a path) load rules into the network namespace that we are in; raises `NamespaceError`."""
    done = programs.run(
        [nft, "-f", "-"],
        input=rules.encode(),
        capture_output=True,
        timeout=PATIENCE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        preexec_fn=before_exec,
    )
    if done.returncode:
        raise NamespaceError("nft: " + done.stderr.decode(errors="replace").strip()[:300])


def _ambient() -> None:
    """Keep NET_ADMIN over exec, for nft, although we are not uid 0 (capabilities(7), ambient set)."""
    libc, bits = ctypes.CDLL(None, use_errno=True), 1 << NET_ADMIN
    header = struct.pack("II", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    libc.capset(header, struct.pack("6I", bits, bits, bits, 0, 0, 0))
    libc.prctl(47, 2, NET_ADMIN, 0, 0)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE


def _route(family: int) -> None:
    """`ip route add local default dev lo`: every address is ours (rtnetlink(7))."""
    route = struct.pack("BBBBBBBBI", family, 0, 0, 0, 255, 3, 254, 2, 0)  # table local, boot, scope host, local
    oif = struct.pack("HHI", 8, 4, 1)  # RTA_OIF: lo
    header = struct.pack("IHHII", 16 + len(route) + len(oif), 24, 0x605, 1, 0)  # NEWROUTE; REQUEST ACK EXCL CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(header + route + oif)
        answer = netlink.recv(4096)
    code = struct.unpack_from("i", answer, 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))


def _listeners() -> list[socket.socket]:
    """Capture and DNS, both families; datagrams on loopback addresses: from a wildcard, answers were lost."""
    makers: list[Callable[[], socket.socket]] = [
        lambda: listen("::", CAPTURE),
        lambda: datagrams("127.0.0.1"),
        lambda: listen("::", DNS),
    ]
    if not has_ipv6():
        makers = [
            lambda: listen("0.0.0.0", CAPTURE),  # noqa: S104  # the sandbox's own namespace
            lambda: datagrams("127.0.0.1"),
            lambda: listen("0.0.0.0", DNS),  # noqa: S104
        ]
    else:
        makers.append(lambda: datagrams("::1"))
    return [make() for make in makers]


def listen(host: str, port: int) -> socket.socket:
    """Listen for connections; on `::` for those of IPv4 too."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if ":" in host:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for a sidecar that starts again
    made.bind((host, port))
    made.listen(BACKLOG)
    return made


def datagrams(host: str) -> socket.socket:
    """Return a socket for questions of the name service."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, DNS))
    return made
