"""Upstream answers in the shapes that SDKs expect; each repeats the credential it was given, as a careless API might."""

import hashlib
import hmac
import json
import re
from urllib.parse import parse_qsl, quote

from upstream import Request, response

JSON = b"Content-Type: application/json"


def _events(conn, blocks: list[str]) -> None:
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for block in blocks:
        # In two pieces, so that a value in the middle is split.
        for piece in (block[: len(block) // 2], block[len(block) // 2 :]):
            conn.sendall(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
    conn.sendall(b"0\r\n\r\n")


def openai(request: Request, conn):
    told = request.header("Authorization").decode()
    if b'"stream":true' in request.body.replace(b" ", b""):
        base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        chunk = {**base, "choices": [{"index": 0, "delta": {"content": told}, "finish_reason": None}]}
        _events(conn, [f"data: {json.dumps(chunk)}\n\n", "data: [DONE]\n\n"])
        return None
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": told}}
    return response(
        json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}).encode(),
        JSON,
    )


def anthropic_key(request: Request) -> bytes:
    """The credential, which versions of the SDK put into different headers."""
    return request.header("X-Api-Key") or request.header("Authorization")


def anthropic(request: Request, conn):
    told = anthropic_key(request).decode()
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    message |= {"stop_reason": "end_turn", "stop_sequence": None}
    if b'"stream":true' in request.body.replace(b" ", b""):
        events = [
            {"type": "message_start", "message": {**message, "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": told}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        _events(conn, [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])
        return None
    return response(json.dumps({**message, "content": [{"type": "text", "text": told}]}).encode(), JSON)


def buckets(request: Request, conn):
    """S3's list of no buckets; what a PUT answers has no body."""
    body = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>" if request.head.startswith(b"GET") else b""
    return response(body, b"Content-Type: application/xml")


def signature_holds(request: Request, secret: str) -> bool:
    """Check an AWS Signature Version 4 as the service does, over what arrived."""
    method, target, _ = request.head.split(b"\r\n", 1)[0].decode().split(" ")
    path, _, query = target.partition("?")
    found = re.search(r"Credential=[^/]+/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)",
                      request.header("Authorization").decode())  # fmt: skip
    scope, names, signature = found.groups()
    pairs = sorted((quote(k, "-_.~"), quote(v, "-_.~")) for k, v in parse_qsl(query, keep_blank_values=True))
    lines = [f"{name}:{' '.join(request.header(name).decode('utf-8').split())}\n" for name in names.split(";")]
    content = request.header("X-Amz-Content-Sha256").decode()
    if re.fullmatch("[0-9a-f]{64}", content) and content != hashlib.sha256(request.body).hexdigest():
        return False
    canonical = "\n".join([method, path, "&".join("=".join(p) for p in pairs), "".join(lines), names, content])
    stamp = request.header("X-Amz-Date").decode()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(key.hex(), signature)
