"""Answers that break with their first bytes, before any of them went on: each is refused on a connection that stays."""

import gzip

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
_PACKED = gzip.compress(b"text" * 100)[:-8] + b"checksum"
BROKEN = {
    "no chunk": _CHUNKED + b"\r\nZZ\r\n",
    "no gzip": _CHUNKED + b"Content-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "no gzip, until close": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nhello",
    "another checksum": _CHUNKED + b"Content-Encoding: gzip\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(_PACKED), _PACKED),
    "unknown coding": _CHUNKED + b"Content-Encoding: lzma\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "partly": b"HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
}


def route(request, conn):
    """Answer with what `X-Break` names, else as usual."""
    name = request.header("X-Break").decode()
    if name not in BROKEN:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"
    conn.sendall(BROKEN[name])
    conn.close()
    return None


def framed(answer: bytes, rest: bytes) -> bool:
    """Whether an answer is exactly as long as it says, so that what comes next is the next one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return lengths == [len(body)] and b"transfer-encoding" not in head.lower() and rest.startswith(b"HTTP/1.1 200 OK")
