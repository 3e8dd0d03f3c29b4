"""Sockets of the machine, addresses in every spelling, names, the network itself."""

import os
import socket
import struct
import subprocess
import sys

from common import WANTED, attempt, table


def patience(expected):
    """Seconds to wait for an answer: long where one must come, outside and on a busy machine."""
    return 40 if expected and WANTED["control"] else 2


def unix(address):
    with socket.socket(socket.AF_UNIX) as it:
        it.settimeout(patience(True))
        it.connect(address)
        return it.recv(100).decode()


@table(
    ("in /tmp", WANTED["socket"]), ("in the working folder", "inside.sock"), ("abstract", "\0" + WANTED["abstract"]),
    ("Docker's", WANTED["docker"]), ("the session bus", WANTED["bus"]), ("the SSH agent", os.environ.get("SSH_AUTH_SOCK") or WANTED["agent"]),
)  # fmt: skip
def a_unix_socket(address):
    return unix(address)


@attempt
def a_pipe_in_the_working_folder():
    descriptor = os.open("inside.fifo", os.O_WRONLY | os.O_NONBLOCK)
    os.write(descriptor, b"canary")
    return "written"


# the network


def tcp(host, port, send=b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", family=socket.AF_INET, protocol=0):
    with socket.socket(family, socket.SOCK_STREAM, protocol) as it:
        it.settimeout(10)
        it.connect((host, port))
        it.sendall(send)
        got = it.recv(4096)
    if not got or b"egret-error: " in got.lower():
        raise ConnectionRefusedError(got[:60])
    return got[:40].decode(errors="replace")


@table(
    ("loopback", "127.0.0.1", WANTED["port"]),
    ("another loopback address", "127.0.0.2", WANTED["port"]),
    ("any address", "0.0.0.0", WANTED["port"]),
    ("the machine's own address", WANTED["address_of_machine"], WANTED["port"]),
    ("by an odd spelling", "2130706433", WANTED["port"]),
    ("the machine's name", WANTED["hostname"], WANTED["port"]),
    ("the admin API", "127.0.0.1", WANTED["admin"]),
    ("the proxy without a session", "127.0.0.1", WANTED["proxy"]),
    ("the metadata service", "169.254.169.254", 80),
    ("the internet", "1.1.1.1", 80),
    ("a name", "example.com", 80),
    ("our listener", "127.0.0.1", 47129),
)
def tcp_to(host, port):
    return tcp(host, port)


@table(("loopback", "::1"), ("mapped", "::ffff:127.0.0.1"), ("unspecified", "::"), ("public", "2606:4700:4700::1111"))
def ipv6_to(host):
    return tcp(host, WANTED["port"], family=socket.AF_INET6)


@attempt
def multipath_tcp():
    return tcp(WANTED["address_of_machine"], WANTED["port"], protocol=262)


@table(
    ("loopback", "127.0.0.1"), ("the machine's own address", WANTED["address_of_machine"]), ("broadcast", "255.255.255.255"),
    ("multicast", "239.255.255.250"),
)  # fmt: skip
def udp_to(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.settimeout(patience(host == "127.0.0.1"))
        it.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        it.sendto(b"canary", (host, WANTED["udp"]))
        return it.recv(100).decode(errors="replace")


@table(
    ("the machine's resolver", WANTED["resolver"], 1),
    ("a public one", "8.8.8.8", 1),
    ("TXT", "8.8.8.8", 16),
    ("NULL", "1.1.1.1", 10),
)
def a_tunnel_in_dns(server, kind):
    """Anything that comes from outside: an answer that is not ours (198.18.0.0/15, or none)."""
    labels = b"".join(bytes([len(part)]) + part for part in (b"secret-bytes", b"tunnel", b"example", b"com"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.settimeout(patience(server == WANTED["resolver"]))
        it.sendto(
            b"ab\1\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1),
            (server, WANTED["dns"] if server == WANTED["resolver"] else 53),
        )
        got = it.recv(4096)
    if got[-4:-2] in (b"\xc6\x12", b"\xc6\x13") or got[6:8] == b"\0\0":
        raise PermissionError("answered inside")
    return got[12:].decode(errors="replace")


@attempt
def ping():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as it:
        it.settimeout(1)
        it.sendto(b"\x08\0\0\0\0\0\0\1", ("8.8.8.8", 0))
        return it.recv(100).hex()


@table(
    ("rules", ["/usr/sbin/nft", "flush", "ruleset"]),
    ("routes", ["ip", "route", "del", "local", "default", "dev", "lo"]),
    ("an interface", ["ip", "link", "add", "x0", "type", "dummy"]),
)
def the_network_changed(command):
    if WANTED["control"]:
        raise OSError("not in the control: it would change the machine")
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise PermissionError(done.stderr[:60])
    return "changed"


@table(("the admin API", WANTED["admin"]), ("a service", WANTED["port"]))
def through_the_proxy(port):
    """With the session's token: the proxy does not dial loopback."""
    proxy = os.environ["HTTPS_PROXY"].split("@")[1].rsplit(":", 1)
    token = os.environ["HTTPS_PROXY"].split("//")[1].split(":")[0]
    with socket.create_connection((proxy[0], int(proxy[1])), 5) as it:
        it.sendall(
            f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nProxy-Authorization: Bearer {token}\r\n\r\n".encode()
        )
        got = it.recv(4096)
    if b" 200" not in got.split(b"\r\n")[0]:
        raise ConnectionRefusedError(got.split(b"\r\n")[0])
    return "connected"


@attempt
def a_process_that_stays():
    """It would write a file in the working folder after we are gone; the test looks for it."""
    # No fork: a child of a program with threads may wait for ever for a lock that one of them held.
    survive = (
        "import os, time\n"
        f"while os.getppid() == {os.getpid()}: time.sleep(0.05)\n"
        "time.sleep(1.5); open('survivor', 'w').close()"
    )
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-c", survive, "hostile"],
        start_new_session=True,
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
    )
    raise OSError("see the test")
