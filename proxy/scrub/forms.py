"""The forms in which a value is searched for."""

import base64
import contextlib
import html
import json
from urllib.parse import quote_from_bytes

_FREE = (0, 2, 3)
"""Leading base64 characters that hold bits of what precedes the value, by how many bytes precede it in its group."""


def forms(value: bytes) -> set[bytes]:
    """Return every searched form of a value."""
    found = {value, value.hex().encode(), value.hex().upper().encode()}
    for safe in ("", "/", "~()*!.'-_", ";/?:@&=+$,#-_.!~*'()"):
        upper = quote_from_bytes(value, safe=safe)
        lower = "".join(c.lower() if upper[max(0, i - 2) : i + 1].find("%") >= 0 else c for i, c in enumerate(upper))
        for text in (upper, lower):
            found |= {text.encode(), text.replace("%20", "+").encode()}
    for free in range(3):
        padded = b"\0" * free + value
        end = len(padded) * 8 // 6
        core = base64.b64encode(padded)[_FREE[free] : end]
        found |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    for text in _texts(value):
        found |= _text_forms(text)
    return found


def _texts(value: bytes) -> set[str]:
    texts = {value.decode("latin-1")}
    with contextlib.suppress(UnicodeDecodeError):
        texts.add(value.decode())
    return texts


def _text_forms(text: str) -> set[bytes]:
    strict, loose = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    units = [text.encode("utf-16-be")[i : i + 2] for i in range(0, len(text.encode("utf-16-be")), 2)]
    found = {strict, strict.replace("/", "\\/"), loose, loose.replace("/", "\\/")}
    found |= {"".join(f"\\u{u.hex()}" for u in units), "".join(f"\\u{u.hex().upper()}" for u in units)}
    escaped = html.escape(text)
    found |= {
        escaped,
        html.escape(text, quote=False),
        escaped.replace("&#x27;", "&#39;"),
        escaped.replace("&#x27;", "&apos;"),
    }
    found |= {"".join(f"&#{ord(c)};" for c in text), "".join(f"&#x{ord(c):x};" for c in text)}
    return {form.encode() for form in found}
