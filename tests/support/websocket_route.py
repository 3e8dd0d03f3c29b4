"""A route for upstream.Upstream that speaks just enough WebSocket."""

import base64
import hashlib

from upstream import echo


def websocket(request, conn):
    """Answer a handshake with one message, the request's target; anything else with an echo."""
    if not (key := request.header("Sec-WebSocket-Key")):
        return echo(request, conn)
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    message = request.target
    frame = b"\x81" + bytes([len(message)] if len(message) < 126 else [126, *len(message).to_bytes(2)]) + message
    conn.sendall(b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept]) + b"\r\n\r\n" + frame)
    while data := conn.recv(4096):  # the client's close frame, or its end
        if data[0] & 15 == 8:
            conn.sendall(b"\x88\x02\x03\xe8")
            return None
    return None
