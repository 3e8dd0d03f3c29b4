"""The parts of mitmproxy's HTTP layers that ours are made of, under one roof (it keeps some in private modules)."""

from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpClient,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import HttpConnection, HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpConnectHook, HttpRequestHeadersHook
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection, Http2Server

__all__ = [
    "DropStream",
    "ErrorCode",
    "GetHttpConnection",
    "GetHttpConnectionCompleted",
    "HTTPMode",
    "Http2Client",
    "Http2Connection",
    "Http2Server",
    "HttpClient",
    "HttpConnectHook",
    "HttpConnection",
    "HttpEvent",
    "HttpLayer",
    "HttpRequestHeadersHook",
    "HttpStream",
    "ReceiveHttp",
    "RegisterHttpConnection",
    "RequestData",
    "RequestEndOfMessage",
    "RequestHeaders",
    "RequestProtocolError",
    "RequestTrailers",
    "ResponseData",
    "ResponseEndOfMessage",
    "ResponseHeaders",
    "ResponseProtocolError",
    "ResponseTrailers",
    "SendHttp",
]
