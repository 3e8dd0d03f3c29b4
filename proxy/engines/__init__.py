"""The client's side of every protocol.

An engine turns what a client says into calls of `admission` and `border`, and their answers back into its protocol. It
holds no rule and no value. `http1` is HTTP/1.1 on asyncio alone, which `express` (a forward proxy) and `gateway` (for
browsers) share; `mitm` is mitmproxy with its addon, which speaks HTTP/2 and gRPC as well.
"""
