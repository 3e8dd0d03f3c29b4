"""How the parts of a credential reach the command line: prompts, variables named as its tools name them, or JSON."""

import configparser
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import click

from egret.cli.common import USAGE, fail
from egret.settings import environment

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


class Part(NamedTuple):
    """A member of a value, and how it is asked for: itself, or the file that it is in.

    The first of a kind is no secret, and its variable is named.
    """

    name: str
    words: str
    hidden: bool = True
    needed: bool = True
    file: bool = False


PARTS: Final = {
    "aws": (
        Part("access_key_id", "Access key id", hidden=False),
        Part("secret_access_key", "Secret access key"),
        Part("session_token", "Session token", needed=False),
    ),
    "hmac": (Part("key_id", "Key id", hidden=False, needed=False), Part("secret", "Secret")),
    "client_certificate": (
        Part("certificate", "File of the certificate and its chain", hidden=False, file=True),
        Part("private_key", "File of the private key", hidden=False, file=True),
    ),
    "oauth2_client": (Part("client_id", "Client id", hidden=False), Part("client_secret", "Client secret")),
    "oauth2_refresh": (
        Part("client_id", "Client id", hidden=False),
        Part("client_secret", "Client secret", needed=False),
        Part("refresh_token", "Refresh token"),
    ),
    "azure_client": (
        Part("tenant_id", "Tenant id", hidden=False),
        Part("client_id", "Client id", hidden=False),
        Part("client_secret", "Client secret"),
    ),
    "github_app": (
        Part("app_id", "App id", hidden=False),
        Part("private_key", "File of the private key", hidden=False, file=True),
    ),
}
"""By kind; a kind that is not here has a value of one piece."""
KINDS: Final = ("static", *PARTS, "gcp_service_account")
"""As `store.kinds` has them; inside a sandbox, where `egret kv` works too, the store's modules are not there."""


def asked(kind: str, name: str) -> bytes:
    """Ask for the parts, the secret ones hidden."""
    found = {}
    for index, part in enumerate(PARTS[kind]):
        words = part.words + ("" if index else f" of {name}") + ("" if part.needed else " (none: enter)")
        default = None if part.needed else ""
        said = click.prompt(words, default=default, hide_input=part.hidden, show_default=False, err=True)
        found[part.name] = _file(said) if part.file else said
    return _value(found)


def _file(path: str) -> str:
    try:
        return Path(path).expanduser().read_text()
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{path} is no text; nothing was sent", USAGE)


def of_variables(kind: str, first: str) -> bytes | None:
    """Read the variable of the first part, and those of the others beside it; None where it is named otherwise."""
    parts, known = PARTS[kind], environment()
    if not first.endswith(parts[0].name.upper()):
        return None
    prefix = first.removesuffix(parts[0].name.upper())
    found = {part.name: known.get(prefix + part.name.upper(), "") for part in parts}
    for part in parts:
        if part.needed and not found[part.name]:
            fail(f"beside the variable of the {parts[0].name} there is none for the {part.name}", USAGE)
    return _value(found)


def of_text(kind: str, raw: bytes) -> bytes:
    """Return the value in a file's bytes: as they are, a profile of AWS, or a bare secret that signs."""
    if kind == "hmac" and not raw.lstrip().startswith(b"{"):
        return _value({"secret": raw.decode("utf-8", "replace")})  # what is no text has no such characters
    if kind == "client_certificate" and not raw.lstrip().startswith(b"{"):
        return _value(_pem(raw.decode("utf-8", "replace")))
    if kind != "aws" or not raw.lstrip().startswith(b"["):
        return raw
    parser = configparser.RawConfigParser(strict=True)
    try:
        parser.read_string(raw.decode())
    except (configparser.Error, UnicodeDecodeError):  # their texts hold the lines
        fail("the file is neither JSON nor a file of AWS credentials; nothing was sent", USAGE)
    names = parser.sections()
    name = "default" if "default" in names else names[0] if len(names) == 1 else None
    if name is None:
        fail("the file has several profiles and none is called default; leave the one that is meant", USAGE)
    section = parser[name]
    return _value({part.name: section.get(f"aws_{part.name}", "") for part in PARTS[kind]})


def _pem(text: str) -> dict[str, str]:
    """Return certificates and key of one file, in the order of each."""
    whole = [found[0] for found in _BLOCK.finditer(text)]
    keys = [each for each in whole if "PRIVATE KEY-----" in each]
    return {"certificate": "\n".join(each for each in whole if each not in keys), "private_key": "\n".join(keys)}


def _value(parts: Mapping[str, str]) -> bytes:
    return json.dumps({name: text.strip() for name, text in parts.items() if text.strip()}).encode()
