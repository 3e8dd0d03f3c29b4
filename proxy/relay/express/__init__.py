"""The express engine: the forward proxy over HTTP/1.1 and WebSocket, on asyncio alone.

A connection is one task that reads a request, asks the core, writes it to a pooled upstream connection, and writes the
answer back. What the bytes mean is shared with the mitmproxy engine (`proxy.protocol`), so both read, refuse and frame
alike; what is different is how bytes move: TLS runs in memory on both sides (no transport in between, no buffers of an
idle connection), heads are parsed once, and a message that is whole is one write.
"""
