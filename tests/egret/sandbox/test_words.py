"""egret.sandbox.words: what a client speaks, and how it is told no."""

import json
import struct

import pytest

from egret.sandbox import words


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "TLS"), (b"GET / HTTP/1.1\r\n", "HTTP"), (b"PRI * HTTP/2.0\r\n", "HTTP"), (b"POST", "HTTP"),
        (b"M-SEARCH * HTTP/1.1", "HTTP"), (b"*1\r\n$4\r\nPING\r\n", "Redis"), (b"SSH-2.0-OpenSSH_9", "SSH"),
        (struct.pack("!II", 8, 80877103), "PostgreSQL"), (struct.pack("!II", 40, 196608) + b"user\0x\0", "PostgreSQL"),
        (b"", ""), (b"\0\0\0", ""), (b"AMQP\0\0\x09\x01", ""), (b"\x10\x2f\0\x04MQTT", ""), (b"get / http", ""), (b"\xff" * 20, ""),
    ],
)  # fmt: skip
def test_protocols(data, protocol):
    """By the first bytes."""
    assert words.protocol_of(data) == protocol


@pytest.mark.parametrize("protocol", ["SMTP", "FTP", "POP3", "IMAP", "Redis", "MySQL", "SSH", "PostgreSQL"])
def test_each_says_it_in_words(protocol):
    """The text is in the message, whatever stands around it."""
    assert words.TEXT.encode() in words.refusal(protocol)


def test_lengths_are_true():
    """Of the binary messages: a client that reads by length finds the end."""
    mysql = words.refusal("MySQL")
    assert int.from_bytes(mysql[:3], "little") == len(mysql) - 4
    postgres = words.refusal("PostgreSQL")
    assert struct.unpack_from("!I", postgres, 1)[0] == len(postgres) - 1
    banner, packet = words.refusal("SSH").split(b"\r\n", 1)
    length, padding = struct.unpack_from("!IB", packet)
    assert banner == b"SSH-2.0-egret"
    assert (length, len(packet) % 8, padding >= 4) == (len(packet) - 4, 0, True)
    assert words.refusal("TLS")[0] == 21
    assert words.refusal("") == words.refusal("gopher") == b""


def test_every_port_that_waits_has_words():
    """Who is refused without having spoken must at least be told."""
    for protocol in words.SPEAKS_FIRST.values():
        assert words.refusal(protocol)


def test_a_problem():
    """A whole response, like the proxy's own."""
    head, body = words.problem(403, "destination_blocked", "No.", "Do this.").split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 destination_blocked\r\nEgret-Error: destination_blocked")
    assert f"Content-Length: {len(body)}".encode() in head
    document = json.loads(body)
    assert (document["code"], document["error"]["code"]) == ("destination_blocked", "destination_blocked")


def test_postgres_asks_first():
    """SSLRequest and GSSENCRequest, and nothing else."""
    assert words.asks_for_encryption(struct.pack("!II", 8, 80877103))
    assert words.asks_for_encryption(struct.pack("!II", 8, 80877104))
    assert not words.asks_for_encryption(struct.pack("!II", 8, 196608))
    assert not words.asks_for_encryption(b"")
