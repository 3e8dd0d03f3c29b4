"""grpcio through CONNECT: metadata injected, messages of a unary and of a two-way stream as they are."""

import os

import grpc

METADATA = (("authorization", "Bearer #{SECRETS.API_TOKEN}"), ("x-other", "#{SECRETS.OTHER}"))
with grpc.secure_channel(os.environ["TARGET"], grpc.ssl_channel_credentials()) as channel:
    reply, call = channel.unary_unary("/t.T/Unary").with_call(b"ping #{SECRETS.OTHER}", metadata=METADATA, timeout=60)
    print(reply, dict(call.initial_metadata())["seen"], dict(call.trailing_metadata())["seen"])
    both = channel.stream_stream("/t.T/Both")((b"m%d" % n for n in range(5)), metadata=METADATA, timeout=60)
    print(list(both))
    refused = channel.unary_unary("/t.T/Unary")
    try:
        refused(b"", metadata=(("x", "#{SECRETS.UNKNOWN}"),), timeout=60)
    except grpc.RpcError as error:
        print(error.code())
