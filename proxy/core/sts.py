"""An XML answer of AWS's STS, as the client may have it: of a temporary key it gets a placeholder; pure.

XML is read in the one form that STS writes: elements, text, and the five entities of XML with character references (XML
1.0, 4.1 and 4.6). A document type, entities of its own, comments, processing instructions, CDATA, attributes other than
its namespace are in none of its answers, and two readers could see other things in each: what has one is not believed.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Final

from proxy.core.trading import Unfit
from store.credential import parts_of, secrets_of
from store.errors import Invalid
from store.kinds import AWS
from store.model import SecretValue

PARTS: Final = ("AccessKeyId", "SecretAccessKey", "SessionToken")
_PARTS: Final = frozenset(part.lower() for part in PARTS)
HANDS_OUT: Final = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "GetDelegatedAccessToken",
        "GetFederationToken",
        "GetSessionToken",
    }
)
"""Calls that answer with one temporary key, in `Credentials`."""
_TELLS: Final = frozenset({"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetCallerIdentity"})
"""Calls of STS that answer with none."""
FILLER: Final = "egret"
"""What the client gets as secret key and token, and signs with."""

_TYPE: Final = re.compile(rb"(?:text|application)/xml[ \t]*(?:;.*)?", re.IGNORECASE)
_DEEPEST: Final = 16
_PROLOGUE: Final = re.compile(r"<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'](?:UTF|utf)-8[\"'])?\s*\?>")
_TAG: Final = re.compile(
    r"<(?P<end>/?)(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)"
    r"(?P<space>\s+xmlns=\"https://sts\.amazonaws\.com/doc/[0-9-]{10}/\")?\s*(?P<bare>/?)>"
    r"|(?P<text>(?:[^<&]|&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)+)"
)
_REFERENCE: Final = re.compile(r"&(?:#x(?P<hex>[0-9A-Fa-f]+)|#(?P<number>[0-9]+)|(?P<name>[a-z]+));")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_NO_TEXT: Final = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class _Element:
    name: str
    space: str = ""
    inner: "list[_Element]" = field(default_factory=list)
    text: str = ""
    """Of an element that holds no other."""

    def all(self) -> "Iterator[_Element]":
        yield self
        for each in self.inner:
            yield from each.all()

    def one(self, name: str) -> "_Element":
        """Return the one element of this name in here; raises `Unfit`."""
        found = [each for each in self.inner if each.name == name]
        if len(found) != 1:
            raise Unfit
        return found[0]

    def written(self) -> str:
        inner = "".join([each.written() for each in self.inner]) if self.inner else escape(self.text, quote=False)
        return f"<{self.name}{self.space}>{inner}</{self.name}>"


def is_xml(said: list[bytes]) -> bool:
    """Whether an answer says, once, that it is XML; `said`: its content types."""
    return len(said) == 1 and _TYPE.fullmatch(said[0].strip()) is not None


def replaced(body: bytes, status: int, seal: Callable[[SecretValue], str]) -> tuple[bytes, list[SecretValue]]:
    """Return an answer without its key, and what of the key is secret; raises `Unfit`.

    `seal` gives the placeholder for a key as `store.credential.parse_aws` reads it; raises `ValueError`.
    """
    try:
        root = _read(body.decode())
        key = _key(root, status)
        if key is None:
            return root.written().encode(), []
        id_, secret, token = wanted = [key.one(name) for name in PARTS]
        members = dict(
            zip(("access_key_id", "secret_access_key", "session_token"), [e.text for e in wanted], strict=True)
        )
        value = SecretValue(json.dumps(members).encode())
        parts_of(AWS, value.reveal())  # what it refuses could not be signed with
        id_.text = seal(value)
        secret.text = token.text = FILLER
        return root.written().encode(), [*secrets_of(AWS, value)]
    except (ValueError, Invalid):  # UnicodeDecodeError is one
        raise Unfit from None


def _key(root: _Element, status: int) -> _Element | None:
    """Return the element with a key; None in an answer that has none, and is known to have none. Raises `Unfit`."""
    call = root.name.removesuffix("Response")
    parts = [each for each in root.all() if each.name.lower() in _PARTS]
    named = root.name != call
    if not parts and (root.name == "ErrorResponse" if status >= 400 else named and call in _TELLS):
        return None
    if status >= 400 or not named or call not in HANDS_OUT:
        raise Unfit
    key = root.one(f"{call}Result").one("Credentials")
    if len(parts) != len(PARTS) or any(each.inner for each in parts):
        raise Unfit
    return key


def _read(text: str) -> _Element:
    """Read a document; raises `Unfit`."""
    begun = _PROLOGUE.match(text)
    at = 0 if begun is None else begun.end()
    top = _Element("")
    stack = [top]
    while at < len(text):
        found = _TAG.match(text, at)
        if found is None:
            raise Unfit
        at = found.end()
        _take(stack, found)
    if len(stack) != 1 or len(top.inner) != 1:
        raise Unfit
    return top.inner[0]


def _take(stack: list[_Element], found: re.Match[str]) -> None:
    """Take a tag or a text; raises `Unfit`. Blanks between elements are left out, other text beside them is none."""
    inside = stack[-1]
    if found["text"] is not None:
        text = _REFERENCE.sub(_character, found["text"])
        no_text = "]]>" in found["text"] or _NO_TEXT.search(text)  # XML 1.0, 2.4: the end of CDATA is no text
        if no_text or ((inside.inner or len(stack) == 1) and text.strip()):
            raise Unfit
        inside.text = text if not inside.inner else ""
    elif found["end"]:
        if inside.name != found["name"] or found["space"] or found["bare"]:
            raise Unfit
        stack.pop()
    else:
        if inside.text.strip() or len(stack) > _DEEPEST:
            raise Unfit
        inside.text = ""
        inside.inner.append(_Element(found["name"], found["space"] or ""))
        if not found["bare"]:
            stack.append(inside.inner[-1])


def _character(found: re.Match[str]) -> str:
    if found["name"] is not None:
        return _NAMED[found["name"]]
    return chr(int(found["hex"], 16) if found["hex"] is not None else int(found["number"]))
