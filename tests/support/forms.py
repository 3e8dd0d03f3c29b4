"""Every form in which a value might come back, rendered by nothing but the standard library, and what becomes of it."""

import base64
import gzip
import html
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote, quote_plus

Form = Callable[[bytes], bytes]


def each(pattern: str, *, upper: bool = False) -> Form:
    """Write every byte by a pattern."""
    return lambda data: "".join((pattern % byte).upper() if upper else pattern % byte for byte in data).encode()


def lines(encode: Form, width: int, indent: bytes = b"", end: bytes = b"\n") -> Form:
    """Break what was encoded into lines."""

    def form(data: bytes) -> bytes:
        text = encode(data)
        return (end + indent).join(text[at : at + width] for at in range(0, len(text), width))

    return form


def escaped(at: int, pattern: str) -> Form:
    """Write one byte by a pattern, and leave the others."""

    def form(data: bytes) -> bytes:
        place = at % len(data)
        return data[:place] + (pattern % data[place]).encode() + data[place + 1 :]

    return form


def after(*forms: Form) -> Form:
    """Apply one form after another."""

    def form(data: bytes) -> bytes:
        for one in forms:
            data = one(data)
        return data

    return form


def dump(data: bytes, *, xxd: bool = False) -> bytes:
    """Write as hexdump -C, or xxd, do."""
    out = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = bytes(byte if 0x20 <= byte < 0x7F else 46 for byte in row).decode()
        if xxd:
            columns = " ".join(row[i : i + 2].hex() for i in range(0, 16, 2))
            out.append(f"{at:08x}: {columns:39}  {text}")
        else:
            halves = (row[:8].hex(" "), row[8:].hex(" "))
            out.append(f"{at:08x}  {halves[0]:23}  {halves[1]:23}  |{text}|")
    return "\n".join(out).encode() + b"\n"


def utf16(data: bytes) -> bytes:
    """As Windows and Java write text."""
    return data.decode().encode("utf-16-le")


def entities(data: bytes) -> bytes:
    """Names where HTML has some."""
    names = {"/": "&sol;", "+": "&plus;", "=": "&equals;", "_": "&lowbar;", ".": "&period;", "-": "&hyphen;"}
    return "".join(names.get(chr(byte), html.escape(chr(byte))) for byte in data).encode()


def bare_entities(data: bytes) -> bytes:
    """Numbers without the semicolon, where what follows is no digit."""
    out = ""
    for at, byte in enumerate(data):
        digit = data[at + 1 : at + 2].isdigit()
        out += f"&#{byte}" + ";" * digit
    return out.encode()


base = base64.b64encode
url_safe = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")  # noqa: E731
hexed = lambda data: data.hex().encode()  # noqa: E731
quoted = lambda data: json.dumps(data.decode("latin-1"))[1:-1].encode()  # noqa: E731
percents = each("%%%02x")

