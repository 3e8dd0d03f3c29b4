"""multipart: what is content, and what is not."""

import pytest
from counting import calls
from names import Known, Names

from proxy.core.body.multipart import MultipartRewriter
from proxy.core.edit import Budget, Editor
from store.model import Destination, Location, Use

HOST = Destination(True, "api.example.com", 443)
P, V = b"#{SECRETS.A}", b"value"


def rewritten(data: bytes, size: int = 0, boundary: bytes = b"B") -> bytes:
    editor = Editor(Names([Known("A", V, (HOST,))]), Use(HOST, Location.BODY), Budget(10**6))
    rewriter = MultipartRewriter(editor, boundary)
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    return b"".join(rewriter.feed(piece) for piece in pieces) + rewriter.finish()


@pytest.mark.parametrize(
    "parts",
    [
        [b"pre #P\r\n--B\r\nA: #P\r\n\r\n", b"#P", b"\r\n--B--\r\n#P"],
        [b"--B\r\n\r\n", b"#P\r\n", b"\r\n--B--"],
        [b"--B\n\n", b"#P", b"\n--B--\n#P"],
        [
            b"--B \t\r\nA: 1\r\nB: #P\r\n\r\n",
            b"#P\r\n--Bx\r\n--\r\n-- B\r\n#P",
            b"\r\n--B\r\n\r\n",
            b"\r #P \n",
            b"\r\n--B--",
        ],
        [b"--B\r\n\r\n", b"x--B\r\n#P", b"\r\n--B--"],
        [b"--B\r\n\r\n--B\r\n\r\n", b"#P", b"\r\n--B--"],
        [b"--B\r\n\r\n", b"#P\r\n--", b""],
        [b"--B\r\n\r\n", b"#P\r\n--B\t x\r\n#P", b""],
        [b"#P", b"", b"\r\n--B--\r\n#P"],
        [b"--Bx\r\n\r\n#P", b"", b"\r\n--B\r\nno end of headers #P"],
    ],
)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_only_the_contents_of_parts_are_rewritten(parts: list[bytes], size: int) -> None:
    """Every second item of a case is content."""
    data = b"".join(parts).replace(b"#P", P)
    expected = b"".join(part.replace(b"#P", V if index % 2 else P) for index, part in enumerate(parts))
    assert rewritten(data, size) == expected


@pytest.mark.parametrize("size", [0, 1, 5])
def test_nested_parts_are_followed_and_ended_by_an_outer_boundary(size: int) -> None:
    """Also one that is never closed."""
    nested = b"--B\r\nContent-Type: multipart/mixed; boundary=BIN\r\n\r\n#P\r\n--BIN\r\nX: #P\r\n\r\n"
    rest = b"\r\n--B\r\nX: #P\r\n\r\n"
    data = (nested + b"#P" + rest + b"#P" + b"\r\n--BIN\r\nno: delimiter any more\r\n\r\n#P" + b"\r\n--B--").replace(
        b"#P", P
    )
    expected = (
        nested.replace(b"#P", P)
        + V
        + rest.replace(b"#P", P)
        + V
        + b"\r\n--BIN\r\nno: delimiter any more\r\n\r\n"
        + V
        + b"\r\n--B--"
    )
    assert rewritten(data, size) == expected


def test_endless_part_headers_pass_and_hold_little() -> None:
    """They are not content, whatever stands in them."""
    data = b"--B\r\n" + b"X: #{SECRETS.A}\r\n" * 5000 + b"\r\n" + P + b"\r\n--B--"
    assert rewritten(data, 1000) == data.replace(P + b"\r\n--B--", V + b"\r\n--B--")


def test_many_parts_take_linear_time() -> None:
    """Also with boundaries nested as deep as they are followed."""
    part = b"--B\r\n\r\n#{SECRETS.A}\r\n"
    assert rewritten(part * 10_000).count(V) == 10_000
    once, more = calls(lambda: rewritten(part * 300)), calls(lambda: rewritten(part * 3000))
    assert more < 12 * once
    data = b"".join(b"--B%d\r\nContent-Type: multipart/mixed; boundary=B%d\r\n\r\n" % (n, n + 1) for n in range(50))
    assert rewritten(data + b"--B49\r\n\r\n" + P, boundary=b"B0")
