"""A collector of syslog: over TCP, with TLS or without, messages framed by their length; or on a socket of this machine."""

import contextlib
import json
import re
import socket
import ssl
import threading

LINE = re.compile(
    r"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([!-~]{1,255}) egret - ([!-~]{1,32}) - ([ -~]+)"
)


def parsed(message: bytes):
    """Its priority, its id, and the row; strictly as RFC 5424 6 has it."""
    match = LINE.fullmatch(message.decode("ascii"))
    assert match, message
    return int(match[1]), match[4], json.loads(match[5])


class SyslogCollector:
    """Takes what comes; `ends` says after how many messages of a connection it hangs up, once for each entry."""

    def __init__(self, path=None, leaf=None):
        self.raw: list[bytes] = []
        self.ends, self.connections = iter(()), 0
        self.context = None
        if leaf is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(leaf)
        if path is None:
            self.sock = socket.create_server(("127.0.0.1", 0))
            self.url = f"{'tls' if leaf else 'tcp'}://localhost:{self.sock.getsockname()[1]}"
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.sock.bind(str(path))
            self.url = f"unix:{path}"
        self.sock.settimeout(0.05)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run if path is None else self._take, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.sock.close()

    @property
    def rows(self):
        return [parsed(message)[2] for message in list(self.raw)]

    def _take(self):
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                self.raw.append(self.sock.recv(1 << 20))

    def _run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                conn, _ = self.sock.accept()
                with conn if self.context is None else self.context.wrap_socket(conn, server_side=True) as conn:
                    self.connections += 1
                    self._serve(conn, next(self.ends, None))

    def _serve(self, conn, most):
        conn.settimeout(0.05)
        data, count = b"", 0
        while not self.over.is_set() and count != most:
            with contextlib.suppress(TimeoutError):
                if not (got := conn.recv(65536)):
                    return
                data += got
            while (match := re.match(rb"(\d+) ", data)) and len(data) >= match.end() + int(match[1]) and count != most:
                end = match.end() + int(match[1])
                self.raw.append(data[match.end() : end])
                data, count = data[end:], count + 1