SCRUBBED: dict[str, Form] = {
    "as it is": bytes,
    "percent, as URLs": lambda d: quote(d, safe="").encode(),
    "percent, as paths": lambda d: quote(d).encode(),
    "form": lambda d: quote_plus(d).encode(),
    "percent throughout, lower": percents,
    "percent throughout, upper": each("%%%02X"),
    "percent, first byte": escaped(0, "%%%02x"),
    "percent, second byte": escaped(1, "%%%02X"),
    "percent, fifth byte": escaped(4, "%%%02x"),
    "percent, last byte": escaped(-1, "%%%02X"),
    "percent twice": after(percents, lambda d: quote(d).encode()),
    "JSON": quoted,
    "JSON, slashes escaped": lambda d: quoted(d).replace(b"/", b"\\/"),
    "JSON in JSON": after(quoted, quoted),
    "JSON three times": after(quoted, quoted, quoted),
    "unicode escapes": each("\\u%04x"),
    "unicode escapes, upper": lambda d: each("\\u%04X")(d),
    "unicode escape, first byte": escaped(0, "\\u%04x"),
    "unicode escape, third byte": escaped(2, "\\u%04x"),
    "unicode escape, seventh byte": escaped(6, "\\u%04X"),
    "unicode escape, last byte": escaped(-1, "\\u%04x"),
    "code points in braces": each("\\u{%x}"),
    "eight digits": each("\\U%08x"),
    "backslash x": each("\\x%02x"),
    "backslash x, upper": lambda d: b"".join(b"\\x%02X" % byte for byte in d),
    "backslash x, first byte": escaped(0, "\\x%02x"),
    "octal": each("\\%03o"),
    "octal, fourth byte": escaped(3, "\\%03o"),
    "unicode escapes in percents": after(each("\\u%04x"), lambda d: quote(d).encode()),
    "percents in JSON": after(percents, quoted),
    "shell, marks escaped": lambda d: b"".join(b"\\" * (not chr(b).isalnum()) + bytes([b]) for b in d),
    "HTML": lambda d: html.escape(d.decode()).encode(),
    "HTML, by name": entities,
    "HTML in JSON": after(entities, quoted),
    "HTML twice": after(lambda d: html.escape(d.decode()).encode(), lambda d: html.escape(d.decode()).encode()),
    "decimal entities": each("&#%d;"),
    "decimal entities, zeros before": each("&#%05d;"),
    "decimal entities without semicolon": bare_entities,
    "decimal entity, first byte": escaped(0, "&#%d;"),
    "decimal entity, last byte": escaped(-1, "&#%d;"),
    "hexadecimal entities": each("&#x%x;"),
    "hexadecimal entities, upper": lambda d: b"".join(b"&#X%X;" % byte for byte in d),
    "hexadecimal entities, zeros before": each("&#x%06x;"),
    "hexadecimal entity, sixth byte": escaped(5, "&#x%x;"),
    "hexadecimal entities in percents": after(each("&#x%x;"), lambda d: quote(d).encode()),
    "hex, lower": hexed,
    "hex, upper": lambda d: d.hex().upper().encode(),
    "hex, of either case": lambda d: b"".join(
        bytes([b - 32]) if i % 2 and b > 96 else bytes([b]) for i, b in enumerate(hexed(d))
    ),
    "hex, odd before": lambda d: b"f" + hexed(d) + b"0",
    "hex with colons": lambda d: d.hex(":").encode(),
    "hex with blanks": lambda d: d.hex(" ").encode(),
    "hex with dashes, upper": lambda d: d.hex("-").upper().encode(),
    "hex in fours": lambda d: d.hex(" ", 2).encode(),
    "hex in eights": lambda d: d.hex(" ", -4).encode(),
    "hex in lines": lines(hexed, 32),
    "hex of UTF-16": lambda d: d.decode().encode("utf-16-le").hex().encode(),
    "hex of UTF-16, big": lambda d: d.decode().encode("utf-16-be").hex(" ").encode(),
    "bytes of UTF-16 in JSON": lambda d: json.dumps(list(d.decode().encode("utf-16-le"))).encode(),
    "percents of UTF-16": each("%%%02x%%00"),
    "NULs escaped between": lambda d: b"".join(b"%c\\u0000" % byte for byte in d),
    "a literal of C of UTF-16": each("\\x%02x\\x00"),
    "hex with 0x": each("0x%02x, "),
    "hex with 0X, in lines": lines(each("0X%02X,"), 40, b"    "),
    "hexdump": dump,
    "xxd": lambda d: dump(d, xxd=True),
    "bytes in JSON": lambda d: json.dumps(list(d)).encode(),
    "bytes in JSON, close": lambda d: json.dumps(list(d), separators=(",", ":")).encode(),
    "bytes in JSON, indented": lambda d: json.dumps(list(d), indent=4).encode(),
    "bytes in Go": lambda d: f"[{' '.join(map(str, d))}]".encode(),
    "bytes of a buffer": lambda d: json.dumps({"type": "Buffer", "data": list(d)}).encode(),
    "base64": base,
    "base64, one byte before": lambda d: base(b"x" + d),
    "base64, two bytes before": lambda d: base(b"xy" + d),
    "base64, one byte after": lambda d: base(d + b"x"),
    "base64, in the middle": lambda d: base(b'{"key": "' + d + b'", "more": true}'),
    "base64, URL-safe": url_safe,
    "base64, URL-safe, one byte before": lambda d: url_safe(b"?" + d),
    "base64, URL-safe, two bytes before": lambda d: url_safe(b"??" + d),
    "Basic": lambda d: b"Basic " + base(b"user:" + d),
    "Basic, longer user": lambda d: b"Basic " + base(b"api_user:" + d),
    "base64 in lines of 76": base64.encodebytes,
    "base64 in lines of 64": lines(base, 64),
    "base64 in lines of 20": lines(base, 20),
    "base64 in lines, CR LF": lines(base, 24, end=b"\r\n"),
    "base64 in lines, indented": lines(base, 24, b"    "),
    "base64 in lines, in JSON": after(lines(base, 20), quoted),
    "base64 in JSON, slashes escaped": lambda d: base(b"\xff\xfe" + d).replace(b"/", b"\\/"),
    "base64 in a URL": lambda d: quote(base(b"?>" + d), safe="").encode(),
    "base64 of UTF-16": after(utf16, base),
    "base64 of UTF-16, byte order mark": lambda d: base(b"\xff\xfe" + utf16(d)),
    "base64 of percents": after(percents, base),
    "base64 of hex": after(hexed, base),
    "base64 of hex, upper": lambda d: base(d.hex().upper().encode()),
    "base64 of JSON": lambda d: base(json.dumps({"k": d.decode()}).encode()),
    "base64 of unicode escapes": lambda d: base(each("\\u%04x")(d)),
    "a JWT's payload": lambda d: b"eyJhbGciOiJub25lIn0." + url_safe(json.dumps({"k": d.decode()}).encode()) + b".",
    "UTF-16, little": utf16,
    "UTF-16, big": lambda d: d.decode().encode("utf-16-be"),
    "UTF-32": lambda d: d.decode().encode("utf-32-le"),
    "between NULs": lambda d: b"\0" + d + b"\0",
    "in a header": lambda d: b"Set-Cookie: k=" + d + b"; Path=/",
    "as a query": lambda d: b"?k=" + quote(d, safe="").encode() + b"&z=1",
    "in quotes": lambda d: json.dumps({"k": d.decode(), "v": [1, 2]}).encode(),
    "in an attribute": lambda d: b'<input value="' + html.escape(d.decode()).encode() + b'">',
    "in XML": lambda d: b"<k>" + html.escape(d.decode()).encode() + b"</k>",
    "in YAML": lambda d: b"key: " + d + b"\n",
    "a literal of Python": lambda d: repr(d).encode(),
}
"""Each of them is found, in any part of an answer."""

