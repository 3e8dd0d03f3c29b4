"""What the attempts share: the table of them, where things are, raw system calls."""

import ctypes
import json
import os
import sys

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
