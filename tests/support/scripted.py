"""An upstream that says exactly the bytes of a script, to show what happens when it says something odd."""

import contextlib
import socket
import threading
import time


class Scripted:
    """Each connection is given to `act(conn, request)`, once for each request head; it may send what it likes."""

    def __init__(self, act):
        self.act = act
        self.requests: list[bytes] = []
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        conn.settimeout(20)
        data = b""
        with contextlib.suppress(OSError):
            while True:
                while b"\r\n\r\n" not in data:
                    more = conn.recv(1 << 16)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                self.requests.append(head)
                if self.act(conn, head) is not None:
                    return
        conn.close()

    def close(self):
        self._server.close()


def sends(*pieces: bytes, pause: float = 0.0, then: str = "keep"):
    """An act: send the pieces, then keep the connection, close it, or reset it."""

    def act(conn, head):
        for piece in pieces:
            conn.sendall(piece)
            if pause:
                time.sleep(pause)
        if then == "reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if then != "keep":
            conn.close()
            return then
        return None

    return act
