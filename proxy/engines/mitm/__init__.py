"""The mitmproxy engine: every protocol.

TLS, flows and hooks are mitmproxy's, HTTP/2 is hyper-h2's with mitmproxy's buffers, HTTP/1.1 is `proxy.engines.http1`.
"""
