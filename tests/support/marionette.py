"""Firefox's own protocol of automation: the commands of W3C WebDriver as JSON over TCP, without a driver between."""

import json
import socket

MARKER = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's id in W3C WebDriver."""


class Marionette:
    """One command at a time, each JSON with its length before it; what goes wrong raises `RuntimeError`."""

    def __init__(self, port: int):
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._read = self._sock.makefile("rb")
        self._number = 0
        self._receive()

    def __call__(self, name: str, **params):
        self._number += 1
        data = json.dumps([0, self._number, name, params]).encode()
        self._sock.sendall(b"%d:%s" % (len(data), data))
        _, number, error, result = self._receive()
        assert number == self._number
        if error is not None:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def _receive(self):
        size = b""
        while (one := self._read.read(1)) != b":":
            assert one, "Firefox is gone"
            size += one
        return json.loads(self._read.read(int(size)))

    def close(self):
        self._read.close()
        self._sock.close()
