"""How a connection that cannot be carried is refused: in the words of its protocol, where it has any.

Only HTTP, in TLS or not, can be carried: placeholders are looked for in its requests. Who speaks something else is told
so at once, by the message that its client prints, instead of by a timeout.

Sources: RFC 5321 4.2 (SMTP), RFC 959 (FTP), RFC 1939 (POP3), RFC 9051 7.1.5 (IMAP), RFC 4253 11.1 (SSH), RFC 8446 6
(TLS alerts), RFC 9457 (problem documents), MySQL ERR_Packet, PostgreSQL 55.7 ErrorResponse, Redis RESP simple errors.
"""

import json
import re
import struct
from collections.abc import Callable
from typing import Final

TEXT: Final = "egret: only HTTP and HTTPS leave this sandbox"
SPEAKS_FIRST: Final = {21: "FTP", 22: "SSH", 25: "SMTP", 110: "POP3", 143: "IMAP", 587: "SMTP", 3306: "MySQL"}
"""Ports whose servers speak first: a client there waits, so it is refused without waiting."""

POSTGRES_PLAIN: Final = (80877103, 80877104)
"""SSLRequest and GSSENCRequest: answered with N, whereupon the client sends its start-up message in clear."""

_METHOD: Final = re.compile(rb"[A-Z][A-Z_-]{1,23}( |$)")
_REDIS: Final = re.compile(rb"\*\d{1,7}\r\n\$")


def protocol_of(data: bytes) -> str:
    """Tell from the first bytes what a client speaks: TLS, HTTP, SSH, PostgreSQL, Redis, or "" for anything else."""
    if data[:2] == b"\x16\x03":
        return "TLS"
    if data.startswith(b"SSH-"):
        return "SSH"
    if _REDIS.match(data):
        return "Redis"
    if len(data) >= 8 and struct.unpack_from("!I", data, 4)[0] in (*POSTGRES_PLAIN, 196608, 196610):
        return "PostgreSQL"
    return "HTTP" if _METHOD.match(data) else ""


def asks_for_encryption(data: bytes) -> bool:
    """Whether this is PostgreSQL's question before its start-up message."""
    return len(data) == 8 and struct.unpack("!II", data) in {(8, code) for code in POSTGRES_PLAIN}


def refusal(protocol: str) -> bytes:
    """Return what to send before closing; nothing for a protocol without words, which is reset."""
    say = _WORDS.get(protocol)
    return b"" if say is None else say(TEXT.encode())


def problem(status: int, code: str, detail: str, hint: str) -> bytes:
    """Return a whole HTTP/1.1 response with a problem document, as the proxy's own refusals are."""
    document = {
        "type": f"urn:egret:problem:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
        "error": {"message": f"{detail} {hint}", "code": code},
    }
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} {code}\r\nEgret-Error: {code}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _mysql(text: bytes) -> bytes:
    packet = b"\xff\x51\x04#08S01" + text  # 1105 ER_UNKNOWN_ERROR, SQLSTATE communication link failure
    return struct.pack("<I", len(packet))[:3] + b"\0" + packet


def _ssh(text: bytes) -> bytes:
    payload = struct.pack("!BI", 1, 2) + _string(text) + _string(b"")  # SSH_MSG_DISCONNECT, PROTOCOL_ERROR
    padding = 8 - (len(payload) + 5) % 8 + 8
    return b"SSH-2.0-egret\r\n" + struct.pack("!IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def _string(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def _postgres(text: bytes) -> bytes:
    fields = b"SFATAL\0VFATAL\0C08004\0M" + text + b"\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


_WORDS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "SMTP": lambda text: b"554 5.7.1 %s\r\n" % text,
    "FTP": lambda text: b"421 %s\r\n" % text,
    "POP3": lambda text: b"-ERR %s\r\n" % text,
    "IMAP": lambda text: b"* BYE %s\r\n" % text,
    "Redis": lambda text: b"-ERR %s\r\n" % text,
    "MySQL": _mysql,
    "SSH": _ssh,
    "PostgreSQL": _postgres,
    "TLS": lambda _: b"\x15\x03\x03\x00\x02\x02\x31",  # fatal, access_denied
}
