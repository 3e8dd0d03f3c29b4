"""Other processes, keyrings, shared memory, and system calls that make namespaces or widen the kernel."""

import contextlib
import ctypes
import fcntl
import glob
import os
import socket
import struct
import subprocess
import sys

from common import ARM, CANARY, KEY, PIDS, WANTED, attempt, call, content, table


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
def a_pair_of_sockets_of_another_family():
    """TIPC has pairs, and no capability is needed to have its module loaded."""
    pair = (ctypes.c_int * 2)()
    return f"gave {call(199 if ARM else 53, 30, 1, 0, pair)}"


@attempt
def typing_into_the_terminal():
    fcntl.ioctl(0 if os.isatty(0) else os.open("/dev/tty", os.O_RDWR), 0x5412, b"x")
    return "typed"
