"""egret.sandbox.seccomp: every rule of the filter, run by an interpreter of classic BPF."""

import struct

import pytest

from egret.sandbox import seccomp

X86, ARM = 0xC000003E, 0xC00000B7
MACHINES = [("x86_64", 0, X86), ("aarch64", 1, ARM)]
ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x50061


def judge(code: bytes, number: int, arch: int, arguments=()) -> int:
    """Run the filter on one call, as the kernel does (Documentation/networking/filter.rst)."""
    data = struct.pack("=iIQ6Q", number, arch, 0, *[*arguments, *[0] * 6][:6])
    program = list(struct.iter_unpack("=HBBI", code))
    at, accumulator = 0, 0
    while True:
        operation, true, false, value = program[at]
        at += 1
        match operation:
            case seccomp.LOAD:
                accumulator = struct.unpack_from("=I", data, value)[0]
            case seccomp.RETURN:
                return value
            case seccomp.EQUAL:
                at += true if accumulator == value else false
            case seccomp.AT_LEAST:
                at += true if accumulator >= value else false
            case seccomp.ANY_BIT:
                at += true if accumulator & value else false
            case _:
                raise AssertionError(f"unknown operation {operation}")


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
@pytest.mark.parametrize("name", [*seccomp.REFUSED, *seccomp.MOUNTS])
def test_what_is_refused(machine, column, arch, name):
    """Each call of the tables; mounts are let through where user namespaces are."""
    number = (seccomp.REFUSED | seccomp.MOUNTS)[name][column]
    assert judge(seccomp.program(machine), number, arch) == EPERM
    expected = ALLOW if name in seccomp.MOUNTS else EPERM
    assert judge(seccomp.program(machine, userns=True), number, arch) == expected


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
def test_what_every_program_does(machine, column, arch):
    """All other numbers pass, whatever their arguments are."""
    special = {pair[column] for pair in (seccomp.REFUSED | seccomp.MOUNTS | seccomp.JUDGED).values()}
    for number in set(range(480)) - special:
        assert judge(seccomp.program(machine), number, arch, [2**64 - 1] * 6) == ALLOW


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
@pytest.mark.parametrize("name", ["socket", "socketpair"])
@pytest.mark.parametrize("family", range(50))
def test_families(machine, column, arch, name, family):
    """Unix, internet and netlink; also with bits above the 32 that the kernel reads."""
    number = seccomp.JUDGED[name][column]
    expected = ALLOW if family in (1, 2, 10, 16) else EAFNOSUPPORT
    assert judge(seccomp.program(machine), number, arch, [family, 1, 0]) == expected
    assert judge(seccomp.program(machine), number, arch, [family | 1 << 32, 1, 0]) == expected


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
@pytest.mark.parametrize("name", ["clone", "unshare"])
@pytest.mark.parametrize("flag", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
def test_namespaces(machine, column, arch, name, flag):
    """Each kind, alone and among others; threads and forks are none."""
    number, code = seccomp.JUDGED[name][column], seccomp.program(machine)
    assert judge(code, number, arch, [flag | 17]) == EPERM
    assert judge(code, number, arch, [flag | 0x3D0F00 | 1 << 40]) == EPERM
    assert judge(code, number, arch, [0x3D0F00]) == ALLOW  # a thread
    assert judge(seccomp.program(machine, userns=True), number, arch, [flag | 17]) == ALLOW


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
@pytest.mark.parametrize("high", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_typing_into_the_terminal(machine, column, arch, high):
    """TIOCSTI and TIOCLINUX, compared in the low 32 bits (CVE-2019-10063); other requests pass."""
    number, code = seccomp.JUDGED["ioctl"][column], seccomp.program(machine)
    for request, expected in ((0x5412, EPERM), (0x541C, EPERM), (0x5401, ALLOW), (0x5413, ALLOW)):
        assert judge(code, number, arch, [0, high | request]) == expected


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
def test_clone3_does_not_exist(machine, column, arch):
    """Its flags are in memory; libraries fall back on clone."""
    assert judge(seccomp.program(machine), 435, arch) == ENOSYS


@pytest.mark.parametrize(("machine", "column", "arch"), MACHINES)
def test_foreign_numbers(machine, column, arch):
    """Another architecture's table (i386, arm, x32) would judge wrongly: the process is killed."""
    for foreign in {X86, ARM, 0x40000003, 0x40000028} - {arch}:
        assert judge(seccomp.program(machine), 39, foreign) == KILL
    assert judge(seccomp.program(machine), 0x40000000 + 39, arch) == KILL


def test_machines_without_a_filter():
    """There is no sandbox then."""
    assert not seccomp.supported("riscv64")
    with pytest.raises(KeyError):
        seccomp.program("riscv64")
