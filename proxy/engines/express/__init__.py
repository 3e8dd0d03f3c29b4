"""The express engine: the forward proxy over HTTP/1.1 and WebSocket, on asyncio alone."""
