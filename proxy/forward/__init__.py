"""The mitmproxy adapter: HTTP/1, HTTP/2, gRPC and WebSocket behind an explicit proxy."""