DOCUMENTED: dict[str, Form] = {
    "backwards": lambda d: d[::-1],
    "a blank between characters": lambda d: b" ".join(bytes([b]) for b in d),
    "in two parts": lambda d: d[: len(d) // 2] + b" and " + d[len(d) // 2 :],
    "all but the last byte": lambda d: d[:-1],
    "all but the first byte": lambda d: d[1:],
    "base32": base64.b32encode,
    "base85": base64.b85encode,
    "base64 of base64": after(base, base),
    "base64 of gzip": lambda d: base(gzip.compress(d, mtime=0)),
    "a gzip file": lambda d: gzip.compress(d, mtime=0),
    "a zlib stream": zlib.compress,
    "ROT13": lambda d: bytes(
        (b - 97 + 13) % 26 + 97 if 97 <= b < 123 else (b - 65 + 13) % 26 + 65 if 65 <= b < 91 else b for b in d
    ),
    "binary digits": lambda d: " ".join(f"{b:08b}" for b in d).encode(),
    "hex with dots": lambda d: d.hex(".").encode(),
    "a list of characters": lambda d: json.dumps(list(d.decode())).encode(),
    "code points": each("U+%04X "),
    "octal numbers": lambda d: " ".join(f"0o{b:o}" for b in d).encode(),
    "tokens of a stream": lambda d: b"".join(b'data: {"t": "%s"}\n\n' % d[i : i + 5] for i in range(0, len(d), 5)),
}
"""None of them is found; each is named in docs/scrubbing.md."""
