"""How the parts of an AWS key reach the command line: prompts, AWS's own file or variables, or the JSON itself."""

import configparser
import json
from collections.abc import Mapping
from typing import Final

import click

from egret.cli.common import USAGE, fail
from egret.settings import environment

ID: Final = "ACCESS_KEY_ID"
_PARTS: Final = ("access_key_id", "secret_access_key", "session_token")


def asked(name: str) -> bytes:
    """Ask for the parts, the secret ones hidden."""
    id_ = click.prompt(f"Access key id of {name}", err=True)
    secret = click.prompt("Secret access key", hide_input=True, err=True)
    token = click.prompt("Session token (none: enter)", hide_input=True, default="", show_default=False, err=True)
    return _value({"access_key_id": id_, "secret_access_key": secret, "session_token": token})


def of_variables(first: str) -> bytes:
    """Read the variable of the id, and beside it those of the key and the token, as AWS's tools name them."""
    prefix, known = first.removesuffix(ID), environment()
    if (secret := known.get(f"{prefix}SECRET_ACCESS_KEY")) is None:
        fail("beside the variable of the access key id there is none for the secret access key", USAGE)
    token = known.get(f"{prefix}SESSION_TOKEN", "")
    return _value({"access_key_id": known.get(first, ""), "secret_access_key": secret, "session_token": token})


def of_text(raw: bytes) -> bytes:
    """Return the value in a file's bytes: as they are, or a profile of `~/.aws/credentials`."""
    if not raw.lstrip().startswith(b"["):
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
    return _value({part: section.get(f"aws_{part}", "") for part in _PARTS})


def _value(parts: Mapping[str, str]) -> bytes:
    return json.dumps({name: text.strip() for name, text in parts.items() if text.strip()}).encode()
